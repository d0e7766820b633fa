"""The client's end of the terminal's WebSocket: batches of decoded frames, and what happened to the line.

The reading task only moves messages into a bounded queue. When the queue is full it stops reading
for up to ``patience_s`` (the terminal then feels back-pressure); after that messages are dropped,
counted and told as :class:`Overflow`, never silently. Decoding happens in the consumer's turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from phenix.ingest.terminal.encoder import encode_request
from phenix.ingest.terminal.protocol import (
    ADDED,
    BadFrame,
    Contract,
    Frame,
    QuoteFrame,
    ReqResponse,
    Request,
    decode,
)

__all__ = ["Batch", "Connected", "Disconnected", "Event", "Overflow", "Settled", "Silence", "Stream", "Subscription"]

BURST: Final = 50
BURST_GAP_S: Final = 0.005
"""Requests are paced: bursts of 50 with 5 ms between, as a client SDK does."""
STATUS_SILENCE_S: Final = 5.0
LATE_S: Final = 2.5
"""STATUS comes every second: so long without any message, and what was due meanwhile may be lost."""
UNANSWERED: Final = "TIMEOUT"
_PASSING: Final = frozenset({"ERROR", UNANSWERED})
"""Words of a refusal that may be another one when asked again."""


class Subscription(NamedTuple):
    """One stream: ``TRADE`` or ``QUOTE`` of a contract, or of everything where ``contract`` is None."""

    req_type: str
    contract: Contract | None
    sec_type: str = "OPTION"
    """Used for bulk streams only; a contract knows its own."""


class Connected(NamedTuple):
    """The socket is open (again); ``at`` is UTC milliseconds."""

    at: int
    attempt: int


class Disconnected(NamedTuple):
    """The socket closed, or could not be opened; a new attempt follows."""

    at: int
    reason: str
    heard_at: int | None
    """UTC milliseconds of the last message received, or of the first connection when none was; None before it."""


class Overflow(NamedTuple):
    """Messages that were dropped because the consumer did not keep up, between two times (UTC milliseconds)."""

    since: int
    at: int
    messages: int


class Silence(NamedTuple):
    """Nothing at all came between two times (UTC milliseconds), though the line held."""

    since: int
    at: int


class Settled(NamedTuple):
    """Every request sent so far was answered, or timed out; ``refused`` holds the terminal's word for each.

    Comes once a connection at least, and again whenever other streams are wanted.
    """

    at: int
    subscribed: int
    refused: tuple[tuple[Subscription, str], ...]


Event = Connected | Disconnected | Overflow | Settled | Silence


class Batch(NamedTuple):
    """What arrived since the last batch, in order of arrival."""

    received_at: int
    """UTC milliseconds when the first of it arrived."""
    items: list[Frame | BadFrame | Event]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _elapsed() -> float:
    """Seconds on the clock that the loop's own waits go by."""
    return asyncio.get_running_loop().time()


