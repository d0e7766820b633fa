"""Fuzz what reads the terminal and files: broken input becomes dead letters or declared errors, nothing else.

Inputs are valid frames, tables and answers, mutated at random. Each record must be accounted for (a row, or a dead
letter), and what was read as rows must be storable.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from phenix import app
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.store.base import Batch, Cause, DeadLetter, Gap, OpenInterest, UnderlyingQuote, Writer
from phenix.ingest.catchup import CatchUp
from phenix.ingest.chains import list_chains
from phenix.ingest.contract import Contract
from phenix.ingest.deadletter import IMPORT
from phenix.ingest.intake import Intake
from phenix.ingest.layout import LINE_BYTES, LayoutError
from phenix.ingest.normalize import Normalizer, RawRow
from phenix.ingest.reading import Sources, read_parts
from phenix.ingest.terminal import protocol as wire
from phenix.ingest.terminal.client import Terminal, TerminalError
from phenix.ingest.terminal.encoder import Encoder

__all__ = ["ANSWERS", "FRAMES", "TABLES", "Answering", "main", "mutate", "read_frames", "read_table"]

_CALL: Final = wire.Contract("OPTION", "XYZ", 20241108, 220_0000, "CALL")
_STOCK: Final = wire.Contract("STOCK", "XYZ")
_AT: Final = 1_730_730_600_000
"""2024-11-04 09:30 in New York."""


def _frames() -> list[bytes]:
    made, day, ms = Encoder(1), 20241104, 34_200_471
    quotes = [wire.QuoteFrame(about, day, ms, 14, 47, 39_000, 50, 14, 47, 40_500, 50) for about in (_CALL, _STOCK)]
    texts = [made.quote(quote) for quote in quotes]
    texts.append(made.trade(wire.TradeFrame(_CALL, day, ms, -2_147_483_648, 2, 18, 39_000, 22)))
    texts.append(made.ohlc(wire.OhlcFrame(_CALL, day, ms, 1, 2, 1, 2, 9, 3)))
    texts.append(made.market_value(wire.MarketValueFrame(_CALL, day, ms, 1, 2, 1)))
    texts += [made.status(wire.StatusFrame("CONNECTED")), made.state(wire.StateFrame("CONNECTED", "STOP"))]
    texts.append(made.req_response(wire.ReqResponse("CONNECTED", "SUBSCRIBED", 3)))
    return [text.encode() for text in (*texts, "\n".join(texts))]


FRAMES: Final = tuple(_frames())
"""Messages of the stream, one of each type and all of them joined."""
_TRADE_QUOTE: Final = (
    b"symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,"
    b"ext_condition3,ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,ask_size,"
    b"ask_exchange,ask,ask_condition\r\n"
    b"XYZ,2024-11-08,220.000,CALL,2024-11-04T09:30:00.471,2024-11-04T09:30:00.396,1,255,255,255,255,18,2,22,3.90,14,47,"
    b"3.90,50,14,47,4.05,50\r\n"
    b'"XYZ",20241108,220,P,2024-11-04T09:30:01,,-5,255,255,255,255,40,1,5,0.05,0,42,,50,0,42,,50\r\n'
)
_INTEREST: Final = (
    b"symbol,expiration,strike,right,timestamp,open_interest\r\n"
    b"XYZ,2024-11-08,220.000,CALL,2024-11-04T06:30:04,2732\r\nXYZ,2024-11-08,225,PUT,2024-11-04T06:30:04,0\r\n"
)
_STOCK_QUOTE: Final = (
    b"timestamp,symbol,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition\r\n"
    b"2024-11-04T09:29:59,XYZ,1,1,220.1050,0,1,1,220.11505,0\r\n"
)
_NDJSON: Final = (
    b'{"symbol":"XYZ","expiration":"2024-11-08","strike":220.0,"right":"CALL","trade_timestamp":'
    b'"2024-11-04T09:30:00.471","quote_timestamp":null,"sequence":1,"condition":18,"size":2,"exchange":22,"price":3.9,'
    b'"bid":3.9,"ask":4.05}\n'
)
TABLES: Final[dict[str, bytes]] = {
    "trades.csv": _TRADE_QUOTE, "trades.ndjson": _NDJSON * 2, "interest.csv": _INTEREST, "underlying.csv": _STOCK_QUOTE,
}  # fmt: skip
"""Files to import, by the part of an import and the ending they are given with."""

Ask = Callable[[Terminal, Intake], Awaitable[object]]


async def _stock_quotes(terminal: Terminal, intake: Intake) -> None:
    intake.polled([("delayed", quote) for quote in await terminal.stock_quotes(["XYZ"])], _AT)


async def _open_interest(terminal: Terminal, intake: Intake) -> None:
    intake.open_interest(await terminal.open_interest("XYZ"), _AT)


async def _lines(terminal: Terminal, _intake: Intake) -> None:
    async for _ in terminal.lines("/v3/option/history/trade_quote", symbol="XYZ"):
        pass


class _Past:
    """Knows one contract, and holds what history had."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.rows: list[RawRow] = []
        self.letters: list[DeadLetter] = []

    async def contracts(self, *_: int) -> dict[int, set[Contract]]:
        return {20241104: {Contract("XYZ", 20241108, 220_0000, "CALL")}}

    async def normalizer(self, *_: object) -> Normalizer:
        return self._intake.normalizer

    async def keep(self, rows: Sequence[RawRow], letters: Sequence[DeadLetter]) -> int:
        self.rows += rows
        self.letters += letters
        return len(rows)


