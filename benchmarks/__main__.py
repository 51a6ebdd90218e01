"""`make bench`: every benchmark, as ratios against a baseline in the same run; a table, and JSON beside it.

`python -m benchmarks NAME ...` runs only those.
"""

from __future__ import annotations

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
)
RESULTS = Path("benchmarks/results.json")


def main() -> None:
    ratios: list[Ratio] = []
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr)
        ratios += import_module(f"benchmarks.{name}").measure()
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
