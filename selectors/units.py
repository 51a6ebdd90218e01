"""Units written in words or symbols after a number: `5 km`, `12 square feet`, `3.5 million`, `40 percent`."""

from __future__ import annotations

import re

MAX_LENGTH = 120  # characters; a longer text is no quantity
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_LENGTHS = "mm cm dm km in inch(?:es)? ft foot feet yd yds yards? mi miles? (?:milli|centi|deci|kilo)?met(?:er|re)s?"
_MASSES = "mg kg lb lbs oz ounces? pounds? tons? tonnes? (?:milli|kilo)?grams?"
_TIMES = "ms sec secs seconds? min mins minutes? hr hrs hours? days? weeks? months? years?"
_OTHERS = (
    "ml cl dl (?:milli|centi|deci)?lit(?:er|re)s? gallons? degrees? radians? rad deg hz khz mhz mph kph kmh"
    " dollars? cents? usd eur euros? units?"
)
_WORD = "(?:" + "|".join(f"{_LENGTHS} {_MASSES} {_TIMES} {_OTHERS}".split()) + ")"
_POWER = r"(?:\s?(?:\^\s?\{?[23]\}?|[\u00b2\u00b3])|\s(?:squared|cubed))"
_UNIT = rf"(?:(?:square|cubic|sq\.?|cu\.?)\s+)?{_WORD}\.?{_POWER}?"
_ENDING = re.compile(
    rf"\s*(?:\s(?P<scale>{'|'.join(_SCALES)})(?!\w))?(?P<percent>(?:percent|per\scent)(?!\w))?"
    rf"(?:\s?{_UNIT}(?:\s?(?:/|per\s)\s?(?:{_UNIT}|[hs]))?)?",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"[0-9.}](?=\s*[a-zA-Z])")


def plain_quantity(text: str) -> str:
    """The text with a unit at its end dropped, a scale word as a power of ten, percent as its sign; else unchanged.

    Units of one letter stay: `5 m` may be a product. Which unit it was is lost: `5 km` and `5 cm` meet, as an answer is
    expected in the unit that was asked for.

    >>> [plain_quantity(text) for text in ("12 square feet", "$3.5 million", "40 percent", "2x")]
    ['12', '$3.5e6', '40%', '2x']
    """
    if len(text) > MAX_LENGTH:
        return text
    bare = text.strip().removesuffix(".").rstrip()
    figure = _FIGURE.search(bare)
    ending = _ENDING.fullmatch(bare, figure.end()) if figure else None
    if figure is None or ending is None:
        return text
    number = bare[: figure.end()]
    if ending["scale"]:
        return f"{number}e{_SCALES[ending['scale'].lower()]}"
    return f"{number}%" if ending["percent"] else number
