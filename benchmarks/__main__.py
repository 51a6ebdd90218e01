"""`make bench`: every benchmark, as ratios against a baseline in the same run; a table, and JSON beside it.

`python -m benchmarks NAME ...` runs only those; `selectors` writes its page where `--write` says.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.ratio import Ratio

BENCHMARKS = (
    "faults",
    "batch_run",
    "resume",
    "archive_write",
    "archive_query",
    "live_lane",
    "stream_cost",
    "utilisation",
    "utilisation_http",
    "simulator_cost",
    "selection",
    "selectors",
)
_MODULES = {"selectors": "selectors_table"}  # a module may not bear the name of a standard one
RESULTS = Path("benchmarks/results.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", default=BENCHMARKS, help=", ".join(BENCHMARKS))
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="where `selectors` writes its page")
    asked = parser.parse_args()
    ratios: list[Ratio] = []
    for name in asked.names:
        print(f"{name} ...", file=sys.stderr)
        benchmark = import_module(f"benchmarks.{_MODULES.get(name, name)}")
        ratios += benchmark.measure(asked.write) if name == "selectors" else benchmark.measure()
    table = Table(title="ours / baseline, same run", title_justify="left")
    for heading in ("what", "unit", "ours", "baseline", "ratio", "baseline is"):
        table.add_column(heading, justify="right" if heading in ("ours", "baseline", "ratio") else "left")
    for ratio in ratios:
        figures = f"{ratio.ours:,.4g}", f"{ratio.baseline:,.4g}", "-" if ratio.ratio is None else f"{ratio.ratio:.2f}"
        table.add_row(ratio.name, ratio.unit, *figures, ratio.baseline_is)
    Console(width=150).print(table)
    RESULTS.write_text(json.dumps([{**asdict(r), "ratio": r.ratio} for r in ratios], indent=1) + "\n")
    print(RESULTS)


if __name__ == "__main__":
    main()
