"""Importing files: order, identity, exactness, dead letters, and what a killed import leaves."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenix import app
from phenix.engine.store.base import Batch, StoreError
from phenix.ingest.layout import TRADE_QUOTE, Layout, LayoutError, ndjson_values
from phenix.ingest.normalize import Refusal
from phenix.ingest.reading import Part, Sources, read_parts, read_parts_apart
from tests.ingest.files import (
    INTEREST_COLUMNS,
    QUOTE_COLUMNS,
    TAPES,
    TRADE_COLUMNS,
    Tape,
    line,
    rows,
    run_import,
    tape_sources,
    values,
    write,
)

BAD = [
    (reason, text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
    for reason, _, text in (
        entry.partition("\t") for entry in (Path(__file__).parent / "bad_lines.txt").read_text().splitlines()[1:]
    )
]


def test_each_bad_line_is_a_dead_letter_with_its_reason(tmp_path: Path) -> None:
    store, csv = tmp_path / "flow.sqlite", tmp_path / "day.csv"
    write(csv, [line(), *(text for _, text in BAD), line(sequence=2)])
    summary = run_import(store, Sources((csv,)))
    assert (summary.stored, sum(summary.dead_letters.values())) == (2, len(BAD))
    with app.open_reader(f"sqlite:{store}") as reader:
        letters = [letter for _, letter in reader.dead_letters()]
    found = {letter.place: (letter.reason, letter.snippet.rstrip(b"\r\n")) for letter in letters}
    assert found == {f"{csv}:{number}": bad for number, bad in enumerate(BAD, 3)}
    assert all(letter.detail and letter.stream == "import" for letter in letters)


def test_importing_again_adds_nothing(tmp_path: Path) -> None:
    store = tmp_path / "flow.sqlite"
    csv = write(tmp_path / "day.csv", [line(), line(), line(sequence=2), "broken"])
    first = run_import(store, Sources((csv,)))
    assert (first.stored, first.duplicates, dict(first.dead_letters)) == (2, 1, {"columns": 1})
    before = rows(store)
    second = run_import(store, Sources((csv,)))
    assert (second.stored, second.duplicates, dict(second.dead_letters)) == (0, 3, {"columns": 1})
    assert rows(store) == before
    with app.open_reader(f"sqlite:{store}") as reader:
        assert reader.dead_letter_counts() == {"columns": 1}


def test_files_of_one_name_keep_their_own_dead_letters(tmp_path: Path) -> None:
    store, days = tmp_path / "flow.sqlite", [tmp_path / name for name in ("monday", "tuesday")]
    for day in days:
        day.mkdir()
    files = [write(day / "XYZ.csv", [line(), "broken"]) for day in days]
    assert dict(run_import(store, Sources(tuple(files))).dead_letters) == {"columns": 2}
    with app.open_reader(f"sqlite:{store}") as reader:
        assert [letter.place for _, letter in reader.dead_letters()] == [f"{file}:3" for file in files]


def test_prints_that_differ_only_in_sequence_are_two(tmp_path: Path) -> None:
    csv = write(tmp_path / "day.csv", [line(sequence=19598457), line(sequence=19598464)])
    assert run_import(tmp_path / "flow.sqlite", Sources((csv,))).stored == 2


def test_order_is_trade_time_then_file_then_line(tmp_path: Path) -> None:
    def at(second: int, sequence: int) -> str:
        return line(trade_timestamp=f"2024-11-04T09:{second // 60:02d}:{second % 60:02d}", sequence=sequence)

    one = write(tmp_path / "one.csv", [at(70, 1), at(10, 2), at(10, 3), at(500, 4)])
    two = write(tmp_path / "two.csv", [at(10, 5), at(75, 6), at(10, 7)], end=b"\n")
    store = tmp_path / "flow.sqlite"
    run_import(store, Sources((two, one)))
    assert [sequence for (sequence,) in values(store, "sequence")] == [5, 7, 2, 3, 1, 6, 4]


def test_values_are_exact(tmp_path: Path) -> None:
    csv = write(
        tmp_path / "day.csv",
        [
            line(price="2.11", bid="2.00", ask="2.10", quote_timestamp="2024-11-04T06:30:04", strike="0.5"),
            line(price="99999.9999", bid="", ask="", quote_timestamp="", right="P", sequence=-1986932228),
            line(price="0", bid="0.00", ask="0.00", condition=999, exchange=76, sequence=2, expiration="20241108"),
        ],
    )
    store = tmp_path / "flow.sqlite"
    assert run_import(store, Sources((csv,))).stored == 3
    names = ("price", "bid", "ask", "quote_ts_utc", "strike", "right", "sequence", "condition", "exchange", "side")
    assert values(store, *names) == [
        (21_100, 20_000, 21_000, 1_730_719_804_000, 5_000, "CALL", 1, 18, 22, "AA"),
        (999_999_999, None, None, None, 2_200_000, "PUT", -1986932228, 18, 22, None),
        (0, 0, 0, 1_730_730_600_396, 2_200_000, "CALL", 2, 999, 76, None),
    ]
    assert values(store, "trade_ts_utc", "trade_ts_et", "session_date", "session", "expiration")[0] == (
        1_730_730_600_471, 1_730_712_600_471, 20241104, "regular", 20241108,
    )  # fmt: skip


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    order = [*reversed(TRADE_COLUMNS), "flag"]
    texts = [",".join([*reversed(line(sequence=n).split(",")), "x y"]) for n in (1, 2)]
    plain = write(tmp_path / "plain.csv", [line(sequence=1), line(sequence=2)])
    turned = write(tmp_path / "turned.csv", [*texts, ""], "\ufeff" + ",".join(order))
    quoted = write(tmp_path / "quoted.csv", ['"' + line(sequence=n).replace(",", '","') + '"' for n in (1, 2)])
    ndjson = tmp_path / "day.ndjson"
    ndjson.write_text("".join(_as_json(line(sequence=n)) for n in (1, 2)))
    found = []
    for n, path in enumerate((plain, turned, quoted, ndjson)):
        assert run_import(tmp_path / f"{n}.sqlite", Sources((path,))).stored == 2
        found.append(rows(tmp_path / f"{n}.sqlite"))
    assert found[1:] == found[:1] * 3


def _as_json(text: str) -> str:
    pairs = zip(TRADE_COLUMNS, text.split(","), strict=True)
    words = {"symbol", "right", "expiration", "trade_timestamp", "quote_timestamp"}
    return json.dumps({name: value if name in words else json.loads(value) for name, value in pairs}) + "\n"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", r"no column symbol.*found an empty file"),
        (INTEREST_COLUMNS, r"is no trade_quote file: no column trade_timestamp.*expected a header with symbol, exp"),
        (",".join(TRADE_COLUMNS[:-2]), r"no column ask;.*found symbol, expiration"),
        (",".join([*TRADE_COLUMNS, "price"]), r"names the column price more than once"),
        ("\x00\x1b[2JPNG" * 3000, r"no column symbol.*found \\x00\\x1b\[2jpng"),
        (",".join(TRADE_COLUMNS) + "\r" + line() + "\r", r"ends its lines with CR alone"),
    ],
)
def test_another_kind_of_file_is_refused_before_anything_is_stored(tmp_path: Path, header: str, message: str) -> None:
    good = write(tmp_path / "good.csv", [line()])
    bad = write(tmp_path / "bad.csv", [line()], header)
    with pytest.raises(LayoutError, match=message):
        run_import(tmp_path / "flow.sqlite", Sources((good, bad)))
    assert not (tmp_path / "flow.sqlite").exists()


def test_the_command_says_so_and_exits_with_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "phenix", "import", "--store", f"sqlite:{tmp_path}/flow.sqlite"]
    missing = subprocess.run([*command, str(tmp_path / "none.csv")], capture_output=True, text=True)
    assert (missing.returncode, missing.stderr) == (2, f"phenix: {tmp_path}/none.csv does not exist\n")
    folder = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert (folder.returncode, folder.stderr) == (
        2,
        f"phenix: {tmp_path} is not a regular file: give a file on disk\n",
    )
    good = write(tmp_path / "good.csv", [line(), "x"])
    done = subprocess.run([*command, "--json", str(good)], capture_output=True, text=True)
    assert done.returncode == 0
    summary = json.loads(done.stdout)
    assert (summary["stored"], summary["deadLetters"]) == (1, {"columns": 1})
    assert [*summary["cpuSeconds"]] == ["receive", "store", "enrich", "store enriched"]
    assert all(0 <= seconds < 60 for seconds in summary["cpuSeconds"].values())


def test_spot_is_the_latest_two_sided_quote_at_or_before_the_print(tmp_path: Path) -> None:
    def quote(second: str, bid: str, ask: str, symbol: str = "XYZ") -> str:
        return f"2024-11-04T09:30:{second},{symbol},1,1,{bid},0,1,1,{ask},0"

    quotes = [
        quote("02", "200.00", "200.01"),
        quote("01", "100.00", "100.0001"),
        quote("03", "300.00", "0.00"),
        quote("02.5", "250.00005", "250.00015"),
        quote("01", "1.00", "1.00", "OTHER"),
        quote("04", "nan", "1.00"),
    ]
    prints = [
        line(trade_timestamp=f"2024-11-04T09:30:{s}", sequence=n) for n, s in enumerate(("00.999", "01", "02.4", "09"))
    ]
    store = tmp_path / "flow.sqlite"
    sources = Sources(
        (write(tmp_path / "day.csv", prints),), (), (write(tmp_path / "quotes.csv", quotes, QUOTE_COLUMNS),)
    )
    summary = run_import(store, sources)
    assert dict(summary.dead_letters) == {"bid_not_finite": 1}
    assert values(store, "spot", "spot_age_ms", "spot_source") == [
        (None, None, None),
        (1_000_000, 0, "file"),
        (2_000_050 - 0, 400, "file"),
        (2_500_001, 6_500, "file"),
    ]
    with app.open_reader(f"sqlite:{store}") as reader:
        assert [(q.bid, q.ask) for q in reader.underlying_quotes("XYZ", 0, 2**62)] == [
            (1_000_000, 1_000_001), (2_000_000, 2_000_100), (2_500_000, 2_500_002),
        ]  # fmt: skip


def test_open_interest_counts_from_when_it_was_told_for_its_date(tmp_path: Path) -> None:
    interest = [
        "XYZ,2024-11-08,220.000,CALL,2024-11-04T06:30:04,5",
        "XYZ,2024-11-08,220.000,CALL,2024-11-03T06:30:04,4",
        "XYZ,2024-11-08,225.000,CALL,2024-11-04T06:30:04,0",
        "XYZ,2024-11-08,220.000,CALL,2024-11-04T12:00:00,6",
        "XYZ,2024-11-08,220.000,CALL,2024-11-04T06:30:04,-1",
    ]
    prints = [
        line(trade_timestamp="2024-11-04T05:00:00", sequence=1),
        line(sequence=2),
        line(sequence=3, strike="225"),
        line(sequence=4, strike="230"),
        line(trade_timestamp="2024-11-04T12:00:00", sequence=5),
        line(trade_timestamp="2024-11-05T12:00:00", sequence=6),
    ]
    store = tmp_path / "flow.sqlite"
    sources = Sources((write(tmp_path / "day.csv", prints),), (write(tmp_path / "oi.csv", interest, INTEREST_COLUMNS),))
    summary = run_import(store, sources)
    assert dict(summary.dead_letters) == {"open_interest_negative": 1}
    assert values(store, "sequence", "oi") == [(1, None), (2, 5), (3, 0), (4, None), (5, 6), (6, None)]


@pytest.mark.parametrize(("symbol", "day", "tape"), TAPES, ids=[symbol for symbol, _, _ in TAPES])
def test_a_tape_imports_whole(tmp_path: Path, symbol: str, day: str, tape: Tape) -> None:
    sources = tape_sources(tape)
    store = tmp_path / "flow.sqlite"
    summary = run_import(store, sources)
    lines = sum(path.read_bytes().count(b"\n") - 1 for path in sources.trades)
    assert (summary.stored, dict(summary.dead_letters)) == (lines, {})
    assert {found for (found,) in values(store, "symbol")} == {symbol}
    assert {date for (date,) in values(store, "session_date")} == {int(day.replace("-", ""))}
    times = [ts for (ts,) in values(store, "trade_ts_utc")]
    assert times == sorted(times)


def _day(folder: Path, prints: int) -> Sources:
    rng = random.Random(3)
    lines = [
        line(
            symbol=rng.choice(("AAA", "BBB")),
            strike=rng.randrange(90, 110),
            right=rng.choice(("CALL", "PUT")),
            trade_timestamp=f"2024-11-04T{10 + n * 5 // prints:02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}",
            sequence=n,
            condition=rng.choices((18, 95, 130, 40), (10, 3, 2, 1))[0],
            size=rng.randrange(1, 5),
            price=f"{rng.randrange(380, 400) / 100:.2f}",
        )
        for n in range(prints)
    ]
    return Sources((write(folder / "day.csv", lines),))


def test_raw_rows_without_their_enrichment_are_enriched_first(tmp_path: Path) -> None:
    sources = _day(tmp_path, 600)
    whole, broken = tmp_path / "whole.sqlite", tmp_path / "broken.sqlite"
    run_import(whole, sources)
    raw = [row for part in read_parts(sources) for row in part.rows]
    with app.open_writer(f"sqlite:{broken}") as writer:
        app.recorder(writer).record(Batch(raw[:200]))
        writer.append(Batch(raw[200:350]))  # and then it died
    summary = run_import(broken, sources)
    assert (summary.caught_up, summary.stored, summary.duplicates) == (150, 250, 350)
    assert rows(broken) == rows(whole)


def test_an_import_killed_in_the_middle_is_completed_by_another(tmp_path: Path) -> None:
    sources = _day(tmp_path, 30_000)
    whole, broken = tmp_path / "whole.sqlite", tmp_path / "broken.sqlite"
    command = [sys.executable, "-m", "phenix", "import", str(sources.trades[0]), "--store"]
    with subprocess.Popen([*command, f"sqlite:{broken}"], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not _stored(broken):
            pass  # watched, not waited for: the first batch is the event
        process.kill()
    stored = _stored(broken)
    assert 0 < stored < 30_000
    subprocess.run([*command, f"sqlite:{broken}"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*command, f"sqlite:{whole}"], check=True, stdout=subprocess.DEVNULL)
    assert len(rows(whole)) == 30_000
    assert rows(broken) == rows(whole)


def test_files_are_read_the_same_in_a_process_of_their_own(tmp_path: Path) -> None:
    sources = _day(tmp_path, 300)
    quotes = write(tmp_path / "quotes.csv", ["2024-11-04T09:30:00,AAA,1,1,2.00,0,1,1,2.02,0", "x"], QUOTE_COLUMNS)
    sources = Sources((*sources.trades, write(tmp_path / "bad.csv", ["broken"])), (), (quotes,))

    def plain(parts: Iterator[Part]) -> list[object]:
        return [part._replace(rows=[row[:-1] for row in part.rows]) for part in parts]  # not when it was received

    assert plain(read_parts_apart(sources)) == plain(read_parts(sources))


def test_a_reading_process_that_fails_says_so(tmp_path: Path) -> None:
    sources = Sources((tmp_path / "gone.csv",))
    with pytest.raises(LayoutError, match=r"gone\.csv does not exist"):
        list(read_parts_apart(sources))


def test_an_import_that_cannot_write_on_says_so_and_is_completed_by_another(tmp_path: Path) -> None:
    sources = _day(tmp_path, 25_000)
    whole, broken = tmp_path / "whole.sqlite", tmp_path / "broken.sqlite"
    command = [sys.executable, "-m", "phenix", "import", str(sources.trades[0]), "--store", f"sqlite:{broken}"]
    limit = 6 * 2**20  # bytes a file may have: room for a batch or two
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"phenix: the store {broken} ")
    assert "nothing already stored is lost" in done.stderr
    assert 0 < _stored(broken) < 25_000
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    run_import(whole, sources)
    assert rows(broken) == rows(whole)


def test_a_store_with_a_writer_refuses_the_import(tmp_path: Path) -> None:
    csv = write(tmp_path / "day.csv", [line()])
    store = f"sqlite:{tmp_path}/flow.sqlite"
    with app.open_writer(store):
        done = subprocess.run(
            [sys.executable, "-m", "phenix", "import", str(csv), "--store", store], capture_output=True, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"phenix: the store {tmp_path}/flow.sqlite already has a writer (process {os.getpid()})"
    )


def _stored(store: Path) -> int:
    try:
        with app.open_reader(f"sqlite:{store}") as reader:
            return reader.raw_watermark()
    except StoreError:
        return 0  # not there yet


LAYOUT = Layout(TRADE_QUOTE, TRADE_COLUMNS)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_bytes_upset_the_reader(text: bytes) -> None:
    for found in (LAYOUT.values(text), ndjson_values(LAYOUT, text)):
        assert isinstance(found, Refusal) or len(found) == len(TRADE_QUOTE.columns)


@given(st.lists(st.tuples(st.integers(0, 120), st.sampled_from(["", "\x00", "-", "9" * 30, ",", '"', "\n", "é", "."]))))
def test_no_damage_to_a_line_upsets_an_import(damage: list[tuple[int, str]]) -> None:
    text = line()
    for at, what in damage:
        text = text[:at] + what + text[at + 1 :]
    found = LAYOUT.values(text.encode())
    assert isinstance(found, Refusal) or len(found) == len(TRADE_QUOTE.columns)
