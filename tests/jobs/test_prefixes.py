"""Of samples that share a prompt one leads; the others follow while it is warm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polythink import facts
from polythink.jobs.caching import cached_body
from polythink.jobs.grid import DoneSet, Grid
from polythink.jobs.prefixes import WARM_S
from polythink.jobs.scheduler import Due, Scheduler


def cached(problems: int, samples: int, arms: int = 1) -> Scheduler:
    grid = Grid([f"p{n}" for n in range(problems)], [f"a{n}" for n in range(arms)], samples)
    scheduler = Scheduler(grid, DoneSet(len(grid)), earlier_attempts={}, max_strikes=3, seed=0)
    scheduler.cache(lambda key: True)
    return scheduler


def drawn(scheduler: Scheduler, now: float, most: int = 10**6) -> list[Due]:
    due = (scheduler.next_due(now, scheduler.grid.arm_ids) for _ in range(most))
    return list(iter(lambda: next(due, None), None))


def test_only_leaders_go_until_their_replies_begin_and_then_all_others() -> None:
    scheduler = cached(problems=3, samples=5)
    leaders = drawn(scheduler, 0.0)
    assert [due.role for due in leaders] == ["lead"] * 3
    scheduler.begun(scheduler.grid.key(leaders[1].ordinal))
    followers = drawn(scheduler, 1.0)
    assert [(due.role, due.ordinal % 3) for due in followers] == [("follow", leaders[1].ordinal % 3)] * 4


def test_there_is_a_new_leader_where_one_was_lost_or_could_not_be_sent() -> None:
    scheduler = cached(problems=1, samples=3)
    (first,) = drawn(scheduler, 0.0)
    scheduler.lose([scheduler.grid.key(first.ordinal)], "gone")
    (second,) = drawn(scheduler, 1.0)
    assert second.role == "lead"
    scheduler.put_back(second.ordinal)
    (again,) = drawn(scheduler, 2.0)
    assert (again.role, again.ordinal) == ("lead", second.ordinal)


def test_a_prompt_that_went_cold_is_led_anew() -> None:
    scheduler = cached(problems=1, samples=5)
    (first,) = drawn(scheduler, 0.0)
    scheduler.begun(scheduler.grid.key(first.ordinal))
    (warm,) = drawn(scheduler, WARM_S - 1, most=1)
    (still,) = drawn(scheduler, 2 * WARM_S - 2, most=1)
    (cold,) = drawn(scheduler, 3 * WARM_S, most=1)
    assert [due.role for due in (warm, still, cold)] == ["follow", "follow", "lead"]


def test_a_last_sample_is_not_written_for_nobody() -> None:
    scheduler = cached(problems=2, samples=1)
    assert [due.role for due in drawn(scheduler, 0.0)] == [None, None]


@given(st.integers(1, 6), st.integers(2, 6), st.integers(1, 3), st.data())
def test_every_sample_is_drawn_once_whenever_replies_begin(
    problems: int, samples: int, arms: int, data: st.DataObject
) -> None:
    scheduler, seen, leading = cached(problems, samples, arms), list[int](), list[int]()
    while len(seen) < len(scheduler.grid):
        for due in drawn(scheduler, 0.0, most=data.draw(st.integers(1, 5))):
            seen.append(due.ordinal)
            leading += [due.ordinal] if due.role == "lead" else []
        if leading:
            scheduler.begun(scheduler.grid.key(leading.pop(data.draw(st.integers(0, len(leading) - 1)))))
    assert sorted(seen) == list(range(len(scheduler.grid)))


def test_the_whole_prompt_is_marked_and_a_long_system_prompt_by_itself() -> None:
    known = facts.find("claude-haiku-4-5")
    assert known is not None
    long, short = "word " * known.cache_min_tokens, "Why?"
    mark = {"type": "ephemeral"}

    def marked(system: str, user: str) -> tuple[bool, bool] | None:
        body = cached_body({"system": system, "messages": [{"role": "user", "content": user}]}, known)
        if body is None:
            return None
        (block,) = body["messages"][0]["content"]
        of_system = body["system"][0].get("cache_control") if isinstance(body["system"], list) else None
        return of_system == mark, block["cache_control"] == mark and block["text"] == user

    assert marked(short, short) is None
    assert marked(short, long) == (False, True)
    assert marked(long, short) == (True, True)
