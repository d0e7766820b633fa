"""Literals read: numbers with their units, dates, times of day, points in time, texts.

Each reader takes the characters of one token and answers what it is worth, how it is written here,
and what is wrong with it, if anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Final, Generic, Literal, TypeVar

from phenix.dsl.diagnostics import Safety

__all__ = ["UNITS", "Problem", "Read", "Unit", "read_date", "read_instant", "read_number", "read_text", "read_time"]

Unit = Literal["", "$", "%", "s"]

UNITS: Final[dict[str, tuple[Fraction, Unit]]] = {
    "": (Fraction(1), ""),
    "k": (Fraction(1_000), ""),
    "K": (Fraction(1_000), ""),
    "M": (Fraction(1_000_000), ""),
    "B": (Fraction(1_000_000_000), ""),
    "%": (Fraction(1), "%"),
    "bp": (Fraction(1, 100), "%"),
    "ms": (Fraction(1), "s"),
    "s": (Fraction(1_000), "s"),
    "m": (Fraction(60_000), "s"),
    "h": (Fraction(3_600_000), "s"),
    "d": (Fraction(86_400_000), "s"),
}
"""Suffix -> (factor, unit); durations are kept in milliseconds, percentages in points."""

_MEANT: Final = {
    word: ours
    for ours, words in {
        "k": "thousand grand",
        "M": "million mm mil mio mln",
        "B": "billion bn bln b",
        "%": "percent pct %%",
        "bp": "bps",
        "ms": "millisecond milliseconds msec",
        "s": "second seconds sec secs",
        "m": "minute minutes min mins",
        "h": "hour hours hr hrs",
        "d": "day days",
        "$": "dollar dollars usd",
    }.items()
    for word in words.split()
}
_DIGITS: Final = 40
_LARGEST_POWER: Final = 18
_NUMBER = re.compile(r"(\$?)([\d_,]*(?:\.\d+)?)(?:[eE]([+-]?\d+))?(\s*)([A-Za-z%]*)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?\s?([AaPp][Mm])?\s?(\w*)")
_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})(T|\s+)([\d:.]*)\s?(\w*|[+-]\d{2}:?\d{2})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a literal; ``offer`` is the spelling to put in its place."""

    code: str
    message: str
    help: str = ""
    offer: str | None = None
    safety: Safety = "safe"


@dataclass(frozen=True, slots=True)
class Read(Generic[_T]):
    """A literal's value, and its text as it is written here."""

    value: _T
    text: str
    problem: Problem | None = None


def _foreign(text: str, ours: str, safety: Safety = "safe") -> Problem:
    return Problem("PHX002", f"`{text}` is written `{ours}` here", offer=ours, safety=safety)


def read_number(text: str) -> tuple[Read[Fraction], Unit]:
    """``250k``, ``$2.11``, ``15%``, ``3m``, exactly, and its unit."""
    match = _NUMBER.fullmatch(text)
    assert match
    dollar, digits, exponent, space, suffix = match.groups()
    plain = digits.replace("_", "").replace(",", "")
    count = len(plain.replace(".", ""))
    if count > _DIGITS:
        return Read(Fraction(0), text, Problem("PHX005", f"a number of {count:,} digits",
                                               f"{_DIGITS} digits are allowed")), ""  # fmt: skip
    # Digits first: Python refuses to read an exponent of thousands of them.
    if exponent and (len(exponent) > 3 or abs(int(exponent)) > _LARGEST_POWER):
        return Read(Fraction(0), text, Problem("PHX005", f"`{text}` has too large an exponent",
                                               f"up to {_LARGEST_POWER} is allowed, either way")), ""  # fmt: skip
    power = int(exponent or 0)
    value = Fraction(plain) * Fraction(10) ** power
    ours = suffix if suffix in UNITS else _MEANT.get(suffix.lower())
    if ours is None and suffix.lower() in ("am", "pm"):
        hour = read_time(f"{digits}:00{suffix}").problem
        assert hour is not None  # it has no zone
        return Read(value, text, replace(hour, message=f"`{text}` is a time of day without minutes and zone")
                    if hour.offer else hour), ""  # fmt: skip
    if ours is None:
        units = ", ".join(u for u in UNITS if u not in ("", "K"))
        return Read(value, text, Problem("PHX005", f"`{suffix}` is no unit", f"units: {units}")), ""
    if ours == "$":
        dollar, ours = "$", ""
    scale, unit = UNITS[ours]
    if dollar and unit:
        return Read(value, text, Problem("PHX005", f"`{text}` is dollars and something else",
                                         "write either `$` or the unit")), ""  # fmt: skip
    if exponent:
        digits = _decimal(value)
    written = f"{dollar}{'0' if digits.startswith('.') else ''}{digits}{ours}"
    problem = _foreign(text, written) if written != text or space else None
    return Read(value * scale, written, problem), "$" if dollar else unit


def _decimal(value: Fraction) -> str:
    whole, rest = divmod(value, 1)
    digits = f"{int(rest * 10**60):060d}".rstrip("0")  # 40 digits and an exponent of 18 end within 60
    return f"{whole}.{digits}" if digits else str(whole)


