"""Large batches: the same rows as in small ones, tagged as each row alone, whatever a day holds."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phenix.engine.bundle import load_bundle
from phenix.engine.enrich.clock import DAY, day_of_date
from phenix.engine.enrich.contracts import Contracts, Print, Prints
from phenix.engine.enrich.enricher import Enricher
from phenix.engine.enrich.formulas import ASK, SIDES, Constants
from phenix.engine.enrich.histogram import Histogram
from phenix.engine.enrich.repeats import Reading
from phenix.engine.flow import RAW
from phenix.engine.tagging import Tagging
from phenix.engine.targets.arrays import Column
from tests.enrich.prints import CALENDAR, NAMES, et, raw
from tests.enrich.test_formulas import ints

BUNDLE = load_bundle()[0]
assert BUNDLE is not None


def morning(rows: int, seed: int) -> list[tuple[Any, ...]]:
    """Prints of a few contracts over two session dates: late ones, cancels of recent prints, quotes missing."""
    rng = random.Random(seed)
    made: list[tuple[Any, ...]] = []
    for seq in range(1, rows + 1):
        date = 20260817 if rng.random() < 0.97 else 20260818
        at = et(date, "09:29") + seq * 700 - rng.choice((0, 0, 0, 0, 400, 95_000))
        values: dict[str, Any] = {
            "root": rng.choice(("SPY", "AAPL", "AAPL", "SPXW", "AAPL1")),
            "right": rng.choice(("CALL", "PUT")),
            "strike": rng.choice((500_0000, 505_0000)),
            "price": rng.choice((1_9900, 2_0000, 2_0500, 2_1000, 2_1100)),
            "size": rng.choice((1, 2, 5, rng.randrange(1, 3_000))),
            "condition": rng.choice((18, 18, 18, 95, 130, 13, 147)),
            "oi": rng.choice((None, 0, 300)),
            "spot": rng.choice((None, 499_0000, 500_0000)),
        }
        if rng.random() < 0.1:
            values["bid"] = None
        if made and rng.random() < 0.01:
            of = rng.choice(made[-60:])
            names = ("root", "expiration", "strike", "right", "price", "size")
            values |= {"condition": 40, **{name: of[[f.name for f in RAW].index(name)] for name in names}}
        made.append(raw(seq, at, **values))
    return made


def tagging(rows: list[tuple[Any, ...]], page: int = 10_000) -> Enricher:
    assert BUNDLE is not None
    return Enricher(
        CALENDAR,
        Tagging(BUNDLE),
        lambda date, before, after: (row for row in rows if row[4] == date and after < row[0] < before),
        lambda: 1_700_000_000_000,
        page=page,
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_batches_of_any_size_give_the_same_rows(seed: int) -> None:
    rows = morning(3_000, seed)
    whole = tagging(rows).enrich(rows)
    rng = random.Random(seed)
    running = tagging(rows)
    found, cancels, unmatched, at = [], [], 0, 0
    while at < len(rows):
        length = rng.choice((1, 2, 7, 63, 64, 65, 300, 1_000))
        if rng.random() < 0.1:
            running = tagging(rows, rng.choice((1, 64, 65, 500, 10_000)))
        part = running.enrich(rows[at : at + length])
        found += part.rows
        cancels += part.cancels
        unmatched += part.unmatched
        at += length
    assert found == whole.rows
    assert (cancels, unmatched) == (whole.cancels, whole.unmatched)
    assert len(cancels) > 10


def test_a_state_built_in_pages_is_used_once_it_is_whole() -> None:
    rows = morning(1_000, 4)
    date = rows[0][4]
    whole = tagging(rows).enrich(rows)
    paged = tagging(rows, 100)
    steps = [paged.knows(date)]
    while not paged.approach(date, rows[450][0]):
        steps.append(paged.knows(date))
    assert (steps, paged.knows(date)) == ([False] * 5, True)
    assert paged.enrich(rows[450:600]).rows == whole.rows[450:600]
    assert paged.approach(date, rows[600][0])  # there already: nothing is entered twice
    assert paged.enrich(rows[600:]).rows == whole.rows[600:]
    interrupted = tagging(rows, 100)
    assert not interrupted.approach(date, rows[450][0])
    assert interrupted.enrich(rows[450:]).rows == whole.rows[450:]


def test_rows_are_tagged_as_each_row_alone() -> None:
    assert BUNDLE is not None
    rows = morning(2_000, 3)
    for values, row in zip(tagging(rows).enrich(rows).rows, rows, strict=True):
        alone = [*row, *values]
        BUNDLE.tag([alone])
        assert alone[len(row) :] == list(values)


def test_missing_metrics_name_the_unknown_inputs() -> None:
    rows = [raw(1, et(20260817, "11:00"), oi=None, spot=None), raw(2, et(20260817, "11:00"), bid=None)]
    missing = [dict(zip(NAMES, row, strict=True))["missing_metrics"] for row in tagging(rows).enrich(rows).rows]
    assert missing == ["otm_pct,value_pctile,vol_oi_ratio", "repeat3m,side_confidence"]


def test_ranks_of_many_premiums_are_counted_exactly() -> None:
    rng = random.Random(4)
    values = [int(rng.lognormvariate(12, 3)) for _ in range(700)]
    histogram = Histogram()
    histogram.enter(ints(*values[:150]))
    histogram.remove(values[10])
    del values[10]
    found = histogram.enter(ints(*values[149:]))

    def bucket(value: int) -> int:
        shift = max(value.bit_length() - 7, 0)
        return 64 * shift + (value >> shift)

    buckets = [bucket(value) for value in values]
    expected = [
        (2 * sum(b < buckets[n] for b in buckets[:n]) + buckets[:n].count(buckets[n])) / (2 * n)
        for n in range(149, len(values))
    ]
    assert found.values.tolist() == expected


@pytest.mark.parametrize("folder", [True, False], ids=["a folder to put away in", "none"])
def test_a_print_is_taken_back_from_any_place_of_a_long_day(
    folder: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not folder:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    contracts = Contracts(20260105)
    for n in range(3):
        contracts.add(("SPY", 20260116, 500_0000 + n, "CALL"), 0, 0, False)
    rows = 600_000
    seq = np.arange(rows)
    price = seq % 1_000
    price[[0, 65_535, 65_536, rows - 1]] = 5_000  # the edges of what is kept together
    numbers = np.zeros(rows, np.int64)
    numbers[1::5] = 1
    asks = Column(np.full(rows, ASK, np.uint8), None, SIDES)
    leans, oi = np.zeros(rows, np.int8), Column(np.zeros(rows, np.int64))
    above, spread = np.full(rows, 100), np.full(rows, 1_000)
    readings = [
        Reading(Constants(floor, Fraction(1, 10), packages_are_neutral=True), above >= floor) for floor in (100, 101)
    ]
    ones, exchange = np.ones(rows, np.int64), np.full(rows, 5)
    opened = day_of_date(20260105) * DAY
    prints = Prints(seq, opened + 100 * seq, price, ones, exchange, asks, above, spread, leans, oi)
    contracts.enter(numbers, prints, readings)
    taken = [contracts.take_back(0, 5_000, 1, 5) for _ in range(4)]
    assert [print_ and print_.seq for print_ in taken] == [599_999, 65_535, 0, None]
    assert contracts.take_back(1, 5_000, 1, 5) == Print(65_536, opened + 6_553_600, 1, 0)
    assert contracts.take_back(1, 5_000, 1, 5) is None
    assert contracts.take_back(2, 5_000, 1, 5) is None
    assert contracts.volume[:3].tolist() == [480_000 - 3, 120_000 - 1, 0]
    late = prints._replace(ts=prints.ts + 100_000).part(slice(1))
    repeats = contracts.enter(numbers[:1], late, [reading.part(slice(1)) for reading in readings])[1]
    # Of the first 1,001 every fifth is another's, one was taken back, and it counts; all are AA, or none.
    assert [found.values.tolist() for found in repeats] == [[801], [801]]


def test_most_of_a_long_day_is_not_in_memory() -> None:
    contracts = Contracts(20260105)
    contracts.add(("SPY", 20260116, 500_0000, "CALL"), 0, 0, False)
    rows, opened = 50_000, day_of_date(20260105) * DAY
    zeros, ones = np.zeros(rows, np.int64), np.ones(rows, np.int64)
    unknown, leans = Column(zeros, zeros != 0, SIDES), np.zeros(rows, np.int8)
    tracemalloc.start()
    try:
        for start in range(0, 40 * rows, rows):
            seq = start + np.arange(rows)
            prints = Prints(seq, opened + seq, ones, ones, ones, unknown, zeros, zeros, leans, Column(zeros))
            contracts.enter(zeros, prints, [])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000_000  # of 2,000,000 prints; whole they would be 84,000,000 bytes
