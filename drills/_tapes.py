"""Tapes to run from start to end: generated sessions and real captures, as files, whole or a slice of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenix import app
from phenix.ingest.reading import Sources
from phenix.ingest.terminal.events import OpenInterest, Print, Source, TapeEvent
from phenix.ingest.terminal.generator import underlyings
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.tape import FileTape, write_tape

__all__ = ["REAL", "Slice", "Tape", "generated_tape", "real_files", "real_tapes"]

REAL: Final = (
    ("GOOG", "2015-12-24", ("goog_2015-12-24_minute_trade_quote.csv", "goog_2015-12-24_open_interest.csv",
              "goog_2015-12-24_underlying_quote.csv")),
    ("SPY", "2024-06-14", ("spy_2024-06-14_trade_quote.csv", None, None)),
    ("VIX", "2016-06-01", ("vix_2016-06-01_morning_trade_quote.csv", None,
              "vix_2016-06-01_morning_underlying_quote.csv")),
)  # fmt: skip
"""Symbol, day, and files (trades, open interest, underlying quotes) of the captures in the folder PHENIX_TAPES."""


@dataclass(frozen=True, slots=True)
class Tape:
    """Files that an import reads and a terminal plays, of some symbols."""

    name: str
    symbols: tuple[str, ...]
    sources: Sources

    def source(self) -> FileTape:
        """What the terminal plays."""
        return app.tape(self.sources.trades, self.sources.open_interest, self.sources.underlying)

    def slice(self, folder: Path, length_ms: int) -> Tape:
        """Its beginning, from the first print on, written to a folder."""
        return _written(f"{self.name} slice", self.symbols, Slice(self.source(), length_ms), folder)


class Slice:
    """A source from its first print on, for some milliseconds."""

    def __init__(self, source: Source, length_ms: int) -> None:
        self._source = source
        self._start = next(event.wall for event in source.events() if isinstance(event, Print))
        self._end = self._start + length_ms

    @property
    def dates(self) -> tuple[int, ...]:
        """Those of the source."""
        return self._source.dates

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        """Events of the slice, and the underlyings' quotes before it."""
        for event in self._source.events(symbol):
            if event.wall >= self._end:
                return
            if event.wall >= self._start or not isinstance(event, Print):
                yield event

    def contracts(self) -> Iterable[Contract]:
        """Those of the source."""
        return self._source.contracts()

    def open_interest(self) -> Iterable[OpenInterest]:
        """That of the source."""
        return self._source.open_interest()

    def underlying_of(self, root: str) -> str:
        """As the source has it."""
        return self._source.underlying_of(root)


def generated_tape(folder: Path, *, seed: int, symbols: int, prints: int, date: int) -> Tape:
    """A generated session, written to a folder."""
    names = tuple(name.symbol for name in underlyings()[:symbols])
    session = app.session(seed=seed, symbols=symbols, prints=prints, date=date)
    return _written("generated", names, session, folder)


def _written(name: str, symbols: tuple[str, ...], source: Source, folder: Path) -> Tape:
    write_tape(source, folder)
    trades, interest, quotes = (folder / f"{kind}.csv" for kind in ("trade_quote", "open_interest", "underlying_quote"))
    return Tape(name, symbols, Sources((trades,), (interest,), (quotes,)))


def real_tapes() -> list[Tape]:
    """The captures; none without the folder."""
    folder = os.environ.get("PHENIX_TAPES")
    return [
        Tape(f"{symbol} {day}", (symbol,), real_files(Path(folder), names)) for symbol, day, names in REAL if folder
    ]


def real_files(folder: Path, names: tuple[str, str | None, str | None]) -> Sources:
    """The files of one capture."""
    return Sources(*(tuple(folder / name for name in (given,) if name) for given in names))
