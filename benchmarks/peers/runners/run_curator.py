"""Curator: its `LLM` over one row per sample, with a cache folder of its own; the rerun is the same call.

It asks for whole messages, not streams. Its own limits are set out of the way, and the table of tokens that it would
download is taken from LiteLLM, which it brings along.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from bespokelabs import curator  # type: ignore[import-not-found]

from benchmarks.peers.runners.options import BUDGET_TOKENS, MAX_TOKENS, MODEL, Options, parse, prompt

NO_LIMIT = 1_000_000_000  # a minute


class Sums(curator.LLM):  # type: ignore[misc]
    """2 + 2, so many times."""

    def prompt(self, row: dict[str, object]) -> str:
        return prompt(str(row["problem"]))

    def parse(self, row: dict[str, object], response: str) -> dict[str, object]:
        return {"problem": row["problem"], "index": row["index"], "answer": response}


def results(options: Options) -> int:
    """Run what is not in the cache; how many samples have an answer."""
    os.environ["TIKTOKEN_CACHE_DIR"] = str(token_tables())
    llm = Sums(
        model_name=MODEL,
        generation_params={
            "max_tokens": MAX_TOKENS,
            "thinking": {"type": "enabled", "budget_tokens": BUDGET_TOKENS},
        },
        backend_params={
            "base_url": f"{options.base_url}/v1",
            "max_concurrent_requests": options.concurrency,
            "max_requests_per_minute": NO_LIMIT,
            "max_input_tokens_per_minute": NO_LIMIT,
            "max_output_tokens_per_minute": NO_LIMIT,
        },
    )
    rows = [{"problem": problem, "index": index} for problem, index in options.wanted]
    answered = llm(rows, working_dir=str(options.folder)).dataset
    return len({(row["problem"], row["index"]) for row in answered if row["answer"]})


def token_tables() -> Path:
    found = find_spec("litellm")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "litellm_core_utils/tokenizers"


if __name__ == "__main__":
    print(results(parse()))
