"""Tapes as files: read to be played, written from any source."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO, TypeVar

from phenix.ingest.terminal.events import (
    TRADE,
    UNDERLYING,
    OpenInterest,
    Print,
    Quote,
    Source,
    TapeEvent,
    UnderlyingQuote,
)
from phenix.ingest.terminal.layouts import (
    OPEN_INTEREST_COLUMNS,
    STOCK_QUOTE_COLUMNS,
    TRADE_QUOTE_COLUMNS,
    date_of,
    open_interest_line,
    trade_quote_line,
    underlying_line,
    wall_of_stamp,
)
from phenix.ingest.terminal.protocol import Contract, money, money_half_even, valid_date

__all__ = ["FileTape", "TapeError", "write_tape"]

_Row = TypeVar("_Row")


class TapeError(Exception):
    """A file that cannot be played at all: unreadable, or without the columns it needs."""


def _money(text: str, name: str) -> int:
    return money(float(text), name)


def _contract(row: Mapping[str, str]) -> Contract:
    expiration = int(row["expiration"].replace("-", ""))
    if not valid_date(expiration):
        raise ValueError(f"expiration {row['expiration']!r} is not a date")
    right = {"C": "CALL", "CALL": "CALL", "P": "PUT", "PUT": "PUT"}[row["right"].upper()]
    return Contract("OPTION", row["symbol"], expiration, _money(row["strike"], "strike"), right)


def _print(row: Mapping[str, str]) -> Print:
    quote = None
    if row["quote_timestamp"] and row["bid"] and row["ask"]:
        quote = Quote(
            wall_of_stamp(row["quote_timestamp"]),
            int(row["bid_size"]),
            int(row["bid_exchange"]),
            _money(row["bid"], "bid"),
            int(row["bid_condition"]),
            int(row["ask_size"]),
            int(row["ask_exchange"]),
            _money(row["ask"], "ask"),
            int(row["ask_condition"]),
        )
    return Print(
        wall_of_stamp(row["trade_timestamp"]),
        TRADE,
        _contract(row),
        int(row["sequence"]),
        int(row["size"]),
        int(row["condition"]),
        int(row["exchange"]),
        _money(row["price"], "price"),
        quote,
    )


def _underlying(row: Mapping[str, str]) -> UnderlyingQuote:
    return UnderlyingQuote(
        wall_of_stamp(row["timestamp"]),
        UNDERLYING,
        row["symbol"],
        int(row["bid_size"]),
        int(row["bid_exchange"]),
        money_half_even(float(row["bid"]), "bid"),
        int(row["bid_condition"]),
        int(row["ask_size"]),
        int(row["ask_exchange"]),
        money_half_even(float(row["ask"]), "ask"),
        int(row["ask_condition"]),
    )


def _open_interest(row: Mapping[str, str]) -> OpenInterest:
    return OpenInterest(wall_of_stamp(row["timestamp"]), _contract(row), int(row["open_interest"]))


class FileTape:
    """A tape read from files in the vendor's layouts, held in memory.

    Prints are ordered by trade time, ties in file order, as an import orders them. Lines that
    cannot be played are left out and listed in :attr:`skipped` as ``file:line: reason``.
    Raises :class:`TapeError` for a file that cannot be read or lacks columns.
    """

    def __init__(
        self,
        trades: Iterable[Path],
        *,
        open_interest: Iterable[Path] = (),
        underlying: Iterable[Path] = (),
        underlying_of: Callable[[str], str] = lambda root: root,
    ) -> None:
        self.skipped: list[str] = []
        self._underlying_of = underlying_of
        self._prints = [row for path in trades for row in self._rows(path, TRADE_QUOTE_COLUMNS, _print)]
        self._quotes = [row for path in underlying for row in self._rows(path, STOCK_QUOTE_COLUMNS, _underlying)]
        self._interest = [
            row for path in open_interest for row in self._rows(path, OPEN_INTEREST_COLUMNS, _open_interest)
        ]
        self._prints.sort(key=lambda event: event.wall)
        self._quotes.sort(key=lambda event: event.wall)

    def _rows(self, path: Path, columns: tuple[str, ...], read: Callable[[Mapping[str, str]], _Row]) -> Iterator[_Row]:
        try:
            with path.open("rb") as file:
                lines = csv.reader(line.decode("utf-8", "replace") for line in file)
                header = next(lines, [])
                missing = [name for name in columns if name not in header]
                if missing:
                    raise TapeError(f"{path}: no column {', '.join(missing)} in its first line; is it the right file?")
                for fields in lines:
                    try:
                        yield read(dict(zip(header, fields, strict=True)))
                    except (ValueError, KeyError) as error:
                        self.skipped.append(f"{path}:{lines.line_num}: {error}")
        except OSError as error:
            raise TapeError(f"cannot read {path}: {error.strerror}") from None
        except csv.Error as error:
            raise TapeError(f"{path}: not CSV: {error}") from None

    @property
    def dates(self) -> tuple[int, ...]:
        """Dates of its prints, in order."""
        return tuple(sorted({date_of(event.wall) for event in self._prints}))

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        """Prints and underlying quotes in the order of time, a quote before a print of the same time."""
        prints: Iterable[Print] = self._prints
        quotes: Iterable[UnderlyingQuote] = self._quotes
        if symbol is not None:
            prints = (
                event for event in prints if symbol in {event.contract.root, self.underlying_of(event.contract.root)}
            )
            quotes = (event for event in quotes if event.symbol == symbol)
        return heapq.merge(quotes, prints, key=lambda event: (event.wall, event.kind))

    def contracts(self) -> Iterable[Contract]:
        """Contracts that trade or have open interest."""
        return {event.contract for event in self._prints} | {row.contract for row in self._interest}

    def open_interest(self) -> Iterable[OpenInterest]:
        """The rows of the open-interest files."""
        return self._interest

    def underlying_of(self, root: str) -> str:
        """The underlying, by the function it was given."""
        return self._underlying_of(root)


def write_tape(source: Source, folder: Path) -> dict[str, int]:
    """Write a source as ``trade_quote.csv``, ``open_interest.csv`` and ``underlying_quote.csv``; rows of each."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(("trade_quote.csv", "open_interest.csv", "underlying_quote.csv"), 0)
    with (
        (folder / "trade_quote.csv").open("w", newline="") as trades,
        (folder / "underlying_quote.csv").open("w", newline="") as quotes,
    ):
        trades.write(",".join(TRADE_QUOTE_COLUMNS) + "\r\n")
        quotes.write(",".join(STOCK_QUOTE_COLUMNS) + "\r\n")
        for event in source.events():
            if isinstance(event, Print):
                trades.write(trade_quote_line(event) + "\r\n")
                counts["trade_quote.csv"] += 1
            else:
                quotes.write(underlying_line(event) + "\r\n")
                counts["underlying_quote.csv"] += 1
    with (folder / "open_interest.csv").open("w", newline="") as interest:
        counts["open_interest.csv"] = _write_open_interest(source, interest)
    return counts


def _write_open_interest(source: Source, out: TextIO) -> int:
    out.write(",".join(OPEN_INTEREST_COLUMNS) + "\r\n")
    written = 0
    for row in source.open_interest():
        out.write(open_interest_line(row) + "\r\n")
        written += 1
    return written
