"""Requests counted and logged on their way out, by the route that answered them, each under its id."""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phenix.engine.logs import HEADER, note, take_request
from phenix.engine.spans import Kind
from phenix.server.rest.operations import Methods
from phenix.server.served import NONE, Served, end_span

__all__ = ["Counted"]

_REFUSED: Final = 400
_FAILED: Final = 500
_NAME: Final = HEADER.encode()
_QUIET: Final = frozenset({"/health", "/ready", "/metrics", "page"})
"""Routes asked for all day, of which a line says nothing that is not counted."""
_logger = logging.getLogger("phenix.server.rest")


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
        scope[HEADER] = identity = take_request(_offered(scope))
        span = served.spans.begin(Kind.SERVER, scope["headers"])
        if span.trace_id:
            note(trace_id=span.trace_id)
        status, streams = 0, False

        async def counted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = (b"content-type", b"text/event-stream; charset=utf-8") in message.get("headers", ())
                served.streams["sse"] += streams
                message = {**message, "headers": [*message.get("headers", ()), (_NAME, identity.encode())]}
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
            took = (time.perf_counter() - begun) * 1000
            method, told = served.request(route, scope["method"], status)
            if methods and methods.reads_rows and status:
                refused = str(status) if status >= _REFUSED else ""
                served.read("rest", route, None if streams else took, refused)
            note(protocol="rest", method=method, route=route, status=told, ms=round(took, 3))
            quiet = status < _REFUSED and route in _QUIET
            level = logging.ERROR if status >= _FAILED else logging.DEBUG if quiet else logging.INFO
            _logger.log(level, "%s %s %s", method, route, told)
            said = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            end_span(span, f"{method} {route}", said, failed=status >= _FAILED)


def _offered(scope: Scope) -> str:
    """The id that a client gives its request; none where it gives two."""
    found = [value for name, value in scope["headers"] if name == _NAME]
    return found[0].decode("latin-1") if len(found) == 1 else ""
