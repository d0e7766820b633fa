"""Real tapes against figures derived by hand from the definitions.

``expected.json`` names rows of the tapes by file and line and gives what the definitions make of them: fields in
display units, chips that are on, chips that cannot be decided, and in ``why`` the arithmetic. ``summary.json``
gives the number of rows on and unknown per chip. Both hold line numbers and derived values only; the tapes are
not redistributable, and each key that finds a row is read from the tape while the test runs.

Each tape is imported alone, with its companion files, by the real command, and read back by the real export.
"""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from phenix.dsl.types import Kind
from phenix.engine.flow import BY_NAME

HERE = Path(__file__).parent
EXPECTED: list[dict[str, Any]] = json.loads((HERE / "expected.json").read_text())
SUMMARY: dict[str, dict[str, Any]] = json.loads((HERE / "summary.json").read_text())
COMPANIONS = {
    "spy_2024-06-14_trade_quote.csv": {},
    "vix_2016-06-01_morning_trade_quote.csv": {"--underlying": "vix_2016-06-01_morning_underlying_quote.csv"},
    "goog_2015-12-24_minute_trade_quote.csv": {
        "--open-interest": "goog_2015-12-24_open_interest.csv",
        "--underlying": "goog_2015-12-24_underlying_quote.csv",
    },
}
NEW_YORK = ZoneInfo("America/New_York")
Key = tuple[int, int, str, str, Decimal, str]
Rows = dict[str, dict[int, dict[str, Any]]]


def ms_of(stamp: str) -> int:
    """A tape's zone-less New York time as UTC milliseconds."""
    whole, _, fraction = stamp.partition(".")
    at = datetime.fromisoformat(whole).replace(tzinfo=NEW_YORK)
    return int(at.timestamp()) * 1000 + int(fraction.ljust(3, "0") or 0)


def key_of_line(line: dict[str, str]) -> Key:
    return (
        ms_of(line["trade_timestamp"]),
        int(line["sequence"]),
        line["symbol"],
        line["expiration"],
        Decimal(line["strike"]).normalize(),
        line["right"],
    )


def key_of_row(row: dict[str, Any]) -> Key:
    at = int(row["id"].partition("-")[0], 16)  # a row's id begins with its exchange time
    return (
        at,
        row["sequence"],
        row["root"],
        row["expiration"],
        Decimal(str(row["strike"])).normalize(),
        row["right"],
    )


def phenix(*arguments: str) -> str:
    """Run the command; returns what it wrote to standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "phenix", *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder() -> Path:
    named = os.environ.get("PHENIX_TAPES")
    if not named:
        pytest.skip("PHENIX_TAPES is not set: it names the folder of the real tapes, which are not redistributable")
    return Path(named)


@pytest.fixture(scope="module")
def tapes(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Lines of each tape in file order; the first is line 2 of the file."""
    read = {}
    for name in COMPANIONS:
        with (folder / name).open(newline="") as file:
            read[name] = list(csv.DictReader(file))
    return read


