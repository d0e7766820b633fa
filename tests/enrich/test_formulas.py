"""The pure formulas at their boundaries."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenix.engine.blocks import cells_of
from phenix.engine.enrich.formulas import (
    SIDES,
    Constants,
    aggressiveness,
    beyond,
    dte,
    opening,
    otm_pct,
    premium,
    sentiment,
    side,
    spot_mid,
    touched,
    trade_id,
    value_bucket,
    vol_oi_ratio,
)
from phenix.engine.targets.arrays import Column

TENTH = Fraction(1, 10)


def ints(*values: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(values, np.int64)


def maybe(value: int | None) -> Column:
    """A column of one row that may be unknown, of the prices around it."""
    return Column(ints(value or 0), None if value is not None else np.array([False]))


def sided(side: str | None) -> Column:
    return Column(np.array([SIDES.code(side or "AA")], np.uint8), np.array([side is not None]), SIDES)


def side_of(price: int, bid: int | None, ask: int | None, aa_floor: int, aa_spread: Fraction) -> Any:
    """The side of one print."""
    quote, constants = (maybe(bid), maybe(ask)), Constants(aa_floor, aa_spread, packages_are_neutral=True)
    above, spread = ints(price) - quote[1].values, quote[1].values - quote[0].values
    return one(side, touched(ints(price), *quote), beyond(above, spread, constants))


def one(formula: Callable[..., Column], *values: Any) -> Any:
    """A formula's answer for one row."""
    return cells_of(formula(*values))[0]


@pytest.mark.parametrize(
    ("price", "bid", "ask", "expected"),
    [
        (2_1100, 2_0000, 2_1000, "AA"),  # exactly a cent above, exactly a tenth of the spread
        (2_1099, 2_0000, 2_1000, "ASK"),
        (2_1000, 2_0000, 2_1000, "ASK"),
        (2_0999, 2_0000, 2_1000, "MID"),
        (2_0001, 2_0000, 2_1000, "MID"),
        (2_0000, 2_0000, 2_1000, "BID"),
        (1_0000, 2_0000, 2_1000, "BID"),
        (2_0200, 2_0000, 2_0100, "AA"),  # a narrow quote: the cent decides
        (2_0199, 2_0000, 2_0100, "ASK"),
        (5_2000, 3_0000, 5_0000, "AA"),  # a wide quote: the tenth decides
        (5_1999, 3_0000, 5_0000, "ASK"),
        (5_1100, 3_0000, 5_0000, "ASK"),
        (600, 0, 500, "AA"),  # bid 0 is a usable quote
        (0, 0, 500, "BID"),
        (2_1100, None, 2_1000, None),
        (2_1100, 2_0000, None, None),
        (2_1100, None, None, None),
        (2_1000, 2_1000, 2_1000, None),  # locked
        (2_1000, 2_1000, 2_0000, None),  # crossed
        (2_1000, 0, 0, None),
        (2_1000, -1, 2_0000, None),
    ],
)
def test_side(price: int, bid: int | None, ask: int | None, expected: str | None) -> None:
    assert side_of(price, bid, ask, 100, TENTH) == expected


@pytest.mark.parametrize(
    ("price", "aa_floor", "aa_spread", "expected"),
    [
        (2_1100, 101, TENTH, "ASK"),
        (2_1100, 100, Fraction(1, 9), "ASK"),
        (2_1334, 100, Fraction(1, 3), "AA"),
        (2_1333, 100, Fraction(1, 3), "ASK"),
        (2_1334, 100, Fraction(10**20, 3 * 10**20 + 1), "AA"),  # beyond 64 bits, and exact still
        (2_1333, 100, Fraction(10**20, 3 * 10**20 + 1), "ASK"),
        (2_1000, 0, Fraction(0), "AA"),
    ],
)
def test_side_takes_any_constants(price: int, aa_floor: int, aa_spread: Fraction, expected: str) -> None:
    assert side_of(price, 2_0000, 2_1000, aa_floor, aa_spread) == expected


@pytest.mark.parametrize(
    ("right", "side_", "expected"),
    [
        ("CALL", "AA", "bullish"), ("CALL", "ASK", "bullish"), ("CALL", "BID", "bearish"), ("CALL", "MID", "neutral"),
        ("PUT", "AA", "bearish"), ("PUT", "ASK", "bearish"), ("PUT", "BID", "bullish"), ("PUT", "MID", "neutral"),
        ("CALL", None, "neutral"), ("PUT", None, "neutral"),
    ],
)  # fmt: skip
def test_sentiment(right: str, side_: str | None, expected: str) -> None:
    assert one(sentiment, np.array([right == "CALL"]), sided(side_)) == expected


