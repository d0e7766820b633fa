"""HTTP as the server speaks it: a request has so long to come whole, may be so large, and is told when it is none."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from phenix.engine.query.request import Refusal
from phenix.server.errors import ERRORS, problem

__all__ = ["MAX_HEAD", "REQUEST_S", "Protocol"]

MAX_HEAD: Final = 320 * 1024
"""Bytes of a request line with headers: more than a query may have, so that most are refused by what they ask."""
REQUEST_S: Final = 20.0
"""Seconds a request may take to come, body included; a client that sends it byte by byte holds its socket no longer."""
_DRAINED: Final = 32 * 1024 * 1024
"""Bytes taken from the line and forgotten after a refusal, so that their sender gets to read it."""
_DRAIN_S: Final = 2.0


class Protocol(H11Protocol):
    """A connection. Its refusals have the shape of every other error."""

    request_s = REQUEST_S
    _due: asyncio.TimerHandle | None = None
    _left: int | None = None
    """Bytes still drained; None while requests are read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """Wait for a request, as long as one may take."""
        super().connection_made(transport)
        self._due = self.loop.call_later(self.request_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._settle()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, or drain what comes after a refusal."""
        if self._left is None:
            super().data_received(data)
            self._watch()
            return
        self._left -= len(data)
        if self._left < 0:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Whether a request has begun to come and is not whole."""
        state = self.conn.their_state
        if self._left is not None:
            return
        if not (state is h11.SEND_BODY or (state is h11.IDLE and self.conn.trailing_data[0])):
            self._settle()
        elif self._due is None:
            self._due = self.loop.call_later(self.request_s, self._late)

    def _settle(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _late(self) -> None:
        self._due = None
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse("request_timeout", f"The request did not come whole within {self.request_s:g} seconds.")
        else:  # nothing came at all, or its head did and is being answered
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the sentence it would have said
        """Refuse what is no request, or one too large to be read."""
        if self.conn.their_state is h11.ERROR and self.conn.trailing_data[0][MAX_HEAD:]:
            self._refuse("too_complex", "The request line and headers are too large.")
        else:
            self._refuse("invalid_query", "This is no HTTP request.")

    def _refuse(self, code: str, detail: str) -> None:
        """Say so, and end the connection once the other side has had time to read it."""
        self._settle()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is under way
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:  # what would answer hears no more of it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = orjson.dumps(problem(Refusal(code, detail)))
        headers: list[Any] = [
            ("content-type", "application/problem+json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        head = h11.Response(status_code=ERRORS[code].status, headers=headers, reason=b"")
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._left = _DRAINED
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._due = self.loop.call_later(_DRAIN_S, self.transport.close)
