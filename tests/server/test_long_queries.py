"""Long queries are read beside the event loop, by both gateways, and mean the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from phenix import app
from phenix.client import Client, RequestError
from phenix.engine.bundle import Bundle
from phenix.engine.query.request import Refusal
from phenix.server.auth import Access, Limits
from phenix.server.grpc.gateway import bind, gateway
from phenix.server.params import read, read_apart
from phenix.server.rest.routes import application
from phenix.server.service import FlowService
from tests.server.rows import Store

OPEN = Access(None, Limits(0, 0))
LONG = " or ".join(f"size = {n}" for n in range(400))
"""More than 4 kB; with a parameter that does not exist beside it, it is compiled while it is read."""


class Counting(ThreadPoolExecutor):
    """Threads that say how often they were asked."""

    asked = 0

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked += 1
        return super().submit(*args, **kwargs)


async def rest(service: FlowService, where: str) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(service, OPEN)), base_url="http://localhost"
    ) as client:
        for path in ("/api/flow", "/api/flow/stream"):
            answer = await client.get(path, params={"where": where, "surprise": "1"})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")


async def rpc(service: FlowService, where: str) -> None:
    server, _ = gateway(service, OPEN)
    port = bind(server, "127.0.0.1", 0, None)
    await server.start()
    try:
        async with Client(f"127.0.0.1:{port}") as client:
            with pytest.raises(RequestError, match="surprise"):
                await client.query(where=where, parameters={"surprise": "1"})
            with pytest.raises(RequestError, match="surprise"):
                await anext(aiter(client.subscribe(where=where, parameters={"surprise": "1"})))
    finally:
        await server.stop(None)


@pytest.mark.parametrize("ask", [rest, rpc])
def test_long_queries_are_read_on_a_thread(store: Store, ask: Callable[[FlowService, str], Awaitable[None]]) -> None:
    store.add(1)

    async def run(where: str) -> int:
        with Counting() as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            service = app.service(store.url)
            try:
                await ask(service, where)
                return threads.asked
            finally:
                await service.close()

    assert len(LONG) > 4_096
    assert [asyncio.run(run("size = 1")), asyncio.run(run(LONG))] == [0, 2]


def test_a_long_query_says_the_same(bundle: Bundle) -> None:
    for pairs in ([("where", LONG)], [("where", LONG + " or")], [("where", LONG), ("surprise", "1")]):
        assert asyncio.run(read_apart(pairs, bundle, {})) == read(pairs, bundle)
    assert isinstance(read([("where", LONG), ("surprise", "1")], bundle), Refusal)