def test_aggressiveness() -> None:
    quote = Column(ints(*[2_0000] * 5)), Column(ints(*[2_1000] * 4, 2_0000))
    sides = Column(np.zeros(5, np.uint8), np.array([True] * 4 + [False]), SIDES)
    found = aggressiveness(ints(2_0000, 2_0500, 2_1000, 2_1500, 2_1500), *quote, sides)
    assert cells_of(found) == [-1.0, 0.0, 1.0, 2.0, None]


def test_dte_counts_calendar_days() -> None:
    assert dte(ints(20_000, 20_000, 20_000), 86_400_000 * ints(20_000, 20_001, 19_990) - 1).tolist() == [1, 0, 11]


@pytest.mark.parametrize(
    ("right", "strike", "spot", "expected"),
    [
        ("CALL", 105_0000, 100_0000, 5.0),
        ("CALL", 107_0000, 100_0000, 7.0),  # 0.07 * 100 is not 7 in doubles: one division is
        ("PUT", 105_0000, 100_0000, -5.0),
        ("PUT", 95_0000, 100_0000, 5.0),
        ("CALL", 100_0000, 100_0000, 0.0),
        ("CALL", 100_0000, None, None),
        ("CALL", 100_0000, 0, None),
    ],
)
def test_otm_pct(right: str, strike: int, spot: int | None, expected: float | None) -> None:
    call = np.array([right == "CALL"])
    assert one(otm_pct, call, ints(strike), maybe(spot), np.array([False])) == expected
    assert one(otm_pct, call, ints(strike), maybe(spot), np.array([True])) is None


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        (15_1000, 15_1000, 15_1000), (100, 101, 100), (100, 103, 101), (None, 100, None), (100, None, None),
        (0, 100, None), (100, 0, None), (-1, 100, None), (100, -1, None), (102, 100, 101),
    ],
)  # fmt: skip
def test_spot_mid_rounds_down_and_needs_two_sides(bid: int | None, ask: int | None, expected: int | None) -> None:
    assert spot_mid(bid, ask) == expected


def test_premium_is_exact() -> None:
    assert premium(2_1100, 3) == 633_0000
    assert premium(999_999_9999, 10_000_000) == 9_999_999_999_000_000_000


def test_vol_oi_ratio() -> None:
    assert [one(vol_oi_ratio, ints(10), maybe(oi)) for oi in (None, 0, 4)] == [None, 10.0, 2.5]


def test_opening_is_proof() -> None:
    assert one(opening, ints(50), ints(60), maybe(39)) is True  # 50 > 39 + 10
    assert one(opening, ints(50), ints(60), maybe(40)) is False
    assert one(opening, ints(50), ints(60), maybe(None)) is None
    assert one(opening, ints(1), ints(1), maybe(0)) is True


def test_value_bucket_edges() -> None:
    edges = ints(0, 1, 127, 128, 129, 130, 255, 256)
    assert value_bucket(edges).tolist() == [0, 1, 127, 128, 128, 129, 191, 192]


@settings(derandomize=True, database=None)
@given(st.integers(0, 2**52) | st.integers(1, 52).map(lambda bits: 2**bits - 1))
def test_value_bucket_keeps_order_and_is_fine(value: int) -> None:
    here, next_, far = value_bucket(ints(value, value + 1, value + value // 64 + 1)).tolist()
    assert here <= next_
    assert here < far
    shift = max(value.bit_length() - 7, 0)
    assert here == 64 * shift + (value >> shift)


IDENTITY = ("AAPL", 20241115, 220_0000, "CALL", 1730730602064, 4_1500, 1, 18, 5, 19598457)


def test_prints_that_differ_in_the_sequence_alone_are_two() -> None:
    assert trade_id(*IDENTITY) == trade_id(*IDENTITY)
    assert trade_id(*IDENTITY) != trade_id(*IDENTITY[:-1], 19598464)


def test_every_part_of_the_identity_counts() -> None:
    ids = {trade_id(*IDENTITY)}
    for i, part in enumerate(IDENTITY):
        other = part + 1 if isinstance(part, int) else part + "X"
        ids.add(trade_id(*IDENTITY[:i], other, *IDENTITY[i + 1 :]))  # type: ignore[arg-type]
    assert len(ids) == 1 + len(IDENTITY)
    assert all(0 <= found < 2**63 for found in ids)


def test_the_identity_never_changes() -> None:
    assert trade_id(*IDENTITY) == 5222017427127485227
