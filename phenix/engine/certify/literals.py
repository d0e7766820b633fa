"""Literals for random rules: at and next to the edges of ranges, scales, days and clocks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from phenix.dsl.operand import decimal_digits
from phenix.dsl.types import INT64_MAX, MONEY_SCALE, Kind, Type

__all__ = ["DAYS", "INSTANTS", "PATTERNS", "SYMBOLS", "TIMES", "literal", "number", "spell"]

SYMBOLS: Final = (
    "SPY", "QQQ", "A", "BRK.B", "SPXW", "ZVZZT", "NOW", "TRUE", "NULL", "A%", "A_B", "A*B", "A?", "[A]", "A[1", "A'B",
    'A"B', "A\\B",
)  # fmt: skip
"""Symbols, with those that are words of the language or of some pattern language."""

PATTERNS: Final = ("S*", "*Y", "*P*", "SPY", "A%*", "*_*", "*?*", "*[*", "A*", "*\\*", "a*", "*'*", "[A]", "*]")

DAYS: Final = (
    19900101, 20991231, 20240229, 20240228, 20240301, 20231231, 20240101, 20260131, 20260228, 20260430,
    20240310, 20241103, 20260308, 20261101, 20240614, 20240621,
)  # fmt: skip
"""Days at the ends of months, years and the calendar, leap days, and those on which clocks change."""

TIMES: Final = (0, 1, 34_199_999, 34_200_000, 34_200_001, 37_800_000, 57_600_000, 57_600_001, 86_399_999)
"""Milliseconds of the day around midnight, the open and the close."""

_DAY_MS: Final = 86_400_000
_MIDNIGHTS: Final = tuple(
    (date(d // 10_000, d // 100 % 100, d % 100) - date(1970, 1, 1)).days * _DAY_MS for d in DAYS[2:]
)
# Clocks change at 2:00 in New York: 7:00 UTC in spring, 6:00 UTC in autumn; its midnight is 4:00 or 5:00 UTC.
INSTANTS: Final = tuple(
    midnight + hour * 3_600_000 + ms for midnight in _MIDNIGHTS for hour in (0, 4, 5, 6, 7, 14) for ms in (-1, 0)
)
"""UTC milliseconds around midnights of both zones and changes of the clock."""

_EXACT: Final = ("0", "1", "0.0001", "0.00005", "2.00005", "2.1", "14.5", "0.01", "99999.9999", "250k", "1.5M", "2B")
_WHOLE: Final = ("0", "1", "2", "3", "7", "14", "14.5", "20", "21", "100", "1k", "0.5", "999.999999999999")
_REAL: Final = ("0", "1", "0.1", "0.2", "0.3", "0.5", "2.5", "1.0001", "0.333333333333", "100", "1000000000000000")
_EDGES: Final = (INT64_MAX, INT64_MAX + 1, INT64_MAX - 1, 2**53, 2**53 + 1, 2**53 - 1, 10**15, 10**15 + 1, 2**31)


def spell(value: Fraction) -> str:
    """A finite decimal as the language writes it, negative ones with a minus before them."""
    digits = decimal_digits(value)
    assert digits is not None
    whole, part = divmod(abs(value.numerator) * 10**digits // value.denominator, 10**digits)
    return f"{'-' if value < 0 else ''}{whole}" + (f".{part:0{digits}d}" if digits else "")


def _near(rng: random.Random, edges: Sequence[int | float], step: Fraction) -> Fraction:
    """One of the edges or a step beside it."""
    return Fraction(rng.choice(edges)) + rng.choice((-1, 0, 0, 1)) * step


def number(rng: random.Random, kind: Kind, type_: Type | None = None) -> str:
    """A number that may stand opposite values of the kind, unit and all."""
    edges = tuple(e for e in (type_.lo, type_.hi) if e is not None) if type_ else ()
    if kind is Kind.MONEY:
        if edges and rng.random() < 0.2:
            return spell(_near(rng, edges, Fraction(rng.choice((1, Fraction(1, 2))))) / 10**MONEY_SCALE)
        text = rng.choice(_EXACT) if rng.random() < 0.9 else str(rng.choice(_EDGES))
        return rng.choice(("", "", "-")) + rng.choice(("", "$")) + text if rng.random() < 0.5 else text
    if kind is Kind.INT:
        if edges and rng.random() < 0.2:
            return spell(_near(rng, edges, Fraction(rng.choice((1, Fraction(1, 2))))))
        text = rng.choice(_WHOLE) if rng.random() < 0.85 else str(rng.choice(_EDGES))
        return rng.choice(("", "", "-")) + text
    if kind is Kind.DURATION:
        return rng.choice(("0", "0s", "1ms", "0.5ms", "180s", "3m", "2h", "14d", "-1s", "1.0005s", "999999999s"))
    if edges and rng.random() < 0.15:
        return spell(_near(rng, edges, Fraction(rng.choice((0, 1)), 4)))
    # An unknown neighbour may be a count, to which a percentage is no number.
    percent = type_ is not None or kind is Kind.PERCENT
    text = rng.choice(_REAL) + (rng.choice(("", "%")) if percent and rng.random() < 0.5 else "")
    if kind is Kind.PERCENT and rng.random() < 0.2:
        text = rng.choice(("50bp", "15%", "5%", "1bp", "0.0001%"))
    return rng.choice(("", "", "-")) + text


def literal(rng: random.Random, kind: Kind, type_: Type | None = None) -> str:
    """A literal of any kind but bool."""
    match kind:
        case Kind.ENUM:
            assert type_ is not None
            return rng.choice((str, str.lower, str.upper))(rng.choice(type_.members))
        case Kind.SYMBOL:
            symbol = rng.choice(SYMBOLS)
            plain = symbol.isalnum() or symbol == "BRK.B"
            if not plain or symbol == "NULL":
                return _quoted(symbol)
            return symbol if symbol == "TRUE" else rng.choice((symbol, symbol.lower()))
        case Kind.TEXT:
            return _quoted(rng.choice(SYMBOLS))
        case Kind.DATE:
            return _day(rng.choice(DAYS), rng.choice((-1, 0, 0, 1)))
        case Kind.TIME:
            return f"{_clock(min(max(rng.choice(TIMES) + rng.choice((-1, 0, 0, 1)), 0), _DAY_MS - 1))} ET"
        case Kind.TS:
            instant = rng.choice(INSTANTS)
            return f"{date.fromordinal(719_163 + instant // _DAY_MS)}T{_clock(instant % _DAY_MS)}Z"
        case _:
            return number(rng, kind, type_)


def _day(day: int, step: int) -> str:
    edge = day in (DAYS[0], DAYS[1])
    return str(date(day // 10_000, day // 100 % 100, day % 100) + timedelta(days=0 if edge else step))


def _clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    return text + (f":{seconds % 60:02d}" + (f".{rest:03d}" if rest else "") if seconds % 60 or rest else "")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
