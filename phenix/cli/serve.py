"""``phenix serve``: REST, SSE, gRPC and the page over a store that another process fills."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from phenix.cli.command import CLEAN, CommandError, port
from phenix.cli.notify import notify

if TYPE_CHECKING:
    import socket

    from phenix.engine.store.base import Reader
    from phenix.server.process import Addresses

__all__ = ["add"]

_TICK_S = 0.05


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "serve",
        help="serve REST, SSE, gRPC and the page",
        description="Serve the rows of a store: the page, REST and SSE on one port, gRPC on another. Prints one line "
        "with both addresses when it is ready, and runs until it is stopped; streams end with a seq to resume from.",
    )
    parser.add_argument("--store", metavar="URL", help="the store (default: PHENIX_STORE)")
    parser.add_argument("--host", help="address to listen on (default: PHENIX_HOST)")
    parser.add_argument("--port", type=port, help="port of the page, REST and SSE; 0 takes a free one")
    parser.add_argument("--grpc-port", type=port, help="port of gRPC; 0 takes a free one")
    parser.add_argument(
        "--wait", type=_seconds, default=0.0, metavar="SECONDS", help="wait so long for a store that is not there yet"
    )
    parser.add_argument(
        "--heartbeat", type=_heartbeat, default=5.0, metavar="SECONDS", help="longest silence of a stream (default: 5)"
    )
    parser.set_defaults(run=run, serves=True)


def _heartbeat(text: str) -> float:
    seconds = _seconds(text)
    if seconds < 0.05:
        raise argparse.ArgumentTypeError(f"{text!r} would send without pause: 0.05 seconds or more")
    return seconds


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds <= 3600:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 3600")


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    import asyncio
    import os
    from contextlib import ExitStack
    from functools import partial

    from phenix import app
    from phenix.engine.spans import sending
    from phenix.engine.store.base import StoreError
    from phenix.server.auth import AccessError

    settings = args.settings
    store, host = settings.store if args.store is None else args.store, args.host or settings.host
    rest_port = settings.port if args.port is None else args.port
    grpc_port = settings.grpc_port if args.grpc_port is None else args.grpc_port
    try:
        access = app.access(settings, host)
        _wait(store, args.wait).close()
        from phenix.server import process  # half a second of imports, after what is refused at once

        with _listen("", host, rest_port, "--port") as sock, ExitStack() as ends:
            _listen("gRPC ", host, grpc_port, "--grpc-port").close()  # said better here than by the gRPC library
            spans = ends.enter_context(sending("phenix-serve", os.environ))
            service = app.service(
                store,
                progress_s=args.heartbeat,
                sealed=settings.sealed_sessions,
                rollout=settings.filters_v2,
                settings=settings,
                spans=spans,
            )
            args.logs.about = lambda: {"rule_version": service.rules.bundle.version, "watermark": service.log.position}
            ready = partial(_ready, "http" if access.tls is None else "https")
            asyncio.run(process.serve(service, access, host, sock, grpc_port, ready))
    except StoreError as error:
        raise CommandError(error.message) from None
    except (app.RulesError, AccessError) as error:
        raise CommandError(str(error)) from None
    return CLEAN


def _ready(scheme: str, found: Addresses) -> None:
    host = f"[{found.host}]" if ":" in found.host else found.host
    print(f"phenix serve: ready at {scheme}://{host}:{found.port}/ and gRPC {host}:{found.grpc_port}", flush=True)
    notify("READY=1")


def _listen(what: str, host: str, port: int, option: str) -> socket.socket:
    from phenix.server import process

    try:
        return process.listen(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(
            f"{what}cannot listen on {host}:{port} ({reason}): choose another port with {option}, 0 takes a free one"
        ) from None


def _wait(store: str, seconds: float) -> Reader:
    """The store, waited for while it is missing; raises StoreError."""
    from phenix import app
    from phenix.engine.store.base import Problem, StoreError

    until = time.monotonic() + seconds
    while True:
        try:
            return app.open_reader(store)
        except StoreError as error:
            if error.problem is not Problem.MISSING or time.monotonic() >= until:
                raise
        time.sleep(_TICK_S)
