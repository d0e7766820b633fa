"""Raw rows for tests: one print with sensible values, any of them replaced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from phenix.engine.blocks import Block
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import utc_of, wall_of
from phenix.engine.enrich.enricher import Enriched, Enricher
from phenix.engine.enrich.formulas import trade_id
from phenix.engine.enrich.roots import adjusted, underlying
from phenix.engine.flow import ENRICHED, RAW
from phenix.engine.targets.arrays import Column

__all__ = ["CALENDAR", "Rules", "enrich", "et", "raw"]

CALENDAR = Calendar.packaged()
NAMES = [field.name for field in ENRICHED]


class Rules:
    """A rule version without chips, which marks what it saw."""

    def __init__(self, version: str = "v1", aa_floor: int = 100, packages_are_neutral: bool = True) -> None:
        self.version = version
        self.aa_floor = aa_floor
        self.aa_spread = Fraction(1, 10)
        self.packages_are_neutral = packages_are_neutral

    def tag(self, block: Block) -> dict[str, Column]:
        """Set a chip on every row."""
        ones = Column(np.ones(block.rows, np.int64))
        return {"chips_set": ones, "chips_known": ones}


def et(date: int, clock: str) -> int:
    """UTC milliseconds of a New York date and ``HH:MM[:SS[.mmm]]``."""
    hours, minutes, seconds = [*clock.split(":"), "0"][:3]
    return utc_of(date, int(hours) * 3_600_000 + int(minutes) * 60_000 + round(float(seconds) * 1000))


def raw(seq: int, at: int, **values: Any) -> tuple[Any, ...]:
    """A raw row at a UTC time: 10 SPY calls at 2.05 on 2.00 x 2.10, spot 500, unless told otherwise."""
    row: dict[str, Any] = {
        "seq": seq, "trade_ts_utc": at, "trade_ts_et": wall_of(at), "root": "SPY", "expiration": 20260116,
        "strike": 500_0000, "right": "CALL", "price": 2_0500, "size": 10, "bid": 2_0000, "ask": 2_1000,
        "quote_ts_utc": at, "condition": 18, "exchange": 5, "sequence": seq, "spot": 500_0000, "spot_age_ms": 0,
        "spot_source": "file", "oi": 100, "ingested_at_utc": at,
    }  # fmt: skip
    row |= values
    row.setdefault("symbol", underlying(row["root"]))
    row.setdefault("adjusted", adjusted(row["root"]))
    session_date, session = CALENDAR.session(row["root"], row["symbol"], at)
    row.setdefault("session_date", session_date)
    row.setdefault("session", session)
    row.setdefault("trade_id", trade_id(
        row["root"], row["expiration"], row["strike"], row["right"], at, row["price"], row["size"], row["condition"],
        row["exchange"], row["sequence"],
    ))  # fmt: skip
    return tuple(row[field.name] for field in RAW)


def enricher(stored: Sequence[Sequence[Any]], rules: Rules | None = None) -> Enricher:
    """An enricher over stored rows (which must be in seq order)."""

    def history(session_date: int, before_seq: int, after_seq: int) -> Iterable[Sequence[Any]]:
        return (row for row in stored if row[4] == session_date and after_seq < row[0] < before_seq)

    return Enricher(CALENDAR, rules or Rules(), history, lambda: 1_700_000_000_000)


def enrich(rows: Sequence[Sequence[Any]], rules: Rules | None = None) -> tuple[list[dict[str, Any]], Enriched]:
    """Enrich rows in one batch, as dictionaries by field name and as returned."""
    result = enricher(rows, rules).enrich(rows)
    return [dict(zip(NAMES, row, strict=True)) for row in result.rows], result
