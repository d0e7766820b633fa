"""Synthetic rows in a store: raw values by hand, enriched values made up, chips by the packaged rules."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from phenix.app import packaged_bundle
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.flow import ENRICHED, INDEX, RAW, STORED
from phenix.engine.store.base import Batch, RuleVersion, Writer
from phenix.engine.store.sqlite import open_writer

SESSION = 20260918
OPEN_UTC = 1_789_738_200_000  # 2026-09-18 09:30 in New York
ET = -4 * 3_600_000
SYMBOLS = ("SPY", "QQQ", "BRK.B", "SPX")


def made(number: int, seed: int = 0, **values: Any) -> list[Any]:
    """The n-th made-up row, the same each time; ``values`` by field name. Seq is left to the store."""
    rng = random.Random(f"{seed} {number}")
    ts = OPEN_UTC + number * 40
    symbol = rng.choice(SYMBOLS)
    price = rng.randrange(1, 2_000) * 100
    size = rng.choice((1, 3, 10, 250, 1_000))
    oi = rng.choice((None, 0, 10, 5_000))
    volume = size + rng.randrange(5_000)
    spot = rng.choice((None, 6_600_000))
    side = rng.choice((None, "AA", "ASK", "BID", "MID"))
    row: dict[str, Any] = {
        "trade_id": (seed << 40) + number, "trade_ts_utc": ts, "trade_ts_et": ts + ET, "session_date": SESSION,
        "session": "regular", "symbol": symbol, "root": symbol.replace(".", ""),
        "expiration": 20260918 + rng.randrange(3),
        "strike": 6_500_000 + rng.randrange(40) * 10_000, "right": rng.choice(("CALL", "PUT")), "price": price,
        "size": size, "bid": price - 100, "ask": price + 100, "quote_ts_utc": ts - 5,
        "condition": rng.choice((0, 18, 95, 130)),
        "exchange": rng.choice((5, 76)), "sequence": number - 50, "adjusted": 0, "spot": spot,
        "spot_age_ms": None if spot is None else 12, "spot_source": None if spot is None else "file", "oi": oi,
        "ingested_at_utc": ts + 30,
        "value": price * size * 100, "dte": rng.randrange(3), "otm_pct": None if spot is None else rng.uniform(-5, 5),
        "side": side, "aggressiveness": None if side is None else rng.choice((-1.0, 0.0, 1.0)),
        "sentiment": rng.choice(("bullish", "bearish", "neutral")), "day_volume": volume,
        "vol_oi_ratio": None if oi is None else volume / max(oi, 1),
        "repeat3m": None if side is None else rng.randrange(1, 25),
        "symbol_vol_1m": volume, "symbol_vol_baseline_15m": rng.choice((None, 12.5)), "open_window_baseline": None,
        "bullish_ratio_15m": rng.choice((None, 0.0, 0.5, 1.0)), "value_pctile": rng.choice((None, 0.25, 0.5)),
        "side_confidence": None if side is None else 0.85, "opening": None if oi is None else 0,
        "score_quality": "partial", "missing_metrics": "", "enriched_at_utc": ts + 31,
    }  # fmt: skip
    row |= values
    flags = {f.name: 0 for f in ENRICHED if f.type.kind == "bool" and not f.nullable}
    return [{**flags, **row}.get(f.name) for f in STORED]


@cache
def rules() -> Bundle:
    """The packaged rules, compiled once."""
    return packaged_bundle()


OTHER = """edition 1
chip mine "Mine" = @whales or symbol = SPY
"""


@cache
def other_rules() -> Bundle:
    """Rules with whales from another threshold, another score, and a chip of their own."""
    sources = [
        Source(one.name, one.text.replace("money = 500k", "money = 50k").replace("0.35 *", "0.25 *"))
        for one in read_rules()
    ]
    bundle, found = compile_bundle([*sources, Source("mine.phx", OTHER)])
    assert bundle is not None, found
    return bundle


class Store:
    """A store being written; rows are made in order, ``cancel`` takes an earlier one back."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path = path
        self.url = f"sqlite:{path}"
        self.seed = seed
        self.made = 0
        self.writer: Writer = open_writer(path)
        self.bundle = rules()
        if self.writer.reads.rule_version() is None:
            version = (self.bundle.version, self.bundle.config_json, self.bundle.checksum)
            self.writer.put_rule_version(RuleVersion(*version, False, 1, None, None), activate=True, now_utc=1)

    def add(self, count: int = 1, **values: Any) -> list[list[Any]]:
        """Append made-up rows in one commit; returns them with their seqs."""
        rows = [made(self.made + i, self.seed, **values) for i in range(count)]
        self.made += count
        return self.put(rows)

    def put(self, rows: Sequence[list[Any]], cancels: Sequence[tuple[int, int]] = ()) -> list[list[Any]]:
        """Append rows; ``cancels`` are (position of the record among them, seq it takes back)."""
        tag = self.bundle.tag  # compiled now: nothing waits for it that a server could see
        appended = self.writer.append(Batch(rows=[row[: len(RAW)] for row in rows]))
        assert appended.duplicates == 0
        stored = [[*raw, *row[len(RAW) :]] for row, raw in zip(rows, appended.rows, strict=True)]
        tag(stored)
        taken = [(original, stored[position][0]) for position, original in cancels]
        self.writer.append_enriched([(*row[:2], *row[len(RAW) :]) for row in stored], taken)
        return stored

    def cancel(self, original: Sequence[Any]) -> list[Any]:
        """Take a row back; returns the record."""
        record = made(self.made, self.seed, cancel_record=1, condition=40, symbol=original[INDEX["symbol"]])
        self.made += 1
        return self.put([record], [(0, original[0])])[0]

    def keep(self, bundle: Bundle) -> None:
        """Keep a rule version that is not active."""
        self.writer.put_rule_version(
            RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)
        )

    def close(self) -> None:
        self.writer.close()
