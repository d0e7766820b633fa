"""The stand-in's REST endpoints."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from phenix.ingest.terminal.entitlements import Entitlements
from phenix.ingest.terminal.events import Source
from phenix.ingest.terminal.market import Market
from phenix.ingest.terminal.standin_stream import StreamServer

__all__ = ["RestOptions", "rest_app"]


@dataclass(frozen=True, slots=True)
class RestOptions:
    """Switches of the REST side."""


def rest_app(
    source: Source,
    market: Market,
    stream: StreamServer,
    entitlements: Entitlements,
    options: RestOptions,
    shutdown: asyncio.Event,
) -> Starlette:
    """The application over what is played."""

    async def play(request: Request) -> Response:
        stream.play()
        return PlainTextResponse("OK")

    async def status(request: Request) -> Response:
        return PlainTextResponse("CONNECTED")

    return Starlette(routes=[Route("/control/play", play, methods=["POST"]), Route("/v3/terminal/mdds/status", status)])
