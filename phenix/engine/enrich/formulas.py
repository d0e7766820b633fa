"""The formulas of a row: pure functions of values in stored units.

Money is an int in ten-thousandths of a dollar, so every comparison is exact; ratios are one division
of ints wherever the definition allows, hence correctly rounded. None is unknown.
"""

from __future__ import annotations

from fractions import Fraction
from hashlib import blake2b
from typing import Final

__all__ = [
    "MULTIPLIER",
    "SIDE_CONFIDENCE",
    "aggressiveness",
    "opening",
    "otm_pct",
    "premium",
    "sentiment",
    "side",
    "spot_mid",
    "trade_id",
    "value_bucket",
    "vol_oi_ratio",
]

MULTIPLIER: Final = 100
"""Shares of a contract; the premium of an adjusted contract is shown with it too, and marked."""

SIDE_CONFIDENCE: Final = {"AA": 1.0, "ASK": 0.85, "BID": 0.7, "MID": 0.25, None: None}
"""How far a side tells who began the trade."""

_OWN_BUCKET_BITS: Final = 7


def trade_id(
    root: str, expiration: int, strike: int, right: str, trade_ts_utc: int, price: int, size: int, condition: int,
    exchange: int, sequence: int,
) -> int:  # fmt: skip
    """The identity of a print as a 63-bit hash; exchange and sequence tell otherwise equal prints apart."""
    identity = f"{root}|{expiration}|{strike}|{right}|{trade_ts_utc}|{price}|{size}|{condition}|{exchange}|{sequence}"
    return int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big") >> 1


def spot_mid(bid: int | None, ask: int | None) -> int | None:
    """The mid of a two-sided underlying quote, rounded down; None when a side is missing or zero."""
    if not bid or not ask or bid < 0 or ask < 0:
        return None
    return (bid + ask) // 2


def premium(price: int, size: int) -> int:
    """Price times size times the multiplier."""
    return price * size * MULTIPLIER


def otm_pct(right: str, strike: int, spot: int | None) -> float | None:
    """Percent of spot the strike lies out of the money; negative is in the money; None without a spot above 0."""
    if not spot or spot < 0:
        return None
    return 100 * (strike - spot if right == "CALL" else spot - strike) / spot


def side(price: int, bid: int | None, ask: int | None, aa_floor: int, aa_spread: Fraction) -> str | None:
    """AA, ASK, BID or MID; None without a usable quote (``ask > bid >= 0``).

    AA is at least ``max(aa_floor, aa_spread * (ask - bid))`` above the ask.
    """
    if bid is None or ask is None or not ask > bid >= 0:
        return None
    if price >= ask:
        above = price - ask
        if above >= aa_floor and above * aa_spread.denominator >= aa_spread.numerator * (ask - bid):
            return "AA"
        return "ASK"
    return "BID" if price <= bid else "MID"


def aggressiveness(price: int, bid: int, ask: int) -> float:
    """Where the price lies in a usable quote: -1 at the bid, 0 at the mid, +1 at the ask."""
    return (2 * price - ask - bid) / (ask - bid)


def sentiment(right: str, side: str | None) -> str:
    """Bullish for a call bought or a put sold, bearish for the reverse, neutral for the rest."""
    if side is None or side == "MID":
        return "neutral"
    return "bullish" if (side == "BID") == (right == "PUT") else "bearish"


def vol_oi_ratio(day_volume: int, oi: int | None) -> float | None:
    """The day's volume against open interest, taken as at least one; None when it is unknown."""
    return None if oi is None else day_volume / (oi or 1)


def opening(size: int, day_volume: int, oi: int | None) -> bool | None:
    """Whether the print must open: larger than open interest and all earlier volume; None when oi is unknown."""
    return None if oi is None else size > oi + day_volume - size


def value_bucket(value: int) -> int:
    """The bucket of a premium in the log-linear histogram: 64 to each doubling, exact below 128."""
    shift = value.bit_length() - _OWN_BUCKET_BITS
    return value if shift <= 0 else 64 * shift + (value >> shift)
