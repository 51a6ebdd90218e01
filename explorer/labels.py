"""How numbers, settings and other people's text are written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from polythink.explorer.results import ArmFacts

NOTHING = "—"  # an unknown value
NAME_CHARACTERS = 32  # of a model or an arm, where space is short

_MINDS = {
    "synthetic": "answered by the simulator's synthetic mind, not by a model",
    "replay": "recorded answers replayed by the simulator, not fresh ones of the model named",
    "local": "answered by a small model on this machine behind the simulator, not by the model named",
}
# Controls that do not print, and marks that turn the order of the text around them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def percent(share: float | None) -> str:
    """
    >>> percent(0.61749), percent(None)
    ('61.7%', '—')
    """
    return NOTHING if share is None else f"{share:.1%}"


def band(low: float, high: float) -> str:
    """
    >>> band(0.512, 0.7)
    '51-70%'
    """
    return f"{low * 100:.0f}-{high:.0%}"


def tokens(amount: float | None) -> str:
    """
    >>> tokens(3120.4), tokens(None)
    ('3,120', '—')
    """
    return NOTHING if amount is None else f"{amount:,.0f}"


def short_tokens(amount: float) -> str:
    """
    >>> short_tokens(512), short_tokens(1024), short_tokens(3120), short_tokens(16384), short_tokens(2_000_000)
    ('512', '1k', '3.1k', '16k', '2M')
    """
    if amount < 1_000:
        return f"{amount:.0f}"
    scaled, unit = (amount / 1_000, "k") if amount < 1_000_000 else (amount / 1_000_000, "M")
    return f"{scaled:.1f}".removesuffix(".0") + unit if scaled < 10 and scaled % 1 >= 0.05 else f"{scaled:.0f}{unit}"


def dollars(amount: float | None) -> str:
    """Cents, and of less than a dollar at least two digits that say something.

    >>> dollars(1234.5), dollars(0.3), dollars(0.0312), dollars(0.00004), dollars(0), dollars(None)
    ('$1,234.50', '$0.30', '$0.031', '$0.000040', '$0.00', '—')
    """
    if amount is None:
        return NOTHING
    decimals = 2 if amount >= 1 or amount <= 0 else 1 - math.floor(math.log10(amount))
    return f"${amount:,.{decimals}f}"


def setting(arm: ArmFacts) -> str:
    """The reasoning setting of an arm in a few letters, as in `budget 4,096`."""
    match arm.reasoning:
        case "budget_tokens":
            return f"budget {arm.budget_tokens or 0:,}"
        case "effort":
            return f"effort {arm.effort}"
        case "none":
            return "no thinking"
        case None:  # imported: nobody said
            return arm.arm_id
        case other:
            return other


def model_name(model: str) -> str:
    """
    >>> model_name("claude-haiku-4-5")
    'haiku-4-5'
    """
    return model.removeprefix("claude-")


def arm_names(arms: tuple[ArmFacts, ...]) -> dict[str, str]:
    """A short name for each arm by its id: its setting, with the model where there are several. No two are alike."""
    several = len({arm.model for arm in arms}) > 1
    full = {
        arm.arm_id: f"{model_name(arm.model)}, {setting(arm)}" if several and arm.reasoning else setting(arm)
        for arm in arms
    }
    taken = list(full.values())
    return {arm_id: name if taken.count(name) == 1 else arm_id for arm_id, name in full.items()}


def selector_name(selector: str) -> str:
    """As on an axis over N samples.

    >>> selector_name("pass"), selector_name("majority")
    ('pass@N', 'majority@N')
    """
    return "first answer" if selector == "first" else f"{selector}@N"


def simulated_note(minds: Mapping[str, int], traces: int) -> str | None:
    """What must be said on the face of anything drawn from simulated samples; None if there are none.

    >>> simulated_note({"synthetic": 12}, 12)
    "Simulated: answered by the simulator's synthetic mind, not by a model"
    >>> simulated_note({"local": 5}, 12)
    'Simulated: 5 of 12 samples answered by a small model on this machine behind the simulator, not by the model named'
    """
    if not minds:
        return None
    said = [_MINDS.get(mind, f"not answered by the model named, but by {clean(mind)}") for mind in minds]
    if len(said) == 1 and sum(minds.values()) == traces:
        return f"Simulated: {said[0]}"
    return "Simulated: " + "; ".join(
        f"{n:,} of {traces:,} samples {how}" for n, how in zip(minds.values(), said, strict=True)
    )


def clean(text: str) -> str:
    r"""Text of unknown origin with what cannot be seen made visible; new lines and tabs stay.

    >>> clean("a\x00b\u202ec\n")
    'a[U+0000]b[U+202E]c\n'
    """
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def clipped(text: str, limit: int) -> str:
    """Clean, on one line, and no longer than `limit` characters.

    >>> clipped("one  two\\nthree", 9)
    'one two …'
    """
    line = " ".join(clean(text[: 4 * limit]).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def ends(text: str, limit: int) -> str:
    """Clean, on one line, and no longer than `limit` characters: the beginning, and twice as much of the end.

    >>> ends("one  two\\nthree four", 12)
    'one…ree four'
    """
    line = " ".join(clean(f"{text[: 4 * limit]}{text[max(4 * limit, len(text) - 4 * limit) :]}").split())
    head = (limit - 1) // 3
    return line if len(line) <= limit else f"{line[:head].rstrip()}…{line[head + 1 - limit :].lstrip()}"
