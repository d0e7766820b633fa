"""Conditions, exchanges, roots and OSI symbols."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenix.engine.enrich.conditions import CONDITION_FLAGS, condition, conditions, exchange, exchanges
from phenix.engine.enrich.roots import Contract, OsiError, adjusted, format_osi, parse_osi, underlying
from phenix.engine.enrich.tables import read_table

GROUPS = {
    "iso": {95, 126, 128},
    "auction": {125, 126, 131, 135, 136, 142},
    "cross": {127, 128, 132, 139},
    "floor": {129, 133, 137, 140, 143, 144},
    "multi_leg": {*range(35, 39), *range(130, 145)},
    "stock_tied": {37, 135, *range(138, 144)},
    "late": {2, 5, 6, 7, 8, 13, 15, 26, 27, 28, 57, 65},
    "compression": {147},
    "cancel": {40, 41, 42, 43, 44},
    "extended_hours": {118, 147, 148},
}


def test_flags_are_the_groups() -> None:
    assert set(GROUPS) == set(CONDITION_FLAGS)
    for flag, codes in GROUPS.items():
        assert {code for code, line in conditions().items() if getattr(line, flag)} == codes, flag


def test_every_listed_code_is_there_once() -> None:
    lines = read_table("conditions")["conditions"]
    assert [line["code"] for line in lines] == list(range(149))
    assert list(conditions()) == list(range(149))
    assert (condition(18).name, condition(95).name) == ("AUTO_EXECUTION", "INTERMARKET_SWEEP")


@pytest.mark.parametrize("code", [149, 999, -1, -(2**31), 2**31 - 1])
def test_an_unknown_condition_is_accepted_without_flags(code: int) -> None:
    found = condition(code)
    assert (found.code, found.name, found.known) == (code, f"UNKNOWN_{code}", False)
    assert not any(getattr(found, flag) for flag in CONDITION_FLAGS)
    assert not found.package


def test_ordinary_conditions_have_no_flags() -> None:
    for code in (0, 18):
        assert condition(code).known
        assert not any(getattr(condition(code), flag) for flag in CONDITION_FLAGS)


def test_exchanges() -> None:
    assert list(exchanges()) == list(range(1, 78))
    assert {code for code, line in exchanges().items() if line.options} == {
        1, 4, 5, 6, 7, 9, 11, 22, 31, 42, 43, 46, 47, 60, 65, 69, 73, 76,
    }  # fmt: skip
    assert exchange(5).symbol == "CBOE"
    assert exchange(500) == exchange(500)
    assert (exchange(500).known, exchange(500).name) == (False, "Unknown exchange 500")


@pytest.mark.parametrize(
    ("root", "symbol", "is_adjusted"),
    [
        ("SPXW", "SPX", False), ("SPX", "SPX", False), ("VIXW", "VIX", False), ("NDXP", "NDX", False),
        ("RUTW", "RUT", False), ("BRKB", "BRK.B", False), ("AAPL", "AAPL", False), ("AAPL1", "AAPL", True),
        ("BRKB2", "BRK.B", True), ("2X", "X", True), ("7", "7", True),
    ],
)  # fmt: skip
def test_underlying(root: str, symbol: str, is_adjusted: bool) -> None:
    assert underlying(root) == symbol
    assert adjusted(root) is is_adjusted


@pytest.mark.parametrize(
    ("text", "contract"),
    [
        ("SPXW  260618C06000000", Contract("SPXW", 20260618, 6000_0000, "CALL")),
        ("AAPL1 150117P00117500", Contract("AAPL1", 20150117, 117_5000, "PUT")),
        ("A260116C00000500", Contract("A", 20260116, 5000, "CALL")),
        ("AAPL260116C00220000", Contract("AAPL", 20260116, 220_0000, "CALL")),
    ],
)
def test_osi_is_read_from_the_right(text: str, contract: Contract) -> None:
    assert parse_osi(text) == contract
    assert parse_osi(format_osi(contract)) == contract


ROOT = "expected a root of 1 to 6 capital letters or digits before the last 15"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ROOT),
        ("260116C00220000", ROOT),
        ("aapl  260116C00220000", ROOT),
        ("AAPL  260116X00220000", "expected C or P before the last 8 characters, found 'X'"),
        ("AAPL  26011 C00220000", "expected digits YYMMDD before C and 8 digits after it"),
        ("AAPL  260116C002200.0", "expected digits YYMMDD before C and 8 digits after it"),
        ("AAPL  261316C00220000", "261316 is not a date (YYMMDD)"),
        ("AAPL  260116C00000000", "the strike is zero"),
    ],
)  # fmt: skip
def test_osi_errors_say_what_is_wrong(text: str, message: str) -> None:
    assert parse_osi(text) == OsiError(f"{text!r} is not an OSI symbol: {message}")


@given(st.from_regex(r"[A-Z][A-Z0-9]{0,5}", fullmatch=True), st.dates(), st.integers(1, 99_999_999), st.booleans())
def test_osi_round_trip(root: str, date: object, thousandths: int, call: bool) -> None:
    expiration = 20_000_000 + int(date.strftime("%y%m%d"))  # type: ignore[attr-defined]
    if expiration % 10_000 == 229:
        return
    contract = Contract(root, expiration, thousandths * 10, "CALL" if call else "PUT")
    assert parse_osi(format_osi(contract)) == contract


@given(st.text(max_size=30))
def test_osi_never_raises(text: str) -> None:
    assert isinstance(parse_osi(text), Contract | OsiError)
