"""The synthetic mind: seeded draws from a latent-trait model of problems, grounded in their gold answers."""

from __future__ import annotations

import random
import shlex
from dataclasses import replace
from typing import Any, NamedTuple

from polythink.simulator.ids import digest, reseed
from polythink.simulator.judgement import JudgePrompt, JudgeTraits, read_judge_prompt, verdict
from polythink.simulator.latent import Latent, latent_of, success_probability, thinking_tokens
from polythink.simulator.minds import Composition, Ending, Execution
from polythink.simulator.problems import KnownProblem, ProblemIndex
from polythink.simulator.prose import RUN_PREAMBLE, answer_prose, call_preamble, excerpt, thinking_prose
from polythink.simulator.request import MessageRequest
from polythink.simulator.structured import called_tool, has_tool_result, instance, runs_code
from polythink.simulator.tokens import text_tokens
from polythink.simulator.wire import compact

REFUSAL_TEXT = "I'm not able to help with this request."
_MEMORY = 100_000  # requests whose problem is remembered
_ENDS, _CALLS = Ending("end_turn"), Ending("tool_use")
_REDACT_TRIGGER = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
_MOST_REDACTED = 3  # blocks
_REFUSE_TRIGGER = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"


class _Grounds(NamedTuple):
    """What all draws of a request have in common."""

    latent: Latent
    candidates: tuple[str, ...]  # the right answer, then wrong ones
    about: str  # the beginning of the question
    drawn_from: str  # names the randomness that each draw takes its part of
    judging: JudgePrompt | None  # what is to be judged, where that is asked


class SyntheticMind:
    """Draws right and wrong answers as a model of that strength might; the same request and draw, the same answer."""

    name = "synthetic"
    incremental = False

    def __init__(
        self,
        problems: ProblemIndex,
        *,
        seed: int = 0,
        refusals: float = 0.002,  # share of draws
        unreadable: float = 0.01,  # share of draws whose text states no answer
        redacted: float = 0.0,  # share of thinking draws
        judge: JudgeTraits | None = None,  # None: those of a middling judge
    ) -> None:
        self._problems = problems
        self._seed = seed
        self._refusals = refusals
        self._unreadable = unreadable
        self._redacted = redacted
        self._judge = judge or JudgeTraits()
        self._rng = random.Random()  # seeded anew for every draw
        self._grounds: dict[bytes, _Grounds] = {}  # by what was asked

    def compose(self, request: MessageRequest, draw: int) -> Composition:
        """The reply to one draw of a request."""
        latent, candidates, about, drawn_from, judging = self._grounds_of(request)
        rng = self._rng
        reseed(rng, "draw", drawn_from, str(draw))
        if rng.random() < self._refusals or request.mentions(_REFUSE_TRIGGER):
            return _cut_to(request, _refusal(rng))
        # Between a tool's result and the answer there is no new thinking.
        tokens = 0 if has_tool_result(request.body) else thinking_tokens(request, latent, rng)
        if judging is not None:
            answer = str(verdict(judging, latent.gold, self._judge, rng))
        else:
            answer = self._answer(request, latent, tokens, rng)
        stated = None if rng.random() < self._unreadable else answer
        bits = rng.getrandbits(128)
        tool = called_tool(request.body, request.prompt)
        text = _text(request, tool, answer, stated, candidates, bits)
        composition = Composition(
            thinking=thinking_prose(about, answer, candidates, tokens, bits >> 64) if tokens else None,
            text=text,
            thinking_tokens=tokens,
            text_tokens=text_tokens(text, request.facts.tokenizer_scale),
            ending=_CALLS if tool else _ENDS,
            tool=tool["name"] if tool else None,
            lead=request.facts.leading_text if tokens and request.mode == "adaptive" else "",
            redacted=1 + (bits >> 120) % _MOST_REDACTED if tokens and self._hides(request, rng) else 0,
        )
        if tool or runs_code(request.body):
            composition = _with_call(composition, answer, bits >> 112)
        return _cut_to(request, composition)

    def _hides(self, request: MessageRequest, rng: random.Random) -> bool:
        return rng.random() < self._redacted or request.mentions(_REDACT_TRIGGER)

    def _grounds_of(self, request: MessageRequest) -> _Grounds:
        known = self._grounds.get(request.draw_key)
        if known is not None:
            return known
        if len(self._grounds) >= _MEMORY:
            self._grounds.clear()
        judging = read_judge_prompt(request.prompt)
        prompt = judging.question if judging else request.prompt
        problem = self._problems.find(prompt) or _invented(prompt)
        latent = latent_of(problem, self._seed)
        grounds = _Grounds(
            latent,
            (latent.gold, *latent.wrong_answers),
            excerpt(problem.question or prompt),
            f"{self._seed}\x1f{request.draw_key.hex()}",
            judging,
        )
        self._grounds[request.draw_key] = grounds
        return grounds

    def _answer(self, request: MessageRequest, latent: Latent, tokens: int, rng: random.Random) -> str:
        if rng.random() < success_probability(request.facts, latent, tokens) or not latent.wrong_answers:
            return latent.gold
        return rng.choices(latent.wrong_answers, cum_weights=latent.wrong_weights)[0]


