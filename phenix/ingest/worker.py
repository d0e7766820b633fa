"""The live worker: frames of the terminal's stream to stored and enriched rows.

The stream's own task reads the socket; here each batch of frames becomes raw rows through the importer's normaliser
and one transaction on a thread of its own. What arrives meanwhile is the next batch, so batches grow with the load.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

from phenix.engine.enrich.clock import DAY, HOUR, day_of_date, utc_of, wall_of
from phenix.engine.store.base import Batch, DeadLetter, OpenInterest, UnderlyingQuote
from phenix.ingest.contract import Contract
from phenix.ingest.deadletter import TERMINAL, letter
from phenix.ingest.inputs import InterestBook, SpotBook
from phenix.ingest.normalize import INTEREST_LIMIT, PRICE_LIMIT, Normalizer, RawRow, Refusal, Sessions
from phenix.ingest.recorder import Recorder, now_utc
from phenix.ingest.terminal import client
from phenix.ingest.terminal import protocol as wire

__all__ = ["DELAYED", "STREAM", "Figures", "Intake", "Worker"]

log = logging.getLogger("phenix.ingest")

STREAM: Final = "stream"
DELAYED: Final = "delayed"
QUOTES_KEPT: Final = 20_000


@dataclass(slots=True)
class Figures:
    """What a worker did since it started."""

    caught_up: int = 0
    stored: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    dropped_messages: int = 0
    connections: int = 0
    batches: int = 0
    last_trade_utc: int = 0


@dataclass(slots=True)
class _Pending:
    rows: list[RawRow] = field(default_factory=list)
    payloads: list[str] = field(default_factory=list)
    quotes: list[UnderlyingQuote] = field(default_factory=list)
    interest: list[OpenInterest] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.quotes or self.interest or self.letters)


class Intake:
    """Frames to raw rows: keeps the last quote of each contract and what is known of the underlyings."""

    def __init__(self, sessions: Sessions) -> None:
        self._spots = SpotBook(keep=QUOTES_KEPT)
        self._interest = InterestBook()
        self._normalizer = Normalizer(sessions, self._spots, self._interest)
        self._quotes: dict[wire.Contract, wire.QuoteFrame] = {}
        self._contracts: dict[wire.Contract, Contract] = {}
        self._hours: dict[tuple[int, int], int] = {}
        self._pending = _Pending()

    @property
    def rows(self) -> int:
        """Rows waiting to be taken."""
        return len(self._pending.rows)

    def take(self) -> Batch | None:
        """What came since the last call as one batch; None when nothing did."""
        pending, self._pending = self._pending, _Pending()
        if not pending:
            return None
        latest = max((row[2] for row in pending.rows), default=0)
        return Batch(
            rows=pending.rows,
            payloads=pending.payloads,
            quotes=pending.quotes,
            open_interest=pending.interest,
            dead_letters=pending.letters,
            stream=TERMINAL if latest else "",
            watermark=str(latest),
        )

    def frames(self, frames: Iterable[object], received_at: int) -> None:
        """Take frames in the order they came; frames that say nothing of a print are left alone."""
        for frame in frames:
            if isinstance(frame, wire.QuoteFrame):
                if frame.contract.security_type == "OPTION":
                    if frame.bid > PRICE_LIMIT or frame.ask > PRICE_LIMIT:  # prints after it have no usable quote
                        self._quotes.pop(frame.contract, None)
                        refusal = Refusal("price_out_of_range", "the quote is beyond any real price")
                        self._refuse(refusal, repr(frame), received_at)
                    else:
                        self._quotes[frame.contract] = frame
                else:
                    self._underlying(frame, received_at)
            elif isinstance(frame, wire.TradeFrame):
                if frame.contract.security_type == "OPTION":
                    self._trade(frame, received_at)
            elif isinstance(frame, wire.BadFrame):
                self._refuse(Refusal("frame", frame.reason), frame.snippet, received_at)

    def remember(self, quotes: Iterable[UnderlyingQuote]) -> None:
        """Take quotes an earlier run stored, so that a restart knows what it knew."""
        for quote in quotes:
            self._spots.add(quote.symbol, quote.ts_utc, quote.bid, quote.ask, quote.source)

    def delayed_quotes(self, quotes: Iterable[client.StockQuote], received_at: int) -> None:
        """Take polled quotes of underlyings."""
        for quote in quotes:
            ts = self._utc(quote.date, quote.ms_of_day)
            if ts is None:
                self._refuse(Refusal("time_malformed", "the quote's time does not exist"), repr(quote), received_at)
            elif self._spots.at(quote.symbol, ts)[1] != 0:  # the same quote again
                self._spot(quote.symbol, ts, quote, DELAYED, received_at)

    def open_interest(self, rows: Iterable[client.OpenInterestRow], received_at: int) -> None:
        """Take open interest as told by the terminal."""
        for row in rows:
            contract = Contract(*row.contract[1:])
            ts = self._utc(row.date, row.ms_of_day)
            if ts is None:
                self._refuse(Refusal("time_malformed", "the snapshot's time does not exist"), repr(row), received_at)
            elif not 0 <= row.open_interest <= INTEREST_LIMIT:
                detail = f"open_interest {row.open_interest} is not between 0 and {INTEREST_LIMIT}"
                self._refuse(Refusal("open_interest_out_of_range", detail), repr(row), received_at)
            else:
                self._interest.add(contract, row.date, ts, row.open_interest)
                self._pending.interest.append(OpenInterest(*contract, row.date, ts, row.open_interest))

    def lost(self, messages: int, at_utc: int) -> None:
        """Note messages that were dropped before they were read."""
        self._refuse(Refusal("overflow", f"{messages} messages were dropped: the queue was full"), b"", at_utc)

    def missed(self, from_utc: int, upto_utc: int) -> None:
        """Note a time in which the terminal was not heard."""
        times = f"from {_utc_text(from_utc)} to {_utc_text(upto_utc)}"
        self._refuse(Refusal("gap", f"nothing was received {times}: the connection was lost"), b"", upto_utc)

    def _trade(self, frame: wire.TradeFrame, received_at: int) -> None:
        contract = self._contracts.get(frame.contract)
        if contract is None:
            contract = self._contracts[frame.contract] = Contract(*frame.contract[1:])
        ts = self._utc(frame.date, frame.ms_of_day)
        if ts is None:
            self._refuse(Refusal("time_malformed", "the print's time does not exist"), repr(frame), received_at)
            return
        quote = self._quotes.get(frame.contract)
        row = self._normalizer.row(
            contract,
            ts,
            frame.price,
            frame.size,
            frame.condition,
            frame.exchange,
            frame.sequence,
            quote.bid if quote else None,
            quote.ask if quote else None,
            self._utc(quote.date, quote.ms_of_day) if quote else None,
            received_at,
        )
        if isinstance(row, Refusal):
            self._refuse(row, repr(frame), received_at)
        else:
            self._pending.rows.append(row)
            self._pending.payloads.append(_payload(frame, quote))

    def _underlying(self, frame: wire.QuoteFrame, received_at: int) -> None:
        ts = self._utc(frame.date, frame.ms_of_day)
        if ts is None:
            self._refuse(Refusal("time_malformed", "the quote's time does not exist"), repr(frame), received_at)
        else:
            self._spot(frame.contract.root, ts, frame, STREAM, received_at)

    def _spot(
        self, symbol: str, ts: int, quote: wire.QuoteFrame | client.StockQuote, source: str, received_at: int
    ) -> None:
        bid, ask = quote.bid, quote.ask
        if max(bid, ask) > PRICE_LIMIT:
            refusal = Refusal("price_out_of_range", "the quote is beyond any real price")
            self._refuse(refusal, repr(quote), received_at)
        elif self._spots.add(symbol, ts, bid, ask, source):
            self._pending.quotes.append(UnderlyingQuote(symbol, ts, bid, ask, source))

    def _refuse(self, refusal: Refusal, record: str | bytes, at_utc: int) -> None:
        self._pending.letters.append(letter(TERMINAL, None, refusal, record, at_utc))

    def _utc(self, date: int, ms_of_day: int) -> int | None:
        """UTC of a New York date and time of day; None for one the clocks jumped over."""
        hour = ms_of_day // HOUR
        start = self._hours.get((date, hour))
        if start is None:
            if hour == 24:  # the end of a day has been seen written as its 24:00
                wall = (day_of_date(date) + 1) * DAY
                start = utc_of(date, DAY - 1) + 1
            else:
                wall = day_of_date(date) * DAY + hour * HOUR
                start = utc_of(date, hour * HOUR)
            if wall_of(start) != wall:
                return None
            self._hours[date, hour] = start
        return start + ms_of_day - hour * HOUR


def _utc_text(ts_utc: int) -> str:
    return f"{datetime.fromtimestamp(ts_utc // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ts_utc % 1000:03d}Z"


def _payload(trade: wire.TradeFrame, quote: wire.QuoteFrame | None) -> str:
    """What the terminal said of a print: its TRADE frame's body and the last QUOTE's, sizes and venues included."""
    bodies = {"trade": trade._asdict(), "quote": quote._asdict() if quote else None}
    for body in bodies.values():
        if body is not None:
            del body["contract"]
            body |= {name: body[name] / wire.MONEY_SCALE for name in ("price", "bid", "ask") if name in body}
    return orjson.dumps(bodies).decode()


class Worker:
    """Runs one stream into one store.

    ``flush_rows`` and ``flush_s`` bound how long a print waits for company; ``once`` ends at the market's STOP.
    """

    def __init__(
        self,
        recorder: Recorder,
        intake: Intake,
        terminal: client.Terminal,
        stream: client.Stream,
        *,
        contracts: Sequence[wire.Contract],
        underlyings: Sequence[wire.Contract],
        flush_rows: int = 500,
        flush_s: float = 0.02,
        poll_s: float = 2.0,
        once: bool = False,
        stop_after: int | None = None,
    ) -> None:
        self._recorder = recorder
        self._intake = intake
        self._terminal = terminal
        self._stream = stream
        self._contracts = contracts
        self._underlyings = underlyings
        self._flush_rows = flush_rows
        self._flush_s = flush_s
        self._poll_s = poll_s
        self._once = once
        self._stop_after = stop_after
        self._polled: dict[str, None] = {}
        self._poller: asyncio.Task[None] | None = None
        self._flushed = 0.0
        self._heard_at: int | None = None  # while the line is down that was up before
        self.figures = Figures()

    async def run(self, stop: asyncio.Event) -> Figures:
        """Take prints until told to stop (or the end named at construction); everything received is stored.

        Raises StoreError when the store cannot be written.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "store") as pool:
            self.figures.caught_up = await loop.run_in_executor(pool, self._recorder.catch_up)
            wanted = [client.Subscription("QUOTE", contract) for contract in self._underlyings]
            wanted += [client.Subscription("TRADE", contract) for contract in self._contracts]
            self._stream.want(wanted)
            async with self._stream as stream:
                closer = asyncio.create_task(self._close_when(stop), name="stop")
                try:
                    async for batch in stream:
                        if self._read(batch) or self._enough():
                            stop.set()
                        wait = self._flushed + self._flush_s - time.monotonic()
                        if wait > 0 and self._intake.rows < self._flush_rows and not stop.is_set():
                            await asyncio.sleep(wait)
                            if stream.queued:
                                continue
                        await self._flush(pool)
                    await self._flush(pool)
                finally:
                    for task in (closer, self._poller):
                        if task is not None:
                            task.cancel()
                    await asyncio.gather(closer, *([self._poller] if self._poller else []), return_exceptions=True)
        return self.figures

    async def _close_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        await self._stream.close()

    def _enough(self) -> bool:
        return self._stop_after is not None and self.figures.stored + self._intake.rows >= self._stop_after

    def _read(self, batch: client.Batch) -> bool:
        """Take a batch in; True when the market has closed and that ends the work."""
        self._intake.frames(batch.items, batch.received_at)
        closed = False
        for item in batch.items:
            if isinstance(item, wire.StateFrame):
                log.info("market %s", item.state)
                closed = closed or (self._once and item.state == "STOP")
            elif isinstance(item, client.Connected):
                self.figures.connections += 1
                log.info("connected (attempt %s)", item.attempt)
                if self._heard_at is not None:
                    self._intake.missed(self._heard_at, item.at)
                    self._heard_at = None
            elif isinstance(item, client.Disconnected):
                self._heard_at = item.heard_at
                log.warning("disconnected: %s", item.reason)
            elif isinstance(item, client.Overflow):
                self.figures.dropped_messages += item.messages
                self._intake.lost(item.messages, item.at)
                log.error("%s messages dropped: the store did not keep up", item.messages)
            elif isinstance(item, client.Settled):
                self._settled(item)
        return closed

    def _settled(self, settled: client.Settled) -> None:
        underlyings = [(key, word) for key, word in settled.refused if key.req_type == "QUOTE" and key.contract]
        refused = len(settled.refused) - len(underlyings)
        log.info("subscribed to %s streams, %s trade streams refused", settled.subscribed, refused)
        for key, word in settled.refused[: 5 if refused else 0]:
            log.warning("refused: %s %s (%s)", key.req_type, key.contract, word)
        self._polled = {key.contract.root: None for key, _ in underlyings if key.contract}
        if self._polled and self._poller is None:
            log.info("%s underlyings are not streamed: their quotes are polled", len(self._polled))
            self._poller = asyncio.create_task(self._poll(), name="underlying-quotes")

    async def _poll(self) -> None:
        while True:
            try:
                quotes = await self._terminal.stock_quotes(self._polled)
                self._intake.delayed_quotes(quotes, now_utc())
            except client.TerminalError as error:
                log.warning("underlying quotes: %s", error)
            await asyncio.sleep(self._poll_s)

    async def _flush(self, pool: ThreadPoolExecutor) -> None:
        self._flushed = time.monotonic()
        batch = self._intake.take()
        if batch is None:
            return
        appended = await asyncio.get_running_loop().run_in_executor(pool, self._recorder.record, batch)
        figures = self.figures
        figures.stored += len(appended.rows)
        figures.duplicates += appended.duplicates
        figures.dead_letters += len(batch.dead_letters)
        figures.batches += 1
        if appended.rows:
            figures.last_trade_utc = max(row[2] for row in appended.rows)
