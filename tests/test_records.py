"""Records: identities are stable and fit the API, and every error survives the trip through Ray."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink import errors
from polythink.errors import PolythinkError, SpecError, SpecIssue
from polythink.records import Attempt, Reasoning, SampleKey, Usage

ids = st.text(st.characters(codec="utf-8"), min_size=1)
keys = st.builds(SampleKey, problem_id=ids, arm_id=ids, sample_index=st.integers(0, 10**9))
ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PolythinkError)]


@given(ids, keys)
def test_a_sample_id_fits_where_the_api_wants_it(job_id: str, key: SampleKey) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", key.sample_id(job_id))


@given(st.lists(st.tuples(ids, keys), max_size=20, unique=True))
def test_different_samples_have_different_ids(samples: list[tuple[str, SampleKey]]) -> None:
    assert len({key.sample_id(job_id) for job_id, key in samples}) == len(samples)


def test_parts_of_an_identity_do_not_run_together() -> None:
    one = SampleKey(problem_id="a", arm_id="bc", sample_index=1)
    other = SampleKey(problem_id="ab", arm_id="c", sample_index=1)
    assert one.sample_id("j") != other.sample_id("j")


@pytest.mark.parametrize(("status", "is_final"), [("complete", True), ("failed", True), ("retry", False)])
def test_an_attempt_is_final_unless_its_sample_is_owed_again(status: str, is_final: bool) -> None:
    attempt = Attempt(
        key=SampleKey(problem_id="p", arm_id="a", sample_index=0),
        number=1,
        status=status,  # type: ignore[arg-type]
        lane="live",
        endpoint="e",
        queued_at=0.0,
        started_at=0.0,
        finished_at=0.0,
    )
    assert attempt.is_final == is_final
    assert pickle.loads(pickle.dumps(attempt)) == attempt


def test_cache_writes_add_up() -> None:
    assert Usage(cache_write_5m_tokens=3, cache_write_1h_tokens=4).cache_write_tokens == 7


@pytest.mark.parametrize(
    ("reasoning", "name"),
    [
        (Reasoning(kind="adaptive"), "adaptive"),
        (Reasoning(kind="none"), "none"),
        (Reasoning(kind="effort", effort="high"), "effort-high"),
        (Reasoning(kind="budget_tokens", budget_tokens=1024), "budget-1024"),
    ],
)
def test_a_reasoning_setting_names_itself(reasoning: Reasoning, name: str) -> None:
    assert str(reasoning) == name


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling_with_its_fields(kind: type[PolythinkError]) -> None:
    issue = SpecIssue(path="samples", line=3, file="job.yaml", found="0", wanted="at least 1")
    error = kind((issue,)) if issubclass(kind, SpecError) else kind("why")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.args, str(again), vars(again)) == (error.args, str(error), vars(error))


def test_the_tree_of_errors_is_drawn_whole() -> None:
    drawn = re.findall(r"(\w+Error)\b", errors.__doc__ or "")
    assert sorted(drawn) == sorted(kind.__name__ for kind in ERRORS)
