"""The bodies of requests, read no further than they may be long."""

from __future__ import annotations

from typing import Final

from starlette.requests import ClientDisconnect, Request

from phenix.engine.query.request import Refusal
from phenix.server.rest.operations import JSON
from phenix.server.saved_body import MAX_BODY

__all__ = ["read_bytes", "read_json"]

_DRAINED: Final = 8 * MAX_BODY
"""Bytes of a body too large that are still taken from the line, so that its sender gets to read the answer."""


async def read_bytes(request: Request) -> bytes | Refusal:
    """The body, read no further than it may be long."""
    held, size = bytearray(), 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= MAX_BODY:
                held += chunk
            elif size > _DRAINED:
                break
    except ClientDisconnect:
        return Refusal("invalid_json", "The body did not come whole.")
    if size > MAX_BODY:
        return Refusal("too_large", f"The body has more than {MAX_BODY:,} bytes, which is what is read.")
    return bytes(held)


async def read_json(request: Request) -> bytes | Refusal:
    """The body of a request that is all in its JSON."""
    if request.query_params:
        return Refusal("invalid_query", "This takes no parameters: what it needs stands in the body.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        return Refusal("unsupported_media_type", f"The body is sent as {JSON}, in UTF-8.")
    return await read_bytes(request)
