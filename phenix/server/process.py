"""The serving process: both gateways on one event loop, bound before they are announced.

Shutdown is bounded: the log is closed first, so that every stream ends with a seq to resume from,
then calls under way have a moment to finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import uvicorn

from phenix.server.auth import Access
from phenix.server.grpc.gateway import begin, bind, finish, gateway
from phenix.server.rest.protocol import MAX_HEAD, Protocol
from phenix.server.rest.routes import application
from phenix.server.service import FlowService

__all__ = ["Addresses", "listen", "serve"]

_GRACE_S: Final = 2.0
_BACKLOG: Final = 2048
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a serving process listens."""

    host: str
    port: int
    grpc_port: int


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, port 0 for a free one. Raises OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, for asyncio sends at once only on sockets that say so: a small answer would wait 40 ms for an ACK.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(_BACKLOG)
        found.setblocking(False)
    except BaseException:
        found.close()
        raise
    return found


async def serve(
    service: FlowService,
    access: Access,
    host: str,
    sock: socket.socket,
    grpc_port: int,
    ready: Callable[[Addresses], None],
) -> None:
    """Serve on a listening socket and a gRPC port until SIGTERM or SIGINT; neither is open afterwards.

    Raises StoreError when the store cannot be read at the start, OSError when the gRPC port is taken.
    """
    server = _Server(
        uvicorn.Config(
            application(service, access),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEAD,
            timeout_graceful_shutdown=int(_GRACE_S),
            ssl_certfile=access.tls.certificate if access.tls else None,
            ssl_keyfile=access.tls.key if access.tls else None,
        )
    )
    try:
        await service.start()  # before the port is bound: a gRPC server that never started cannot let go of it
        calls, healthy = gateway(service, access)
        port = bind(calls, host, grpc_port, access.tls)
        await begin(calls, healthy)
        stop = asyncio.Event()
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        with _signals(stop):
            ready(Addresses(host, sock.getsockname()[1], port))
            _logger.info("serving on port %s, gRPC on port %s", sock.getsockname()[1], port)
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            _logger.info("ending: streams are told a seq to resume from, calls under way have %g s", _GRACE_S)
            service.alerts.end_watches()
            await service.log.close()
            server.should_exit = True
            await asyncio.gather(serving, finish(calls, healthy, _GRACE_S))
    finally:
        sock.close()
        await service.close()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: streams must end before it waits for them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
