"""A small seeded session as files of the vendor's layout: prints, open interest, underlying quotes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["Print", "session", "write_open_interest", "write_prints", "write_underlying"]

DAY = "2026-09-18"
_OPEN = datetime(2026, 9, 18, 9, 30, tzinfo=UTC)  # New York wall clock, as the vendor writes it
_PRINTS = (
    "symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,"
    "ext_condition3,ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,"
    "ask_size,ask_exchange,ask,ask_condition"
)
_SPOTS = {"SPY": 660.0, "QQQ": 590.0, "NVDA": 176.0, "TSLA": 420.0, "GME": 24.0}
_EXPIRIES = ("2026-09-18", "2026-09-25", "2026-10-16", "2026-12-18", "2028-01-21")
_CONDITIONS = (18, 18, 18, 95, 125, 130, 131)


@dataclass(frozen=True, slots=True)
class Print:
    """One line of a trade_quote file; times on the New York clock."""

    symbol: str
    expiration: str
    strike: float
    right: str
    at: datetime
    sequence: int
    condition: int
    size: int
    price: float
    bid: float
    ask: float

    def line(self) -> str:
        """The line, without its end."""
        at = self.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.at.microsecond // 1000:03d}"
        return (
            f"{self.symbol},{self.expiration},{self.strike:.3f},{self.right},{at},{at},{self.sequence},255,255,255,255,"
            f"{self.condition},{self.size},5,{self.price:.2f},10,5,{self.bid:.2f},50,10,5,{self.ask:.2f},50"
        )

    def cancel(self, after: timedelta) -> Print:
        """The record that takes the print back."""
        return replace(self, at=self.at + after, sequence=self.sequence + 1_000_000, condition=40)


def session(count: int, start: timedelta = timedelta(), seed: int = 1) -> list[Print]:
    """``count`` prints, half a second apart, from ``start`` after the open on."""
    chance = random.Random(seed)
    prints = []
    for number in range(count):
        symbol, spot = chance.choice(tuple(_SPOTS.items()))
        step = 5 if spot > 100 else 1
        bid = round(chance.uniform(0.05, 9), 2)
        ask = round(bid + chance.choice((0.01, 0.05, 0.2)), 2)
        price = chance.choice((bid, ask, round(ask + 0.05, 2), round((bid + ask) / 2, 2)))
        prints.append(
            Print(
                symbol,
                chance.choice(_EXPIRIES),
                round(spot * chance.uniform(0.93, 1.07) / step) * step,
                chance.choice(("CALL", "PUT")),
                _OPEN + start + timedelta(milliseconds=500 * number),
                seed * 10_000 + number,
                chance.choice(_CONDITIONS),
                min(4000, int(chance.paretovariate(0.7))),
                price,
                bid,
                ask,
            )
        )
    return prints


def write_prints(path: Path, prints: Sequence[Print]) -> Path:
    """A trade_quote file."""
    path.write_text("\n".join((_PRINTS, *(each.line() for each in prints), "")))
    return path


def write_underlying(path: Path) -> Path:
    """A quote of every underlying at the open."""
    lines = ["timestamp,symbol,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition"]
    for symbol, spot in _SPOTS.items():
        if symbol != "GME":  # one without a spot: its OTM cannot be decided
            lines.append(f"{DAY}T09:29:59,{symbol},1,1,{spot - 0.01:.4f},0,1,1,{spot + 0.01:.4f},0")
    path.write_text("\n".join((*lines, "")))
    return path


def write_open_interest(path: Path, prints: Sequence[Print]) -> Path:
    """Open interest of two contracts in three; the others stay unknown."""
    contracts = sorted({(p.symbol, p.expiration, p.strike, p.right) for p in prints})
    lines = ["symbol,expiration,strike,right,timestamp,open_interest"]
    for number, (symbol, expiration, strike, right) in enumerate(contracts):
        if number % 3:
            lines.append(f"{symbol},{expiration},{strike:.3f},{right},{DAY}T06:30:00,{number * 37 % 900}")
    path.write_text("\n".join((*lines, "")))
    return path
