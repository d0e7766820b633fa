"""Values as JSON and forms write them, read as what a clause compares with: None where they are no such thing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from zoneinfo import ZoneInfo

__all__ = ["ET", "day_of", "flag_of", "instant_of", "instant_text", "items_of", "number_of", "quoted"]

_NUMBER: Final = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_DAY: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}", re.ASCII)
_LARGEST: Final = 10**30
ET: Final = ZoneInfo("America/New_York")
"""The zone of a time without one."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def number_of(value: Any) -> Decimal | None:
    """A JSON number, or a text that is one, exactly as written; NaN, infinities and absurd sizes are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < _LARGEST else None
    if isinstance(value, float):
        number = Decimal(repr(value)) if isfinite(value) else None
    elif isinstance(value, str) and len(value) <= 40 and value.isascii() and _NUMBER.fullmatch(value.strip()):
        number = Decimal(value.strip())
    else:
        return None
    return number if number is None or not number or -30 <= number.adjusted() < 30 else None


def flag_of(value: Any) -> bool | None:
    """A truth value as JSON or a form writes it: true, "true", 1, "1", and their opposites."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def items_of(value: Any) -> list[Any] | None:
    """A list, or the items of a text parted by commas; None for anything else."""
    if isinstance(value, str):
        items = [item.strip() for item in value.split(",")]
        return [item for item in items if item] or None
    return value if isinstance(value, list) else None


def day_of(value: Any) -> date | None:
    """A text that is a day from 1970 to 2199: 2026-09-18 or 20260918."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return None
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return day if 1970 <= day.year < 2200 else None


def instant_of(value: Any, op: str = "eq") -> datetime | None:
    """A point in time from ISO 8601 (without zone New York's) or milliseconds since 1970.

    Times are kept to the millisecond; a finer one is taken to the next or last, as ``op`` needs it.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Seconds since 1970, or a date written as a number, would be read as a day long past.
        return _EPOCH + timedelta(milliseconds=int(value)) if 10**10 <= value < 10**13 and value % 1 == 0 else None
    if not isinstance(value, str) or not 10 < len(value) <= 40:
        return None
    try:
        at = datetime.fromisoformat(value)
        at = (at if at.tzinfo else at.replace(tzinfo=ET)).astimezone(UTC)
        rest = timedelta(microseconds=at.microsecond % 1000)
        if rest:
            at += timedelta(milliseconds=1 if op in ("gte", "lt") else 0) - rest
    except (ValueError, OverflowError):
        return None
    return None if at < _EPOCH or (rest and op not in ("gte", "lt", "lte", "gt")) else at


def instant_text(at: datetime) -> str:
    """A point in time as the rule language writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def quoted(text: str) -> str:
    """A text literal; it holds no line ends."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
