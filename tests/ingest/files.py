"""Files in the vendor's layouts, and imports of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.engine.flow import INDEX, STORED
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
ASIDE = frozenset({"ingested_at_utc", "enriched_at_utc", "spot_source"})
"""What differs between two ways into the store."""

Tape = tuple[str, str | None, str | None]
TAPES: tuple[tuple[str, str, Tape], ...] = (
    ("GOOG", "2015-12-24", ("goog_2015-12-24_minute_trade_quote.csv", "goog_2015-12-24_open_interest.csv",
              "goog_2015-12-24_underlying_quote.csv")),
    ("SPY", "2024-06-14", ("spy_2024-06-14_trade_quote.csv", None, None)),
    ("VIX", "2016-06-01", ("vix_2016-06-01_morning_trade_quote.csv", None,
              "vix_2016-06-01_morning_underlying_quote.csv")),
)  # fmt: skip


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


def run_import(store: Path, sources: Sources) -> Summary:
    """Import into a store, in this process."""
    check_sources(sources)
    with app.open_writer(f"sqlite:{store}") as writer:
        return import_parts(read_parts(sources), app.recorder(writer), lambda _progress: None)


def rows(store: Path) -> list[tuple[Any, ...]]:
    """Every row of a store, the parts that say when and how it came left out."""
    keep = [INDEX[field.name] for field in STORED if field.name not in ASIDE]
    with app.open_reader(f"sqlite:{store}") as reader:
        return [tuple(row[i] for i in keep) for row in reader.rows_after(0, 10**7)]


def values(store: Path, *names: str) -> list[tuple[Any, ...]]:
    """Some fields of every row, in seq order."""
    with app.open_reader(f"sqlite:{store}") as reader:
        return [tuple(row[INDEX[name]] for name in names) for row in reader.rows_after(0, 10**7)]


def tape_sources(tape: Tape) -> Sources:
    """The files of a real capture; skips the test where there are none."""
    folder = os.environ.get("PHENIX_TAPES")
    if not folder:
        pytest.skip("PHENIX_TAPES names no folder of real captures")
    return Sources(*(tuple(Path(folder) / name for name in (given,) if name) for given in tape))


def copy(sources: Sources, **changes: Any) -> Sources:
    """Sources with some files changed."""
    return dataclasses.replace(sources, **changes)
