"""What of a job file can still be checked when parts of it are wrong. Pure.

What is wrong gives way to its default, or to a stand-in where there is none, at the smallest place that allows it; the
places are remembered, so that no check speaks of a stand-in.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from polythink.facts import MIN_BUDGET_TOKENS
from polythink.jobs.spec import Job
from polythink.jobs.spec_lines import Loc

_ROUNDS = 4  # a mended place can make its neighbourhood wrong, as a required field that was taken out
_NOT_IN_NAME = re.compile(r"[^a-z0-9]+")

_ARM = {"model": "-", "reasoning": "none"}
_PRICES = {"input": 1.0, "output": 1.0}
# By place, with `*` for an index and for the name of an endpoint. Only what is required needs one.
_STAND_INS: dict[str, Any] = {
    "name": "job",
    "problems": {"path": "-"},
    "problems.path": "-",
    "problems.path.*": "-",
    "arms": [_ARM],
    "arms.*": _ARM,
    "arms.*.model": "-",
    "arms.*.reasoning": "none",
    "arms.*.reasoning.budget_tokens": MIN_BUDGET_TOKENS,
    "arms.*.reasoning.effort": "high",
    "arms.grid": {"model": ["-"], "reasoning": ["none"]},
    "arms.grid.model": ["-"],
    "arms.grid.model.*": "-",
    "arms.grid.reasoning": ["none"],
    "arms.grid.reasoning.*": "none",
    "arms.grid.reasoning.*.budget_tokens": MIN_BUDGET_TOKENS,
    "arms.grid.reasoning.*.effort": "high",
    "arms.*.endpoint.*": "-",
    "arms.grid.endpoint.*": "-",
    "arms.grid.endpoint.*.*": "-",
    "cap": {"usd": 1.0},
    "cap.usd": 1.0,
    "endpoint.prices": _PRICES,
    "endpoint.prices.input": 1.0,
    "endpoint.prices.output": 1.0,
    "endpoint.*.prices": _PRICES,
    "endpoint.*.prices.input": 1.0,
    "endpoint.*.prices.output": 1.0,
}


@dataclass(frozen=True, slots=True)
class Unusable:
    """The places of a job at which a default or a stand-in holds the place of what was said."""

    places: frozenset[Loc] = frozenset()

    def covers(self, loc: Loc) -> bool:
        """Whether a place, or one that it lies in, cannot be used."""
        return any(loc[:length] in self.places for length in range(len(loc) + 1))

    def touches(self, loc: Loc) -> bool:
        """Whether a place cannot be used, or not all that lies in it."""
        return self.covers(loc) or any(place[: len(loc)] == loc for place in self.places)


def salvage(data: dict[Any, Any], errors: Iterable[ErrorDetails]) -> tuple[Job, Unusable]:
    """The job without what is wrong. `errors` are those of the data against the model."""
    kept, places = copy.deepcopy(data), set[Loc]()
    for _ in range(_ROUNDS):
        places |= {place for details in errors if (place := _mend(kept, details)) is not None}
        try:
            return _validated(kept), Unusable(frozenset(places))
        except ValidationError as error:
            errors = error.errors()
    for details in errors:  # of a shape not thought of: the whole part goes
        top = details["loc"][0]
        _put(kept, (top,))
        places.add((top,))
    return _validated(kept), Unusable(frozenset(places))


def stand_in_job() -> Job:
    """A job of which nothing was said."""
    return _validated({name: copy.deepcopy(_STAND_INS[name]) for name in ("name", "problems", "arms")})


def _validated(kept: dict[Any, Any]) -> Job:
    return Job.model_validate({name: kept[name] for name in Job.model_fields if name in kept})


def _mend(kept: dict[Any, Any], details: ErrorDetails) -> Loc | None:
    """Put right what one error speaks of. Returns the place that then says something else, if one does."""
    loc = details["loc"]
    if details["type"] == "extra_forbidden":
        _remove(kept, _plain(loc))
        return None
    if loc[-1] == "[key]":
        place = _plain(loc[:-1])
        return _rename(kept, place, is_endpoint=place[0] == "endpoint" and len(place) == 2)
    if details["type"] == "missing" and _pattern(loc) not in _STAND_INS:
        loc = loc[:-1]
    _put(kept, loc)
    return _plain(loc)


def _put(kept: dict[Any, Any], loc: Loc) -> None:
    """The stand-in of a place, or its default."""
    if (pattern := _pattern(loc)) not in _STAND_INS:
        _remove(kept, _plain(loc))
        return
    *way, last = _plain(loc)
    holder = _at(kept, tuple(way))
    if isinstance(holder, dict) or (isinstance(holder, list) and isinstance(last, int) and last < len(holder)):
        holder[last] = copy.deepcopy(_STAND_INS[pattern])  # type: ignore[index]


def _rename(kept: dict[Any, Any], loc: Loc, *, is_endpoint: bool) -> Loc:
    """An endpoint with a name that cannot be keeps what else it says; of other mappings the entry goes."""
    *way, name = loc
    holder = _at(kept, tuple(way))
    if isinstance(holder, dict) and name in holder:
        value = holder.pop(name)
        if is_endpoint:
            holder.setdefault(_NOT_IN_NAME.sub("-", str(name).lower()).strip("-")[:48] or "endpoint", value)
    return loc


def _remove(kept: dict[Any, Any], loc: Loc) -> None:
    holder = _at(kept, loc[:-1])
    if isinstance(holder, dict):
        holder.pop(loc[-1], None)


def _at(data: Any, loc: Loc) -> Any:
    for part in loc:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _plain(loc: Loc) -> Loc:
    """A place without the tags of unions."""
    return tuple(part for part in loc if not (isinstance(part, str) and part.startswith("#")))


def _pattern(loc: Loc) -> str:
    named = loc[loc.index("#named") + 1 :][:1] if "#named" in loc else ()
    return ".".join("*" if isinstance(part, int) or (part,) == named else part for part in _plain(loc))
