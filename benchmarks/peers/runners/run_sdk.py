"""The bare SDK: AsyncAnthropic, its `messages.stream` helper, a semaphore, a line of JSON per sample.

A rerun skips the samples whose line is whole.
"""

from __future__ import annotations

import asyncio
import json

from anthropic import AsyncAnthropic

from benchmarks.peers.runners.options import BUDGET_TOKENS, MAX_TOKENS, MODEL, Options, parse, prompt, whole_lines


async def run(options: Options) -> None:
    client = AsyncAnthropic(base_url=options.base_url)
    turns = asyncio.Semaphore(options.concurrency)
    path = options.folder / "results.jsonl"
    kept = whole_lines(path)
    with path.open("a") as file:

        async def generate(problem: str, index: int) -> None:
            async with (
                turns,
                client.messages.stream(
                    model=MODEL,
                    max_tokens=MAX_TOKENS,
                    thinking={"type": "enabled", "budget_tokens": BUDGET_TOKENS},
                    messages=[{"role": "user", "content": prompt(problem)}],
                ) as stream,
            ):
                message = await stream.get_final_message()
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
