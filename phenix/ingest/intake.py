"""From the frames of the terminal to raw rows: what one batch of them stores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from phenix.engine.enrich.clock import DAY, HOUR, day_of_date, utc_of, wall_of
from phenix.engine.store.base import Batch, Cause, DeadLetter, Gap, OpenInterest, UnderlyingQuote
from phenix.ingest.contract import Contract
from phenix.ingest.deadletter import TERMINAL, letter
from phenix.ingest.gaps import GapWatch
from phenix.ingest.inputs import InterestBook, SpotBook
from phenix.ingest.market_clock import BELIEVED, Pace
from phenix.ingest.normalize import INTEREST_LIMIT, PRICE_LIMIT, Normalizer, RawRow, Refusal, Sessions
from phenix.ingest.parity import PARITY, Parity, Synthetic
from phenix.ingest.terminal import client
from phenix.ingest.terminal import protocol as wire
from phenix.ingest.terminal.encoder import Encoder

__all__ = ["QUOTES_KEPT", "STREAM", "Intake"]

STREAM: Final = "stream"
QUOTES_KEPT: Final = 20_000
"""Quotes of an underlying that are remembered at least: the latest."""
_UP: Final = "CONNECTED"


class _Print(NamedTuple):
    """A print with the quote before it, the row they make, and when it came."""

    frame: wire.TradeFrame
    quote: wire.QuoteFrame | None
    row: RawRow
    received_at: int


@dataclass(slots=True)
class _Pending:
    rows: list[RawRow] = field(default_factory=list)
    payloads: list[str] = field(default_factory=list)
    quotes: list[UnderlyingQuote] = field(default_factory=list)
    interest: list[OpenInterest] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    heard_from: int = 0
    """When the stream was whole for the first time, before any print."""

    def __bool__(self) -> bool:
        return bool(self.rows or self.quotes or self.interest or self.letters or self.gaps or self.heard_from)


class Intake:
    """Frames to raw rows: keeps the last quote of each contract and what is known of the underlyings.

    Of the sessions before the last one it forgets: what history has of those is joined with what the store knows.
    """

    def __init__(self, sessions: Sessions, gaps: GapWatch | None = None) -> None:
        self._spots = SpotBook(keep=QUOTES_KEPT)
        self._interest = InterestBook()
        self.normalizer = Normalizer(sessions, self._spots, self._interest)
        self._gaps = gaps or GapWatch()
        self._pace = Pace()
        self._ahead: list[_Print] = []  # prints running that are ahead of the feed, fewer than are believed
        self.parity = Parity()
        self._quotes: dict[wire.Contract, wire.QuoteFrame] = {}
        self._contracts: dict[wire.Contract, Contract] = {}
        self._hours: dict[tuple[int, int], int] = {}
        self._printed: dict[wire.Contract, int] = {}
        self._session = 0  # the latest session date with prints
        self._upto = 0  # when the last of the frames under way came
        self._pending = _Pending()
        self._word = ""  # what the terminal said last of its own line
        self._down = False  # whether prints are missed for that
        self._settled = False  # whether all subscriptions are answered
        self._unheard = self._gaps.since is None  # whether the store knows nothing of the stream yet
        self.quoted_at = 0
        """When a new quote of an underlying last came, UTC ms of this machine."""
        self.latest = 0
        """Latest time of a print or quote heard, UTC ms."""

    @property
    def rows(self) -> int:
        """Rows waiting to be taken, and those that may become some."""
        return len(self._pending.rows) + len(self._ahead)

    @property
    def upstream(self) -> bool:
        """Whether the terminal last said that it is connected."""
        return self._word == _UP

    def printed(self, session_date: int) -> set[wire.Contract]:
        """Contracts with a print of a session date."""
        return {contract for contract, date in self._printed.items() if date == session_date}

    def take(self) -> Batch | None:
        """What came since the last call as one batch; None when nothing did."""
        pending, self._pending = self._pending, _Pending()
        if not pending:
            return None
        latest = max((row[2] for row in pending.rows), default=pending.heard_from)
        # A restart asks for what came since the checkpoint, so that must not pass a gap the store does not know of yet.
        heard_upto = latest if self._gaps.since is None else min(latest, self._gaps.since)
        return Batch(
            rows=pending.rows,
            payloads=pending.payloads,
            quotes=pending.quotes,
            open_interest=pending.interest,
            dead_letters=pending.letters,
            gaps=pending.gaps,
            stream=TERMINAL if latest else "",
            watermark=str(heard_upto),
        )

    def frames(self, frames: Iterable[object], received_at: int, upto: int | None = None) -> None:
        """Take frames in the order they came, the last at ``upto``; what says nothing of a print is left alone."""
        self._upto = received_at if upto is None else upto
        if self._ahead and all(self._pace.has_come(it.row[2], it.received_at, self._upto) for it in self._ahead):
            self._believe_ahead(self._upto)
        for frame in frames:
            if isinstance(frame, wire.QuoteFrame):
                if frame.contract.security_type == "OPTION":
                    if frame.bid > PRICE_LIMIT or frame.ask > PRICE_LIMIT:  # prints after it have no usable quote
                        self._quotes.pop(frame.contract, None)
                        refusal = Refusal("price_out_of_range", "the quote is beyond any real price")
                        self._refuse(refusal, repr(frame), received_at)
                    else:
                        self._quotes[frame.contract] = frame
                        if self.parity.follows(frame.contract):
                            self._synthetic(frame, received_at)
                else:
                    self._underlying(frame, received_at)
            elif isinstance(frame, wire.TradeFrame):
                if frame.contract.security_type == "OPTION":
                    self._trade(frame, received_at)
            elif isinstance(frame, wire.BadFrame):
                self._unreadable(frame, received_at)
            elif not isinstance(frame, wire.OhlcFrame):
                self._event(frame, received_at)

    def remember(self, quotes: Iterable[UnderlyingQuote]) -> None:
        """Take quotes an earlier run stored, so that a restart knows what it knew."""
        for quote in quotes:
            self._spots.add(quote.symbol, quote.ts_utc, quote.bid, quote.ask, quote.source)

    def remember_interest(self, rows: Iterable[OpenInterest]) -> None:
        """Take open interest an earlier run stored."""
        for row in rows:
            self._interest.add(Contract(row.root, row.expiration, row.strike, row.right), row.date, row.ts_utc,
                               row.open_interest)  # fmt: skip

    def polled(self, quotes: Iterable[tuple[str, client.StockQuote]], received_at: int) -> None:
        """Take quotes of underlyings that were asked for, each with its source."""
        for source, quote in quotes:
            ts = self._utc(quote.date, quote.ms_of_day)
            if ts is None:
                self._refuse(Refusal("time_malformed", "the quote's time does not exist"), repr(quote), received_at)
            elif self._spots.at(quote.symbol, ts)[1] != 0:  # the same quote again
                self._spot(quote.symbol, ts, quote, source, received_at)

    def open_interest(self, rows: Iterable[client.OpenInterestRow], received_at: int) -> None:
        """Take open interest as told by the terminal."""
        known = self._interest.dates
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
        if self._interest.dates != known:
            self._forget_interest()

    def finish(self, at: int) -> None:
        """The work ends, at a time of this machine: note the gap that is still open."""
        if self._pace.live:
            self._doubt_ahead(at)
        else:  # too few to be believed, but nothing came that says otherwise
            self._believe_ahead(at)
        if (gap := self._gaps.finish(at)) is not None:
            self._pending.gaps.append(gap)

    def _event(self, event: object, received_at: int) -> None:
        """What happened to the stream, in its place among the frames."""
        match event:
            case client.Disconnected(heard_at=heard_at):
                self._settled = False
                if heard_at is not None:
                    self._gaps.lost(Cause.DISCONNECTED, heard_at, self.latest)
            case client.Settled(at=at):
                self._settled = True
                if self._unheard:  # a restart before the first print has to ask for what came since
                    self._pending.heard_from, self._unheard = at, False
                if self._word in ("", _UP):
                    self._resume(at)
                else:
                    self._upstream_lost(at)
            case client.Silence(at=at, since=since):
                self._gaps.lost(Cause.SILENT, since, self.latest)
                self._resume(at)
            case client.Overflow(at=at, since=since, messages=messages):
                self._gaps.lost(Cause.OVERFLOW, since, self.latest, messages=messages)
                self._resume(at)
            case wire.StatusFrame(status=status) | wire.StateFrame(status=status) | wire.ReqResponse(status=status):
                before, self._word = self._word, status
                if status == _UP:
                    if self._down:
                        self._down = False
                        self._resume(received_at)
                elif before == _UP or self._settled:  # before a first request a terminal is not connected itself
                    self._upstream_lost(received_at)

    def _upstream_lost(self, at: int) -> None:
        if not self._down:
            self._down = True
            self._gaps.lost(Cause.UPSTREAM, at, self.latest)

    def _resume(self, at: int) -> None:
        """The stream is whole again, unless subscriptions or the terminal's own line are still waited for."""
        if self._settled and not self._down:
            self._gaps.resumed(at)

    def _trade(self, frame: wire.TradeFrame, received_at: int) -> None:
        contract = self._contracts.get(frame.contract)
        if contract is None:
            contract = self._contracts[frame.contract] = Contract(*frame.contract[1:])
        ts = self._utc(frame.date, frame.ms_of_day)
        if ts is None:
            refusal = Refusal("time_malformed", "the print's time does not exist")
            self._refuse(refusal, _words(frame, None), received_at)
            return
        quote = self._quotes.get(frame.contract)
        row = self.normalizer.row(
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
            self._refuse(row, _words(frame, quote), received_at)
        elif self._pace.keeps(ts, self._upto):  # not when the first of its batch came: it may have come later
            if self._ahead:
                self._doubt_ahead(self._upto)
            self._keep(frame, quote, row, received_at)
        else:
            if self._ahead and not self._pace.agree(ts, self._ahead[0].row[2]):
                self._doubt_ahead(self._upto)
            self._ahead.append(_Print(frame, quote, row, received_at))
            if len(self._ahead) == BELIEVED:
                self._believe_ahead(self._upto)

    def _keep(self, frame: wire.TradeFrame, quote: wire.QuoteFrame | None, row: RawRow, received_at: int) -> None:
        ts, session = row[2], row[4]
        self._gaps.timed(ts, received_at)
        if self._gaps.since is not None and (gap := self._gaps.heard(ts, self._upto)) is not None:
            self._pending.gaps.append(gap)
        if session > self._session:
            self._begin_session(session)
        self._printed[frame.contract] = session
        self._unheard = False
        self.latest = max(self.latest, ts)
        self._pending.rows.append(row)
        self._pending.payloads.append(_payload(frame, quote))

    def _believe_ahead(self, now: int) -> None:
        """The feed has come as far as the prints say that were ahead of it."""
        ahead, self._ahead = self._ahead, []
        if ahead:
            self._pace.comes_to(max(it.row[2] for it in ahead), now)
        for it in ahead:
            self._keep(*it)

    def _doubt_ahead(self, now: int) -> None:
        """The feed has not come as far as the prints say that were ahead of it."""
        ahead, self._ahead = self._ahead, []
        for it in ahead:
            if self._pace.was_late(it.row[2], now):
                self._keep(*it)
            else:
                refusal = Refusal("time_ahead", "the print's time is ahead of what the feed and this machine say")
                self._refuse(refusal, _words(it.frame, it.quote), it.received_at)

    def _begin_session(self, session_date: int) -> None:
        """Forget what no print of the session date or after needs."""
        self._session = session_date
        self._quotes = {contract: it for contract, it in self._quotes.items() if contract.expiration >= session_date}
        self._contracts = {wired: it for wired, it in self._contracts.items() if it.expiration >= session_date}
        self._printed = {contract: date for contract, date in self._printed.items() if date >= session_date}
        self._hours.clear()
        self._forget_interest()

    def _forget_interest(self) -> None:
        """Keep the open interest of the last two dates: late prints may be of the one before."""
        self._interest.forget(min(self._interest.dates[-2:], default=0))

    def _unreadable(self, frame: wire.BadFrame, received_at: int) -> None:
        """A frame that may have held a newer quote: prints after it have none, rather than an older one."""
        self._refuse(Refusal("frame", frame.reason), frame.snippet, received_at)
        if frame.kind not in ("", "QUOTE"):
            return
        if frame.contract is None:
            self._quotes.clear()
        else:
            self._quotes.pop(frame.contract, None)

    def _underlying(self, frame: wire.QuoteFrame, received_at: int) -> None:
        ts = self._utc(frame.date, frame.ms_of_day)
        if ts is None:
            self._refuse(Refusal("time_malformed", "the quote's time does not exist"), repr(frame), received_at)
        else:
            self._spot(frame.contract.root, ts, frame, STREAM, received_at)

    def _synthetic(self, frame: wire.QuoteFrame, received_at: int) -> None:
        """What a quote of an option says of its underlying."""
        ts = self._utc(frame.date, frame.ms_of_day)
        if ts is not None and (found := self.parity.quote(frame.contract, ts, frame.bid, frame.ask)) is not None:
            self._spot(found.symbol, found.ts_utc, found, PARITY, received_at)

    def _spot(
        self,
        symbol: str,
        ts: int,
        quote: wire.QuoteFrame | client.StockQuote | Synthetic,
        source: str,
        received_at: int,
    ) -> None:
        bid, ask = quote.bid, quote.ask
        if max(bid, ask) > PRICE_LIMIT:
            refusal = Refusal("price_out_of_range", "the quote is beyond any real price")
            self._refuse(refusal, repr(quote), received_at)
        elif self._spots.add(symbol, ts, bid, ask, source):
            self.quoted_at = received_at
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


def _words(trade: wire.TradeFrame, quote: wire.QuoteFrame | None) -> str:
    """Frames of a refused print as the terminal writes them, the quote before it first: they can be read again."""
    encoder = Encoder()
    return "\n".join(([encoder.quote(quote)] if quote else []) + [encoder.trade(trade)])


def _payload(trade: wire.TradeFrame, quote: wire.QuoteFrame | None) -> str:
    """What the terminal said of a print: its TRADE frame's body and the last QUOTE's, sizes and venues included."""
    bodies = {"trade": trade._asdict(), "quote": quote._asdict() if quote else None}
    for body in bodies.values():
        if body is not None:
            del body["contract"]
            body |= {name: body[name] / wire.MONEY_SCALE for name in ("price", "bid", "ask") if name in body}
    return orjson.dumps(bodies).decode()
