"""Random rows valid in the store, their values at and next to every constant of the rules at hand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.types import Kind, Value
from phenix.engine.certify.literals import DAYS, INSTANTS, PATTERNS, SYMBOLS, TIMES
from phenix.engine.flow import INDEX, STORED, Field

__all__ = ["PLAIN", "Row", "constants", "draw_rows", "plain"]

Row = list[Any]
"""Values of STORED in order, stored units, None unknown."""

PLAIN: Final[Mapping[str, Any]] = {
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
"""An ordinary print; what it does not name is unknown."""

_COMMON: Final[Mapping[Kind, tuple[Any, ...]]] = {
    Kind.BOOL: (False, True),
    Kind.INT: (0, 1, 2, 7, 14, 20, 21, 500, 1000, -1),
    Kind.MONEY: (0, 1, 10_000, 20_000, 20_500, 21_000, 21_100, 2_500_000_000),
    Kind.RATIO: (0.0, 0.1, 0.5, 1.0, 3.7, 100.0, 0.30000000000000004),
    Kind.PERCENT: (0.0, 5.0, -15.0, 0.5, 100.0),
    Kind.DURATION: (0, 1, 180_000),
    Kind.DATE: DAYS,
    Kind.TIME: TIMES,
    Kind.TS: INSTANTS,
    Kind.SYMBOL: (*SYMBOLS, "spy", "SPYG", "XSPY", "aap", "", *(p.strip("*") for p in PATTERNS)),
    Kind.TEXT: ("",),
}


def plain(**values: Any) -> Row:
    """The plain row with some values of its own; what neither names is unknown."""
    row: Row = [None] * len(STORED)
    for name, value in {**PLAIN, **values}.items():
        row[INDEX[name]] = value
    return row


def constants(cores: Iterable[c.Core], params: Mapping[str, Value]) -> dict[str, set[Any]]:
    """Every constant the conditions set against a field, by field; of sums and products roughly."""
    out: dict[str, set[Any]] = {}
    for core in cores:
        for node in c.walk(core):
            match node:
                case c.Compare() | c.Extreme() | c.Coalesce():
                    found = {
                        params[x.name] if isinstance(x, c.Param) else x.value
                        for x in c.walk(node)
                        if isinstance(x, c.Const | c.Param)
                    }
                case c.InSet(_, values, _):
                    found = set(values)
                case c.Like(_, _, text, _):
                    found = {text, f"{text}x", f"x{text}", text.swapcase(), text[1:], text[:-1]}
                case _:
                    continue
            for name in c.reads(node):
                out.setdefault(name, set()).update(found)
    return out


def _around(kind: Kind, value: Any) -> Iterable[Any]:
    """A constant as values of a kind, and those beside it; a scaled one also at coarser scales."""
    if value is None or isinstance(value, bool | str):
        yield value
    elif kind is Kind.DATE:
        if isinstance(value, int) and value in range(19900101, 20991232):
            day = date(value // 10_000, value // 100 % 100, value % 100)
            yield from (int(f"{day + timedelta(days=step):%Y%m%d}") for step in (-1, 0, 1))
    elif kind in (Kind.RATIO, Kind.PERCENT):
        near = float(value)
        step = max(abs(near) * 2.0**-52, 2.0**-60)  # the next double or so
        yield from (near, near - step, near + step, -near)
    else:
        # A constant stands at the scale of its comparison, which may be finer than the field's.
        for scale in (1, 10, 10_000):
            near = int(value) // scale
            yield from (near - 1, near, near + 1, -near)


def _fits(field: Field, value: Any) -> bool:
    kind, lo, hi = field.type.kind, field.type.lo, field.type.hi
    if kind is Kind.BOOL or isinstance(value, bool):
        return kind is Kind.BOOL and isinstance(value, bool)
    if kind is Kind.ENUM:
        return value in field.type.members
    if kind in (Kind.SYMBOL, Kind.TEXT):
        return isinstance(value, str)
    return isinstance(value, int | float) and (lo is None or lo <= value) and (hi is None or value <= hi)


def _pool(field: Field, fixed: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Values beside the constants of the rules, and values that fields of the kind share."""
    kind = field.type.kind
    edges = [x for x in (field.type.lo, field.type.hi) if x is not None]
    near = [v for value in fixed for v in _around(kind, value)]
    common = [*_COMMON.get(kind, ()), *field.type.members, *(v for edge in edges for v in _around(kind, edge))]

    def kept(values: list[Any]) -> list[Any]:
        return sorted({v for v in values if v is not None and _fits(field, v)}, key=repr)

    near, common = kept(near), kept(common)
    return near or common, common


def draw_rows(
    rng: random.Random, count: int, cores: Sequence[c.Core], params: Mapping[str, Value], as_of: int
) -> list[Row]:
    """Rows numbered from 1, unknown wherever the catalog allows it, chips not yet decided.

    ``as_of`` is the seq they will be read at: some are cancelled just before, at and after it.
    """
    fixed = constants(cores, params)
    pools = [_pool(field, fixed.get(field.name, ())) for field in STORED]
    special: dict[int, Callable[[], Any]] = {
        INDEX["chips_set"]: lambda: 0,
        INDEX["chips_known"]: lambda: 0,
        INDEX["cancelled_seq"]: lambda: rng.choice((None, None, None, 1, as_of - 1, as_of, as_of + 1, 2**53)),
        INDEX["trade_ts_et"]: lambda: rng.choice(INSTANTS) // 86_400_000 * 86_400_000 + rng.choice(clock),
        # Such prints carry no chips: a few suffice.
        INDEX["compression"]: lambda: rng.random() < 0.03,
        INDEX["cancel_record"]: lambda: rng.random() < 0.03,
    }
    clock = sorted(
        {*TIMES, *(v for x in fixed.get("time_et", ()) for v in _around(Kind.TIME, x) if 0 <= v < 86_400_000)}
    )
    out = []
    for number in range(1, count + 1):
        unknown = rng.choice((0.0, 0.1, 0.3, 0.9))
        row: Row = []
        for i, (near, common) in enumerate(pools):
            if i in special:
                row.append(special[i]())
            elif STORED[i].nullable and rng.random() < unknown:
                row.append(None)
            else:
                row.append(rng.choice(near if rng.random() < 0.7 else common))
        row[INDEX["seq"]] = row[INDEX["trade_id"]] = number
        out.append(row)
    return out
