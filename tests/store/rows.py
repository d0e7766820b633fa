"""Rows of no particular meaning, valid in the store."""

from __future__ import annotations

from typing import Any

from phenix.dsl.types import Kind
from phenix.engine.flow import ENRICHED, INDEX, RAW

_PLAIN = {Kind.ENUM: "CALL", Kind.SYMBOL: "SPY", Kind.TEXT: "", Kind.RATIO: 0.5, Kind.PERCENT: 0.5}


def raw_row(number: int, **values: Any) -> tuple[Any, ...]:
    """A raw row without a seq; ``number`` makes its identity and its time."""
    row = [None if field.nullable else _PLAIN.get(field.type.kind, 1) for field in RAW]
    row[INDEX["seq"]] = None
    row[INDEX["trade_id"]] = number
    row[INDEX["trade_ts_utc"]] = 1_700_000_000_000 + number
    row[INDEX["session_date"]] = 20240102
    for name, value in values.items():
        row[INDEX[name]] = value
    return tuple(row)


def enriched_row(seq: int) -> tuple[Any, ...]:
    """Seq, trade id and enriched values."""
    return (seq, seq, *(None if field.nullable else _PLAIN.get(field.type.kind, 1) for field in ENRICHED))
