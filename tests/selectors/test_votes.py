"""Majority, first, and how jobs ask for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors.first import First
from polythink.selectors.majority import Majority
from polythink.selectors.registry import SELECTORS, SelectorConfig, parse_selector
from polythink.selectors.votes import Ballot, Vote


def ballot(*forms: str | None, problem_id: str = "p") -> Ballot:
    votes = (
        Vote(sample_index=i, answer=form and f"written {form} {i}", canonical_answer=form, correct=form == "a")
        for i, form in enumerate(forms)
    )
    return Ballot(problem_id=problem_id, votes=tuple(votes))


def test_most_votes_win_and_the_unanswered_abstain() -> None:
    verdict = Majority().select(ballot(None, "b", "a", None, "a"))
    assert (verdict.canonical_answer, verdict.answer, verdict.winner_index) == ("a", "written a 2", 2)
    assert (verdict.votes, verdict.voters, verdict.abstained, verdict.tied) == (2, 3, 2, False)
    assert verdict.confidence == pytest.approx(2 / 3)
    assert verdict.correct is True
    assert list(verdict.tally.items()) == [("a", 2), ("b", 1)]


def test_tie_goes_to_the_earliest_voter() -> None:
    verdict = Majority().select(ballot(None, "b", "a", "c", "a", "b"))
    assert (verdict.canonical_answer, verdict.tied) == ("b", True)


def test_seeded_ties_are_repeatable_fair_and_deaf_to_order() -> None:
    def winner(seed: int, *forms: str) -> str | None:
        return Majority(ties="seeded", seed=seed).select(ballot(*forms)).canonical_answer

    draws = [winner(seed, "a", "b", "c") for seed in range(300)]
    assert draws == [winner(seed, "c", "b", "a") for seed in range(300)]
    assert all(70 <= draws.count(form) <= 130 for form in "abc")


@pytest.mark.parametrize("selector", [Majority(), Majority(ties="seeded"), First()])
@pytest.mark.parametrize("forms", [(), (None, None)])
def test_nobody_answered(selector: Majority | First, forms: tuple[None, ...]) -> None:
    verdict = selector.select(ballot(*forms))
    assert (verdict.answer, verdict.canonical_answer, verdict.correct, verdict.confidence) == (None, None, None, None)
    assert (verdict.votes, verdict.voters, verdict.abstained, verdict.tied) == (0, 0, len(forms), False)


def test_first_takes_the_first_answered() -> None:
    verdict = First().select(ballot(None, "b", "a", "a"))
    assert (verdict.canonical_answer, verdict.winner_index, verdict.votes, verdict.voters) == ("b", 1, 1, 3)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12))
def test_verdict_adds_up(forms: list[str | None]) -> None:
    verdict = Majority().select(ballot(*forms))
    assert verdict.voters + verdict.abstained == len(forms)
    assert sum(verdict.tally.values()) == verdict.voters
    assert verdict.votes == max(verdict.tally.values(), default=0)


def test_parse_takes_names_and_options() -> None:
    assert parse_selector("first") == SelectorConfig(name="first")
    assert parse_selector({"majority": {"ties": "seeded"}}).options == {"ties": "seeded"}
    assert parse_selector({"majority": None}) == SelectorConfig(name="majority")
    for name, kind in SELECTORS.items():
        needed = {option: "1" for option, rule in kind.options.items() if rule.required or option == "by"}
        assert parse_selector({name: needed}).name == name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("majorty", "did you mean 'majority'"),
        ({"majority": {"tie": "first"}}, "did you mean 'ties'"),
        ({"majority": {"ties": "sedeed"}}, "did you mean 'seeded'"),
        ({"first": {"ties": "first"}}, "there is none"),
        ({"majority": "seeded"}, "wanted its options"),
        ({"majority": {}, "first": {}}, "one name"),
        ("best", "best.by: missing"),
        ({"weighted": {"by": "leng(text)"}}, "wanted SQL over the columns of traces"),
        ({"best": {"by": "correct::INT"}}, "correct"),
        ({"best": {"by": "(SELECT max(correct::INT) FROM traces t WHERE t.text = visible.text)"}}, "a query inside"),
        ({"best": {"by": "EXISTS (FROM traces WHERE correct)::INT"}}, "a query inside"),
        ({"best": {"by": "greatest(COLUMNS('tokens'))"}}, "COLUMNS"),
        ({"best": {"by": "score) FROM traces --"}}, "wanted SQL over the columns of traces"),
        ({"judge": {"votes": 2}}, "judge.model: missing"),
        ({"judge": {"model": "m", "votes": 0}}, "judge.votes: found 0"),
        ({"majority": {"as": "pass"}}, "majority.as: found 'pass'"),
        (3, "found 3"),
        ({3: {}}, "unknown selector 3"),
    ],
)
def test_parse_names_the_fix(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_selector(value)
