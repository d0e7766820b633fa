"""The playback: events of a tape in time, to whoever is connected.

It begins once the first requests have settled: a client has subscribed something and has asked
nothing more for ``settle_s``; or when :meth:`Playback.play` is called. It is lossless by default,
which the real terminal is not: while no client is there the tape waits, and what an ended client
has not confirmed (by a pong after it) is sent again to the next one. See :class:`Absence`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from websockets.exceptions import ConnectionClosed

from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.events import Print, Source, TapeEvent
from phenix.ingest.terminal.faults import Stage
from phenix.ingest.terminal.faults_active import ActiveFault, ActiveFaults
from phenix.ingest.terminal.faults_tape import altered
from phenix.ingest.terminal.ledger import IN_DOUBT, NO_CLIENT, Ledger
from phenix.ingest.terminal.market import Market
from phenix.ingest.terminal.protocol import StateFrame, StatusFrame
from phenix.ingest.terminal.standin_client import Client
from phenix.ingest.terminal.standin_frames import cut, frames_of, messages
from phenix.ingest.terminal.standin_line import Line

__all__ = ["Absence", "PlayOptions", "Playback"]

CONFIRM_EVERY: Final = 256
"""Events between two pings that confirm what was received."""
FRAMES_A_WRITE: Final = 60
"""Frames that go to the socket in one call when playback does not wait for the clock."""
CONFIRM_AHEAD: Final = 8
"""Unanswered pings before playback waits."""
REMEMBERED: Final = 1_000
"""Prints that can come again as stale ones."""
_CUTS: Final = frozenset({"abrupt_close", "second_client"})


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
    ``replaced`` is the close code of a client that another one replaces; the vendor's is not known.
    A client that takes nothing for ``stall_s`` is closed.
    """

    speed: float = 1.0
    lines: int = 1
    settle_s: float = 0.5
    wait_for_play: bool = False
    absence: Absence = Absence.PAUSE
    seed: int = 0
    status_interval_s: float = 1.0
    replaced: int = 1000
    stall_s: float = 20.0


