"""A scorer looks at vectors of texts: asked for once, kept, taken along, of use where they tell right from wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polythink.jobs.asking import function_part
from polythink.jobs.explaining import explain_job
from polythink.jobs.selection import notes, select, select_anew
from polythink.jobs.verify import verify_job
from polythink.jobs.workload import Workload
from polythink.selectors.rewards import forget_asked
from polythink.storage.archive import Archive
from polythink.storage.schema import EMBEDDINGS
from tests.jobs.test_rewards import imported

EMBED = """
from hashlib import blake2b
from pathlib import Path
CALLS = Path(__file__).with_name("calls")
def vectors(texts):
    with CALLS.open("a") as calls:
        calls.write(repr(texts) + "\\n")
    return [vector(text) for text in texts]
def hashed(text, numbers=64):
    found = [0.0] * numbers
    for start in range(len(text) - 2):
        found[blake2b(text[start : start + 3].encode(), digest_size=2).digest()[0] % numbers] += 1.0
    return found
def vector(text):
    return {value}
"""
WORDS = ("apple", "grape", "melon")  # alike in length, and no hedges


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.chdir(tmp_path)
    return Archive(tmp_path / "archive")


def embed_file(folder: Path, value: str = "hashed(text)") -> None:
    (folder / "embed.py").write_text(EMBED.replace("{value}", value))


def job_of(archive: Archive, folder: Path, name: str = "taught", first: int = 0, problems: int = 24) -> Workload:
    """Right answers speak of apples, wrong ones of grapes, one in six the other way; problems are hard or easy."""
    rng = np.random.default_rng(first)
    rows = []
    for p in range(first, first + problems):
        share = rng.choice((0.2, 0.6))
        for i in range(8):
            right = bool(rng.random() < share)
            word = WORDS[int(right == (rng.random() < 1 / 6))]
            answer = str(p + 1) if right else str(p + 2 + int(rng.integers(2)))
            rows.append(
                {"question_id": f"p{p}", "question": f"{p} + 1?", "gold": str(p + 1), "sample_index": i}
                | {"answer": f"{int(answer):03d}", "completion": f"it was the {word} of q{p:03d}"}
            )
    return imported(archive, folder, rows, name)


def calls(archive: Archive, job_id: str) -> list[list[str]]:
    """What the archive's own copy of the function was called with."""
    found = archive.store.get(archive.file(job_id, "files/calls")) or b""
    return [eval(line, {}) for line in found.decode().splitlines()]


def card(archive: Archive, job_id: str, name: str = "scorer") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(archive.read_text(job_id, f"scorers/{name}.json") or "")
    return found


def auc(archive: Archive, work: Workload, *, embeds: bool, measure: str = "auc_within_problems") -> float:
    _, done = select(archive, work, [{"scorer": {"embed": "embed.py:vectors"} if embeds else {}}])
    assert (done.failed, done.warnings) == ({}, ())
    return float(card(archive, work.job_id)["out_of_fold"][measure])


def test_it_is_asked_once_and_selecting_again_and_the_audit_read_what_is_kept(archive: Archive, tmp_path: Path) -> None:
    work = job_of(archive, tmp_path)
    embed_file(tmp_path)
    one, two = {"scorer": {"embed": "embed.py:vectors"}}, {"scorer": {"embed": "embed.py:vectors", "as": "summed"}}
    _, done = select(archive, work, ["majority", one, two])
    assert (done.failed, done.warnings) == ({}, ())
    asked = [text for call in calls(archive, work.job_id) for text in call]
    assert len(asked) == 24 * 8 and {len(call) for call in calls(archive, work.job_id)} == {32}
    assert all(text.startswith("it was the ") for text in asked), "neither question nor gold"
    kept = archive.sql("SELECT len(vector) AS numbers, length, source FROM embeddings").to_pylist()
    assert len(kept) == 24 * 8 and {(row["numbers"], row["length"]) for row in kept} == {(16, 64)}
    assert {row["source"] for row in kept} == {card(archive, work.job_id)["embed"]}
    (tmp_path / "embed.py").unlink()
    before = [archive.sql(f"SELECT * FROM {table} ORDER BY ALL") for table in ("scores", "selections", "curves")]
    assert notes(select_anew(archive, work), work.job_id) == ()
    (audit,) = verify_job(archive, work.job_id)
    assert audit.agrees and audit.looked_at["scores"] == 2 * 24 * 8
    assert before == [
        archive.sql(f"SELECT * FROM {table} ORDER BY ALL") for table in ("scores", "selections", "curves")
    ]
    assert explain_job(archive, work, ["scorer"], "p0").failed == {}
    assert len(calls(archive, work.job_id)) == 6, "nobody asks again"
    select_anew(archive, work, prepares=True)
    assert len(calls(archive, work.job_id)) == 6
    forget_asked(archive, work.job_id)
    select_anew(archive, work, prepares=True)
    assert len(calls(archive, work.job_id)) == 12, "what was forgotten is asked for anew"


