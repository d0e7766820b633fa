"""``phenix ingest redrive``: letters that are understood now become rows, once; the others stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.engine.enrich.calendar import Calendar
from phenix.ingest.intake import Intake
from phenix.ingest.terminal.protocol import Contract, QuoteFrame, TradeFrame
from tests.ingest.files import TRADE_COLUMNS, line, rows, run_import, values, write
from tests.operate.stores import day, execute, phenix
from tests.store.test_migrations import VERSIONS, make, query

GOOD = line(
    trade_timestamp="2024-11-04T10:11:12", quote_timestamp="2024-11-04T10:11:12", strike="201.000", sequence=9001
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of a day, with open interest and quotes of the underlying, and no letter."""
    run_import(tmp_path / "flow.sqlite", day(tmp_path / "files", "2024-11-04", 100))
    return tmp_path / "flow.sqlite"


def refuse(store: Path, stream: str, place: str | None, snippet: str, reason: str = "old_reason") -> None:
    """A letter as an earlier version left it."""
    sql = "INSERT INTO ingest_dead_letter VALUES (NULL, ?, ?, ?, 'not understood then', CAST(? AS BLOB), 1, NULL)"
    execute(store, sql, stream, place, reason, snippet)


def redrive(store: Path, *options: str) -> tuple[int, Any]:
    done = phenix("ingest", "redrive", "--json", *options, "--store", f"sqlite:{store}")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_a_line_that_is_understood_now_is_the_row_of_an_import(tmp_path: Path, store: Path) -> None:
    short = ",".join(name for name in TRADE_COLUMNS if not name.startswith("ext_"))
    cut = ",".join(
        value for name, value in zip(TRADE_COLUMNS, GOOD.split(","), strict=True) if not name.startswith("ext_")
    )
    file = write(tmp_path / "short.csv", [], header=short)
    refuse(store, "import", f"{file}:7", f"{cut}\r\n")
    refuse(store, "import", f"{file}:8", "XYZ,broken")
    assert redrive(store) == (1, {"letters": 2, "stored": 1, "duplicates": 0, "left": {"old_reason": 1}})
    sources = day(tmp_path / "files", "2024-11-04", 100)
    run_import(tmp_path / "other.sqlite", sources)
    whole = day(tmp_path / "files", "2024-11-04", 100)
    late = write(tmp_path / "late.csv", [GOOD])
    run_import(tmp_path / "other.sqlite", type(whole)((late,), whole.open_interest, whole.underlying))
    assert rows(store) == rows(tmp_path / "other.sqlite")
    ((oi, spot),) = values(store, "oi", "spot")[-1:]
    assert (oi, spot is None) == (1, False)
    marked = execute(store, "SELECT place, redriven_at IS NULL FROM ingest_dead_letter ORDER BY id")
    assert marked == [(f"{file}:7", 0), (f"{file}:8", 1)]
    assert redrive(store) == (1, {"letters": 1, "stored": 0, "duplicates": 0, "left": {"old_reason": 1}})
    with app.replay(f"sqlite:{store}", 20241104, verify=True) as run:
        *_, found = run.run()
    assert (found.rows, found.total) == (101, 0)


def test_a_row_that_is_there_already_is_not_stored_again(tmp_path: Path, store: Path) -> None:
    first = (tmp_path / "files" / "2024-11-04.csv").read_text().splitlines()[1]
    refuse(store, "import", "/gone/day.csv:2", first)
    refuse(store, "import", "/gone/new.csv:2", GOOD)
    refuse(store, "import", "/gone/again.csv:2", GOOD)
    assert redrive(store) == (0, {"letters": 3, "stored": 1, "duplicates": 2, "left": {}})
    assert len(rows(store)) == 101
    assert redrive(store) == (0, {"letters": 0, "stored": 0, "duplicates": 0, "left": {}})


def test_frames_of_a_refused_print_can_be_read_again(store: Path) -> None:
    contract = Contract("OPTION", "XYZ", 20241108, 2_010_000, "CALL")
    quote = QuoteFrame(contract, 20241104, 36_672_000, 1, 5, 39_000, 50, 1, 5, 40_500, 50)
    intake = Intake(Calendar.packaged())
    trade = TradeFrame(contract, 20241104, 36_672_000, 77, 0, 18, 40_500, 22)
    intake.frames([quote, trade], 5)  # a size of 0 is refused, and so it stays
    batch = intake.take()
    assert batch is not None
    (letter,) = batch.dead_letters
    assert letter.reason == "size_out_of_range"
    refuse(store, "terminal", None, letter.snippet.decode(), letter.reason)
    assert redrive(store)[1]["left"] == {"size_out_of_range": 1}
    # What this version would have taken.
    refuse(store, "terminal", None, letter.snippet.decode().replace('"size":0', '"size":3'), "frame")
    code, report = redrive(store, "--reason", "frame")
    assert (code, report) == (0, {"letters": 1, "stored": 1, "duplicates": 0, "left": {}})
    row = values(store, "size", "price", "bid", "ask", "strike", "oi", "side")[-1]
    assert row == (3, 40_500, 39_000, 40_500, 2_010_000, 1, "ASK")


def test_what_tells_of_nothing_stays(store: Path, tmp_path: Path) -> None:
    refuse(store, "terminal", None, "")
    refuse(store, "terminal", None, "{" * 4096, "frame")
    refuse(store, "import", f"{tmp_path / 'files' / '2024-11-04-oi.csv'}:3", GOOD, "columns")
    assert redrive(store)[1]["left"] == {"old_reason": 1, "frame": 1, "columns": 1}


def test_letters_are_listed(store: Path) -> None:
    refuse(store, "import", "/files/day.csv:3", "XYZ,\x1b[2J\n", "columns")
    refuse(store, "terminal", None, "{}", "frame")
    done = phenix("ingest", "letters", "--store", f"sqlite:{store}")
    assert done.stdout == (
        "     1  1970-01-01T00:00:00+00:00  /files/day.csv:3  columns: not understood then\n"
        '        "XYZ,\\u001b[2J"\n'
        "     2  1970-01-01T00:00:00+00:00  terminal  frame: not understood then\n"
        '        "{}"\n'
    )
    done = phenix("ingest", "--store", f"sqlite:{store}", "letters", "--json", "--reason", "frame")
    assert [json.loads(text)["number"] for text in done.stdout.splitlines()] == [2]


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    said = {
        action: phenix("ingest", action, "--store", f"sqlite:{tmp_path}/none/flow.sqlite")
        for action in ("letters", "redrive")
    }
    assert said["redrive"].returncode == said["letters"].returncode == 2
    assert said["redrive"].stderr == said["letters"].stderr
    assert f"there is no store at {tmp_path}/none/flow.sqlite" in said["redrive"].stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    store = make(tmp_path, VERSIONS[-2])
    redrive(store)
    assert query(store, "PRAGMA user_version") == [(VERSIONS[-1],)]


def test_a_store_with_a_writer_is_left_alone(store: Path) -> None:
    with app.open_writer(f"sqlite:{store}"):
        done = phenix("ingest", "redrive", "--store", f"sqlite:{store}")
    assert done.returncode == 2
    assert "already has a writer" in done.stderr