class Playback:
    """Plays ``source`` to :attr:`client`, and accounts for each print in :attr:`ledger`."""

    def __init__(self, source: Source, market: Market, options: PlayOptions, faults: ActiveFaults) -> None:
        self._source, self._market, self._options, self._faults = source, market, options, faults
        self.encoder = Encoder(options.seed)
        self.line = Line(faults)
        self.ledger = Ledger()
        self.client: Client | None = None
        self.speed = options.speed
        self._arrival = asyncio.Event()
        self._told_to_play = asyncio.Event()
        self._resend: deque[TapeEvent] = deque()
        """What the next client gets first, in the order of the tape."""
        self._again = 0
        """How many of those were sent to the client before."""
        self._recent: deque[Print] = deque(maxlen=REMEMBERED)
        self._started = False
        self._restart = False
        self._anchor: tuple[float, int] | None = None
        self._until: int | None = None
        self._go_on = asyncio.Event()
        self.held = asyncio.Event()
        """Set while playback waits as :meth:`hold` told it to."""
        self.finished = asyncio.Event()
        """Set when the tape has been played to its end."""

    @property
    def waiting(self) -> int:
        """Prints that were played and wait for a client."""
        return sum(isinstance(event, Print) for event in self._resend)

    @property
    def goes_on(self) -> bool:
        """Playback has begun and does not wait for clients."""
        return self._started and self._options.absence is Absence.CONTINUE

    def play(self, speed: float | None = None) -> None:
        """Begin now, whether or not requests have settled; with ``speed`` at that multiple of real time from here."""
        if speed is not None:
            self.speed, self._anchor = speed, None
        self._told_to_play.set()
        self._arrival.set()

    def hold(self, until: int | None) -> None:
        """Go on to a wall time and wait before the first event from then on; None goes on to the end."""
        self._until = until
        self.held.clear()
        self._go_on.set()

    def woken(self) -> None:
        """The client has subscribed something."""
        self._arrival.set()

    def leave(self, client: Client) -> None:
        """A client is gone: what it did not confirm waits for the next one, or is in doubt."""
        if client.gone.is_set():
            return
        client.gone.set()
        self._arrival.clear()
        client.confirm()
        ledger, pause = self.ledger, self._options.absence is Absence.PAUSE
        for _, entry in client.unconfirmed:
            if entry:
                setattr(ledger, entry, getattr(ledger, entry) - 1)
                ledger.lost[IN_DOUBT] += not pause
        if pause:
            self._resend.extendleft(event for event, _ in reversed(client.unconfirmed))
            self._again += len(client.unconfirmed)
        elif self._options.absence is Absence.RESTART and client.begun:
            self._restart = True

    def _fresh(self) -> Iterator[TapeEvent]:
        return altered(self._source.events(), self._faults, self._count_added)

    def _count_added(self) -> None:
        self.ledger.added += 1

    async def run(self) -> None:
        """Play the tape; returns only when cancelled. A finished tape keeps the line open with STATUS."""
        if self._options.wait_for_play:
            await self._told_to_play.wait()
        events = self._fresh()
        played = 0
        while True:
            client = self.client
            if client is None or not client.begun:
                if not self.goes_on or self.finished.is_set():
                    client = await self._ready()
                    if self._restart:
                        events = self._fresh()
                        self._market.clear()
                        self.finished.clear()
                    if self._restart or not self._started:
                        await self._say(client, self.encoder.state(StateFrame(self.line.status, "START")))
                    self._started, self._restart, self._anchor = True, False, None
                    continue
            elif self.line.down:
                pass  # nothing is repeated meanwhile
            elif not client.welcomed and client.subscribed and self._settles_in(client) <= 0:
                client.welcomed = True
                await self._welcome(client)
                continue
            elif self._resend:
                event = self._resend.popleft()
                again, self._again = self._again > 0, max(0, self._again - 1)
                await self._deliver(client, event, again=again)
                continue
            event_due = None if self.finished.is_set() else next(events, None)
            if event_due is None:
                await self._over(client)
                continue
            await self._waited(event_due)
            await self._pace(event_due, client)
            self._market.apply(event_due)
            await self._play(event_due)
            played += 1
            if played % 64 == 0:
                await asyncio.sleep(0)

    async def _play(self, event: TapeEvent) -> None:
        client, ledger, line = self.client, self.ledger, self.line  # the client may have left while we slept
        if client is not None and not client.begun:
            client = None
        ledger.due += isinstance(event, Print)
        if line.steady:
            lost_to = ""
        elif isinstance(event, Print):
            before = line.down, line.status
            lost_to = line.print_due()
            if client is not None and (lost_to, line.status) != before:
                await self._flush(client)
                if line.status != before[1] and not line.silent:
                    await self._say(client, self.encoder.status(StatusFrame(line.status)))
        else:
            lost_to = line.down
        if lost_to:
            if isinstance(event, Print):
                ledger.lost[lost_to] += 1
        elif client is not None:
            await self._deliver(client, event)
        elif self._options.absence is Absence.PAUSE:
            self._resend.append(event)
        elif isinstance(event, Print):
            ledger.lost[NO_CLIENT] += 1

    async def _over(self, client: Client | None) -> None:
        self.line.restore()
        # The end of the day is told when the line is up again: its time is over, or its fault was switched off.
        while self.line.down:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._resend and client and client.begun and not client.gone.is_set():
            return  # that comes first
        self.finished.set()
        if client is not None and not client.told_stop:
            client.told_stop = True
            await self._flush(client)
            await self._say(client, self.encoder.state(StateFrame(self.line.status, "STOP")))
        if self.client is client:
            self._arrival.clear()
            await self._arrival.wait()

    def _settles_in(self, client: Client) -> float:
        return client.asked_at + self._options.settle_s - time.monotonic()

    async def _ready(self) -> Client:
        """The client, once its first requests have settled."""
        while True:
            client = self.client
            if client is None or not client.subscribed:
                self._arrival.clear()
                await self._arrival.wait()
                continue
            left = self._settles_in(client)
            if client.begun or left <= 0 or (self._told_to_play.is_set() and not self._started):
                client.begun = True
                return client
            await asyncio.sleep(left)

    async def _welcome(self, client: Client) -> None:
        """Stale prints, where a fault says so: those that ended with the connection before."""
        if not self._recent:
            return
        for active in self._faults.named("stale_frames"):
            if active.fires():
                for event in list(self._recent)[-active.whole("prints") :]:
                    frames, place = frames_of(self.encoder, client, event, self._market, self.line.status)
                    self.ledger.sent_again += place is not None
                    client.outbox += frames

    async def _waited(self, event: TapeEvent) -> None:
        """Wait where playback was told to hold."""
        while self._until is not None and event.wall >= self._until:
            if self.client is not None:
                await self._flush(self.client)
            self._anchor = None
            self._go_on.clear()
            self.held.set()
            await self._go_on.wait()

    async def _pace(self, event: TapeEvent, client: Client | None) -> None:
        if not self.speed:
            return
        now = time.monotonic()
        if self._anchor is None:
            self._anchor = (now, event.wall)
        ahead = self._anchor[0] + (event.wall - self._anchor[1]) / 1000 / self.speed - now
        if ahead > 0.001:
            if client is not None:
                await self._flush(client)
            await asyncio.sleep(ahead)

    async def _deliver(self, client: Client, event: TapeEvent, *, again: bool = False) -> None:
        frames, place = frames_of(self.encoder, client, event, self._market, self.line.status)
        entry = ""
        if place is not None and isinstance(event, Print):
            entry = self._account(event, frames, place, again=again)
        elif isinstance(event, Print):
            self.ledger.unwanted += 1
        if not frames:
            return
        client.unconfirmed.append((event, entry))
        client.since_ping += 1
        client.outbox += frames
        if len(client.outbox) >= max(self._options.lines, FRAMES_A_WRITE):
            await self._flush(client)
        if client.since_ping >= CONFIRM_EVERY:
            await self._flush(client)
            await self._keep_up(client)
        if entry:
            for active in self._faults.at(Stage.LINE):
                if active.fault.name in _CUTS and not client.gone.is_set() and active.fires():
                    await self._cut(client, active)

    def _account(self, event: Print, frames: list[str], place: int, *, again: bool) -> str:
        """Enter a print that is about to be sent, and let the faults of frames have it."""
        ledger, entry = self.ledger, "sent"
        active_faults = self._faults.at(Stage.FRAMES)
        whole = list(frames) if active_faults else frames
        for active in active_faults:
            if active.fault.name == "broken_frames" and entry == "sent" and active.fires():
                frames[place] = cut(frames[place], active.random)
                entry = "broken"
            elif active.fault.name == "duplicate_frames" and active.fires():
                frames += whole * active.whole("times")
                ledger.sent_again += active.whole("times")
        if entry == "broken":
            ledger.broken += 1
        else:
            ledger.sent += 1
            ledger.sent_again += again
        self._recent.append(event)
        return entry

    async def _cut(self, client: Client, active: ActiveFault) -> None:
        """End the connection as a fault says."""
        await self._flush(client)
        if active.whole("drain"):
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(self._options.stall_s):
                    await self._confirmed(client)
        if active.fault.name == "second_client":
            await client.ws.close(active.whole("code"), "replaced by a new client")
        else:
            client.ws.reset()
        await client.gone.wait()

    async def _keep_up(self, client: Client) -> None:
        """Wait for a client that is far behind in confirming; close one that takes nothing."""
        try:
            async with asyncio.timeout(self._options.stall_s):
                await self.ping(client)
                while len(client.pings) > CONFIRM_AHEAD:
                    await client.pings[0][0]
                    client.confirm()
        except TimeoutError:
            client.ws.transport.abort()
            await client.gone.wait()
        except ConnectionClosed:
            await client.gone.wait()

    async def _confirmed(self, client: Client) -> None:
        """Wait until the client has confirmed all it was sent."""
        while client.unconfirmed:
            if client.since_ping:
                await self.ping(client)
            if client.pings:
                await client.pings[-1][0]
                client.confirm()
            else:
                await asyncio.sleep(0)  # STATUS is pinging just now

    async def ping(self, client: Client) -> None:
        """Ask the client to confirm what it was sent."""
        if client.outbox or client.sending:
            return  # a pong would confirm what has not been sent yet
        sent, client.since_ping = client.since_ping, 0
        client.confirm()
        client.pings.append((await client.ws.ping(), sent))

    async def _flush(self, client: Client) -> None:
        frames, client.outbox = client.outbox, []
        if not frames:
            return
        client.sending = True
        try:
            async with asyncio.timeout(self._options.stall_s):
                due = messages(frames, self._options.lines, self._faults)
                await client.ws.send_all(due)
                self.ledger.messages += len(due)
        except TimeoutError:
            client.ws.transport.abort()
            await client.gone.wait()
        except ConnectionClosed:
            await client.gone.wait()
        finally:
            client.sending = False

    async def _say(self, client: Client, frame: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await client.ws.send(frame)
