"""The output limit: streams that generate as they go, kept at the limit's rate. No I/O, no clock.

How much output has been generated is known exactly only when a request ends, and roughly, from headers, whenever a
reply begins. In between it is what the running streams generate at the speed of their kind. The number of streams is
chosen so that they generate at the limit's rate, a little more or less to keep the server's bucket at a target: not
full, where what comes back is lost, and not empty, where requests are refused. A stream too many cannot be taken back,
so the longer the streams, the smaller the swings that are allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from polythink.workers.allowance import Allowance
from polythink.workers.forecast import Forecast

TARGET_S = 0.4  # seconds of limit that the server's bucket should be short of full, at first
HIGHEST_TARGET_S = 5.0
RAISE_S = 0.05  # seconds more, each time the bucket is seen full
OF_CAPACITY = 0.5  # of what a bucket turned out to hold
SATURATED = 0.9  # of the limit's rate: below, a full bucket is no fault of the target
CORRECTION_S = 1.5  # seconds within which a deviation from the target is made up for
SWING_S = 1.5  # seconds of correction that one stream too many may take to end
MEASURED = 0.2  # weight of one reading
FINEST_S = 0.7  # a reading rounded to more seconds of limit than this cannot be steered by
STALE_S = 3.0  # seconds after which a reading no longer counts
CREDIT_S = 2.0  # seconds of limit that estimates may be below zero without headers to tell better
FIRST_STREAMS = 8  # until their speed is known


class OutputLimit:
    """Output of all streams of a pool against its limit."""

    def __init__(self, *, per_minute: float, now: float) -> None:
        self._allowance = Allowance(per_minute=per_minute, now=now, credit_s=CREDIT_S)
        self._forecasts: dict[str, Forecast] = {}
        self._running: Counter[str] = Counter()
        self._target_s = TARGET_S
        self._highest_s = HIGHEST_TARGET_S
        self._measured_at: float | None = None
        self._now = now

    @property
    def seconds_used(self) -> float:
        """How far the server's bucket is believed to be from full, in seconds of limit."""
        return self._allowance.seconds_used(self._now)

    def resize(self, per_minute: float) -> None:
        """Another limit."""
        self._allowance.resize(per_minute, self._now)

    def advance(self, now: float) -> None:
        """Time passes: streams generate."""
        generated = self._speed() * max(0.0, now - self._now)
        self._now = max(self._now, now)
        self._allowance.use(generated, self._now)

    def change(self, kinds: Mapping[str, int], sign: int) -> None:
        """Count streams in (`sign` 1) or out (-1)."""
        for kind, count in kinds.items():
            self._running[kind] += sign * count

    def room(self, kind: str, guess: float) -> float:
        """How many more streams of a kind may start; `guess` is its output where nothing is known."""
        forecast = self._forecasts.setdefault(kind, Forecast(guess))
        rate = self._allowance.rate
        if not forecast.is_known:
            return max(FIRST_STREAMS, rate / forecast.speed) - self._running.total()
        seconds = self._seconds() or forecast.seconds
        correction = (self._target_s - self.seconds_used) / min(CORRECTION_S, max(0.3, seconds))
        swing = SWING_S / seconds
        share = 1 + max(-max(0.05, 2 * swing), min(max(0.03, swing), 1.0, correction))
        return (share * rate - self._speed()) / forecast.speed

    def ended(self, kind: str, *, tokens: int | None, seconds: float) -> None:
        """A request ended `seconds` after its permit; `tokens` is None where no reply told."""
        forecast = self._forecasts.get(kind)
        if forecast is None:
            return
        if not self._is_measured:
            self._allowance.use((tokens or 0) - forecast.speed * seconds, self._now)
        if tokens is not None:
            forecast.learn(tokens=tokens, seconds=seconds)

    def measure(self, used: float, *, rounding: float, age_s: float, is_all_ours: bool) -> None:
        """Take in what headers said `age_s` ago: tokens missing from a full bucket.

        Where the limit obeyed is not the server's own (not `is_all_ours`), its bucket is not ours to keep at a target:
        it then only tells when others use it.
        """
        rate = self._allowance.rate
        if not is_all_ours or rounding > FINEST_S * rate:
            self._allowance.at_least(used - rounding / 2 - rate * age_s, self._now)
            return
        since = (self._speed() - rate) * age_s
        self._allowance.towards(max(0.0, used + since), MEASURED, self._now)
        self._measured_at = self._now
        if used < rounding / 2 and self._speed() > SATURATED * rate and self._are_known:
            self._target_s = min(self._highest_s, self._target_s + RAISE_S)

    def refused(self, used: float) -> None:
        """A request was refused when the bucket was `used` short of full: it can hardly hold more."""
        if used > 0:
            self._highest_s = max(TARGET_S / 2, min(self._highest_s, OF_CAPACITY * used / self._allowance.rate))
            self._target_s = min(self._target_s, self._highest_s)

    @property
    def _is_measured(self) -> bool:
        return self._measured_at is not None and self._now - self._measured_at < STALE_S

    @property
    def _are_known(self) -> bool:
        return all(self._forecasts[kind].is_known for kind, _ in self._streams())

    def _speed(self) -> float:
        """Tokens a second, of all streams."""
        return sum(count * self._forecasts[kind].speed for kind, count in self._streams())

    def _seconds(self) -> float | None:
        """Mean length of the streams that run."""
        streams = self._streams()
        total = sum(count for _, count in streams)
        return sum(count * self._forecasts[kind].seconds for kind, count in streams) / total if total else None

    def _streams(self) -> list[tuple[str, int]]:
        return [(kind, count) for kind, count in self._running.items() if count > 0 and kind in self._forecasts]