def test_a_signal_in_the_vectors_is_found_whole_or_projected(archive: Archive, tmp_path: Path) -> None:
    work = job_of(archive, tmp_path)
    blind = auc(archive, work, embeds=False)
    found = []
    for value in ("[float('apple' in text), 1.0]", "[float('apple' in text)] * 8 + hashed(text, 40)"):
        embed_file(tmp_path, value)
        found.append(auc(archive, work, embeds=True))
        names = [feature["name"] for feature in card(archive, work.job_id)["features"]]
        assert sum(name.startswith("embedding:") for name in names) == (2 if "1.0]" in value else 16)
    assert found[0] > blind + 0.05 and found[1] > blind + 0.15


def test_vectors_that_name_the_problem_or_nothing_do_not_help(archive: Archive, tmp_path: Path) -> None:
    """Which problem it is says how likely an answer is right, but only to who has seen that problem's verdicts."""
    work = job_of(archive, tmp_path, problems=60)
    blind = auc(archive, work, embeds=False, measure="auc")
    noise = "[b / 255 for b in blake2b({seed}.encode(), digest_size=16).digest()]"
    for seed in ("text.split()[-1]", "text"):
        embed_file(tmp_path, noise.replace("{seed}", seed))
        assert auc(archive, work, embeds=True, measure="auc") < blind + 0.1


def test_a_model_takes_its_function_along(archive: Archive, tmp_path: Path) -> None:
    taught = job_of(archive, tmp_path)
    embed_file(tmp_path, "[float('apple' in text)]")
    select(archive, taught, [{"scorer": {"embed": "embed.py:vectors"}}])
    (tmp_path / "embed.py").unlink()
    work = job_of(archive, tmp_path, "open", first=100, problems=6)
    _, done = select(archive, work, ["majority", {"scorer": {"from": "taught"}}])
    assert (done.failed, done.warnings) == ({}, ())
    assert sum(map(len, calls(archive, work.job_id))) == 48
    by_word = archive.sql(
        "SELECT avg(s.score) FILTER (text LIKE '%apple%') - avg(s.score) FILTER (text LIKE '%grape%') AS more "
        "FROM scores s JOIN traces USING (job_id, problem_id, arm_id, sample_index) WHERE job_id = ?",
        [work.job_id],
    )
    assert by_word["more"][0].as_py() > 0.2
    (audit,) = verify_job(archive, work.job_id)
    assert audit.differing == {} and sum(map(len, calls(archive, work.job_id))) == 48
    source = card(archive, taught.job_id)["embed"]
    archive.remove(taught.job_id, source.partition(":")[0])
    last = job_of(archive, tmp_path, "last", first=200, problems=6)
    _, done = select(archive, last, [{"scorer": {"from": "taught"}}])
    assert f"looks at vectors of {source}, and {taught.job_id} no longer keeps that file" in done.warnings[0]
    assert "no model was taken" in done.failed["scorer"]


TROUBLE = """
import os
def vectors(texts):
    text = texts[0] if len(texts) == 1 else ""
    if "q000" in text: raise RuntimeError("bad text")
    if "q001" in text: os._exit(3)
    if len(texts) > 1 and any("q000" in text or "q001" in text for text in texts): raise MemoryError()
    if len(texts) > 1 and any("q002" in text for text in texts): return []
    if "q002" in text: return [1.0, 2.0]
    made = [[float(len(t)), 1.0, float("nan") if "q010" in t else 2.0] for t in texts]
    return [v[:2] if "q011" in t else v for t, v in zip(texts, made)]
"""


def test_a_text_that_fails_costs_its_own_sample_and_is_counted(archive: Archive, tmp_path: Path) -> None:
    work = job_of(archive, tmp_path)
    (tmp_path / "trouble.py").write_text(TROUBLE)
    _, done = select(archive, work, [{"scorer": {"embed": "trouble.py:vectors"}}])
    assert done.failed == {}
    said = " | ".join(done.warnings)
    for message in (
        "8 samples have no vector: ",
        "bad text",
        "exited with status 3",
        "returned [1.0, 2.0]; wanted a list of one vector for each text",
        "nan]; wanted a vector of finite numbers",
        "returned 2 numbers; wanted 3, as for other samples",
    ):
        assert message in said
    found = archive.sql("SELECT count(*) AS rows, count(vector) AS vectors FROM embeddings").to_pylist()
    assert found == [{"rows": 192, "vectors": 192 - 5 * 8}]
    assert archive.sql("SELECT count(score) AS n FROM scores")["n"][0].as_py() == 192, "the others' average stands in"


def test_while_nothing_was_asked_there_are_no_rows_and_samples_that_were_not_wait(
    archive: Archive, tmp_path: Path
) -> None:
    work = job_of(archive, tmp_path)
    embed_file(tmp_path)
    select(archive, work, [{"scorer": {"embed": "embed.py:vectors"}}])
    kept = archive.sql("SELECT * EXCLUDE (job_id) FROM embeddings WHERE problem_id <> 'p0'")
    part = function_part(card(archive, work.job_id)["embed"])
    archive.replace_part(EMBEDDINGS, work.job_id, part, kept.cast(EMBEDDINGS.arrow))
    select_anew(archive, work)
    assert len(archive.sql("SELECT * FROM selections WHERE selector = 'scorer'")) == 23, "p0 waits for its vectors"
    archive.replace_part(EMBEDDINGS, work.job_id, part, EMBEDDINGS.arrow.empty_table())
    assert "was asked about no sample yet" in select_anew(archive, work).failed["scorer"]
