"""Files in the vendor's layouts, and imports of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from drills._stores import stored_rows
from drills._tapes import REAL, real_files
from phenix import app
from phenix.engine.flow import INDEX
from phenix.ingest.importer import Summary, import_parts
from phenix.ingest.reading import Sources, check_sources, read_parts

TRADE_COLUMNS = (  # noqa: SIM905 - as the vendor writes it
    "symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,"
    "ext_condition3,ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,"
    "ask_size,ask_exchange,ask,ask_condition"
).split(",")
QUOTE_COLUMNS = "timestamp,symbol,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition"
INTEREST_COLUMNS = "symbol,expiration,strike,right,timestamp,open_interest"
GOOD_LINE = (
    "XYZ,2024-11-08,220.000,CALL,2024-11-04T09:30:00.471,2024-11-04T09:30:00.396,1,255,255,255,255,18,2,22,"
    "3.90,14,47,3.90,50,14,47,4.05,50"
)
GOOD = dict(
    zip(
        TRADE_COLUMNS,
        GOOD_LINE.split(","),
        strict=True,
    )
)
Tape = tuple[str, str | None, str | None]
TAPES: tuple[tuple[str, str, Tape], ...] = REAL


def line(**columns: Any) -> str:
    """A good trade_quote line, with some columns changed."""
    return ",".join(str(value) for value in {**GOOD, **columns}.values())


def write(
    path: Path, lines: Iterable[str | bytes], header: str = ",".join(TRADE_COLUMNS), end: bytes = b"\r\n"
) -> Path:
    """A table file."""
    texts = [text.encode() if isinstance(text, str) else text for text in (header, *lines)]
    path.write_bytes(b"".join(text + end for text in texts))
    return path


def day_sources(folder: Path, prints: int) -> Sources:
    """A print a second from 10:00 on, over five contracts of XYZ, with open interest and quotes of XYZ."""
    trades = [
        line(
            trade_timestamp=f"2024-11-04T10:{n // 60 % 60:02d}:{n % 60:02d}",
            quote_timestamp=f"2024-11-04T10:{n // 60 % 60:02d}:{n % 60:02d}",
            sequence=n,
            strike=f"{200 + n % 5}.000",
            price=f"{3.90 + n % 16 / 100:.2f}",
        )
        for n in range(prints)
    ]
    interest = [f"XYZ,2024-11-08,{200 + n}.000,CALL,2024-11-04T06:30:04,{n}" for n in range(4)]
    quotes = [f"2024-11-04T10:{n:02d}:00,XYZ,1,1,200.{n:02d},0,1,1,200.{n + 1:02d},0" for n in range(0, 20, 5)]
    return Sources(
        (write(folder / "day.csv", trades),),
        (write(folder / "oi.csv", interest, INTEREST_COLUMNS),),
        (write(folder / "quotes.csv", quotes, QUOTE_COLUMNS),),
    )


def run_import(store: Path, sources: Sources) -> Summary:
    """Import into a store, in this process."""
    check_sources(sources)
    with app.open_writer(f"sqlite:{store}") as writer:
        return import_parts(read_parts(sources), app.recorder(writer), lambda _progress: None)


rows = stored_rows


def values(store: Path, *names: str) -> list[tuple[Any, ...]]:
    """Some fields of every row, in seq order."""
    with app.open_reader(f"sqlite:{store}") as reader:
        return [tuple(row[INDEX[name]] for name in names) for row in reader.rows_after(0, 10**7)]


def tape_sources(tape: Tape) -> Sources:
    """The files of a real capture; skips the test where there are none."""
    folder = os.environ.get("PHENIX_TAPES")
    if not folder:
        pytest.skip("PHENIX_TAPES names no folder of real captures")
    return real_files(Path(folder), tape)


def copy(sources: Sources, **changes: Any) -> Sources:
    """Sources with some files changed."""
    return dataclasses.replace(sources, **changes)
