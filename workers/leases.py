"""What workers and the governor say to each other. Times are seconds of the governor's clock unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Dimension = Literal["requests", "input_tokens", "output_tokens"]
DIMENSIONS: tuple[Dimension, ...] = ("requests", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Tasks at the front of a holder's queue that are alike."""

    kind: str  # tasks of one kind have replies of like length: a job's arm
    count: int
    input_tokens: float  # of each, as predicted; what a cache is expected to serve left out
    output_tokens: float  # of each, guessed from the reasoning setting; used until some have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to start one request, handed back when it has ended, so that the governor need not remember each."""

    kind: str
    granted_at: float
    input_tokens: float  # counted when granted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A request that is over."""

    permit: Permit
    input_tokens: int | None = None  # uncached, as billed; None where no reply told
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reply's headers said of the limits, by dimension. Where a dimension is missing, nothing was said."""

    limits: Mapping[Dimension, float]  # per minute
    used: Mapping[Dimension, float]  # what a full bucket would hold more than this one does
    age_s: float = 0.0  # since the head of the reply arrived, when told


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A 429 that is about rate."""

    retry_after_s: float
    is_ramp: bool = False  # we grew too fast
    reading: Reading | None = None  # from the headers of the refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened at a holder since its last report, and what it would start next, in order."""

    asks: tuple[Ask, ...] = ()
    room: int = 0  # requests it could start at most, of all asks together
    running: Mapping[str, int] = field(default_factory=dict)  # kind -> requests running, or about to with a permit
    returned: tuple[Permit, ...] = ()  # not used
    ended: tuple[Ended, ...] = ()
    reading: Reading | None = None  # the newest
    answered: int = 0  # replies that had a head and were no overload
    limitless: int = 0  # of those, how many said nothing of limits
    overloads: int = 0  # 529, 5xx, resets, time-outs
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Leave to start requests: one for each permit, spread evenly over `spread_s`."""

    permits: tuple[Permit, ...]
    spread_s: float
    again_s: float  # ask again after this time
    is_held_by_running: bool  # what holds the holder back is requests in flight: ask sooner if one of its own ends
    is_probe: bool = False  # the endpoint is out of service: what fails now is no fault of its sample
