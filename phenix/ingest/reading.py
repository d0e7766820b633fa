"""Reading files into batches of raw rows, here or in a process of its own.

Parsing takes about as much time as storing, so a large import gives it the second core: the child runs
:func:`read_parts` and sends each part over a pipe. It holds no lock and ends when the pipe does.
"""

from __future__ import annotations

import gc
import json
import marshal
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from phenix.engine.children import child
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import et_of
from phenix.engine.store.base import SNIPPET_BYTES
from phenix.ingest.files import Line, TradeFiles, open_table
from phenix.ingest.inputs import InterestBook, SpotBook
from phenix.ingest.layout import OPEN_INTEREST, TRADE_QUOTE, UNDERLYING, LayoutError
from phenix.ingest.normalize import INTEREST_LIMIT, PRICE_LIMIT, Normalizer, RawRow, Refusal
from phenix.ingest.prints import PrintReader
from phenix.ingest.values import Contracts, HalfEvenMoney, Minutes, Seconds

__all__ = ["Part", "Sources", "check_sources", "read_parts", "read_parts_apart"]

BATCH: Final = 20_000
"""Rows of a part: the larger the transactions, the less often the pages that grow everywhere are written."""
FILE: Final = "file"
"""Spot source of imported quotes."""

LetterFields = tuple[str, str, str, bytes]
"""Place, reason, detail, snippet."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of one import."""

    trades: tuple[Path, ...]
    open_interest: tuple[Path, ...] = ()
    underlying: tuple[Path, ...] = ()


class Part(NamedTuple):
    """A share of the work: plain tuples, so that it travels between processes.

    ``phase`` is ``index`` or ``read``; ``done`` of ``total`` are bytes in the first, lines in the second.
    """

    phase: str
    done: int
    total: int
    rows: list[RawRow]
    quotes: list[tuple[str, int, int, int, str]]
    interest: list[tuple[str, int, int, str, int, int, int]]
    letters: list[LetterFields]


def check_sources(sources: Sources) -> None:
    """Look at every header before anything is stored; raises LayoutError for a file that is not what it is given as."""
    for table, paths in (
        (TRADE_QUOTE, sources.trades),
        (OPEN_INTEREST, sources.open_interest),
        (UNDERLYING, sources.underlying),
    ):
        for path in paths:
            open_table(table, path)


def read_parts(sources: Sources) -> Iterator[Part]:
    """Everything in the files, in order: open interest first, then prints with the quotes before them."""
    return _Reading(sources).parts()


def read_parts_apart(sources: Sources) -> Iterator[Part]:
    """As :func:`read_parts`, in a child process; raises LayoutError or ChildProcessError if that fails."""
    arguments = json.dumps([[str(path) for path in paths] for paths in (
        sources.trades, sources.open_interest, sources.underlying)])  # fmt: skip
    command, environ = child("phenix.ingest.reading", arguments)
    with subprocess.Popen(  # noqa: S603
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=1 << 20
    ) as reader:
        try:
            assert reader.stdout is not None
            while message := _receive(reader.stdout):
                if isinstance(message, str):
                    raise LayoutError(message)
                yield Part(*message)
            if reader.wait() != 0:
                raise ChildProcessError(f"the process that reads the files ended with status {reader.returncode}")
        finally:
            reader.kill()


