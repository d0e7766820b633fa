"""Clients that leave before they are answered: what was done for them ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

__all__ = ["answer_unless_left"]


async def answer_unless_left(
    endpoint: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, *, reads_body: bool
) -> Response | None:
    """What an endpoint answers; None when the client left before, and the endpoint was cancelled.

    An endpoint that ``reads_body`` has the line for itself until the body is whole.
    """
    whole = asyncio.Event()

    async def read() -> Message:
        message = await receive()
        if not message.get("more_body", False):
            whole.set()
        return message

    async def leave() -> None:
        if reads_body:
            await whole.wait()
        while (await receive())["type"] != "http.disconnect":
            pass

    answering = asyncio.ensure_future(endpoint(Request(scope, read)))
    leaving = asyncio.ensure_future(leave())
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        answering.cancel()
        leaving.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
