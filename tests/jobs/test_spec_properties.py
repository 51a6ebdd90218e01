"""What holds of every job file: it survives being written, and no single slip in it goes unnoticed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polythink.errors import SpecError
from polythink.jobs.load import LoadedJob, job_yaml, load_job, load_job_model
from polythink.jobs.spec import Job
from polythink.jobs.spec_validation import validate

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
REASONING = st.one_of(
    st.just("none"),
    st.just({"effort": "high"}),
    st.just("adaptive"),
    st.builds(lambda n: {"budget_tokens": n}, st.integers(1024, 60_000)),
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "extract": st.sampled_from(["boxed", "last_number", "choice", "verbatim", {"regex": "x(.)"}, {"json": "a.b"}]),
        "equivalence": st.sampled_from(["string", "number", "math", {"judge": {"model": "own/a", "votes": 3}}]),
    },
)
GRIDS = st.builds(
    lambda models, reasoning: {"grid": {"model": models, "reasoning": reasoning}},
    st.lists(st.sampled_from(["own/a", "own/b"]), min_size=1, unique=True),
    st.lists(REASONING, min_size=1, unique_by=str),
)
LISTS = st.lists(
    st.fixed_dictionaries({"id": NAMES, "model": st.just("own/a"), "reasoning": REASONING}),
    min_size=1,
    max_size=4,
    unique_by=lambda arm: str(arm["id"]),
)
SPECS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": NAMES, "problems": st.just({"path": "rows.jsonl"}), "arms": st.one_of(GRIDS, LISTS)},
    optional={
        "samples": st.integers(1, 10_000),
        "prompt": st.fixed_dictionaries(
            {"template": st.sampled_from(["{{ q }}", "Solve: {{ q }}\n"])},
            optional={"system": st.one_of(st.none(), st.text(st.characters(codec="ascii", exclude_characters="{}#%")))},
        ),
        "answer": ANSWERS,
        "concurrency": st.integers(1, 1000),
        "retries": st.integers(0, 20),
        "seed": st.integers(-5, 5),
        "endpoint": st.sampled_from(
            [{}, {"base_url": "http://localhost:1"}, {"only": {"prices": {"input": 1, "output": 2.5}}}]
        ),
    },
)

Slip = Callable[[dict[str, Any]], str]  # changes the spec in place, and says at which path


def _set(section: str, key: str, value: Any) -> Slip:
    def slip(spec: dict[str, Any]) -> str:
        spec.setdefault(section, {})[key] = value
        return f"{section}.{key}"

    return slip


def _put(key: str, value: Any) -> Slip:
    def slip(spec: dict[str, Any]) -> str:
        spec[key] = value
        return key

    return slip


def _drop(key: str) -> Slip:
    def slip(spec: dict[str, Any]) -> str:
        del spec[key]
        return key

    return slip


def _first_reasoning(value: Any, below: str = "") -> Slip:
    def slip(spec: dict[str, Any]) -> str:
        if isinstance(spec["arms"], dict):
            spec["arms"]["grid"]["reasoning"][0] = value
            return f"arms.grid.reasoning[0]{below}"
        spec["arms"][0]["reasoning"] = value
        return f"arms[0].reasoning{below}"

    return slip


SLIPS: list[Slip] = [
    _drop("name"),
    _drop("problems"),
    _drop("arms"),
    _put("name", "Not A Slug"),
    _put("samples", 0),
    _put("samples", "4"),
    _put("samples", 1.5),
    _put("smaples", 4),
    _put("lane", "slow"),
    _put("retries", None),
    _put("seed", "x"),
    _put("select", []),
    _put("timeout_s", 0),
    _set("problems", "path", "rows.json"),
    _set("problems", "gold", "solution"),
    _set("problems", "ID", "q"),
    _set("prompt", "template", "{{ nothing }}"),
    _set("prompt", "template", "{{ q"),
    _set("cap", "usd", -3),
    _first_reasoning("much"),
    _first_reasoning({"budget_tokens": 1000}, ".budget_tokens"),
    _first_reasoning({"budget_tokens": "many"}, ".budget_tokens"),
    _first_reasoning({"effort": "utmost"}, ".effort"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    (folder / "rows.jsonl").write_text(json.dumps({"id": 1, "q": "1+1?"}) + "\n")
    return folder


def load(folder: Path, spec: dict[str, Any]) -> LoadedJob:
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump({"prompt": {"template": "{{ q }}"}} | spec), encoding="utf-8")
    return load_job(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=SPECS)
def test_a_job_survives_being_written_and_read(folder: Path, spec: dict[str, Any]) -> None:
    loaded = load(folder, spec)
    job = loaded.job
    assert Job.model_validate(job.model_dump(mode="json")) == job
    assert Job.model_validate(yaml.safe_load(job_yaml(job))) == job
    again = load_job_model(job, folder)
    assert (again.job, again.arms, again.problems, again.digest) == (job, loaded.arms, loaded.problems, loaded.digest)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=SPECS, slip=st.sampled_from(SLIPS))
def test_any_single_slip_is_told_at_its_path(folder: Path, spec: dict[str, Any], slip: Slip) -> None:
    spec = copy.deepcopy({"prompt": {"template": "{{ q }}"}} | spec)
    path = slip(spec)
    with pytest.raises(SpecError) as caught:
        load(folder, spec)
    assert path in {issue.path for issue in caught.value.issues}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*Job.model_fields, "x"]), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*Job.model_fields, "grid", "x"]), JSON))
def test_any_data_at_all_is_judged_and_never_a_crash(data: dict[str, Any]) -> None:
    validated = validate(data)
    assert isinstance(validated.job, Job)
    told = {finding.loc[0] for finding in validated.findings if finding.loc}
    assert {place[0] for place in validated.unusable.places} <= told


def test_overrides_go_before_the_file_and_merge_mappings(folder: Path) -> None:
    spec = {"name": "j", "problems": {"path": "rows.jsonl"}, "arms": [{"model": "m", "reasoning": "none"}]}
    spec |= {"endpoint": {"requests_per_minute": 9}, "prompt": {"template": "{{ q }}"}}
    (folder / "job.yaml").write_text(yaml.safe_dump(spec))
    overrides = {"samples": 7, "endpoint": {"base_url": "http://localhost:1/"}, "problems": {"limit": 1}}
    loaded = load_job(folder / "job.yaml", overrides)
    assert loaded.job.samples == 7
    assert loaded.job.endpoints["default"].base_url == "http://localhost:1"
    assert loaded.job.endpoints["default"].requests_per_minute == 9
    assert loaded.source == yaml.safe_dump(spec)
    assert loaded.digest != load_job(folder / "job.yaml").digest


@pytest.mark.parametrize(
    "endpoint", [None, {}, {"base_url": "http://own"}, {"only": {"base_url": "http://own"}}], ids=str
)
def test_another_server_takes_the_place_of_the_one_endpoint(folder: Path, endpoint: dict[str, Any] | None) -> None:
    spec = {"name": "j", "problems": {"path": "rows.jsonl"}, "arms": [{"model": "m", "reasoning": "none"}]}
    (folder / "job.yaml").write_text(yaml.safe_dump(spec | {"prompt": {"template": "{{ q }}"}, "endpoint": endpoint}))
    loaded = load_job(folder / "job.yaml", base_url="http://localhost:1")
    assert [one.base_url for one in loaded.job.endpoints.values()] == ["http://localhost:1"]


def test_another_server_in_place_of_several_endpoints_is_refused_by_their_names(folder: Path) -> None:
    arm = {"model": "m", "reasoning": "none", "endpoint": "away"}
    spec = {"name": "j", "problems": {"path": "rows.jsonl"}, "arms": [arm], "prompt": {"template": "{{ q }}"}}
    (folder / "job.yaml").write_text(yaml.safe_dump(spec | {"samples": 0, "endpoint": {"home": {}, "away": {}}}))
    with pytest.raises(SpecError) as caught:
        load_job(folder / "job.yaml", base_url="http://localhost:1")
    told = {issue.path: issue.found for issue in caught.value.issues}
    assert told == {"endpoint": "--base-url beside 2 endpoints: away, home", "samples": "0"}


@pytest.mark.parametrize(
    ("named", "expected"),
    [("kept", "folder/kept"), ("../kept", "around/kept"), ("/kept", "/kept"), ("s3://a", "s3://a")],
)
def test_a_named_archive_is_relative_to_the_job_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, named: str, expected: str
) -> None:
    spec = {"name": "j", "problems": {"path": "rows.jsonl"}, "arms": [{"model": "m", "reasoning": "none"}]}
    assert load(folder, spec).archive is None
    loaded = load(folder, spec | {"archive": named})
    assert loaded.archive == expected.replace("folder", str(folder)).replace("around", str(folder.parent))


def test_a_wrong_override_is_told_like_a_wrong_line(folder: Path) -> None:
    spec = {"name": "j", "problems": {"path": "rows.jsonl"}, "arms": [{"model": "m", "reasoning": "none"}]}
    (folder / "job.yaml").write_text(yaml.safe_dump(spec | {"prompt": {"template": "{{ q }}"}}))
    with pytest.raises(SpecError, match="samples: found 0"):
        load_job(folder / "job.yaml", {"samples": 0})
