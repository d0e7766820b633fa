"""A row in market words, for findings that show one: ``AAPL call, 12 dte, $250,000, vol/oi 2.5``."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from phenix.dsl import nodes as n
from phenix.dsl.printer import print_expression
from phenix.dsl.source import Span
from phenix.dsl.types import MONEY_SCALE, Kind, Type, Value
from phenix.engine.flow import BY_NAME

__all__ = ["SAMPLES", "in_words", "literal"]

SAMPLES: Final[Mapping[str, tuple[Value, ...]]] = {
    "symbol": ("AAPL", "SPY"), "root": ("AAPL", "SPY"), "value": (2_500_000_000, 12_000_000), "dte": (12, 60, 400),
    "vol_oi_ratio": (2.5, 0.5), "size": (100, 1_000), "otm_pct": (2.0, -2.0, 10.0), "repeat3m": (1, 25), "oi": (400,),
    "price": (25_000,), "bid": (24_000,), "ask": (25_000,), "strike": (2_200_000,), "spot": (2_180_000,),
    "symbol_vol_1m": (300, 1), "symbol_vol_baseline_15m": (100.0,), "open_window_baseline": (100.0,),
    "day_volume": (500,), "sig_score": (0.5, 0.95), "bullish_ratio_15m": (0.7, 0.5), "time_et": (36_000_000,),
    "side": ("ASK", "BID"), "expiration": (20260116,), "session_date": (20251210,), "spot_age_ms": (150,),
}  # fmt: skip
"""Usual values by field, tried first where a row is made up."""

_DIGITS: Final = 40
"""Characters of a double that is written out; the language reads as many digits."""
_FIRST: Final = ("symbol", "right", "dte", "value")
_SAID: Final = {
    "symbol": "{}", "right": "{}", "value": "{}", "dte": "{} dte", "vol_oi_ratio": "vol/oi {}", "otm_pct": "{} otm",
    "size": "{} contracts", "repeat3m": "repeat {}", "sig_score": "score {}", "time_et": "at {}",
}  # fmt: skip


def in_words(row: Mapping[str, Value]) -> str:
    """A sparse row as a trader says it; ``any print`` when nothing of it matters."""
    names = sorted(row, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    parts = [_part(name, row[name]) for name in names]
    if "symbol" in row and "right" in row:
        parts[:2] = [f"{parts[0]} {parts[1]}"]
    return ", ".join(parts) or "any print"


def _part(name: str, value: Value) -> str:
    if name.startswith("@"):
        return f"{name} {'unknown' if value is None else 'on' if value else 'off'}"
    field = BY_NAME[name]
    label = field.label if field.label.isupper() else field.label[0].lower() + field.label[1:]
    if value is None:
        return f"{label} unknown"
    if isinstance(value, bool):
        return label if value else f"not {label}"
    said = literal(value, field.type)
    return _SAID.get(name, f"{label} {{}}").format(said.lower() if name == "right" else said)


def literal(value: Value, type_: Type) -> str:
    """A stored value as rules write it, words without quotes; dollars with their thousands apart."""
    here = Span(0, 0)
    match type_.kind, value:
        case Kind.MONEY, int():
            dollars, rest = divmod(abs(value), 10**MONEY_SCALE)
            cents = f"{rest:0{MONEY_SCALE}d}".rstrip("0")
            return f"{'-' * (value < 0)}${dollars:,}" + (f".{cents:0<2}" if cents else "")
        case Kind.DURATION, int():
            return f"{value}ms" if value % 1000 else f"{value // 1000}s"
        case Kind.DATE, int():
            return print_expression(n.DateLit(span=here, value=value))
        case Kind.TIME, int():
            return print_expression(n.TimeLit(span=here, value=value))
        case Kind.TS, int():
            return print_expression(n.TsLit(span=here, value=value))
        case Kind.PERCENT, float():
            return f"{_decimal(value)}%"
        case _, float():
            return _decimal(value)
        case _:
            return str(value).lower() if isinstance(value, bool) else str(value)


def _decimal(value: float) -> str:
    """The shortest digits that are read as the same double, with an exponent where they are too many for a rule."""
    text = f"{Decimal(repr(value + 0.0)):f}"  # of the two zeros the one without a sign
    return text.removesuffix(".0") if len(text) <= _DIGITS else repr(value)
