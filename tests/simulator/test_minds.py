"""The minds: synthetic draws behave like a model's, replay serves what was recorded, budgets are kept."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.records import Usage
from polythink.simulator.api_errors import ApiError
from polythink.simulator.draws import Draws
from polythink.simulator.latent import stated_difficulty
from polythink.simulator.local import LocalMind, LocalMindError, weights_path
from polythink.simulator.minds import Composition, Delta, Ending, Run, deltas
from polythink.simulator.near_misses import near_misses
from polythink.simulator.parse import parse_message
from polythink.simulator.problems import KnownProblem, ProblemFileError, ProblemIndex, load_problems
from polythink.simulator.replay import load_replay
from polythink.simulator.request import MessageRequest
from polythink.simulator.sse import EventEncoder
from polythink.simulator.synthetic import SyntheticMind

DATA = Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared sample files are not on this machine")
BOXED = "Put the final answer in \\boxed{}."


def request(prompt: str, budget: int | None = None, **changes: Any) -> MessageRequest:
    body = {"model": "claude-haiku-4-5", "max_tokens": 40_000, "messages": [{"role": "user", "content": prompt}]}
    if budget is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return parse_message({**body, **changes}, "2026-10-21")


def problem(number: int, gold: str | None = "42", **row: Any) -> KnownProblem:
    return KnownProblem(problem_id=str(number), question=f"Question {number}?", gold=gold, row=row)


def boxed(composition: Composition) -> str | None:
    _, found, tail = composition.text.partition("\\boxed{")
    return tail.rpartition("}$")[0] if found else None


class Scores:
    """How N draws of every problem did: mean accuracy, majority, pass."""

    def __init__(self, problems: list[KnownProblem], budget: int | None, draws: int = 24) -> None:
        mind = SyntheticMind(ProblemIndex(problems), seed=1)
        self.mean = self.majority = self.passed = 0.0
        for one in problems:
            asked = request(f"{one.question}\n\n{BOXED}", budget)
            answers = [boxed(mind.compose(asked, draw)) for draw in range(draws)]
            votes = Counter(answer for answer in answers if answer is not None)
            self.mean += answers.count(one.gold) / draws / len(problems)
            self.passed += (one.gold in answers) / len(problems)
            self.majority += (votes.most_common(1)[0][0] == one.gold) / len(problems)


PROBLEMS = [problem(number, str(100 + 7 * number)) for number in range(100)]


def test_accuracy_rises_with_the_budget_from_about_a_third_to_about_two_thirds() -> None:
    by_budget = {budget: Scores(PROBLEMS, budget) for budget in (None, 1024, 4096, 16384)}
    means = [scores.mean for scores in by_budget.values()]
    assert means == sorted(means)
    assert 0.05 < by_budget[None].mean < by_budget[1024].mean
    assert 0.25 < by_budget[1024].mean < 0.45
    assert 0.52 < by_budget[16384].mean < 0.75


def test_majority_beats_the_mean_pass_beats_both_and_some_majorities_are_wrong() -> None:
    scores = Scores(PROBLEMS, 4096)
    assert scores.mean < scores.majority < scores.passed
    assert scores.passed > scores.mean + 0.2
    assert scores.majority < 0.95


@given(st.integers(0, 5), st.integers(0, 200), st.sampled_from([None, 1024, 8192]))
def test_same_seed_and_draw_give_the_same_reply(seed: int, draw: int, budget: int | None) -> None:
    asked = request(f"Question 3? {BOXED}", budget)
    first, second = (SyntheticMind(ProblemIndex(PROBLEMS), seed=seed).compose(asked, draw) for _ in range(2))
    assert first == second


def test_budget_cuts_long_thinking_softly_and_short_thinking_stops_early() -> None:
    mind = SyntheticMind(ProblemIndex(PROBLEMS), seed=0, refusals=0)
    lengths = [
        mind.compose(request(f"Question {n}?", 2048), draw).thinking_tokens for n in range(20) for draw in range(20)
    ]
    assert max(lengths) <= 2048 * 1.03
    assert any(length > 2048 for length in lengths)
    assert min(lengths) < 1000


@given(st.integers(1, 3000), st.integers(0, 50))
def test_max_tokens_is_never_exceeded_and_cutting_is_said(max_tokens: int, draw: int) -> None:
    asked = request("Question 5?", max_tokens=max_tokens, model="claude-sonnet-5")
    reply = SyntheticMind(ProblemIndex(PROBLEMS), refusals=0).compose(asked, draw)
    total = reply.thinking_tokens + reply.text_tokens
    assert total <= max_tokens
    assert (reply.ending.stop_reason == "max_tokens") == (total == max_tokens) or reply.ending.stop_reason == "end_turn"


def test_effort_moves_the_amount_of_thinking() -> None:
    mind = SyntheticMind(ProblemIndex(PROBLEMS))

    def thought(effort: str) -> float:
        asked = request(
            "Question 7?", model="claude-sonnet-4-6", thinking={"type": "adaptive"}, output_config={"effort": effort}
        )
        return sum(mind.compose(asked, draw).thinking_tokens for draw in range(40))

    amounts = [thought(effort) for effort in ("low", "medium", "high", "max")]
    assert amounts == sorted(amounts)


def test_adaptive_thinking_may_be_left_out_at_lower_efforts_only() -> None:
    mind = SyntheticMind(ProblemIndex(PROBLEMS), refusals=0)

    def unthought(effort: str) -> int:
        settings: Any = {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}
        asked = [request(f"Question {n}?", model="claude-opus-4-6", **settings) for n in range(60)]
        return sum(mind.compose(one, 0).thinking is None for one in asked)

    assert unthought("low") > unthought("medium") > unthought("high") == 0


def test_harder_rows_are_solved_less_often() -> None:
    easy = [problem(number, "5", level=1) for number in range(60)]
    hard = [problem(number, "5", level=5) for number in range(60)]
    assert Scores(easy, 4096, 8).mean > Scores(hard, 4096, 8).mean + 0.3
    assert stated_difficulty({"difficulty": "hard"}) == 1.2


def test_unknown_prompts_have_one_hidden_answer_each() -> None:
    mind = SyntheticMind(ProblemIndex([]), seed=4)
    answers = Counter(boxed(mind.compose(request(f"Never seen. {BOXED}", 16384), draw)) for draw in range(60))
    assert len(answers) > 1


def test_structured_output_fits_its_schema() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}, "sure": {"type": "boolean"}}}
    asked = request("Question 1?", output_config={"format": {"type": "json_schema", "schema": schema}})
    value = json.loads(SyntheticMind(ProblemIndex(PROBLEMS), refusals=0).compose(asked, 0).text)
    assert isinstance(value["answer"], int)
    assert isinstance(value["sure"], bool)


@given(st.text(min_size=1, max_size=20).filter(str.strip), st.integers(1, 10), st.integers(0, 9))
def test_near_misses_are_wrong_and_distinct(gold: str, count: int, seed: int) -> None:
    wrong = near_misses(gold, count, random.Random(seed))
    assert gold.strip() not in wrong
    assert len(set(wrong)) == len(wrong) <= count


@given(st.text(max_size=300), st.text(max_size=300), st.integers(0, 5000), st.integers(0, 500), st.integers(1, 100))
def test_cutting_a_reply_keeps_every_token_and_letter(
    thinking: str, text: str, thinking_tokens: int, text_tokens: int, pieces: int
) -> None:
    whole = Composition(
        thinking=thinking or "x",
        text=text or "y",
        thinking_tokens=thinking_tokens,
        text_tokens=text_tokens,
        ending=Ending("end_turn"),
    )
    cut = deltas(whole, pieces)
    assert "".join(delta.text for delta in cut if delta.kind == "thinking") == whole.thinking
    assert "".join(delta.text for delta in cut if delta.kind == "text") == whole.text
    assert sum(delta.tokens for delta in cut) == thinking_tokens + text_tokens


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["thinking", "text", "redacted"]),
            st.lists(st.text(max_size=5), min_size=1, max_size=5),
            st.integers(0, 9),
        )
    ),
    st.sampled_from(["summarized", "omitted"]),
)
def test_events_made_at_once_are_those_made_one_by_one(made: list[Any], display: str) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024, "display": display}
    asked = request("Hi", thinking=thinking)
    runs = [Run(kind, texts, tokens) for kind, texts, tokens in made]
    one_by_one, at_once = EventEncoder(asked, Usage()), EventEncoder(asked, Usage())

    def shape(stream: str) -> list[str]:
        opaque = re.sub(r'"(signature|data)":"[^"]+"', r'"\1":""', stream)
        return [line.rstrip(" }") for line in opaque.splitlines()]

    pieces = [delta for run in runs for delta in run.deltas()]
    assert shape("".join(map(one_by_one.delta, pieces))) == shape("".join(map(at_once.run, runs)))


@given(st.lists(st.sampled_from("abcde"), max_size=40))
def test_draws_number_samples_in_order_of_first_sight(users: list[str]) -> None:
    draws = Draws()
    numbers = [draws.number(b"key", user) for user in users]
    first_seen = list(dict.fromkeys(users))
    assert numbers == [first_seen.index(user) for user in users]


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("4 5 6 10", "4 5 6 10"),
        ("Input: 14 5 6 10\nSteps:", "14 5 6 10"),
        ("Example: 4 5 6 10. Now solve 1 2 3 4", "1 2 3 4"),
        ("24 5 6 100", None),
        ("Nothing", None),
    ],
)
def test_the_problem_is_found_as_words_of_its_own(prompt: str, found: str | None) -> None:
    questions = ("4 5 6 10", "14 5 6 10", "1 2 3 4")
    index = ProblemIndex(KnownProblem(problem_id=q, question=q, gold=None, row={}) for q in questions)
    problem_found = index.find(prompt)
    assert (problem_found.question if problem_found else None) == found


@needs_data
def test_every_shared_question_is_found_in_its_prompt() -> None:
    for name in ("aime2024", "math500"):
        problems = load_problems([DATA / f"questions/{name}.jsonl"])
        index = ProblemIndex(problems)
        assert [one for one in problems if index.find(f"{one.question}\n\n{BOXED}") != one] == []


@needs_data
@pytest.mark.parametrize("order", ["recorded", "shuffled"])
def test_replay_serves_every_recording_once(order: Any) -> None:
    path = DATA / "samples/arith_smollm2_30x32.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    mind = load_replay([path], order=order, seed=5)
    for question in list({row["question"]: None for row in rows})[:5]:
        recorded = [row["completion"] for row in rows if row["question"] == question]
        asked = request(f"{question} Please.")
        served = [mind.compose(asked, draw).text for draw in range(32)]
        assert Counter(served) == Counter(recorded)
        assert (served == recorded) == (order == "recorded")
        with pytest.raises(ApiError, match="has 32 recordings and all of them were served"):
            mind.compose(asked, 32)


def test_files_that_cannot_be_used_name_the_row_and_the_field(tmp_path: Path) -> None:
    bad = tmp_path / "p.jsonl"
    bad.write_text('{"question": "a?"}\n{"text": "b?"}\n')
    with pytest.raises(ProblemFileError, match=r"row 2 has no question text.*question or problem or prompt"):
        load_problems([bad])
    with pytest.raises(ProblemFileError, match="row 1 needs the text fields question and completion"):
        load_replay([bad])
    with pytest.raises(ProblemFileError, match="--recordings"):
        load_replay([])
    with pytest.raises(ProblemFileError, match="no such file"):
        load_problems([tmp_path / "absent.jsonl"])


class ScriptedEngine:
    """An engine that says one word per token, and stops of itself where it is told to."""

    def __init__(self, stops_after: int | None) -> None:
        self.stops_after = stops_after
        self.prompts: list[str] = []

    def handle_completions(self, asked: dict[str, Any], callback: Callable[[dict[str, Any]], bool]) -> None:
        self.prompts.append(asked["prompt"])
        said = min(asked["max_tokens"], self.stops_after or asked["max_tokens"])
        for number in range(said):
            if callback({"choices": [{"text": f" w{number}", "finish_reason": None}]}):
                return
        reason = "length" if said == asked["max_tokens"] else "stop"
        callback({"choices": [{"text": "", "finish_reason": reason}]})


async def generated(engine: ScriptedEngine, asked: MessageRequest) -> list[Delta | Ending]:
    return [item async for item in LocalMind(engine=engine).compose(asked, 0)]


def test_local_thinking_stops_at_its_budget_and_the_answer_is_forced() -> None:
    engine = ScriptedEngine(None)
    items = asyncio.run(generated(engine, request(f"Hi. {BOXED}", 1024, max_tokens=1500)))
    thinking = [item for item in items if isinstance(item, Delta) and item.kind == "thinking"]
    texts = [item for item in items if isinstance(item, Delta) and item.kind == "text"]
    assert sum(delta.tokens for delta in thinking) == 1024
    assert texts[0].text == "The final answer is \\boxed{"
    assert engine.prompts[1].startswith(engine.prompts[0])
    assert engine.prompts[1].endswith("</think>\n\nThe final answer is \\boxed{")
    assert sum(item.tokens for item in items if isinstance(item, Delta)) == 1500
    assert items[-1] == Ending("max_tokens")


def test_local_mind_that_stops_early_ends_its_turn() -> None:
    items = asyncio.run(generated(ScriptedEngine(5), request("Hi.", 1024, max_tokens=1200)))
    assert items[-1] == Ending("end_turn")
    assert sum(item.tokens for item in items if isinstance(item, Delta)) < 30


@pytest.mark.slow
@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="run `make demo-local` to install the local model")
def test_the_real_local_model_thinks_and_answers() -> None:
    async def reply() -> list[Delta | Ending]:
        asked = request(f"What is 2 + 3? {BOXED}", 1024, max_tokens=1400)
        return [item async for item in LocalMind(slots=1).compose(asked, 0)]

    items = asyncio.run(reply())
    text = "".join(item.text for item in items if isinstance(item, Delta) and item.kind == "text")
    assert text.startswith("The final answer is \\boxed{")
    assert sum(item.tokens for item in items if isinstance(item, Delta) and item.kind == "thinking") <= 1024
    assert isinstance(items[-1], Ending)


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polythink.simulator.local.WEIGHTS_PACKAGE", "no-such-weights")
    with pytest.raises(LocalMindError, match="make demo-local"):
        weights_path()