async def _history(terminal: Terminal, intake: Intake) -> Batch:
    past, gap = _Past(intake), Gap(Cause.OVERFLOW, _AT, _AT + 60_000, number=1)
    await CatchUp(terminal, "/v3/option/history/trade_quote").fill(gap, past, _AT)
    return Batch(rows=past.rows, dead_letters=past.letters)


ANSWERS: Final[dict[str, tuple[Ask, bytes]]] = {
    "contracts": (
        lambda it, _: it.contracts(20241104),
        b"symbol,expiration,strike,right\r\nXYZ,2024-11-08,220.000,CALL\r\n",
    ),
    "expirations": (lambda it, _: it.expirations(["XYZ"]), b"symbol,expiration\r\nXYZ,2024-11-08\r\n"),
    "option_symbols": (lambda it, _: it.option_symbols(), b"symbol\r\nXYZ\r\n\r\nSPXW\r\n"),
    "chains": (lambda it, _: list_chains(it, ["XYZ"]), b"symbol,expiration,strike\r\nXYZ,2024-11-08,220.000\r\n"),
    "open_interest": (_open_interest, _INTEREST),
    "end_of_day": (
        lambda it, _: it.end_of_day("XYZ", 20241104),
        b"symbol,expiration,strike,right,volume,count,close\r\nXYZ,2024-11-08,220.000,CALL,202,29,1.51\r\n",
    ),
    "stock_quotes": (_stock_quotes, _STOCK_QUOTE),
    "option_spots": (
        lambda it, _: it.option_spots("XYZ", 20241108),
        b"underlying_timestamp,underlying_price\r\n2025-08-20T16:36:52.257,225.74\r\n",
    ),
    "calendar": (lambda it, _: it.calendar_today(), b"type,open,close\r\nopen,09:30:00,16:00:00\r\n"),
    "status": (lambda it, _: it.status(), b"CONNECTED"),
    "observe": (lambda it, _: it.observe("/v3/option/list/symbols", {"symbol": "XYZ"}), _INTEREST),
    "lines": (_lines, _TRADE_QUOTE),
    "history": (_history, _TRADE_QUOTE),
}  # fmt: skip
"""What is asked of the terminal's REST side, and a good answer."""

_WORDS: Final = (
    b"", b"0", b"-1", b"1e308", b"-1e-400", b"NaN", b"Infinity", b"9" * 30, b"9" * 5_000, b"2147483648", b"1.00005",
    b"null", b"[]", b"{}", b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    "٣".encode(), b"2024-02-30", b"0000-00-00", b"9999-12-31T23:59:59.999", b"2024-03-10T02:30:00", b"true", b"\\u0000",
    b"\\ud800", b"[" * 2_000, b"C", b"CALL", b"No data found", b" ", b"-0.0", b"00000000", b"24:00:00", b"86400000",
)  # fmt: skip


