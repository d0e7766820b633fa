"""The stand-in's WebSocket: one client, its subscriptions, and the playback that feeds it.

Playback begins once the first requests have settled: a client has subscribed something and has
asked nothing more for ``settle_s``; or when :meth:`StreamServer.play` is called. It is lossless by
default, which the real terminal is not: while no client is there the tape waits, and what an ended
client has not confirmed (by a pong after it) is sent again to the next one. See :class:`Absence`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.entitlements import Entitlements
from phenix.ingest.terminal.events import Print, Quote, Source, TapeEvent, UnderlyingQuote
from phenix.ingest.terminal.layouts import DAY_MS, date_of
from phenix.ingest.terminal.market import Market
from phenix.ingest.terminal.protocol import (
    Contract,
    OhlcFrame,
    QuoteFrame,
    ReqResponse,
    StateFrame,
    StatusFrame,
    TradeFrame,
)
from phenix.ingest.terminal.standin_requests import integer, parse_contract, parse_request

__all__ = ["Absence", "PlayOptions", "StreamConnection", "StreamServer"]

CONFIRM_EVERY: Final = 256
"""Events between two pings that confirm what was received."""
FRAMES_A_WRITE: Final = 60
"""Frames that go to the socket in one call when playback does not wait for the clock."""
CONFIRM_AHEAD: Final = 8
"""Unanswered pings before playback waits."""
STALL_S: Final = 20.0
"""A client that takes nothing for this long is closed."""
REPLACED: Final = 1000
"""Close code when a second client replaces the first; the real one is unknown."""


class Absence(StrEnum):
    """What playback does while no client is connected."""

    PAUSE = "pause"
    """Wait, and repeat what the last client did not confirm."""
    CONTINUE = "continue"
    """Go on: what is played meanwhile is lost, as with the real terminal."""
    RESTART = "restart"
    """Play from the start for each new client."""


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """How a tape is played.

    ``speed`` is a multiple of real time, 0 as fast as the client reads. ``lines`` is the most JSON
    objects in one message, joined by newlines. ``wait_for_play`` begins only when told.
    """

    speed: float = 1.0
    lines: int = 1
    settle_s: float = 0.5
    wait_for_play: bool = False
    absence: Absence = Absence.PAUSE
    seed: int = 0
    status_interval_s: float = 1.0


class StreamConnection(ServerConnection):
    """A connection that hands many messages to the socket in one call."""

    async def send_all(self, messages: Iterable[str]) -> None:
        """Send messages in order, each one its own. Raises ConnectionClosed."""
        async with self.send_context():
            for message in messages:
                self.protocol.send_text(message.encode())

    def send_data(self) -> None:
        """Write everything that is due at once: a call to the socket costs more than building ten frames."""
        due = self.protocol.writes
        if len(due) > 1 and all(due):  # an empty one means the end of the stream
            self.protocol.writes = [b"".join(due)]
        super().send_data()


@dataclass(slots=True, eq=False)
class _Client:
    ws: StreamConnection
    streams: dict[tuple[str, str], set[Contract]] = field(default_factory=dict)
    """Contracts by (security type, request type)."""
    bulk: bool = False
    asked_at: float = 0.0
    begun: bool = False
    """Its first requests have settled."""
    unconfirmed: deque[TapeEvent] = field(default_factory=deque)
    pings: deque[tuple[Awaitable[float], int]] = field(default_factory=deque)
    """Pongs awaited, each with the number of events it confirms."""
    since_ping: int = 0
    outbox: list[str] = field(default_factory=list)
    sending: bool = False
    told_stop: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def subscribed(self) -> bool:
        return self.bulk or any(self.streams.values())

    def wants(self, security_type: str, req_type: str, contract: Contract) -> bool:
        return contract in self.streams.get((security_type, req_type), ())


class StreamServer:
    """Serves ``/v1/events`` and plays ``source`` to whoever is connected."""

    def __init__(self, source: Source, market: Market, entitlements: Entitlements, options: PlayOptions) -> None:
        self._source, self._market, self._entitlements, self._options = source, market, entitlements, options
        self._encoder = Encoder(options.seed)
        self._client: _Client | None = None
        self._arrival = asyncio.Event()
        self._told_to_play = asyncio.Event()
        self._resend: deque[TapeEvent] = deque()
        self._started = False
        self._restart = False
        self._anchor: tuple[float, int] | None = None
        self.status = "DISCONNECTED"
        """The upstream word in every header: DISCONNECTED until the first request."""
        self.finished = asyncio.Event()
        """Set when the tape has been played to its end."""
        self.prints_played = 0

    def play(self) -> None:
        """Begin now, whether or not requests have settled."""
        self._told_to_play.set()
        self._arrival.set()

    # -- the client's side

    async def handle(self, ws: StreamConnection) -> None:
        """Serve one connection until it ends; the one before it is closed."""
        # Without a pause there is nothing to settle: the market goes on.
        begun = self._started and self._options.absence is Absence.CONTINUE
        before, client = self._client, _Client(ws, asked_at=time.monotonic(), begun=begun)
        self._client = client
        if before is not None:
            self._leave(before)
            before_closing = asyncio.create_task(before.ws.close(REPLACED, "replaced by a new client"))
        else:
            before_closing = None
        status = asyncio.create_task(self._tell_status(client))
        try:
            async for message in ws:
                await self._request(client, message)
        except ConnectionClosed:
            pass
        finally:
            status.cancel()
            await asyncio.gather(status, return_exceptions=True)
            if before_closing is not None:
                await asyncio.gather(before_closing, return_exceptions=True)
            if self._client is client:
                self._client = None
            self._leave(client)

    def _leave(self, client: _Client) -> None:
        if client.gone.is_set():
            return
        client.gone.set()
        self._arrival.clear()
        if self._options.absence is Absence.PAUSE:
            _confirm(client)
            self._resend.extendleft(reversed(client.unconfirmed))
        elif self._options.absence is Absence.RESTART and client.begun:
            self._restart = True

    async def _tell_status(self, client: _Client) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.ws.send(self._encoder.status(StatusFrame(self.status)))
                if client.since_ping:
                    await self._ping(client)
                await asyncio.sleep(self._options.status_interval_s)

    async def _request(self, client: _Client, message: str | bytes) -> None:
        client.asked_at = time.monotonic()
        self.status = "CONNECTED"
        asked = parse_request(message)
        req_id = integer(asked.get("id")) if asked else None
        word = self._answer(client, asked) if asked else "ERROR"
        answer = ReqResponse(self.status, word, -1 if req_id is None else req_id)
        await client.ws.send(self._encoder.req_response(answer))
        if client.subscribed:
            self._arrival.set()

    def _answer(self, client: _Client, asked: dict[str, Any]) -> str:
        kind = str(asked.get("msg_type", "")).upper()
        req_type = str(asked.get("req_type", "")).upper()
        sec_type = str(asked.get("sec_type", "")).upper()
        add = str(asked.get("add", True)).lower() != "false"
        if kind == "STOP":
            client.streams.clear()
            client.bulk = False
            return "SUBSCRIBED"
        if integer(asked.get("id")) is None:
            return "ERROR"
        if "BULK" in kind:
            if req_type != "TRADE" or sec_type != "OPTION":
                return "ERROR"
            if add and not self._entitlements.bulk_trades:
                return "INVALID_PERMS"
            client.bulk = add
            return "SUBSCRIBED"
        contract = parse_contract(sec_type, asked.get("contract"))
        if kind != "STREAM" or req_type not in {"TRADE", "QUOTE"} or contract is None:
            return "ERROR"
        open_streams = client.streams.setdefault((sec_type, req_type), set())
        if not add:
            open_streams.discard(contract)
            return "SUBSCRIBED"
        allowed = self._entitlements.streams(sec_type, req_type)
        if not allowed:
            return "INVALID_PERMS"
        if contract not in open_streams and len(open_streams) >= allowed:
            return "MAX_STREAMS_REACHED"
        open_streams.add(contract)
        return "SUBSCRIBED"

    # -- the playback's side

    async def run(self) -> None:
        """Play the tape; returns only when cancelled. A finished tape keeps the line open with STATUS."""
        if self._options.wait_for_play:
            await self._told_to_play.wait()
        events = self._source.events()
        played = 0
        while True:
            client = self._client
            alone = self._started and self._options.absence is Absence.CONTINUE
            if client is None or not client.begun:
                if not alone or self.finished.is_set():
                    client = await self._ready()
                    if self._restart:
                        events = self._source.events()
                        self._market.clear()
                        self.finished.clear()
                    if self._restart or not self._started:
                        await self._say_state(client, "START")
                    self._started, self._restart, self._anchor = True, False, None
                    continue
            elif self._resend:
                await self._deliver(client, self._resend.popleft())
                continue
            event = None if self.finished.is_set() else next(events, None)
            if event is None:
                await self._over(client)
                continue
            await self._pace(event, client)
            self._market.apply(event)
            self.prints_played += isinstance(event, Print)
            client = self._client  # it may have left while we slept
            if client is not None and client.begun:
                await self._deliver(client, event)
            elif self._options.absence is Absence.PAUSE:
                self._resend.append(event)
            played += 1
            if played % 64 == 0:
                await asyncio.sleep(0)

    async def _over(self, client: _Client | None) -> None:
        self.finished.set()
        if client is not None and not client.told_stop:
            client.told_stop = True
            await self._flush(client)
            await self._say_state(client, "STOP")
        if self._client is client:
            self._arrival.clear()
            await self._arrival.wait()

    async def _ready(self) -> _Client:
        """The client, once its first requests have settled."""
        while True:
            client = self._client
            if client is None or not client.subscribed:
                self._arrival.clear()
                await self._arrival.wait()
                continue
            left = client.asked_at + self._options.settle_s - time.monotonic()
            if client.begun or left <= 0 or (self._told_to_play.is_set() and not self._started):
                client.begun = True
                return client
            await asyncio.sleep(left)

    async def _pace(self, event: TapeEvent, client: _Client | None) -> None:
        speed = self._options.speed
        if not speed:
            return
        now = time.monotonic()
        if self._anchor is None:
            self._anchor = (now, event.wall)
        ahead = self._anchor[0] + (event.wall - self._anchor[1]) / 1000 / speed - now
        if ahead > 0.001:
            if client is not None:
                await self._flush(client)
            await asyncio.sleep(ahead)

    async def _deliver(self, client: _Client, event: TapeEvent) -> None:
        frames = list(self._frames(client, event))
        if not frames:
            return
        lossless = self._options.absence is Absence.PAUSE
        if lossless:
            client.unconfirmed.append(event)
            client.since_ping += 1
        client.outbox += frames
        if len(client.outbox) >= max(self._options.lines, FRAMES_A_WRITE):
            await self._flush(client)
        if lossless and client.since_ping >= CONFIRM_EVERY:
            await self._flush(client)
            with contextlib.suppress(ConnectionClosed):
                await self._ping(client)
                while len(client.pings) > CONFIRM_AHEAD:
                    await client.pings[0][0]
                    _confirm(client)

    async def _ping(self, client: _Client) -> None:
        if client.outbox or client.sending:
            return  # a pong would confirm what has not been sent yet
        sent, client.since_ping = client.since_ping, 0
        _confirm(client)
        client.pings.append((await client.ws.ping(), sent))

    async def _flush(self, client: _Client) -> None:
        frames, client.outbox = client.outbox, []
        if not frames:
            return
        lines = self._options.lines
        client.sending = True
        try:
            async with asyncio.timeout(STALL_S):
                if lines > 1:
                    frames = ["\n".join(frames[start : start + lines]) for start in range(0, len(frames), lines)]
                await client.ws.send_all(frames)
        except TimeoutError:
            client.ws.transport.abort()
            await client.gone.wait()
        except ConnectionClosed:
            await client.gone.wait()
        finally:
            client.sending = False

    async def _say_state(self, client: _Client, state: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await client.ws.send(self._encoder.state(StateFrame(self.status, state)))

    def _frames(self, client: _Client, event: TapeEvent) -> Iterator[str]:
        encoder, status = self._encoder, self.status
        if isinstance(event, UnderlyingQuote):
            for security_type in ("STOCK", "INDEX"):
                contract = Contract(security_type, event.symbol)
                if client.wants(security_type, "QUOTE", contract):
                    yield encoder.quote(_quote_frame(contract, event), status)
            return
        contract, quote = event.contract, event.quote
        if not (client.bulk or client.wants("OPTION", "TRADE", contract)):
            if quote is not None and client.wants("OPTION", "QUOTE", contract):
                yield encoder.quote(_quote_frame(contract, quote), status)
            return
        date, ms = date_of(event.wall), event.wall % DAY_MS
        around = encoder.quote(_quote_frame(contract, quote), status) if quote is not None else ""
        if around:
            yield around
        opened, high, low, close, volume, prints = self._market.bars.get(contract, [event.price] * 4 + [event.size, 1])
        yield encoder.ohlc(OhlcFrame(contract, date, ms, opened, high, low, close, volume, prints), status)
        trade = TradeFrame(contract, date, ms, event.sequence, event.size, event.condition, event.price, event.exchange)
        yield encoder.trade(trade, status)
        if around:
            yield around
            yield around


def _confirm(client: _Client) -> None:
    """Forget what a pong has confirmed."""
    while client.pings:
        pong, events = client.pings[0]
        # websockets types its pong waiters as awaitables; they are futures
        if not isinstance(pong, asyncio.Future) or not pong.done() or pong.cancelled() or pong.exception():
            return
        client.pings.popleft()
        for _ in range(events):
            client.unconfirmed.popleft()


def _quote_frame(contract: Contract, quote: Quote | UnderlyingQuote) -> QuoteFrame:
    return QuoteFrame(
        contract,
        date_of(quote.wall),
        quote.wall % DAY_MS,
        quote.bid_size,
        quote.bid_exchange,
        quote.bid,
        quote.bid_condition,
        quote.ask_size,
        quote.ask_exchange,
        quote.ask,
        quote.ask_condition,
    )
