"""LiteLLM: `acompletion` with a stream, a semaphore, a line of JSON per sample.

A rerun skips the samples whose line is whole.
"""

from __future__ import annotations

import asyncio
import json

import litellm  # type: ignore[import-not-found]

from benchmarks.peers.runners.options import BUDGET_TOKENS, MAX_TOKENS, MODEL, Options, parse, prompt, whole_lines


async def run(options: Options) -> None:
    turns = asyncio.Semaphore(options.concurrency)
    path = options.folder / "results.jsonl"
    kept = whole_lines(path)
    with path.open("a") as file:

        async def generate(problem: str, index: int) -> None:
            messages = [{"role": "user", "content": prompt(problem)}]
            async with turns:
                stream = await litellm.acompletion(
                    model=f"anthropic/{MODEL}",
                    api_base=options.base_url,
                    max_tokens=MAX_TOKENS,
                    thinking={"type": "enabled", "budget_tokens": BUDGET_TOKENS},
                    messages=messages,
                    stream=True,
                    stream_options={"include_usage": True},
                )
                chunks = [chunk async for chunk in stream]
            message = litellm.stream_chunk_builder(chunks, messages=messages)
            row = {"problem": problem, "index": index, "message": message.model_dump(mode="json")}
            file.write(json.dumps(row) + "\n")
            file.flush()

        await asyncio.gather(*(generate(*sample) for sample in options.wanted if sample not in kept))


def main() -> None:
    options = parse()
    if options.action == "count":
        print(len(whole_lines(options.folder / "results.jsonl")))
    else:
        asyncio.run(run(options))


if __name__ == "__main__":
    main()
