"""A stand-in for the vendor's terminal: the same REST and WebSocket protocol, over a tape or a generated session."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from phenix.engine.enrich.calendar import Calendar
from phenix.ingest.terminal.entitlements import Entitlements
from phenix.ingest.terminal.events import Source
from phenix.ingest.terminal.faults import Setting
from phenix.ingest.terminal.faults_active import ActiveFaults
from phenix.ingest.terminal.market import Market
from phenix.ingest.terminal.standin_client import StreamConnection
from phenix.ingest.terminal.standin_play import PlayOptions
from phenix.ingest.terminal.standin_rest import RestOptions, rest_app
from phenix.ingest.terminal.standin_stream import StreamServer
from phenix.ingest.terminal.standin_world import World

__all__ = ["PortInUseError", "StandIn", "StandInOptions"]


class PortInUseError(Exception):
    """An address the stand-in cannot listen on."""


@dataclass(frozen=True, slots=True)
class StandInOptions:
    """Where the stand-in listens (port 0 takes a free one) and how it behaves."""

    host: str = "127.0.0.1"
    port: int = 25503
    stream_port: int = 25520
    entitlements: Entitlements = field(default_factory=Entitlements)
    play: PlayOptions = field(default_factory=PlayOptions)
    rest: RestOptions = field(default_factory=RestOptions)
    faults: tuple[Setting, ...] = ()


class _Connection(H11Protocol):
    """A connection that an answer can break off, through the state of its request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base has it
        super().connection_made(transport)
        self._lost = asyncio.Event()
        self.app_state = {**self.app_state, "break_off": self._break_off}

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost.set()

    async def _break_off(self) -> None:
        """End it once all that was written is sent; what the answer still writes goes nowhere."""
        self.transport.close()
        await self._lost.wait()


class _Rest(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the command that runs the stand-in decides what a signal means


class StandIn:
    """The stand-in as a context: ``async with StandIn(source, options) as terminal`` listens until it ends.

    Raises :class:`PortInUseError` on entry when an address is taken.
    """

    def __init__(self, source: Source, calendar: Calendar, options: StandInOptions | None = None) -> None:
        self._calendar = calendar
        self.options = options or StandInOptions()
        self.market = Market()
        self.faults = ActiveFaults(self.options.faults)
        self.stream = StreamServer(source, self.market, self.options.entitlements, self.options.play, self.faults)
        self.rest_gate = asyncio.Semaphore(self.options.entitlements.concurrency)
        """Slots of the account's concurrent REST requests."""
        self.shutdown = asyncio.Event()
        """Set when a client asked for ``/v3/terminal/shutdown``."""
        self.base_url = ""
        self.stream_url = ""
        self._source = source
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        host = self.options.host
        rest_socket = _listen(host, self.options.port, "--port")
        try:
            stream_socket = _listen(host, self.options.stream_port, "--stream-port")
        except PortInUseError:
            rest_socket.close()
            raise
        options = self.options.rest
        world = World(
            self._source,
            self.market,
            self._calendar,
            self.options.entitlements,
            options.same_day,
            options.star_snapshots,
        )
        app = rest_app(world, self.stream, options, self.faults, self.rest_gate, self.shutdown)
        config = uvicorn.Config(
            app,
            http=_Connection,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        rest = _Rest(config)
        server = await serve(
            self._handle,
            create_connection=StreamConnection,
            sock=stream_socket,
            process_request=_only_events,
            compression=None,
            close_timeout=1,
            max_queue=1024,
            ping_interval=20,
            ping_timeout=30,
        )
        serving = asyncio.create_task(rest.serve(sockets=[rest_socket]), name="standin-rest")
        playing = asyncio.create_task(self.stream.playback.run(), name="standin-play")
        self._stack.push_async_callback(_stop, rest, serving, server, playing)
        self.base_url = f"http://{host}:{rest_socket.getsockname()[1]}"
        self.stream_url = f"ws://{host}:{stream_socket.getsockname()[1]}/v1/events"
        return self

    async def _handle(self, ws: ServerConnection) -> None:
        if isinstance(ws, StreamConnection):  # every one is, by create_connection
            await self.stream.handle(ws)

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()


async def _stop(rest: _Rest, serving: asyncio.Task[None], server: Server, playing: asyncio.Task[None]) -> None:
    playing.cancel()
    server.close()
    await server.wait_closed()
    rest.should_exit = True
    await asyncio.gather(playing, return_exceptions=True)
    await serving


def _listen(host: str, port: int, option: str) -> socket.socket:
    # Named as TCP: only of such sockets asyncio sends at once, a frame a message as the vendor does.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        message = (
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}, or 0 for a free port"
        )
        raise PortInUseError(message) from None
    listener.setblocking(False)
    return listener


def _only_events(connection: ServerConnection, request: Request) -> Response | None:
    if request.path.split("?")[0] == "/v1/events":
        return None
    return connection.respond(404, "the stream is at /v1/events\n")
