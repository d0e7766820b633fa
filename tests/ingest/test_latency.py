"""The latency ledger: every print in one bucket of each step."""

from __future__ import annotations

from phenix.engine.durations import BOUNDS_MS
from phenix.engine.flow import INDEX, RAW, Row
from phenix.ingest.latency import Latency

NOW = 1_718_373_303_000


def raw(exchange: int, received: int) -> Row:
    row = [None] * len(RAW)
    row[INDEX["trade_ts_utc"]] = exchange  # type: ignore[call-overload]
    row[INDEX["ingested_at_utc"]] = received  # type: ignore[call-overload]
    return row


def test_each_print_counts_once_a_step() -> None:
    ledger = Latency()
    assert str(ledger) == "no prints"
    assert ledger.steps["stored to enriched"].quantile(0.5) is None
    ledger.enter([raw(NOW - 80, NOW), raw(NOW - 20, NOW + 4), raw(NOW - 86_400_000, NOW + 5)], NOW + 9, NOW + 21)
    found = {step: {b: n for b, n in zip((*BOUNDS_MS, "more"), took.counts, strict=True) if n}
             for step, took in ledger.steps.items()}  # fmt: skip
    assert found == {
        "exchange to received": {100: 1, 30: 1},  # the third is of another day
        "received to stored": {10: 1, 5: 2},
        "stored to enriched": {20: 3},
        "received to enriched": {30: 1, 20: 2},
    }


def test_quantiles_are_the_bounds_that_reach_them() -> None:
    ledger = Latency()
    ledger.enter([raw(NOW, NOW + ms) for ms in range(1, 101)], NOW + 200_000, NOW + 200_000)
    arrival = ledger.steps["exchange to received"]
    assert [arrival.quantile(share) for share in (0.5, 0.95, 0.99, 1)] == [
        50,
        100,
        100,
        100,
    ]
    assert ledger.steps["received to stored"].quantile(0.5) == float("inf")
    assert "exchange to received 50 / 100 / 100, received to stored inf / inf / inf" in str(ledger)
    ledger.enter([raw(NOW, NOW - 5)], NOW, NOW)  # the exchange's clock is ahead of ours
    assert arrival.counts[0] == 2
    assert arrival.total == 5_050
