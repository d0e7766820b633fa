"""Requests counted on their way out, by the route that answered them."""

from __future__ import annotations

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phenix.server.rest.operations import Methods
from phenix.server.served import NONE, Served

__all__ = ["Counted"]

_REFUSED: Final = 400


class Counted:
    """Stands before the door, so that what it refuses counts as well."""

    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        served, begun = self._served, time.perf_counter()
        status, streams = 0, False

        async def counted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = (b"content-type", b"text/event-stream; charset=utf-8") in message.get("headers", ())
                served.streams["sse"] += streams
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            status = status or 500  # which the handler of crashes answers
            raise
        finally:
            served.streams["sse"] -= streams
            endpoint = scope.get("endpoint")
            methods = endpoint if isinstance(endpoint, Methods) else None
            route = methods.path if methods else "page" if endpoint and status < _REFUSED else NONE
            served.request(route, scope["method"], status)
            if methods and methods.reads_rows and status:
                took = None if streams else (time.perf_counter() - begun) * 1000
                served.read("rest", route, took, str(status) if status >= _REFUSED else "")
