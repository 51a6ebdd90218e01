"""How much of a rate limit is used, and how many requests it refuses: ours, fixed concurrency with SDK retries, AIMD.

Every cell is three minutes of steady state against the simulator's own buckets, on virtual time: no clock, no network,
so that the whole grid takes a minute or two. `benchmarks.utilisation_http` measures the same on the wall's clock.

    python -m benchmarks.utilisation       prints the whole table
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from benchmarks.ratio import Ratio
from benchmarks.virtual_rivals import needed_in_flight, rival_world
from polythink.simulator.limits import LimitRules
from polythink.workers.leases import Dimension
from tests.workers.virtual_api import Load, World, amount, within

WARM_S, END_S = 120.0, 300.0
WORKERS, BURSTS_S = (1, 4, 8), (1.0, 5.0, 60.0)
BINDINGS: tuple[tuple[Dimension, LimitRules, Load], ...] = (
    ("requests", LimitRules(requests_per_minute=4000.0), Load(output_mean=100, tokens_per_s=200)),
    (
        "input_tokens",
        LimitRules(requests_per_minute=20_000.0, input_tokens_per_minute=2e6),
        Load(input_tokens=1000, output_mean=100, tokens_per_s=200),
    ),
    ("output_tokens", LimitRules(requests_per_minute=4000.0, output_tokens_per_minute=4e5), Load(output_mean=800)),
)
OURS = "polythink"
RIVALS = ("fixed, as many as needed", "fixed, twice as many", "AIMD")

Make = Callable[[LimitRules, Load, int], World]


def _fixed(times: float) -> Make:
    def make(limits: LimitRules, load: Load, workers: int) -> World:
        return rival_world(limits, load, clients=workers, window=times * needed_in_flight(limits, load), is_fixed=True)

    return make


CLIENTS: dict[str, Make] = {
    OURS: lambda limits, load, workers: World(limits, load, workers=workers),
    RIVALS[0]: _fixed(1.0),
    RIVALS[1]: _fixed(2.0),
    RIVALS[2]: lambda limits, load, workers: rival_world(limits, load, clients=workers, window=8, is_fixed=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One client under one load."""

    binding: Dimension
    burst_s: float  # seconds of its limit that a full bucket holds
    workers: int
    client: str
    used: float  # share of the binding limit
    refused: float  # share of all requests that were answered 429


def cells() -> Iterator[Cell]:
    """The whole grid."""
    for binding, limits, load in BINDINGS:
        for burst_s in BURSTS_S:
            for workers in WORKERS:
                for client, make in CLIENTS.items():
                    world = make(replace(limits, burst_seconds=burst_s), load, workers)
                    world.run(END_S)
                    used, refused = _shares(world, binding)
                    yield Cell(
                        binding=binding, burst_s=burst_s, workers=workers, client=client, used=used, refused=refused
                    )


def _shares(world: World, binding: Dimension) -> tuple[float, float]:
    counts = world.counts
    amounts = {
        "requests": within(counts.admitted, WARM_S, END_S),
        "input_tokens": amount(counts.input_tokens, WARM_S, END_S),
        "output_tokens": amount(counts.output_tokens, WARM_S, END_S),
    }
    allowed = world.gate.rules.per_minute("class")[binding] / 60 * (END_S - WARM_S)
    refused = within(counts.refused, WARM_S, END_S)
    return amounts[binding] / allowed, refused / (refused + within(counts.admitted, WARM_S, END_S))


def table(found: list[Cell]) -> Table:
    """Share used and share refused, a row per load and a column per client."""
    shown = Table(title="share of the binding limit used / requests answered 429", title_justify="left")
    for heading in ("binding limit", "bucket", "workers", *CLIENTS):
        shown.add_column(heading, justify="left" if heading == "binding limit" else "right")
    by_load: dict[tuple[str, float, int], dict[str, Cell]] = {}
    for cell in found:
        by_load.setdefault((cell.binding, cell.burst_s, cell.workers), {})[cell.client] = cell
    for (binding, burst_s, workers), row in by_load.items():
        figures = [f"{row[client].used:.1%} / {row[client].refused:.2%}" for client in CLIENTS]
        shown.add_row(binding, f"{burst_s:g} s", str(workers), *figures)
    return shown


def measure() -> list[Ratio]:
    """Ours next to each rival: the least share used, and the largest share refused, over the whole grid."""
    found = list(cells())
    Console(stderr=True, width=150).print(table(found))
    ours = [cell for cell in found if cell.client == OURS]
    rows: list[Ratio] = []
    for rival in RIVALS:
        theirs = [cell for cell in found if cell.client == rival]
        for name, figure in (
            ("least share of the binding limit used", min(cell.used for cell in theirs)),
            ("largest share of requests answered 429", max(cell.refused for cell in theirs)),
        ):
            is_used = name.startswith("least")
            own = min(cell.used for cell in ours) if is_used else max(cell.refused for cell in ours)
            rows.append(
                Ratio(name=f"{name}, {len(ours)} loads", unit="share", ours=own, baseline=figure, baseline_is=rival)
            )
    return rows


if __name__ == "__main__":
    Console(width=150).print(table(list(cells())))
