"""Rows as JSON and as messages: exact money, dates, New York clocks, chips."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenix.engine.encode import Encoder, date_text, et_text, json_value, row_id, ts_text
from phenix.engine.enrich.clock import wall_of
from phenix.engine.flow import INDEX
from phenix.server.grpc.rows import to_json, to_message
from tests.server.rows import made

CHIPS = (("big", 3), ("small", 0), ("odd", 61))


@given(st.integers(0, 10**15))
def test_money_keeps_its_four_decimals(units: int) -> None:
    text = orjson.dumps(json_value("value", units)).decode()
    whole, _, decimals = text.partition(".")
    assert len(decimals) <= 4
    assert int(whole) * 10_000 + int(decimals.ljust(4, "0")) == units


@pytest.mark.parametrize(
    ("utc", "shown", "new_york"),
    [
        (1_789_738_200_250, "2026-09-18T13:30:00.250Z", "2026-09-18T09:30:00.250-04:00"),
        (1_768_573_800_000, "2026-01-16T14:30:00.000Z", "2026-01-16T09:30:00.000-05:00"),
        (1_793_512_800_000, "2026-11-01T06:00:00.000Z", "2026-11-01T01:00:00.000-05:00"),
        (1_793_509_200_000, "2026-11-01T05:00:00.000Z", "2026-11-01T01:00:00.000-04:00"),
        (1_772_953_199_999, "2026-03-08T06:59:59.999Z", "2026-03-08T01:59:59.999-05:00"),
        (1_772_953_200_000, "2026-03-08T07:00:00.000Z", "2026-03-08T03:00:00.000-04:00"),
    ],
)
def test_clocks(utc: int, shown: str, new_york: str) -> None:
    assert ts_text(utc) == shown
    assert et_text(wall_of(utc), utc) == new_york


def test_dates_and_ids() -> None:
    assert date_text(20260918) == "2026-09-18"
    assert row_id(1_789_738_200_250, 255) == "1a0b4b5acba-00000000000000ff"


def test_chips_are_ids_in_the_order_given() -> None:
    encoder = Encoder(CHIPS)
    both = (1 << 61) | 1
    assert encoder.chips(both, both | 8) == (["small", "odd"], [])
    assert encoder.chips(8, 8) == (["big"], ["small", "odd"])
    assert encoder.chips(0, 0) == ([], ["big", "small", "odd"])


def test_cancelled_is_judged_as_of_a_seq() -> None:
    row = made(1)
    row[INDEX["seq"]], row[INDEX["cancelled_seq"]] = 5, 9
    encoder = Encoder(CHIPS)
    assert [encoder.row(row, as_of)["cancelled"] for as_of in (8, 9, 10)] == [False, True, True]
    assert [to_message(row, as_of, encoder).cancelled for as_of in (8, 9)] == [False, True]


@pytest.mark.parametrize("number", range(30))
def test_messages_say_the_same_as_json(number: int) -> None:
    row = made(number, sig_score=None if number % 2 else 0.5, missing_metrics="otm_pct,oi" if number % 2 else "")
    row[INDEX["seq"]], row[INDEX["chips_set"]], row[INDEX["chips_known"]] = number, 8, 9
    row[INDEX["rule_version"]] = "abc"
    encoder = Encoder(CHIPS)
    whole = orjson.loads(encoder.encode(row, number))
    assert to_json(to_message(row, number, encoder)) == whole
    assert whole["missingMetrics"] == (["otm_pct", "oi"] if number % 2 else [])
    assert orjson.loads(encoder.encode(row, number, ("value", "id"))) == {"value": whole["value"], "id": whole["id"]}


def test_memos_are_bounded_and_do_not_matter() -> None:
    encoder = Encoder(CHIPS)
    for number in range(10_000):
        assert ts_text(number * 1000).endswith(f":{number % 60:02d}.000Z")
        assert encoder.chips(number, 0)[0] == [name for name, bit in CHIPS if number >> bit & 1]
