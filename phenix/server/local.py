"""A gRPC server for this process alone: on the loopback, behind a token that nobody else has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from phenix.server.auth import Access, Limits, Role, Tokens, new_token
from phenix.server.grpc.gateway import begin, bind, finish, gateway
from phenix.server.service import FlowService

__all__ = ["serve_locally"]

_GRACE_S: Final = 2.0
"""Longest wait for a call whose caller left."""


@asynccontextmanager
async def serve_locally(service: FlowService) -> AsyncIterator[tuple[str, str]]:
    """Serve within ``async with``: the address and the token. Raises StoreError."""
    secret, token = new_token("local", Role.READER)
    await service.open()
    try:
        server, healthy = gateway(service, Access(Tokens([token]), Limits(0, 0)))
        port = bind(server, "127.0.0.1", 0, None)
        await begin(server, healthy)
        try:
            yield f"127.0.0.1:{port}", secret
        finally:
            await service.log.close()
            await finish(server, healthy, _GRACE_S)
    finally:
        await service.close()
