"""Tape files: order, formats, and lines that cannot be played."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenix.ingest.terminal.events import Print
from phenix.ingest.terminal.layouts import (
    price_text,
    stamp_text,
    strike_text,
    trade_quote_line,
    wall_at,
    wall_of_stamp,
)
from phenix.ingest.terminal.tape import FileTape, TapeError


def test_events_come_by_time_ties_in_file_order(tape: FileTape) -> None:
    order = [event.sequence if isinstance(event, Print) else event.symbol for event in tape.events()]
    expected = ["AAPL", 7, 18902138, "AAPL", 19368856, 19598457, 19598464, "AAPL", "SPX", -2147483000]
    assert order == expected
    assert tape.dates == (20241104,)
    assert tape.skipped == []


def test_lines_are_written_as_they_were_read(real_tape_file: Path) -> None:
    """Each print of a real tape writes its own line back, byte for byte."""
    tape = FileTape([real_tape_file])
    assert tape.skipped == []
    written = [trade_quote_line(event) for event in tape.events() if isinstance(event, Print)]
    assert sorted(written) == sorted(real_tape_file.read_text().splitlines()[1:])


BAD = [
    ("price", "nan", "price nan is not finite or beyond any price"),
    ("price", "-1.00", "price -1.0 is negative"),
    ("price", "1.00005", "price 1.00005 has more than four decimals"),
    ("trade_timestamp", "2024-11-04 09:30:00", "is not a timestamp"),
    ("trade_timestamp", "2024-11-04T24:30:00", "is not a time of day"),
    ("trade_timestamp", "2024-02-30T09:30:00", "day is out of range"),
    ("right", "X", "'X'"),
    ("expiration", "2024-02-30", "expiration '2024-02-30' is not a date"),
    ("size", "many", "invalid literal"),
]


@pytest.mark.parametrize(("column", "value", "reason"), BAD, ids=[f"{b[0]} {b[1]}" for b in BAD])
def test_lines_that_cannot_be_played_are_listed(
    tape: FileTape, tmp_path: Path, column: str, value: str, reason: str
) -> None:
    lines = (tmp_path / "t.csv").read_text().splitlines()
    fields = lines[2].split(",")
    fields[lines[0].split(",").index(column)] = value
    lines[2] = ",".join(fields)
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("\n".join(lines) + "\n1,2\n")
    read = FileTape([damaged])
    assert len([event for event in read.events() if isinstance(event, Print)]) == 5
    assert len(read.skipped) == 2
    assert read.skipped[0].startswith(f"{damaged}:3: ")
    assert reason in read.skipped[0]
    assert read.skipped[1].startswith(f"{damaged}:8: ")


def test_files_that_cannot_be_played(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match=r"cannot read .*: No such file"):
        FileTape([tmp_path / "none.csv"])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TapeError, match="no column symbol, expiration, strike"):
        FileTape([tmp_path / "other.csv"])
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(TapeError, match="no column symbol"):
        FileTape([tmp_path / "empty.csv"])


@given(st.integers(0, 4_000_000_000_000))
def test_timestamps_round_trip(wall: int) -> None:
    text = stamp_text(wall)
    assert wall_of_stamp(text) == wall
    assert not text.endswith((".0", ".00", ".000"))


def test_texts() -> None:
    assert [stamp_text(wall_at(20241104, ms)) for ms in (34_200_430, 34_200_471, 34_200_000, 100)] == [
        "2024-11-04T09:30:00.43",
        "2024-11-04T09:30:00.471",
        "2024-11-04T09:30:00",
        "2024-11-04T00:00:00.1",
    ]
    assert [price_text(value) for value in (39_000, 1_871_800, 187_8301, 0, 5)] == [
        "3.90",
        "187.18",
        "187.8301",
        "0.00",
        "0.0005",
    ]
    assert [strike_text(value) for value in (2_200_000, 7_225_000, 100_0010)] == ["220.000", "722.500", "100.001"]
