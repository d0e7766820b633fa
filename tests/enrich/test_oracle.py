"""Random prints through the enricher equal a re-computation that looks at all earlier rows each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenix.engine.blocks import cells_of
from phenix.engine.enrich.formulas import Constants
from tests.enrich import oracle
from tests.enrich.prints import NAMES, Rules, enricher, et, raw

TAGGED = {
    "sig_score",
    "score_quality",
    "missing_metrics",
    "chips_set",
    "chips_known",
    "rule_version",
    "enriched_at_utc",
}

CONTRACTS = [
    ("SPXW", 20260818, 6000_0000, "CALL"),
    ("SPX", 20260821, 6000_0000, "PUT"),
    ("AAPL", 20260821, 200_0000, "CALL"),
    ("AAPL1", 20260821, 200_0000, "PUT"),
    ("IBM", 20260817, 250_0000, "PUT"),
]
ANCHORS = [
    et(date, clock)
    for date in (20260817, 20260818)
    for clock in (
        "09:28",
        "09:30",
        "09:44",
        "10:28",
        "10:29",
        "11:00",
        "16:14",
        "16:59",
        "18:00",
        "20:16",
        "03:10",
        "07:31",
    )
]

UNUSABLE = [(None, 2_1000), (2_0000, None), (2_1000, 2_1000), (2_1000, 2_0000), (0, 0), (0, 500)]

prints = st.fixed_dictionaries(
    {
        "contract": st.sampled_from(CONTRACTS),
        "anchor": st.sampled_from([1] * 12 + [2, 3] * 3 + [*range(len(ANCHORS))]),
        "offset": st.integers(0, 12).map(lambda n: n * 20_000) | st.integers(0, 200_000),
        "price": st.sampled_from([0, 1_9900, 2_0000, 2_0500, 2_1000, 2_1100, 2_1099, 2_2500]),
        "size": st.sampled_from([1, 1, 2, 500]),
        "quote": st.sampled_from([(2_0000, 2_1000)] * 4 + UNUSABLE),
        "condition": st.sampled_from([18, 18, 18, 18, 95, 127, 130, 138, 2, 13, 40, 41, 44, 147, 148, 999, -5]),
        "exchange": st.sampled_from([5, 5, 76, -1]),
        "oi": st.sampled_from([None, 0, 1, 400]),
        "spot": st.sampled_from([None, 0, 199_9950, 6123_4500]),
        "cancels": st.none() | st.none() | st.integers(1, 8),  # take back the print this many rows before
    }
)  # fmt: skip


def rows_of(drawn: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for n, line in enumerate(drawn):
        if line["cancels"] and line["cancels"] <= n:
            of = drawn[n - line["cancels"]]
            condition = 40 + line["cancels"] % 5
            line |= {name: of[name] for name in ("contract", "price", "size", "exchange")} | {"condition": condition}
            if line["offset"] % 60_000:
                line["anchor"] = of["anchor"]
        root, expiration, strike, right = line["contract"]
        bid, ask = line["quote"]
        rows.append(raw(
            3 * n + 1, ANCHORS[line["anchor"]] + line["offset"], root=root, expiration=expiration, strike=strike,
            right=right, price=line["price"], size=line["size"], bid=bid, ask=ask, condition=line["condition"],
            exchange=line["exchange"], oi=line["oi"], spot=line["spot"],
        ))  # fmt: skip
    return rows


@settings(max_examples=100)
@given(
    st.lists(prints, min_size=1, max_size=45),
    st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=12),
    st.sampled_from([(100, True), (500, False)]),
)
def test_equals_the_obvious_computation(
    drawn: list[dict[str, Any]], splits: list[tuple[int, bool]], constants: tuple[int, bool]
) -> None:
    agree(rows_of(drawn), splits, constants)


def crowded(rng: random.Random) -> list[tuple[Any, ...]]:
    """One symbol, few prices, every fifth row a cancel of a recent print: what chance alone rarely brings together."""
    rows: list[tuple[Any, ...]] = []
    for seq in range(1, 121):
        at = et(20260817, "09:30") + seq * 2_000 * rng.randrange(1, 8) - rng.choice((0, 0, 0, 90_000))
        values = {"price": rng.choice((2_0000, 2_0500, 2_1000, 2_1100)), "size": rng.randrange(1, 4)}
        if seq > 5 and rng.random() < 0.2:
            of = rng.choice(rows[-12:])
            values = {"price": of[11], "size": of[12], "condition": 40}
        rows.append(raw(seq, at, right="CALL", oi=rng.choice((None, 3)), **values))
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_a_crowded_morning_equals_the_obvious_computation(seed: int) -> None:
    rng = random.Random(seed)
    rows = crowded(rng)
    splits = [(rng.randrange(1, 30), rng.random() < 0.5) for _ in range(5)]
    agree(rows, splits, (100, True))


RULES = [(100, True), (500, False), (1_000, True)]
"""The least distance above the ask for AA, and whether packages are neutral."""


@settings(max_examples=100)
@given(
    st.lists(prints, min_size=1, max_size=45),
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from(RULES), st.sampled_from([None, *RULES])), max_size=12),
)
def test_one_state_serves_whatever_rules_are_active_and_beside(drawn: list[dict[str, Any]], turns: list[Any]) -> None:
    alternate(rows_of(drawn), turns)


@pytest.mark.parametrize("seed", range(8))
def test_one_state_serves_any_rules_on_a_crowded_morning(seed: int) -> None:
    rng = random.Random(seed)
    turns = [(rng.randrange(1, 20), rng.choice(RULES), rng.choice([None, *RULES])) for _ in range(12)]
    alternate(crowded(rng), turns)


def alternate(rows: list[tuple[Any, ...]], turns: list[Any]) -> None:
    """Enrich in batches, each under rules and beside others, and compare with the oracle under either."""
    expected = {rules: oracle.enrich(rows, Decimal(rules[0]) / 10_000, Decimal("0.1"), rules[1])[0] for rules in RULES}
    running, at = enricher(rows), 0
    for length, active, beside in [*turns, (len(rows), RULES[0], RULES[1])]:
        upto = min(at + length, len(rows))
        running.activate(Rules("v1", *active))
        result = running.enrich(rows[at:upto], beside and Constants.of(Rules("v2", *beside)))
        assert [untagged(row) for row in result.rows] == expected[active][at:upto]
        assert (result.beside is None) == (at == upto or beside in (None, active))
        if result.beside:
            columns = [cells_of(result.beside.stored(name)) for name in NAMES]
            assert [untagged(row) for row in zip(*columns, strict=True)] == expected[beside][at:upto]
        at = upto


def untagged(row: Sequence[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(NAMES, row, strict=True) if name not in TAGGED}


def agree(rows: list[tuple[Any, ...]], splits: list[tuple[int, bool]], constants: tuple[int, bool]) -> None:
    """Enrich in batches, with a new enricher where a split says so, and compare with the oracle."""
    aa_floor, packages_are_neutral = constants
    rules = Rules("v1", aa_floor, packages_are_neutral)
    expected, expected_cancels = oracle.enrich(rows, Decimal(aa_floor) / 10_000, Decimal("0.1"), packages_are_neutral)

    running = enricher(rows, rules)
    found: list[tuple[Any, ...]] = []
    cancels: list[tuple[int, int]] = []
    unmatched = 0
    rest = rows
    for length, restart in [*splits, (len(rows), False)]:
        if restart:
            running = enricher(rows, rules)
        result = running.enrich(rest[:length])
        found += result.rows
        cancels += result.cancels
        unmatched += result.unmatched
        rest = rest[length:]

    for got, want in zip(found, expected, strict=True):
        assert untagged(got) == want
    assert dict(cancels) == expected_cancels
    assert len(cancels) == len(expected_cancels)
    assert unmatched == sum(line["cancel_record"] for line in expected) - len(cancels)
