"""The formulas of a row, over columns: pure functions of values in stored units.

Money is an int in ten-thousandths of a dollar, so every comparison is exact; ratios are one division
of ints wherever the definition allows, hence correctly rounded. What a column does not know stays unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from phenix.engine.flow import BY_NAME
from phenix.engine.targets.arrays import Column, Mask, Words

__all__ = [
    "AA",
    "ASK",
    "BEARISH",
    "BULLISH",
    "MULTIPLIER",
    "NEUTRAL",
    "SENTIMENTS",
    "SIDES",
    "Constants",
    "Ints",
    "Rules",
    "aggressiveness",
    "beyond",
    "dte",
    "opening",
    "otm_pct",
    "premium",
    "sentiment",
    "side",
    "side_confidence",
    "spot_mid",
    "touched",
    "trade_id",
    "value_bucket",
    "vol_oi_ratio",
]

Ints = NDArray[np.int64]
"""A column of whole numbers, known everywhere."""

MULTIPLIER: Final = 100
"""Shares of a contract; the premium of an adjusted contract is shown with it too, and marked."""

SIDES: Final = Words(BY_NAME["side"].type.members)
"""Words of the column of sides."""
SENTIMENTS: Final = Words(BY_NAME["sentiment"].type.members)
"""Words of the column of sentiments."""
BULLISH: Final = SENTIMENTS.code("bullish")
BEARISH: Final = SENTIMENTS.code("bearish")
NEUTRAL: Final = SENTIMENTS.code("neutral")

AA: Final = SIDES.code("AA")
ASK: Final = SIDES.code("ASK")

_BID, _MID = (SIDES.code(word) for word in ("BID", "MID"))
_CONFIDENCE: Final = np.array([{"AA": 1.0, "ASK": 0.85, "BID": 0.7, "MID": 0.25}[side] for side in SIDES.words])

_DAY: Final = 86_400_000
_OWN_BUCKET_BITS: Final = 7
_WORD: Final = 2**32
"""Fractions of smaller numbers times a price stay within 64 bits."""


class Rules(Protocol):
    """What has constants of the formulas."""

    @property
    def aa_floor(self) -> int: ...
    @property
    def aa_spread(self) -> Fraction: ...
    @property
    def packages_are_neutral(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Constants:
    """What the formulas take from a rule version; all else that is known of a print is the same under any."""

    aa_floor: int
    aa_spread: Fraction
    packages_are_neutral: bool

    @classmethod
    def of(cls, rules: Rules) -> Constants:
        """The constants of a rule version."""
        return cls(rules.aa_floor, rules.aa_spread, rules.packages_are_neutral)


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


def premium(price: Any, size: Any) -> Any:
    """Price times size times the multiplier, of one print or of columns."""
    return price * size * MULTIPLIER


def dte(expiration_day: Ints, trade_ts_et: Ints) -> Ints:
    """Days from the trade's calendar date in New York to the expiration's, both counted from 1970-01-01."""
    return expiration_day - trade_ts_et // _DAY


def otm_pct(call: Mask, strike: Ints, spot: Column, adjusted: Mask) -> Column:
    """Percent of spot the strike lies out of the money; negative is in; unknown without a spot above 0."""
    known = (spot.values > 0) & ~adjusted
    if spot.known is not None:
        known &= spot.known
    away = np.where(call, strike - spot.values, spot.values - strike)
    return Column(100 * away / np.where(known, spot.values, 1), known)


def touched(price: Ints, bid: Column, ask: Column) -> Column:
    """The side of the quote that was reached: ASK, BID or MID; unknown without a usable quote (``ask > bid >= 0``)."""
    known = (ask.values > bid.values) & (bid.values >= 0)
    for quote in (bid, ask):
        if quote.known is not None:
            known &= quote.known
    codes = np.full(len(price), _MID, np.uint8)
    codes[price <= bid.values] = _BID
    codes[price >= ask.values] = ASK
    return Column(codes, known, SIDES)


def beyond(above: Ints, spread: Ints, constants: Constants) -> Mask:
    """Whether a price so far above the ask is AA: at least ``max(aa_floor, aa_spread * spread)``."""
    share = constants.aa_spread.as_integer_ratio()
    exact = np.int64 if max(share) < _WORD else object
    far: Mask = above.astype(exact) * share[1] >= spread.astype(exact) * share[0]
    return far & (above >= max(constants.aa_floor, 0))


def side(touch: Column, far: Mask) -> Column:
    """AA, ASK, BID or MID: the side that was reached, and AA where the price is far :func:`beyond` it."""
    codes = touch.values.copy()
    codes[far] = AA
    return Column(codes, touch.known, SIDES)


def side_confidence(side: Column) -> Column:
    """How far a side tells who began the trade."""
    return Column(_CONFIDENCE[side.values], side.known)


def aggressiveness(price: Ints, bid: Column, ask: Column, side: Column) -> Column:
    """Where the price lies in a quote: -1 at the bid, 0 at the mid, +1 at the ask; unknown where the side is."""
    spread = ask.values - bid.values
    if side.known is not None:
        spread = np.where(side.known, spread, 1)
    return Column((2 * price - ask.values - bid.values) / spread, side.known)


def sentiment(call: Mask, side: Column) -> Column:
    """Bullish for a call bought or a put sold, bearish for the reverse, neutral for the rest."""
    plain = side.values == _MID
    if side.known is not None:
        plain |= ~side.known
    moods = np.where((side.values == _BID) ^ call, BULLISH, BEARISH).astype(np.uint8)
    moods[plain] = NEUTRAL
    return Column(moods, None, SENTIMENTS)


def vol_oi_ratio(day_volume: Ints, oi: Column) -> Column:
    """The day's volume against open interest, taken as at least one; unknown when that is."""
    return Column(day_volume / np.maximum(oi.values, 1), oi.known)


def opening(size: Ints, day_volume: Ints, oi: Column) -> Column:
    """Whether the print must open: larger than open interest and all earlier volume; unknown when oi is unknown."""
    return Column(size > oi.values + day_volume - size, oi.known)


def value_bucket(value: Ints) -> Ints:
    """The bucket of premiums below 2**53 in the log-linear histogram: 64 to each doubling, exact below 128."""
    shift = np.maximum(np.frexp(value.astype(np.float64))[1].astype(np.int64) - _OWN_BUCKET_BITS, 0)
    buckets: Ints = 64 * shift + (value >> shift)
    return buckets