def read_text(text: str) -> Read[str]:
    """The characters of a text between its quotes, escapes undone."""
    if half := re.search("[\ud800-\udfff]", text):
        return Read("", text, Problem("PHX005", f"U+{ord(half[0]):04X} is half a character", "write the whole one"))
    if text.startswith('"""'):
        return Read(text[3:-3], text)
    if text.startswith('"'):
        return Read(re.sub(r"\\(.)", r"\1", text[1:-1]), text)
    ours = '"' + text[1:-1].replace("\\", "\\\\").replace('"', '\\"') + '"'
    return Read(text[1:-1], ours, Problem("PHX002", "text is written in double quotes", offer=ours))


def read_date(text: str) -> Read[int]:
    """``2026-01-16`` as YYYYMMDD; ``1/16/2026`` is understood."""
    problem = None
    written = text
    if "/" in text:
        a, b, c = text.split("/")
        written = f"{a}-{b:0>2}-{c:0>2}" if len(a) == 4 else f"{c}-{a:0>2}-{b:0>2}"
        # 3/4/2026 is the fourth of March to one reader and the third of April to another.
        problem = _foreign(text, written, "safe" if len(a) == 4 or int(b) > 12 else "unsafe")
    try:
        day = date.fromisoformat(written)
    except ValueError:
        return Read(0, text, Problem("PHX005", f"`{text}` is no day of the calendar", "write 2026-01-16"))
    return Read(day.year * 10_000 + day.month * 100 + day.day, written, problem)


def _clock(text: str) -> tuple[int, str, str] | None:
    """Milliseconds of the day, the canonical clock, and the zone written behind it."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if half := (match[5] or "").lower():
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half == "pm")
    if hour > 23 or minute > 59 or second > 59:
        return None
    written = f"{hour:02d}:{minute:02d}" + (f":{match[3]}" if match[3] else "") + (f".{match[4]}" if match[4] else "")
    ms = int((match[4] or "0").ljust(3, "0"))
    return ((hour * 60 + minute) * 60 + second) * 1000 + ms, written, match[6]


def read_time(text: str) -> Read[int]:
    """``09:30 ET`` as milliseconds of the New York day."""
    clock = _clock(text)
    if clock is None:
        return Read(0, text, Problem("PHX005", f"`{text}` is no time of day", "write 09:30 ET"))
    ms, written, zone = clock
    written += " ET"
    problem = None
    if not zone:
        problem = Problem("PHX003", "a time of day needs its zone", offer=written)
    elif zone in ("EST", "EDT"):
        problem = _foreign(text, written, "unsafe")  # whoever writes EST may mean the whole year's, or the winter's
    elif zone != "ET" or re.search("[AaPp][Mm]", text):
        problem = _foreign(text, written)
    return Read(ms, written, problem)


def read_instant(text: str) -> Read[int]:
    """``2026-01-16T14:30:00Z`` or ``2026-01-16 09:30 ET`` as UTC milliseconds since 1970."""
    wrong = Read(0, text, Problem("PHX005", f"`{text}` is no point in time",
                                  "write 2026-01-16T14:30:00Z, or 2026-01-16 09:30 ET"))  # fmt: skip
    match = _INSTANT.fullmatch(text)
    clock = _clock(match[3]) if match else None
    if match is None or clock is None:
        return wrong
    ms, hands, _ = clock
    here, zone = f"{match[1]} {hands} ET", match[4]
    try:
        day = date.fromisoformat(match[1])
        if zone[:1] in ("+", "-"):
            at = datetime.fromisoformat(f"{match[1]}T{hands}{zone}").astimezone(UTC)
            written = f"{at:%Y-%m-%dT%H:%M:%S}{f'.{at.microsecond // 1000:03d}' if at.microsecond else ''}Z"
        else:
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(milliseconds=ms)
            written = f"{match[1]}T{hands}Z"
    except (ValueError, OverflowError):
        return wrong
    if at < _EPOCH:
        return wrong
    if not zone:
        return Read(0, text, Problem("PHX003", "a point in time needs its zone", offer=here))
    if zone == "ET":
        offset = _new_york(day, ms)
        if offset is None:
            return Read(0, text, Problem("PHX005", f"`{text}` is skipped or happens twice: clocks change that night",
                                         "write it in UTC: 2026-01-16T14:30:00Z"))  # fmt: skip
        at -= offset
        written = here
        problem = _foreign(text, written) if match[2] == "T" else None
    else:
        problem = _foreign(text, written) if match[2] != "T" or zone != "Z" else None
    return Read((at - _EPOCH) // timedelta(milliseconds=1), written, problem)


def _new_york(day: date, ms: int) -> timedelta | None:
    """How far New York is ahead of UTC then; None in the hours that clocks skip or repeat."""
    from zoneinfo import ZoneInfo

    then = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("America/New_York")) + timedelta(milliseconds=ms)
    early, late = then.replace(fold=0).utcoffset(), then.replace(fold=1).utcoffset()
    return early if early == late else None