@pytest.fixture(scope="module")
def rows(folder: Path, tapes: dict[str, list[dict[str, str]]], tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Exported rows of each tape by the line they came from."""
    found: Rows = {}
    for name, companions in COMPANIONS.items():
        store = f"sqlite:{tmp_path_factory.mktemp('store') / 'flow.sqlite'}"
        options = [word for option, file in companions.items() for word in (option, str(folder / file))]
        phenix("import", str(folder / name), *options, "--store", store)
        exported = phenix("export", "--format", "ndjson", "--store", store)
        lines = {key_of_line(line): number for number, line in enumerate(tapes[name], start=2)}
        assert len(lines) == len(tapes[name]), "a key names one line"
        found[name] = {lines[key_of_row(row)]: row for row in map(json.loads, exported.splitlines())}
    return found


def differences(expected: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """Each field of an expectation that the row does not have, as ``name: expected, found``."""
    wrong = []
    for name, value in expected["fields"].items():
        field = BY_NAME[name]
        actual = row[field.json]
        match field.type.kind:
            case _ if value is None or actual is None:
                same = value is actual
            case Kind.MONEY:
                same = Decimal(str(actual)) == Decimal(value)
            case Kind.RATIO | Kind.PERCENT:
                same = math.isclose(actual, value, rel_tol=1e-12, abs_tol=0.0)
            case _ if isinstance(value, list):
                same = sorted(actual) == value
            case _:
                same = type(actual) is type(value) and actual == value
        if not same:
            wrong.append(f"{name}: expected {value!r}, found {actual!r}")
    for name, key in (("chips", "chips"), ("unknown", "chipsUnknown")):
        if sorted(row[key]) != expected[name]:
            wrong.append(f"{key}: expected {expected[name]}, found {sorted(row[key])}")
    return wrong


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda e: f"{e['tape'].partition('_')[0]}:{e['line']}")
def test_a_line_of_a_tape_becomes_the_row_the_definitions_give(expected: dict[str, Any], rows: Rows) -> None:
    wrong = differences(expected, rows[expected["tape"]][expected["line"]])
    assert not wrong, "\n".join([expected["why"], *wrong])


@pytest.mark.parametrize("name", COMPANIONS)
def test_each_line_becomes_one_row_in_the_order_of_the_tape(
    name: str, tapes: dict[str, list[dict[str, str]]], rows: Rows
) -> None:
    in_order = sorted(range(len(tapes[name])), key=lambda i: ms_of(tapes[name][i]["trade_timestamp"]))
    by_seq = sorted(rows[name], key=lambda line: rows[name][line]["seq"])
    assert by_seq == [i + 2 for i in in_order]
    assert list(rows[name]) == by_seq, "the export is in seq order"


@pytest.mark.parametrize("name", COMPANIONS)
def test_rows_per_chip(name: str, rows: Rows) -> None:
    chips = SUMMARY[name]["on"]
    found: dict[str, Any] = {"rows": len(rows[name]), "on": dict.fromkeys(chips, 0), "unknown": dict.fromkeys(chips, 0)}
    for row in rows[name].values():
        for count, ids in ((found["on"], row["chips"]), (found["unknown"], row["chipsUnknown"])):
            for chip in ids:
                count[chip] = count.get(chip, 0) + 1
    assert found == SUMMARY[name]


@pytest.mark.parametrize("name", [name for name, companions in COMPANIONS.items() if "--underlying" in companions])
def test_spot_is_the_latest_underlying_mid_at_or_before_the_print(
    name: str, folder: Path, tapes: dict[str, list[dict[str, str]]], rows: Rows
) -> None:
    with (folder / COMPANIONS[name]["--underlying"]).open(newline="") as file:
        quotes = [(ms_of(q["timestamp"]), Decimal(q["bid"]), Decimal(q["ask"])) for q in csv.DictReader(file)]
    for number, line in enumerate(tapes[name], start=2):
        at = ms_of(line["trade_timestamp"])
        before = [quote for quote in quotes if quote[0] <= at and quote[1] > 0 and quote[2] > 0]
        latest = max(before, key=lambda quote: quote[0], default=None)
        row = rows[name][number]
        if latest is None:
            assert (row["spot"], row["spotAgeMs"], row["spotSource"]) == (None, None, None)
            continue
        mid = Decimal(int((latest[1] + latest[2]) / 2 * 10_000)) / 10_000
        assert (Decimal(str(row["spot"])), row["spotAgeMs"], row["spotSource"]) == (mid, at - latest[0], "file"), number


@pytest.mark.parametrize("key", ["chips", "chipsUnknown"])
def test_the_expectations_cover_each_chip_that_occurs(key: str, rows: Rows) -> None:
    occurring = {chip for tape in rows.values() for row in tape.values() for chip in row[key]}
    covered = {chip for expected in EXPECTED for chip in expected["chips" if key == "chips" else "unknown"]}
    assert occurring - covered == set(), "these occur on a tape and no line of expected.json shows them"


def test_the_expectations_show_each_firing_chip_off_as_well() -> None:
    firing = {chip for expected in EXPECTED for chip in expected["chips"]}
    off = {chip for chip in firing for e in EXPECTED if chip not in e["chips"] and chip not in e["unknown"]}
    assert firing == off


def test_each_expectation_names_a_line_once(tapes: dict[str, list[dict[str, str]]]) -> None:
    named = [(expected["tape"], expected["line"]) for expected in EXPECTED]
    assert len(set(named)) == len(named)
    assert all(2 <= line < len(tapes[tape]) + 2 for tape, line in named)
    assert len(named) >= 36
    assert set(SUMMARY) == set(COMPANIONS) == {tape for tape, _ in named}
