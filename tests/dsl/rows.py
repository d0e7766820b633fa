"""Rows for the language's tests: a plain one, and random ones at and around every constant of the rules."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from phenix.dsl import core as c
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX, STORED

PLAIN: dict[str, Any] = {
    "seq": 7, "trade_id": 1, "trade_ts_utc": 1_718_373_303_122, "trade_ts_et": 1_718_358_903_122,
    "session_date": 20240614, "session": "regular", "symbol": "SPY", "root": "SPY", "expiration": 20240621,
    "strike": 5_000_000, "right": "CALL", "price": 20_500, "size": 10, "bid": 20_000, "ask": 21_000,
    "quote_ts_utc": 1_718_373_303_000, "condition": 18, "exchange": 5, "sequence": -5, "adjusted": False,
    "ingested_at_utc": 1_718_373_303_200, "value": 20_500_000, "dte": 7, "sentiment": "neutral", "day_volume": 10,
    "symbol_vol_1m": 10, "monthly": True, "iso": False, "auction": False, "cross": False, "floor": False,
    "multi_leg": False, "stock_tied": False, "late": False, "compression": False, "cancel_record": False,
    "score_quality": "partial", "missing_metrics": "", "chips_set": 0, "chips_known": 0, "rule_version": "test",
    "enriched_at_utc": 1_718_373_303_300,
}  # fmt: skip


def plain(**values: Any) -> list[Any]:
    """The plain row with some values of its own; whatever neither names is unknown."""
    row: list[Any] = [None] * len(STORED)
    for name, value in {**PLAIN, **values}.items():
        row[INDEX[name]] = value
    return row


def constants(bundle: Bundle) -> dict[str, set[Any]]:
    """Every constant the rules compare a field with, by field."""
    out: dict[str, set[Any]] = {}
    cores = [chip.core for chip in bundle.chips]
    for core in cores:
        for node in c.walk(core):
            match node:
                case c.Compare(_, left, c.Const(_, value)):
                    for name in c.reads(left):
                        out.setdefault(name, set()).add(value)
                case c.Compare(_, left, c.Param(param, _)):
                    for name in c.reads(left):
                        out.setdefault(name, set()).add(bundle.params[param])
                case c.InSet(left, values, _):
                    for name in c.reads(left):
                        out.setdefault(name, set()).update(values)
    return out


def _around(kind: Kind, value: Any) -> Iterable[Any]:
    if isinstance(value, bool | str):
        yield value
    elif kind in (Kind.RATIO, Kind.PERCENT):
        yield from (float(value), value - 1e-9, value + 1e-9, -float(value))
    else:
        yield from (value, value - 1, value + 1)


def random_rows(bundle: Bundle, count: int, seed: int) -> list[list[Any]]:
    """Rows with nulls wherever the catalog allows them, values at and next to the rules' constants."""
    rng = random.Random(seed)
    fixed = constants(bundle)
    pools: list[list[Any]] = []
    for field in STORED:
        kind, type_ = field.type.kind, field.type
        pool: list[Any] = []
        for value in fixed.get(field.name, ()):
            pool += _around(kind, value)
        if kind is Kind.BOOL:
            pool += [True, False]
        elif kind is Kind.ENUM:
            pool += type_.members
        elif kind in (Kind.RATIO, Kind.PERCENT):
            pool += [0.0, 0.5, 1.0, 3.7, 100.0]
        elif kind in (Kind.SYMBOL, Kind.TEXT):
            pool += ["SPY", "AAPL", "spy"]
        elif kind is Kind.DATE:
            pool += [20240614, 20240621, 20991231]
        else:
            pool += [type_.lo, type_.hi, PLAIN.get(field.name, 1) or 1, 500, 10_000]
        if type_.lo is not None and type_.hi is not None:
            pool = [v for v in pool if type_.lo <= v <= type_.hi]
        pools.append(sorted(set(pool), key=repr))
    out = []
    clock = INDEX["trade_ts_et"]
    special = {INDEX["compression"], INDEX["cancel_record"]}
    for seq in range(1, count + 1):
        row = [rng.choice(pool) for pool in pools]
        for i, field in enumerate(STORED):
            if field.nullable and rng.random() < 0.2:
                row[i] = None
            elif i in special:
                row[i] = False
        row[0], row[1] = seq, seq
        # Half of the times of day stand at an edge of the first hour.
        minute = rng.choice((569, 570, 571, 629, 630, rng.randrange(1440)))
        row[clock] = 19_888 * 86_400_000 + minute * 60_000 + rng.choice((0, 59_999))
        out.append(row)
    return out


def read(row: list[Any], name: str, as_of: int = 2**53) -> Any:
    """A field of a row, derived ones included, computed apart from the product's own accessors."""
    if name == "time_et":
        return row[INDEX["trade_ts_et"]] % 86_400_000
    if name == "cancelled":
        seq = row[INDEX["cancelled_seq"]]
        return seq is not None and seq <= as_of
    return row[INDEX[BY_NAME[name].name]]