def mutate(rng: random.Random, data: bytes) -> bytes:
    """A few random changes: bytes, slices, and words that are hard to read."""
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        a, b = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        b = min(b, a + rng.choice((1, 4, 16, 64)))
        match rng.randrange(7):
            case 0:
                data = data[:a] + bytes([rng.randrange(256)]) + data[a + 1 :]
            case 1:
                data = data[:a] + rng.choice(_WORDS) + data[a:]
            case 2:
                data = data[:a] + data[b:]
            case 3:
                data = data[:b] + data[a:]
            case 4:
                data = data[:a] if rng.random() < 0.3 else data
            case _:  # one value is another word
                ends = [i for i, byte in enumerate(data) if byte in b",:{}\r\n"] or [0]
                at = rng.randrange(len(ends))
                upto = ends[at + 1] if at + 1 < len(ends) else len(data)
                data = data[: ends[at] + 1] + rng.choice(_WORDS) + data[upto:]
    return data


def read_frames(intake: Intake, message: bytes) -> Batch:
    """Take a message of the stream in; each of its frames is a row, a letter, or said nothing of a print."""
    frames = wire.decode(message)
    lines = [line for line in message.split(b"\n") if line.strip()]
    assert len(frames) in (len(lines), 1 if lines else 0), f"{len(frames)} frames in {len(lines)} lines"
    before = intake.rows  # prints ahead of the feed, which others decide on
    intake.frames(frames, _AT)
    batch = intake.take() or Batch()
    bad = sum(isinstance(frame, wire.BadFrame) for frame in frames)
    trades = sum(isinstance(frame, wire.TradeFrame) and frame.contract.security_type == "OPTION" for frame in frames)
    quotes = sum(isinstance(frame, wire.QuoteFrame) for frame in frames)
    letters = len(batch.dead_letters)
    assert bad <= letters <= bad + before + trades + quotes, f"{letters} letters of {bad} bad frames"
    came = len(batch.rows) + letters - bad + intake.rows
    assert before + trades <= came, f"{len(batch.rows)} rows and {letters} letters of {trades} trades"
    _told(batch.dead_letters)
    return batch


def read_table(folder: Path, name: str, data: bytes) -> list[Batch]:
    """Import a file; each of its lines is a row or a letter. Raises LayoutError when it is no such table."""
    path = folder / name
    path.write_bytes(data)
    part = {"trades": (path,), "interest": (), "underlying": ()} | {path.stem: (path,)}
    if path.stem != "trades":
        part["trades"] = ()
    batches, rows, letters = [], 0, 0
    for read in read_parts(Sources(part["trades"], part["interest"], part["underlying"])):
        told = [DeadLetter(IMPORT, *letter, _AT) for letter in read.letters]
        quotes, interest = [UnderlyingQuote(*q) for q in read.quotes], [OpenInterest(*o) for o in read.interest]
        batches.append(Batch(rows=read.rows, quotes=quotes, open_interest=interest, dead_letters=told))
        rows += len(read.rows) + len(interest) + len(quotes)
        letters += len(told)
        _told(told)
    body = data if path.suffix == ".ndjson" else data[len(data[: LINE_BYTES + 1].split(b"\n")[0]) + 1 :]
    lines = sum(bool(line) and not line[: LINE_BYTES + 1].isspace() for line in body.split(b"\n"))
    # the same quote of an underlying twice is kept once
    assert rows + letters == lines or (path.stem == "underlying" and rows + letters < lines), (
        f"{lines} lines, {rows} rows and {letters} letters"
    )
    return batches


def _told(letters: Any) -> None:
    assert all(letter.reason and letter.detail for letter in letters), "a letter without its reason"