class Stream:
    """A connection that keeps itself up: ``async with Stream(url) as stream: async for batch in stream``.

    Reconnects with exponential back-off and full jitter, and asks again for everything wanted with
    ids that keep growing; closes a connection that carried no STATUS for five seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        queue_messages: int = 100_000,
        batch_messages: int = 5_000,
        patience_s: float = 3.0,
        status_silence_s: float = STATUS_SILENCE_S,
        ping_interval_s: float = 25.0,
        answer_timeout_s: float = 10.0,
        backoff_base_s: float = 0.2,
        backoff_cap_s: float = 15.0,
        connect_timeout_s: float = 8.0,
        clock: Callable[[], int] = _now_ms,
        seed: int | None = None,
    ) -> None:
        self._url = url
        self._queue_limit = queue_messages
        self._batch_limit = batch_messages
        self._patience = patience_s
        self._status_silence = status_silence_s
        self._ping_interval = ping_interval_s
        self._answer_timeout = answer_timeout_s
        self._backoff_base, self._backoff_cap = backoff_base_s, backoff_cap_s
        self._connect_timeout = connect_timeout_s
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 -- jitter, not secrets

        self._queue: deque[bytes | Event] = deque()
        self._came: deque[int] = deque()  # when each of them did
        self._quote: tuple[bytes, list[Frame | BadFrame]] = (b"", [])  # the same comes before and after a print
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._wanted: dict[Subscription, None] = {}
        self._changed = asyncio.Event()
        self._next_id = 0
        self._pending: dict[int, tuple[Subscription, bool]] = {}
        self._answered = asyncio.Event()
        self._heard = 0.0
        self._heard_at: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None
        self._closing = False
        self._ended = False

        self.dropped = 0
        """Messages dropped for want of room, in all."""
        self.connected = False
        self.outcomes: dict[Subscription, str] = {}
        """The terminal's last word on each wanted stream; ``TIMEOUT`` when it gave none."""

    @property
    def queued(self) -> int:
        """Messages waiting for the consumer."""
        return len(self._queue)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="terminal-stream")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the socket; what was received before can still be iterated.

        What the socket already holds was acknowledged to the terminal, so it is read to the end first.
        """
        self._closing = True
        if self._task is not None:
            if self._socket is not None:
                await self._socket.close()
                await asyncio.wait((self._task,), timeout=self._patience)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._ended = True
        self._filled.set()

    def want(self, subscriptions: Iterable[Subscription]) -> None:
        """Replace the set of wanted streams; requests for the difference follow, in the given order.

        Streams that were refused with an error, or had no answer, are asked for again.
        """
        self._wanted = dict.fromkeys(subscriptions)
        self.outcomes = {key: word for key, word in self.outcomes.items() if key in self._wanted}
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        await asyncio.sleep(0)  # the reader gets its turn even when the queue is never empty
        queue = self._queue
        while not queue:
            if self._ended:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        received_at = self._came[0]
        items: list[Frame | BadFrame | Event] = []
        quote, quoted = self._quote
        for _ in range(min(len(queue), self._batch_limit)):
            message = queue.popleft()
            self._came.popleft()
            if not isinstance(message, bytes):
                items.append(message)
            elif message == quote:
                items += quoted
            else:
                frames = decode(message)
                items += frames
                if len(frames) == 1 and type(frames[0]) is QuoteFrame:
                    quote, quoted = message, frames
        self._quote = quote, quoted
        self._room.set()
        return Batch(received_at, items)

    def _put(self, message: bytes | Event, came: int | None = None) -> None:
        if not self._queue:
            self._filled.set()
        self._queue.append(message)
        self._came.append(self._clock() if came is None else came)

    async def _run(self) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                ws = await connect(
                    self._url,
                    compression=None,
                    proxy=None,
                    open_timeout=self._connect_timeout,
                    ping_interval=self._ping_interval,
                    close_timeout=1,
                    max_queue=4096,
                )
            except (OSError, WebSocketException, TimeoutError) as error:
                reason = f"cannot connect to {self._url}: {str(error) or type(error).__name__}"
            else:
                opened = _elapsed()
                at = self._clock()
                if self._heard_at is None:
                    self._heard_at = at
                self._put(Connected(at, attempt))
                self.connected = True
                self._socket = ws
                try:
                    reason = await self._serve(ws)
                finally:
                    self._socket = None
                    self.connected = False
                if self._closing:
                    return
                if _elapsed() - opened > self._status_silence:
                    attempt = 0  # a line that held a while starts over; one that is thrown out at once backs off
            self._put(Disconnected(self._clock(), reason, self._heard_at))
            await asyncio.sleep(
                self._random.random() * min(self._backoff_cap, self._backoff_base * 2 ** min(attempt, 16))
            )

    async def _serve(self, ws: ClientConnection) -> str:
        self._heard = _elapsed()
        self._pending.clear()
        watchdog = asyncio.create_task(self._watch(ws), name="terminal-watchdog")
        sender = asyncio.create_task(self._send(ws), name="terminal-sender")
        try:
            await self._read(ws)
        except ConnectionClosed as closed:
            silent = watchdog.done() and not watchdog.cancelled()
            return f"no STATUS for {self._status_silence:g} s" if silent else f"connection closed: {closed}"
        finally:
            for task in (watchdog, sender):
                task.cancel()
            await asyncio.gather(watchdog, sender, return_exceptions=True)
            # A terminal that stopped reading must not delay the next attempt: one second at most.
            await ws.close()
        raise AssertionError("the reader only ends with its connection")

    async def _read(self, ws: ClientConnection) -> None:
        queue, limit = self._queue, self._queue_limit
        dropped = since = 0
        elapsed = asyncio.get_running_loop().time  # as _elapsed, once a frame: there are tens of thousands a second
        heard = elapsed()
        try:
            while True:
                message = await ws.recv(decode=False)
                before, self._heard_at = self._heard_at, self._clock()
                came = self._heard_at
                now = elapsed()
                if now - heard > LATE_S and before is not None:
                    self._put(Silence(before, came))
                heard = now
                if b'"STATUS"' in message:
                    self._heard = now
                if b'"REQ_RESPONSE"' in message:
                    self._answers(message)
                if len(queue) >= limit:
                    room = not dropped and await self._wait_for_room()
                    heard = elapsed()  # it may have waited for room
                    if not room:
                        since = since if dropped else came
                        dropped += 1
                        self.dropped += 1
                        continue
                if dropped:
                    self._put(Overflow(since, self._clock(), dropped))
                    dropped = 0
                self._put(message, came)
        finally:
            if dropped:  # the line ends before there was room again
                self._put(Overflow(since, self._clock(), dropped))

    async def _wait_for_room(self) -> bool:
        self._room.clear()
        try:
            async with asyncio.timeout(self._patience):
                await self._room.wait()
        except TimeoutError:
            return False
        finally:
            self._heard = _elapsed()  # nobody listened meanwhile: that silence was ours
        return True

    def _answers(self, message: bytes) -> None:
        for frame in decode(message):
            if isinstance(frame, ReqResponse) and (asked := self._pending.pop(frame.req_id, None)) is not None:
                subscription, add = asked
                if add and subscription in self._wanted:
                    self.outcomes[subscription] = frame.response
        if not self._pending:
            self._answered.set()

    async def _watch(self, ws: ClientConnection) -> None:
        # The deadline moves with every STATUS; there is no condition to be told of.
        while (left := self._heard + self._status_silence - _elapsed()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        ws.transport.abort()

    async def _send(self, ws: ClientConnection) -> None:
        asked: dict[Subscription, None] = {}
        told = False
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._changed.clear()
                wanted = self._wanted
                changes = [(key, False) for key in asked if key not in wanted]
                again = {key for key in asked if self.outcomes.get(key) in _PASSING}
                changes += [(key, True) for key in wanted if key not in asked or key in again]
                if changes:
                    self._answered.clear()
                for n, (subscription, add) in enumerate(changes, 1):
                    self._pending[self._next_id] = (subscription, add)
                    request = _request(self._next_id, subscription, add=add)
                    self._next_id += 1
                    await ws.send(encode_request(request))
                    if n % BURST == 0:
                        await asyncio.sleep(BURST_GAP_S)
                if self._pending:
                    self._answered.clear()  # set when the answers had caught up with what was sent so far
                asked = dict.fromkeys(wanted)
                if changes or not told:
                    await self._settle()
                    told = True
                await self._changed.wait()

    async def _settle(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._answer_timeout):
                if self._pending:
                    await self._answered.wait()
        for subscription, add in self._pending.values():
            if add and subscription in self._wanted:
                self.outcomes[subscription] = UNANSWERED
        self._pending.clear()
        words = [(key, self.outcomes.get(key, UNANSWERED)) for key in self._wanted]
        refused = tuple((key, word) for key, word in words if word != ADDED)
        self._put(Settled(self._clock(), len(words) - len(refused), refused))


def _request(req_id: int, subscription: Subscription, *, add: bool) -> Request:
    contract = subscription.contract
    if contract is None:
        return Request("STREAM_BULK", req_id, subscription.sec_type, subscription.req_type, add)
    return Request("STREAM", req_id, contract.security_type, subscription.req_type, add, contract)