def _invented(prompt: str) -> KnownProblem:
    return KnownProblem(problem_id=f"unknown-{digest((prompt,)).hex()}", question="", gold=None, row={})


def _refusal(rng: random.Random) -> Composition:
    return Composition(
        thinking=None,
        text=REFUSAL_TEXT,
        thinking_tokens=0,
        text_tokens=text_tokens(REFUSAL_TEXT),
        ending=Ending("refusal", refusal=rng.choice(("bio", "cyber", "general_harms", None))),
    )


def _with_call(composition: Composition, answer: str, bits: int) -> Composition:
    """The composition with what is said before its call; without one, it has the answer printed by a command."""
    if composition.tool is not None:
        execution, preamble = None, call_preamble(bits)
    else:
        execution, preamble = Execution(f"echo {shlex.quote(answer)}", f"{answer}\n"), RUN_PREAMBLE
    tokens = text_tokens(preamble + (execution.command if execution else ""))
    return replace(composition, preamble=preamble, execution=execution, text_tokens=composition.text_tokens + tokens)


def _text(
    request: MessageRequest,
    tool: dict[str, Any] | None,
    answer: str,
    stated: str | None,
    candidates: tuple[str, ...],
    bits: int,
) -> str:
    if tool is not None:
        return compact(instance(tool["input_schema"], answer, random.Random(bits)))
    style = (request.body.get("output_config") or {}).get("format")
    if style is not None:
        return compact(instance(style["schema"], answer, random.Random(bits)))
    return answer_prose(f"{request.system}\n{request.prompt}", stated, candidates, bits)


def _cut_to(request: MessageRequest, composition: Composition) -> Composition:
    return cut_to(composition, request.max_tokens, request.stop_sequences)


def cut_to(composition: Composition, max_tokens: int, stop_sequences: tuple[str, ...] = ()) -> Composition:
    """The composition as max_tokens and stop sequences leave it: thinking is cut first, then text."""
    if max_tokens == 0:  # a request that only warms the prompt cache
        return Composition(thinking=None, text="", thinking_tokens=0, text_tokens=0, ending=Ending("max_tokens"))
    text, text_share, ending = composition.text, composition.text_tokens, composition.ending
    if not stop_sequences and composition.thinking_tokens + text_share <= max_tokens:
        return composition
    stops = () if composition.tool is not None else stop_sequences
    starts = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if starts:
        at, stop = min(starts)
        text_share = round(text_share * at / len(text))
        text, ending = text[:at], Ending("stop_sequence", stop)
    thinking_share = min(composition.thinking_tokens, max_tokens)
    room = max_tokens - thinking_share
    preamble, execution = composition.preamble, composition.execution
    if text_share > room or composition.thinking_tokens > max_tokens:
        preamble, execution = "", None
        kept = 0 if composition.tool is not None else len(text) * room // max(1, text_share)  # half a call is no JSON
        text, text_share, ending = text[:kept], room, Ending("max_tokens")
    return replace(
        composition,
        text=text,
        thinking_tokens=thinking_share,
        text_tokens=text_share,
        ending=ending,
        preamble=preamble,
        execution=execution,
    )