class Answering:
    """A server on a free port that answers every request with :attr:`answer`, and a client of it."""

    def __init__(self) -> None:
        self.answer = b""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.terminal = Terminal(f"http://127.0.0.1:{port}", retry_max=0, read_timeout_ms=2_000)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.terminal.__aexit__()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def ask(self, name: str, body: bytes, intake: Intake, head: bytes = b"HTTP/1.1 200 OK") -> Batch:
        """Ask by a name of :data:`ANSWERS` and get ``body``; raises TerminalError, or what should not be."""
        self.answer = head + b"\r\nConnection: close\r\n\r\n" + body
        ask, _ = ANSWERS[name]
        found = await ask(self.terminal, intake)
        return found if isinstance(found, Batch) else intake.take() or Batch()


class _Fuzz:
    """One run: what was tried, and what came out of it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng, self.folder = random.Random(seed), folder
        self.tried: Counter[str] = Counter()
        self.rows = self.letters = self.refused = 0
        self.found: dict[tuple[str, str], str] = {}
        """What was raised and by which input, the first of each place."""
        self._intake = Intake(Calendar.packaged())
        self._kept: list[Batch] = []

    async def run(self, seconds: float) -> None:
        """Try inputs for a time; what was read is stored now and then."""
        end = told = time.monotonic() + seconds
        with app.open_writer(f"sqlite:{self.folder / 'fuzz.sqlite'}") as writer:
            async with Answering() as server:
                while (now := time.monotonic()) < end:
                    self.tried[await self._one(server)] += 1
                    if len(self._kept) >= 500:
                        self._store(writer)
                    if told - now < -5 or told == end:
                        told = now
                        print(f"{sum(self.tried.values())} tried", end="\r", file=sys.stderr, flush=True)
                self._store(writer)

    async def _one(self, server: Answering) -> str:
        """Try one input; its kind."""
        rng = self.rng
        kind = rng.choices(("frames", "table", "answer"), (60, 20, 20))[0]
        intake = self._intake
        data, name = b"", kind
        try:
            if kind == "frames":
                data = mutate(rng, rng.choice(FRAMES))
                batches = [read_frames(intake, data)]
            elif kind == "table":
                name = rng.choice(list(TABLES))
                data = mutate(rng, TABLES[name])
                batches = read_table(self.folder, name, data)
            else:
                name = rng.choice(list(ANSWERS))
                data, head = mutate(rng, ANSWERS[name][1]), b"HTTP/1.1 200 OK"
                if rng.random() < 0.2:
                    head = mutate(rng, head + b"\r\nContent-Length: 60\r\nContent-Type: text/csv")
                batches = [await server.ask(name, data, intake, head)]
        except (LayoutError, TerminalError):
            self.refused += 1
        except Exception as error:  # noqa: BLE001 -- this is what is looked for
            intake.take()
            self._note(name, error, data)
        else:
            self._kept += batches
            self.rows += sum(len(batch.rows) for batch in batches)
            self.letters += sum(len(batch.dead_letters) for batch in batches)
        return name

    def _store(self, writer: Writer) -> None:
        for batch in self._kept:
            try:
                writer.append(batch)
            except Exception as error:  # noqa: BLE001
                self._note("store", error, repr(batch).encode())
        self._kept.clear()

    def _note(self, name: str, error: Exception, data: bytes) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = name, f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        self.found.setdefault(place, f"{str(error)[:200]}\n      {data[:400]!r}")


def main(arguments: list[str]) -> int:
    """Fuzz for a time; exit 1 when anything but a letter or a declared error came out."""
    command = argparse.ArgumentParser(prog="python -m drills fuzz", description=__doc__)
    command.add_argument("--seconds", type=float, default=60.0, metavar="N", help="how long (%(default)s)")
    command.add_argument("--seed", type=int, default=1, help="which mutations (%(default)s)")
    given = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        fuzz = _Fuzz(given.seed, Path(folder))
        asyncio.run(fuzz.run(given.seconds))
    total = sum(fuzz.tried.values())
    print(f"{total} inputs in {given.seconds:g} s: " + ", ".join(f"{n} {k}" for k, n in sorted(fuzz.tried.items())))
    print(f"{fuzz.rows} rows, {fuzz.letters} dead letters, {fuzz.refused} refused as a whole")
    for (name, place), what in fuzz.found.items():
        print(f"FOUND {name}: {place}: {what}")
    print(f"{len(fuzz.found)} kinds of other exceptions")
    return 1 if fuzz.found else 0