def _send(pipe: IO[bytes], message: Any) -> None:
    body = marshal.dumps(message)
    pipe.write(len(body).to_bytes(8, "little"))
    pipe.write(body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    head = pipe.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    body = pipe.read(size)
    return marshal.loads(body) if len(body) == size else None  # noqa: S302 - our own child's words


class _Reading:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._minutes, self._seconds = Minutes(), Seconds()
        self._contracts = Contracts()
        self._spots, self._interest = SpotBook(), InterestBook()
        self._normalizer = Normalizer(Calendar.packaged(), self._spots, self._interest)
        self._letters: list[LetterFields] = []

    def parts(self) -> Iterator[Part]:
        yield from self._read_interest()
        quotes = self._read_quotes()
        trades = TradeFiles([open_table(TRADE_QUOTE, path) for path in self._sources.trades])
        total = sum(path.stat().st_size for path in self._sources.trades)
        for found in trades.index():
            if isinstance(found, int):
                yield self._part("index", found, total)
            else:
                self._refuse(*found)
                if len(self._letters) >= BATCH:
                    yield self._part("index", 0, total)
        self._minutes, self._seconds = trades.minutes, trades.seconds
        yield from self._read_trades(trades, quotes)

    def _part(self, phase: str, done: int, total: int, **content: Any) -> Part:
        letters, self._letters = self._letters, []
        return Part(phase, done, total, content.get("rows", []), content.get("quotes", []),
                    content.get("interest", []), letters)  # fmt: skip

    def _read_interest(self) -> Iterator[Part]:
        rows = []
        for line in self._lines(OPEN_INTEREST, self._sources.open_interest):
            values = line[0].values(line[2])
            if isinstance(values, Refusal):
                self._refuse(line, values)
                continue
            try:
                contract = self._contracts[values[0], values[1], values[2], values[3]]
                ts = self._minutes[values[4][:16]] + self._seconds[values[4][16:]]
            except ValueError as error:
                self._refuse(line, Refusal("time_malformed", str(error)))
                continue
            count = int(values[5])
            if count > INTEREST_LIMIT:
                self._refuse(
                    line, Refusal("open_interest_out_of_range", f"open_interest {count} is beyond any real value")
                )
                continue
            date = et_of(ts)[0]
            self._interest.add(contract, date, ts, count)
            rows.append((*contract, date, ts, count))
            if len(rows) >= BATCH:
                yield self._part("index", 0, 0, interest=rows)
                rows = []
        yield self._part("index", 0, 0, interest=rows)

    def _read_quotes(self) -> list[tuple[str, int, int, int, str]]:
        quotes = []
        money = HalfEvenMoney()
        for line in self._lines(UNDERLYING, self._sources.underlying):
            values = line[0].values(line[2])
            if isinstance(values, Refusal):
                self._refuse(line, values)
                continue
            time_, symbol, bid, ask = values
            try:
                ts = self._minutes[time_[:16]] + self._seconds[time_[16:]]
            except ValueError as error:
                self._refuse(line, Refusal("timestamp_malformed", str(error)))
                continue
            prices = (money[bid], money[ask])
            if max(prices) > PRICE_LIMIT:
                self._refuse(line, Refusal("price_out_of_range", "the quote is beyond any real price"))
                continue
            quotes.append((symbol.decode("ascii"), ts, *prices, FILE))
        quotes.sort(key=lambda quote: quote[1])
        return [quote for quote in quotes if self._spots.add(*quote)]

    def _lines(self, table: Any, paths: Sequence[Path]) -> Iterator[Line]:
        for path in paths:
            yield from open_table(table, path).lines()

    def _read_trades(self, trades: TradeFiles, quotes: list[tuple[str, int, int, int, str]]) -> Iterator[Part]:
        rows: list[RawRow] = []
        prints = PrintReader(self._normalizer, self._minutes, self._seconds)
        sent, done = 0, 0
        now = time.time_ns() // 1_000_000
        for line in trades.in_order():
            done += 1
            file, _, text = line
            values = file.values(text)
            row = values if isinstance(values, Refusal) else prints.row(values, now)
            if isinstance(row, Refusal):
                self._refuse(line, row)
            else:
                rows.append(row)
            if len(rows) >= BATCH or len(self._letters) >= BATCH:
                upto = sent
                while upto < len(quotes) and rows and quotes[upto][1] <= rows[-1][2]:
                    upto += 1
                yield self._part("read", done, trades.lines, rows=rows, quotes=quotes[sent:upto])
                rows, sent = [], upto
                now = time.time_ns() // 1_000_000
        for start in range(sent, max(len(quotes), sent + 1), 5 * BATCH):
            yield self._part("read", done, trades.lines, rows=rows, quotes=quotes[start : start + 5 * BATCH])
            rows = []

    def _refuse(self, line: Line, refusal: Refusal) -> None:
        file, offset, text = line
        place = f"{file.path.absolute()}:{file.number(offset)}"
        self._letters.append((place, refusal.reason, refusal.detail, text[:SNIPPET_BYTES]))


def _main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; without it the pipe ends this process
    gc.disable()  # rows are tuples of numbers and text: nothing here refers in a circle
    sources = Sources(*(tuple(map(Path, paths)) for paths in json.loads(sys.argv[1])))
    try:
        for part in read_parts(sources):
            _send(sys.stdout.buffer, tuple(part))
    except BrokenPipeError:
        return 1
    except OSError as error:
        _send(sys.stdout.buffer, f"{error.filename} cannot be read: {error.strerror}")
    except LayoutError as error:
        _send(sys.stdout.buffer, str(error))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
