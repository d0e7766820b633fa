"""The client's end of the terminal's WebSocket: batches of decoded frames, and what happened to the line.

Messages go straight into a bounded queue while it has room. When it is full a task stops reading
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
from typing import Final, Self

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from phenix.ingest.terminal.client_events import (
    Batch,
    Connected,
    Disconnected,
    Event,
    Overflow,
    Settled,
    Silence,
    Subscription,
)
from phenix.ingest.terminal.client_line import Line
from phenix.ingest.terminal.encoder import encode_request
from phenix.ingest.terminal.protocol import (
    ADDED,
    BadFrame,
    Frame,
    QuoteFrame,
    ReqResponse,
    Request,
    decode,
)

__all__ = ["Stream"]

BURST: Final = 50
BURST_GAP_S: Final = 0.005
"""Requests are paced: bursts of 50 with 5 ms between, as a client SDK does."""
STATUS_SILENCE_S: Final = 5.0
LATE_S: Final = 2.5
"""STATUS comes every second: so long without any message, and what was due meanwhile may be lost."""
UNANSWERED: Final = "TIMEOUT"
_PASSING: Final = frozenset({"ERROR", UNANSWERED})
"""Words of a refusal that may be another one when asked again."""
_FULL: Final = "MAX_STREAMS_REACHED"
"""The word of one that is another once a stream of the kind is given up."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


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
        self._heard = self._listened = 0.0  # when STATUS came, and anything, by the clock the loop's own waits go by
        self._heard_at: int | None = None
        self._untold: tuple[int, int] | None = None  # since when messages are dropped, and how many
        self._task: asyncio.Task[None] | None = None
        self._socket: Line | None = None
        self._closing = False
        self._ended = False

        self.dropped = 0
        """Messages dropped for want of room, in all."""
        self.stalled = False
        """Whether nothing more is read for want of room."""
        self.connected = False
        self.outcomes: dict[Subscription, str] = {}
        """The terminal's last word on each wanted stream; ``TIMEOUT`` when it gave none."""

    @property
    def queued(self) -> int:
        """Messages waiting for the consumer."""
        return len(self._queue)

    async def __aenter__(self) -> Self:
        self._time = asyncio.get_running_loop().time
        self._task = asyncio.create_task(self._run(), name="terminal-stream")
        self._task.add_done_callback(lambda _: self._end())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the socket; what was received before can still be iterated, and what broke is raised there.

        What the socket already holds was acknowledged to the terminal, so it is read to the end first.
        """
        self._closing = True
        if self._task is not None:
            if self._socket is not None:
                await self._socket.close()
                await asyncio.wait((self._task,), timeout=self._patience)
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._end()

    def _end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._filled.set()

    def want(self, subscriptions: Iterable[Subscription]) -> None:
        """Replace the set of wanted streams; requests for the difference follow, in the given order.

        Streams that were refused with an error, or had no answer, are asked for again; those there was no place for
        whenever others of their kind are not wanted any more.
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
                if self._task is not None and self._task.done() and not self._task.cancelled():
                    self._task.result()  # what broke in there must not look like a quiet market
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        received_at = upto = self._came[0]
        items: list[Frame | BadFrame | Event] = []
        quote, quoted = self._quote
        for _ in range(min(len(queue), self._batch_limit)):
            message = queue.popleft()
            upto = self._came.popleft()
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
        return Batch(received_at, upto, items)

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
                line = await connect(
                    self._url,
                    create_connection=Line,
                    compression=None,
                    proxy=None,
                    open_timeout=self._connect_timeout,
                    ping_interval=self._ping_interval,
                    close_timeout=1,
                    max_queue=4096,
                )
            except (OSError, WebSocketException, TimeoutError, UnicodeError) as error:
                reason = f"cannot connect to {self._url}: {str(error) or type(error).__name__}"
            else:
                assert isinstance(line, Line)
                opened = self._time()
                at = self._clock()
                if self._heard_at is None:
                    self._heard_at = at
                self._put(Connected(at, attempt))
                self.connected = True
                self._socket = line
                try:
                    reason = await self._serve(line)
                finally:
                    self._socket = None
                    self.connected = False
                if self._closing:
                    return
                if self._time() - opened > self._status_silence:
                    attempt = 0  # a line that held a while starts over; one that is thrown out at once backs off
            self._put(Disconnected(self._clock(), reason, self._heard_at))
            await asyncio.sleep(
                self._random.random() * min(self._backoff_cap, self._backoff_base * 2 ** min(attempt, 16))
            )

    async def _serve(self, line: Line) -> str:
        self._heard = self._time()
        self._pending.clear()
        watchdog = asyncio.create_task(self._watch(line), name="terminal-watchdog")
        sender = asyncio.create_task(self._send(line), name="terminal-sender")
        try:
            await self._read(line)
        except ConnectionClosed as closed:
            silent = watchdog.done() and not watchdog.cancelled()
            return f"no STATUS for {self._status_silence:g} s" if silent else f"connection closed: {closed}"
        finally:
            for task in (watchdog, sender):
                task.cancel()
            await asyncio.gather(watchdog, sender, return_exceptions=True)
            # A terminal that stopped reading must not delay the next attempt: one second at most.
            await line.close()
        raise AssertionError("the reader only ends with its connection")

    async def _read(self, line: Line) -> None:
        self._listened = self._time()
        self._untold = None
        line.take = self._take
        try:
            while True:
                message = await line.receive()
                came = self._hear(message)
                full = len(self._queue) >= self._queue_limit
                if full and (self._untold is not None or not await self._wait_for_room()):
                    since, dropped = self._untold or (came, 0)
                    self._untold = since, dropped + 1
                    self.dropped += 1
                else:
                    self._tell_dropped()
                    self._put(message, came)
                line.passed()
        finally:
            line.take = None
            self._tell_dropped()  # the line may end before there is room again

    def _take(self, message: bytes) -> bool:
        """What the reading task does with a message that finds room, without that task."""
        if len(self._queue) >= self._queue_limit:
            return False
        came = self._hear(message)
        self._tell_dropped()
        self._put(message, came)
        return True

    def _hear(self, message: bytes) -> int:
        """Note what a message says of the line; UTC milliseconds when it came."""
        before, came, now = self._heard_at, self._clock(), self._time()
        if now - self._listened > LATE_S and before is not None:
            self._put(Silence(before, came))
        self._heard_at, self._listened = came, now
        if b'"STATUS"' in message:
            self._heard = now
        if b'"REQ_RESPONSE"' in message:
            self._answers(message)
        return came

    def _tell_dropped(self) -> None:
        if self._untold is not None:
            self._put(Overflow(self._untold[0], self._clock(), self._untold[1]))
            self._untold = None

    async def _wait_for_room(self) -> bool:
        self._room.clear()
        self.stalled = True
        try:
            async with asyncio.timeout(self._patience):
                await self._room.wait()
        except TimeoutError:
            return False
        finally:
            self.stalled = False
            self._heard = self._listened = self._time()  # nobody listened meanwhile: that silence was ours
        return True

    def _answers(self, message: bytes) -> None:
        for frame in decode(message):
            if isinstance(frame, ReqResponse) and (asked := self._pending.pop(frame.req_id, None)) is not None:
                subscription, add = asked
                if add and subscription in self._wanted:
                    self.outcomes[subscription] = frame.response
        if not self._pending:
            self._answered.set()

    async def _watch(self, line: Line) -> None:
        # The deadline moves with every STATUS; there is no condition to be told of.
        while (left := self._heard + self._status_silence - self._time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        line.transport.abort()

    async def _send(self, line: Line) -> None:
        asked: dict[Subscription, None] = {}
        told = False
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._changed.clear()
                wanted = self._wanted
                changes = [(key, False) for key in asked if key not in wanted]
                left = {key.req_type for key, _ in changes}
                again = {
                    key
                    for key in asked
                    if (word := self.outcomes.get(key)) in _PASSING or (word == _FULL and key.req_type in left)
                }
                changes += [(key, True) for key in wanted if key not in asked or key in again]
                if changes:
                    self._answered.clear()
                for n, (subscription, add) in enumerate(changes, 1):
                    self._pending[self._next_id] = (subscription, add)
                    request = _request(self._next_id, subscription, add=add)
                    self._next_id += 1
                    await line.send(encode_request(request))
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
