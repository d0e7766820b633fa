"""The stand-in's WebSocket: one client at a time, its requests, and STATUS every second."""

from __future__ import annotations

import asyncio
import contextlib
import time

from websockets.exceptions import ConnectionClosed

from phenix.ingest.terminal.entitlements import Entitlements
from phenix.ingest.terminal.events import Source
from phenix.ingest.terminal.faults import Stage
from phenix.ingest.terminal.faults_active import ActiveFaults
from phenix.ingest.terminal.market import Market
from phenix.ingest.terminal.protocol import ReqResponse, StatusFrame
from phenix.ingest.terminal.standin_client import Client, StreamConnection, adds
from phenix.ingest.terminal.standin_frames import messages
from phenix.ingest.terminal.standin_play import Playback, PlayOptions
from phenix.ingest.terminal.standin_requests import integer, parse_request

__all__ = ["StreamServer"]


class StreamServer:
    """Serves ``/v1/events`` and plays ``source`` to whoever is connected."""

    def __init__(
        self,
        source: Source,
        market: Market,
        entitlements: Entitlements,
        options: PlayOptions,
        faults: ActiveFaults,
    ) -> None:
        self._entitlements, self._options, self._faults = entitlements, options, faults
        self.playback = Playback(source, market, options, faults)

    @property
    def status(self) -> str:
        """The upstream word in every header: DISCONNECTED until the first request."""
        return self.playback.line.status

    @property
    def finished(self) -> asyncio.Event:
        """Set when the tape has been played to its end."""
        return self.playback.finished

    def play(self) -> None:
        """Begin now, whether or not requests have settled."""
        self.playback.play()

    async def handle(self, ws: StreamConnection) -> None:
        """Serve one connection until it ends; the one before it is closed."""
        play = self.playback
        # Without a pause there is nothing to settle: the market goes on.
        client = Client(ws, asked_at=time.monotonic(), begun=play.goes_on)
        before, play.client = play.client, client
        play.ledger.connections += 1
        before_closing = None
        if before is not None:
            play.leave(before)
            before_closing = asyncio.create_task(before.ws.close(self._options.replaced, "replaced by a new client"))
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
            if play.client is client:
                play.client = None
            play.leave(client)

    async def _tell_status(self, client: Client) -> None:
        play = self.playback
        with contextlib.suppress(ConnectionClosed):
            while True:
                if not play.line.silent:
                    await client.ws.send(play.encoder.status(StatusFrame(self.status)))
                    if client.since_ping:
                        await play.ping(client)
                await asyncio.sleep(self._options.status_interval_s)

    async def _request(self, client: Client, message: str | bytes) -> None:
        play = self.playback
        client.asked_at = time.monotonic()
        play.line.used = True
        asked = parse_request(message)
        req_id = integer(asked.get("id")) if asked else None
        word = "ERROR"
        if asked:
            word = self._refusal(asked) or client.answer(asked, self._entitlements)
        if word != "SILENCE" and not play.line.silent:
            answer = ReqResponse(self.status, word, -1 if req_id is None else req_id)
            await self._answer(client, play.encoder.req_response(answer))
        if client.subscribed:
            play.woken()

    async def _answer(self, client: Client, frame: str) -> None:
        """Send an answer after what was told before it: from then on nothing of the contract is missing."""
        told, client.outbox = client.outbox, []
        due = messages(told, self._options.lines, self._faults)
        self.playback.ledger.messages += len(due)
        await client.ws.send_all([*due, frame])

    def _refusal(self, asked: dict[str, object]) -> str:
        """The word of a fault that takes this request; empty where none does."""
        if not str(asked.get("msg_type", "")).upper().startswith("STREAM") or not adds(asked):
            return ""
        return next((it.text("word") for it in self._faults.at(Stage.REQUESTS) if it.fires()), "")
