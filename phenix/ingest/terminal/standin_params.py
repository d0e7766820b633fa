"""Parameters of the REST endpoints: read strictly, refused with the vendor's status codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from phenix.ingest.terminal.layouts import DAY_MS, wall_at
from phenix.ingest.terminal.protocol import valid_date

__all__ = [
    "Params",
    "Refusal",
    "RefusedError",
    "a_date",
    "count_of",
    "dates_of",
    "days_to",
    "invalid",
    "need",
    "symbols_of",
    "time_of",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: HTTP status of the vendor and its plain text."""

    code: int
    text: str


Params = Mapping[str, str]


class RefusedError(Exception):
    """A request that cannot be answered; ``refusal`` says why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.refusal = Refusal(code, text)


def invalid(text: str) -> RefusedError:
    """A bad or missing parameter."""
    return RefusedError(473, text)


def need(params: Params, name: str) -> str:
    """A parameter that must be there. Raises RefusedError, as all of these do."""
    value = params.get(name, "")
    if not value:
        raise invalid(f"Missing required parameter: {name}")
    return value


def a_date(text: str, name: str) -> int:
    """A date, ``YYYYMMDD`` or ``YYYY-MM-DD``."""
    digits = text.replace("-", "") if len(text) == 10 else text
    if not (len(digits) == 8 and digits.isascii() and digits.isdigit() and valid_date(int(digits))):
        raise invalid(f"Invalid value for {name}: {text}")
    return int(digits)


def dates_of(params: Params) -> tuple[int, int]:
    """First and last date of the request; ``date`` wins over a range."""
    if params.get("date"):
        day = a_date(params["date"], "date")
        return day, day
    if not params.get("start_date"):
        raise invalid("Missing required parameter: date, or start_date and end_date")
    return a_date(params["start_date"], "start_date"), a_date(need(params, "end_date"), "end_date")


def time_of(params: Params, name: str, default: str) -> int:
    """A time of day ``HH:MM:SS[.SSS]`` in milliseconds."""
    text = params.get(name) or default
    clock, _, fraction = text.partition(".")
    parts = clock.split(":")
    numbers = [*parts, fraction or "0"]
    if len(parts) != 3 or len(fraction) > 3 or not all(part.isascii() and part.isdigit() for part in numbers):
        raise invalid(f"Invalid value for {name}: {text}")
    hour, minute, second = (int(part) for part in parts)
    if hour > 23 or minute > 59 or second > 59:
        raise invalid(f"Invalid value for {name}: {text}")
    return ((hour * 60 + minute) * 60 + second) * 1000 + int(fraction.ljust(3, "0"))


def count_of(params: Params, name: str, lowest: int) -> int | None:
    """A whole number from ``lowest`` up; None when absent."""
    text = params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) < lowest:
        raise invalid(f"Invalid value for {name}: {text}")
    return int(text)


def symbols_of(params: Params) -> list[str]:
    """The comma list of ``symbol``."""
    return [name for name in need(params, "symbol").split(",") if name]


def days_to(expiration: int, today: int) -> int:
    """Calendar days between two dates."""
    return (wall_at(expiration, 0) - wall_at(today, 0)) // DAY_MS
