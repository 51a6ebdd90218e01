"""Calendar days as people write them, read as ISO 8601."""

from __future__ import annotations

import datetime
import re

MAX_LENGTH = 60  # characters; a longer text is no date
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = rf"(?P<month>{'|'.join(f'{name}|{name[:3]}' for name in _MONTHS)}|sept)\.?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[0-9]{4})"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?"
_FORMS = tuple(
    re.compile(_WEEKDAY + form, re.IGNORECASE)
    for form in (
        r"(?P<year>[0-9]{4})(?P<mark>[-/.])(?P<number>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})",
        rf"{_MONTH}\s*(?:the\s*)?{_DAY}(?:,\s*|\s+){_YEAR}",
        rf"(?:the\s*)?{_DAY}\s*(?:of\s+)?{_MONTH},?\s*{_YEAR}",
    )
)


def parse_date(text: str) -> str | None:
    """The day the whole text is, as `2024-03-05`; None if it is none.

    Read: year, month, day in figures; day and year around a month's name, in either order. 3/5/2024 is not: two days
    are written so.

    >>> parse_date("March 5th, 2024"), parse_date("5 Mar 2024"), parse_date("2024/3/5"), parse_date("30 February 2024")
    ('2024-03-05', '2024-03-05', '2024-03-05', None)
    """
    bare = text.strip().removesuffix(".") if len(text) <= MAX_LENGTH else ""
    for form in _FORMS:
        if match := form.fullmatch(bare):
            found = match.groupdict()
            try:
                return datetime.date(int(found["year"]), _month(found), int(found["day"])).isoformat()
            except ValueError:
                return None
    return None


def _month(found: dict[str, str]) -> int:
    if "number" in found:
        return int(found["number"])
    return next(place for place, name in enumerate(_MONTHS, 1) if name[:3] == found["month"][:3].lower())
