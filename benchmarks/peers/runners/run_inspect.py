"""Inspect AI: a task of one sample per problem, as many epochs as samples, voted on by the `mode` reducer.

The rerun is `eval_retry` of the log that the killed run left, as its documentation recommends.
"""

from __future__ import annotations

from pathlib import Path

from inspect_ai import Epochs, Task, eval, eval_retry, task  # type: ignore[import-not-found]
from inspect_ai.dataset import MemoryDataset, Sample  # type: ignore[import-not-found]
from inspect_ai.log import list_eval_logs, read_eval_log  # type: ignore[import-not-found]
from inspect_ai.scorer import includes  # type: ignore[import-not-found]
from inspect_ai.solver import generate  # type: ignore[import-not-found]

from benchmarks.peers.runners.options import BUDGET_TOKENS, GOLD, MAX_TOKENS, MODEL, Options, parse, prompt


@task  # type: ignore[untyped-decorator]
def sums(problems: int, samples: int) -> Task:
    """2 + 2, so many times."""
    names = [f"p{number}" for number in range(problems)]
    return Task(
        dataset=MemoryDataset([Sample(id=name, input=prompt(name), target=GOLD) for name in names]),
        solver=generate(),
        scorer=includes(),
        epochs=Epochs(samples, "mode"),
    )


def run(options: Options) -> None:
    eval(
        sums(options.problems, options.samples),
        model=f"anthropic/{MODEL}",
        model_base_url=options.base_url,
        max_connections=options.concurrency,
        max_samples=options.concurrency,
        max_tokens=MAX_TOKENS,
        reasoning_tokens=BUDGET_TOKENS,
        log_dir=str(options.folder),
        display="none",
    )


def rerun(options: Options) -> None:
    eval_retry(
        newest_log(options.folder),
        max_connections=options.concurrency,
        max_samples=options.concurrency,
        log_dir=str(options.folder),
        display="none",
    )


def newest_log(folder: Path) -> str:
    return str(max(list_eval_logs(str(folder)), key=lambda log: log.mtime or 0).name)


def count(options: Options) -> int:
    samples = read_eval_log(newest_log(options.folder)).samples or []
    return len({(sample.id, sample.epoch) for sample in samples if not sample.error})


def main() -> None:
    options = parse()
    match options.action:
        case "run":
            run(options)
        case "rerun":
            rerun(options)
        case "count":
            print(count(options))


if __name__ == "__main__":
    main()
