"""Rows of others become samples: each once, none lost to its neighbour, every odd line named."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.foreign import Foreign, read_foreign
from polythink.jobs.problem_files import BadRow, Row


def read(rows: list[dict[str, Any]], **names: str) -> Foreign:
    return read_foreign([("f", Row(line=line, fields=row)) for line, row in enumerate(rows, start=1)], names)


def row(problem: str = "p", **fields: Any) -> dict[str, Any]:
    return {"question_id": problem, "answer": "1"} | fields


def said(found: Foreign) -> list[tuple[int | None, str]]:
    return [(issue.line, issue.found) for issue in found.issues]


INDICES = st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("ab"), st.none() | st.integers(0, 4)), max_size=20)


@given(INDICES)
def test_every_sample_has_an_index_of_its_own_and_only_repeated_ones_are_left_out(
    given_rows: list[tuple[str, str, int | None]],
) -> None:
    found = read([row(p, arm=a, sample_index=i) for p, a, i in given_rows])
    keys = [(s.problem_id, s.arm_id, s.sample_index) for s in found.samples]
    assert len(set(keys)) == len(keys)
    named = [key for key in given_rows if key[2] is not None]
    assert len(found.issues) == len(named) - len(set(named))
    assert len(found.samples) == len(given_rows) - len(found.issues)
    assert set(named) <= set(keys)


def test_missing_indices_are_the_lowest_free_ones_in_file_order() -> None:
    found = read([row(answer="a"), row(answer="b", sample_index=0), row(answer="c"), row("q", answer="d")])
    assert {s.answer: s.sample_index for s in found.samples} == {"b": 0, "a": 1, "c": 2, "d": 0}


def test_odd_lines_are_named_and_their_neighbours_kept() -> None:
    bad = BadRow(line=2, found="invalid JSON", wanted="a whole JSON object")
    odd = [row(correct="perhaps"), row(score="high"), row(sample_index=1.5), {"answer": "1"}, row(score=float("inf"))]
    rows: list[tuple[str, Row | BadRow]] = [("f", Row(line=1, fields=row())), ("f", bad)]
    rows += [("f", Row(line=line, fields=fields)) for line, fields in enumerate(odd, start=3)]
    found = read_foreign([*rows, ("f", Row(line=8, fields=row(answer="2")))], {})
    assert [s.answer for s in found.samples] == ["1", "2"]
    assert [issue.line for issue in found.issues] == [2, 3, 4, 5, 6, 7]
    assert "`correct` is 'perhaps'; wanted true, false, 1, 0 or null" in found.issues[1].found


def test_fields_bear_other_names_and_stand_inside_others() -> None:
    rows = [{"task": 7, "out": {"text": "x", "tokens": 12}, "ok": "1", "note": "n"}]
    found = read(rows, question_id="task", completion="out.text", output_tokens="out.tokens", correct="ok")
    (sample,) = found.samples
    assert (sample.problem_id, sample.completion, sample.output_tokens, sample.correct) == ("7", "x", 12, True)
    assert sample.metadata == '{"note": "n"}'
    assert read(rows, question_id="task", answer="missing").absent == {"missing"}
    assert read([row()], answer="").samples[0].answer is None


def test_a_list_makes_a_sample_of_each_of_its_values() -> None:
    found = read([row(answer=None, outs=["a", "b"], votes=[0, 3])], completion="outs", score="votes")
    assert [(s.completion, s.score, s.sample_index) for s in found.samples] == [("a", 0.0, 0), ("b", 3.0, 1)]
    assert "2 in `answer`, 3 in `correct`" in said(read([row(answer=["1", "2"], correct=[True, False, True])]))[0][1]
    assert "one sample_index for 2 samples" in said(read([row(answer=["1", "2"], sample_index=0)]))[0][1]


def test_a_row_can_stand_for_many_samples() -> None:
    rows = [row(n=5, correct=2), row("q", n=3, correct=4), row("r", n="2", correct="0")]
    found = read(rows, samples="n")
    assert [s.correct for s in found.samples] == [True, True, False, False, False, False, False]
    assert [s.sample_index for s in found.samples] == [0, 1, 2, 3, 4, 0, 1]
    assert [line for line, _ in said(found)] == [2]


def test_arms_are_named_by_arm_else_by_model() -> None:
    found = read([row(arm="x y", model="m"), row(model="org/m 1"), row()])
    assert found.arms == {"x-y": "m", "org/m-1": "org/m 1", "imported": "imported"}


def test_a_problem_keeps_the_fields_its_rows_agree_in_and_its_first_gold() -> None:
    found = read([row(gold="1", level=3, t=0.1), row(gold="2", level=3, t=0.2)])
    assert found.problems["p"].common == {"level": 3}
    assert found.problems["p"].gold == "1"
    assert said(found) == [(2, "another gold for 'p'; the first one counts")]
    assert [issue.taken for issue in found.issues] == [True] and len(found.samples) == 2


def test_a_family_is_taken_only_where_a_field_is_named_for_it() -> None:
    rows = [row("p", source="x"), row("p", source="y"), row("q", family="z")]
    found = read(rows, family="source")
    assert {p.problem_id: p.family for p in found.problems.values()} == {"p": "x", "q": None}
    assert said(found) == [(2, "another family for 'p'; the first one counts")]
    assert read(rows).problems["q"].family is None and read(rows).problems["q"].common == {"family": "z"}
