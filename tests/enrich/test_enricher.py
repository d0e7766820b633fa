"""The enricher: figures by seq and event time, cancels, restarts, aggregates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phenix.engine.blocks import Block
from phenix.engine.enrich.day import ContractStats, SymbolStats
from phenix.engine.enrich.enricher import Enricher
from phenix.engine.flow import ENRICHED
from phenix.engine.targets.arrays import Column
from tests.enrich.prints import CALENDAR, Rules, enrich, enricher, et, raw

DAY = 20260105
T = et(DAY, "11:00")


def column(name: str, *rows: tuple[Any, ...]) -> list[Any]:
    return [row[name] for row in enrich(rows)[0]]


# -- defects seen in earlier engines


def test_0dte_is_0() -> None:
    def dte(at: int, expiration: int) -> int:
        return column("dte", raw(1, at, expiration=expiration))[0]

    assert dte(et(DAY, "09:30"), DAY) == 0
    assert dte(et(DAY, "15:59:59.999"), DAY) == 0
    assert dte(et(DAY, "15:59:59.999"), 20260106) == 1
    assert dte(et(20260307, "23:00"), 20260309) == 2  # over the change of clocks
    assert dte(et(20261031, "23:00"), 20261102) == 2
    assert dte(et(20251231, "16:00"), 20260102) == 2
    assert dte(et(DAY, "12:00"), 20260102) == -3


def test_dte_counts_from_the_calendar_date_of_the_trade_not_its_session() -> None:
    row = raw(1, et(20260104, "20:30"), root="SPXW", expiration=20260105)
    assert row[4] == 20260105
    assert column("dte", row) == [1]


def test_a_holiday_moved_monthly_is_not_a_weekly() -> None:
    assert column("monthly", raw(1, T, expiration=20260618), raw(2, T, expiration=20260619)) == [True, False]


def test_a_null_quote_is_no_quote() -> None:
    rows = [raw(1, T, bid=None, ask=None, price=5_0000), raw(2, T, ask=None), raw(3, T, bid=None)]
    for name in ("side", "aggressiveness", "repeat3m", "side_confidence"):
        assert column(name, *rows) == [None] * 3
    assert column("sentiment", *rows) == ["neutral"] * 3


def test_a_cent_above_the_ask_is_aa_exactly() -> None:
    assert column("side", raw(1, T, price=2_1100, bid=2_0000, ask=2_1000)) == ["AA"]


def test_a_zero_baseline_is_unknown() -> None:
    first = enrich([raw(1, et(DAY, "09:30:05"))])[0][0]
    assert first["symbol_vol_baseline_15m"] is None
    assert first["open_window_baseline"] is None
    quiet = enrich([raw(1, et(DAY, "09:31")), raw(2, et(DAY, "10:00"), root="QQQ"), raw(3, et(DAY, "12:00"))])[0][2]
    assert quiet["symbol_vol_baseline_15m"] is None
    assert quiet["open_window_baseline"] == 10 / 60


def test_eastern_time_is_not_utc() -> None:
    row = raw(1, et(DAY, "09:30"))
    assert row[2] - row[3] == 5 * 3_600_000
    assert row[5] == "regular"


def test_the_score_comes_from_the_tagger_on_every_path() -> None:
    class Scored(Rules):
        def tag(self, block: Block) -> dict[str, Column]:
            return super().tag(block) | {"sig_score": Column(np.full(block.rows, 0.5))}

    rows = [raw(1, T), raw(2, T, condition=40), raw(3, T, condition=147)]
    names = [field.name for field in ENRICHED]
    together = enricher(rows, Scored()).enrich(rows).rows
    alone = [enricher(rows, Scored()).enrich([row]).rows[0] for row in rows]
    assert together == alone
    assert [row[names.index("sig_score")] for row in together] == [0.5] * 3


def test_nothing_looks_ahead_inside_the_minute_or_the_day() -> None:
    rows = [raw(n, T + n * 1000, size=n, price=2_0000 + n) for n in range(1, 30)]
    whole = enrich(rows)[0]
    for n in (1, 2, 15, 29):
        assert enrich(rows[:n])[0] == whole[:n]


def test_identical_prints_are_two_prints() -> None:
    rows = [raw(1, T, sequence=19598457), raw(2, T, sequence=19598464)]
    assert rows[0][1] != rows[1][1]
    assert column("day_volume", *rows) == [10, 20]
    assert column("repeat3m", *rows) == [1, 2]


# -- unknown inputs


def test_missing_open_interest_is_unknown_never_zero() -> None:
    found = enrich([raw(1, T, oi=None), raw(2, T, oi=0), raw(3, T, oi=20)])[0]
    assert [row["vol_oi_ratio"] for row in found] == [None, 20.0, 1.5]
    assert [row["opening"] for row in found] == [None, False, False]


def test_an_adjusted_contract_has_no_otm() -> None:
    found = enrich([raw(1, T, root="AAPL1", spot=490_0000)])[0][0]
    assert found["otm_pct"] is None
    assert found["value"] == 2_0500 * 10 * 100
    assert found["monthly"] is True


def test_late_prints_keep_their_volume_and_have_no_side() -> None:
    found = enrich([raw(1, T, price=2_1000), raw(2, T, price=2_1000, condition=13), raw(3, T, price=2_1000)])[0]
    assert [row["side"] for row in found] == ["ASK", None, "ASK"]
    assert [row["day_volume"] for row in found] == [10, 20, 30]
    assert [row["repeat3m"] for row in found] == [1, None, 2]
    assert [row["late"] for row in found] == [False, True, False]
    assert [row["aggressiveness"] for row in found] == [1.0, None, 1.0]


def test_packages_are_neutral_unless_the_rules_say_otherwise() -> None:
    rows = [raw(n, T, price=2_1000, condition=code) for n, code in enumerate((18, 130, 135, 127, 95, 999), 1)]
    assert [row["sentiment"] for row in enrich(rows)[0]] == ["bullish", *["neutral"] * 3, *["bullish"] * 2]
    rules = Rules(packages_are_neutral=False)
    assert [row["sentiment"] for row in enrich(rows, rules)[0]] == ["bullish"] * 6


# -- windows


def test_the_repeat_window_holds_both_ends() -> None:
    ask = {"price": 2_1000}
    rows = [raw(1, T, **ask), raw(2, T + 1, **ask), raw(3, T + 180_000, **ask), raw(4, T + 180_001, **ask)]
    assert column("repeat3m", *rows) == [1, 2, 3, 3]


def test_repeats_are_by_contract_and_side() -> None:
    rows = [raw(1, T), raw(2, T, price=2_1000), raw(3, T, strike=505_0000), raw(4, T)]
    assert column("repeat3m", *rows) == [1, 1, 1, 2]


def test_the_twentieth_repeat_is_the_twentieth() -> None:
    assert column("repeat3m", *[raw(n, T + n * 9000) for n in range(1, 22)]) == [*range(1, 22)]


def test_a_print_out_of_order_counts_from_its_own_seq_in_its_own_window() -> None:
    rows = [raw(1, T), raw(2, T + 200_000), raw(3, T + 100_000), raw(4, T + 200_000)]
    assert column("repeat3m", *rows) == [1, 1, 2, 3]
    assert column("symbol_vol_1m", *rows) == [10, 10, 10, 20]


def test_baselines_begin_with_the_session() -> None:
    rows = [
        raw(1, et(DAY, "09:29:30"), size=50),  # closed: outside the session
        raw(2, et(DAY, "09:30:30"), size=30),
        raw(3, et(DAY, "09:32:10"), size=6),
        raw(4, et(DAY, "09:45"), size=1),
        raw(5, et(DAY, "09:46"), size=1),
        raw(6, et(DAY, "10:29:59"), size=1),
        raw(7, et(DAY, "12:00"), size=1),
    ]
    assert column("symbol_vol_baseline_15m", *rows) == [None, None, 15.0, 36 / 15, 7 / 15, None, None]
    assert column("open_window_baseline", *rows) == [None, None, 15.0, 36 / 15, 37 / 16, 38 / 59, 39 / 60]


def test_closed_rows_have_no_baseline_but_an_open_window() -> None:
    found = enrich([raw(1, et(DAY, "10:00")), raw(2, et(DAY, "16:14")), raw(3, et(DAY, "16:16"))])[0][2]
    assert found["symbol_vol_baseline_15m"] is None
    assert found["open_window_baseline"] == 10 / 60


def test_bullish_ratio_looks_at_this_minute_and_fifteen_before() -> None:
    rows = [
        raw(1, et(DAY, "11:00:59"), price=2_1000),
        raw(2, et(DAY, "11:15:00"), price=2_0000),
        raw(3, et(DAY, "11:15:30"), price=2_0500),
        raw(4, et(DAY, "11:16:00"), price=2_0500),
        raw(5, et(DAY, "11:40:00"), price=2_0500),
    ]
    assert column("bullish_ratio_15m", *rows) == [1.0, 0.5, 0.5, 0.0, None]


def test_value_percentile_ranks_among_earlier_prints() -> None:
    rows = [raw(n, T, size=size) for n, size in enumerate((10, 20, 5, 10, 10), 1)]
    assert column("value_pctile", *rows) == [None, 1.0, 0.0, 3 / 6, 4 / 8]


# -- cancels


def test_a_cancel_takes_back_the_latest_equal_print() -> None:
    rows = [raw(1, T), raw(2, T + 1000), raw(3, T + 2000, condition=40), raw(4, T + 3000)]
    found, result = enrich(rows)
    assert result.cancels == [(2, 3)]
    assert result.unmatched == 0
    assert [row["day_volume"] for row in found] == [10, 20, 10, 20]
    assert [row["repeat3m"] for row in found] == [1, 2, None, 2]
    assert [row["symbol_vol_1m"] for row in found] == [10, 20, 10, 20]
    assert [row["value_pctile"] for row in found] == [None, 0.5, None, 0.5]
    assert [row["cancelled_seq"] for row in found] == [None] * 4
    assert [row["cancel_record"] for row in found] == [False, False, True, False]


def test_a_second_cancel_takes_back_the_one_before_and_a_third_finds_nothing() -> None:
    rows = [raw(1, T), raw(2, T), *(raw(n, T, condition=41) for n in (3, 4, 5))]
    _, result = enrich(rows)
    assert (result.cancels, result.unmatched) == ([(2, 3), (1, 4)], 1)


@pytest.mark.parametrize(
    "other",
    [
        {"price": 2_0600},
        {"size": 11},
        {"exchange": 6},
        {"strike": 505_0000},
        {"right": "PUT"},
        {"expiration": 20260117},
    ],
)
def test_a_cancel_must_agree_on_contract_exchange_price_and_size(other: dict[str, Any]) -> None:
    found, result = enrich([raw(1, T), raw(2, T, condition=40, **other), raw(3, T)])
    assert (result.cancels, result.unmatched) == ([], 1)
    assert found[2]["day_volume"] == 20


def test_a_cancelled_print_leaves_every_running_figure() -> None:
    rows = [
        raw(1, T, price=2_1000, size=500),
        raw(2, T, price=2_0000, size=20),
        raw(3, T + 60_000, price=2_0000, size=20, condition=40),
        raw(4, T + 70_000, price=2_1000, size=1),
    ]
    found = enrich(rows)[0]
    assert [row["bullish_ratio_15m"] for row in found] == [1.0, 0.5, 1.0, 1.0]
    assert [row["symbol_vol_baseline_15m"] for row in found] == [None, None, 500 / 15, 500 / 15]
    assert [row["value_pctile"] for row in found] == [None, 0.0, None, 0.0]
    # a print of an earlier minute, while a later one is running
    rows = [raw(1, T, size=30), raw(2, T + 60_000), raw(3, T + 61_000, size=30, condition=40), raw(4, T + 62_000)]
    assert column("symbol_vol_baseline_15m", *rows) == [None, 2.0, None, None]
    # gone from the repeats of its side, and from the rank of the next
    rows = [raw(1, T), raw(2, T + 1000, size=20), raw(3, T + 2000, size=20, condition=43), raw(4, T + 180_500)]
    found = enrich(rows)[0]
    assert [row["repeat3m"] for row in found] == [1, 2, None, 1]
    assert found[3]["value_pctile"] == 0.5


def test_a_cancel_leaves_the_other_event_times_of_its_side() -> None:
    rows = [raw(1, T), raw(2, T + 200_000, size=9), raw(3, T + 200_001, size=9, condition=40), raw(4, T + 201_000)]
    assert column("repeat3m", *rows) == [1, 1, None, 1]


def test_a_cancel_does_not_reach_into_another_session_date() -> None:
    _, result = enrich([raw(1, T), raw(2, et(20260106, "09:31"), condition=40)])
    assert (result.cancels, result.unmatched) == ([], 1)


def test_a_cancel_does_not_take_back_what_comes_later_or_a_cancel() -> None:
    rows = [raw(1, T, condition=40), raw(2, T), raw(3, T, condition=44)]
    assert enrich(rows)[1].cancels == [(2, 3)]


# -- batches, restarts, several dates


def test_a_batch_given_twice_gives_the_same_rows() -> None:
    rows = [raw(n, T + n * 1000, condition=40 if n == 6 else 18) for n in range(1, 12)]
    running = enricher(rows)
    first = running.enrich(rows[:7])
    assert running.enrich(rows[:7]) == first
    assert running.enrich(rows[7:]).rows == enricher(rows).enrich(rows[7:]).rows


def test_a_row_given_twice_in_a_batch_counts_once() -> None:
    rows = [raw(n, T + n) for n in (1, 2, 3)]
    found = enricher(rows).enrich([*rows, rows[1], rows[2]]).rows
    assert [row[6] for row in found] == [10, 20, 30, 20, 30]


def test_session_dates_may_alternate() -> None:
    dates = (20260105, 20260106, 20260107, 20260108, 20260109)
    rows = [raw(n, et(dates[n % 5], "10:00") + n) for n in range(1, 60)]
    volumes = column("day_volume", *rows)
    assert volumes[-1] == 10 * len([row for row in rows if row[4] == rows[-1][4]])
    running = enricher(rows)
    assert [running.enrich([row]).rows[0][6] for row in rows] == volumes


def test_a_new_rule_version_rules_every_figure_from_its_first_row() -> None:
    rows = [raw(n, T, price=2_1100) for n in range(1, 4)]
    running = enricher(rows, Rules("v1"))
    before = running.enrich(rows[:2]).rows
    running.activate(Rules("v2", aa_floor=200))
    after = running.enrich(rows[2:]).rows
    assert after == enricher(rows, Rules("v2", aa_floor=200)).enrich(rows[2:]).rows
    assert [(row[3], row[8], row[-2]) for row in before + after] == [("AA", 1, "v1"), ("AA", 2, "v1"), ("ASK", 3, "v2")]


def test_other_rules_read_nothing_again() -> None:
    asked: list[tuple[int, int, int]] = []

    def history(*what: int) -> list[Any]:
        asked.append(what)
        return []

    rows = [raw(n, T, price=2_1100, condition=130) for n in range(1, 5)]
    running = Enricher(CALENDAR, Rules(), history, lambda: 0)
    for row, rules in zip(
        rows, (Rules(), Rules("v2", 200), Rules("v3", 200, packages_are_neutral=False)), strict=False
    ):
        running.activate(rules)
        running.enrich([row])
    assert asked == [(DAY, 1, -1)]


def test_a_row_without_a_seq_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="store it first"):
        enricher([]).enrich([(None, *raw(1, T)[1:])])


def test_changed_aggregates() -> None:
    rows = [
        raw(1, et(DAY, "09:30:10")),
        raw(2, et(DAY, "09:31:10"), price=2_1000),
        raw(3, et(DAY, "09:31:20"), root="SPY", strike=505_0000, oi=None),
        raw(4, et(DAY, "09:31:05"), oi=300),
        raw(5, et(DAY, "09:32:00"), condition=40),
    ]
    running = enricher(rows)
    result = running.enrich(rows[:4])
    now = 1_700_000_000_000
    assert result.contract_stats == [
        ContractStats("SPY", "SPY", 20260116, 500_0000, "CALL", DAY, 30, 300, et(DAY, "09:31:10"), now),
        ContractStats("SPY", "SPY", 20260116, 505_0000, "CALL", DAY, 10, None, et(DAY, "09:31:20"), now),
    ]
    wall = rows[0][3] // 60_000 * 60_000
    assert result.symbol_stats == [
        SymbolStats("SPY", wall, 10, None, None, None, now),
        SymbolStats("SPY", wall + 60_000, 30, 10.0, 10.0, 1.0, now),
    ]
    cancelled = running.enrich(rows[4:])
    assert cancelled.contract_stats == [
        ContractStats("SPY", "SPY", 20260116, 500_0000, "CALL", DAY, 20, 300, et(DAY, "09:31:10"), now)
    ]
    assert cancelled.symbol_stats == [SymbolStats("SPY", wall + 60_000, 20, 10.0, 10.0, 1.0, now)]
