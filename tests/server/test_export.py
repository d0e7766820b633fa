"""FlowService.Export over a real connection: the rows of Query in one stream, at a reader's pace, once across kills."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from phenix import app
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from phenix.server.auth import Access, Limits
from phenix.server.grpc.gateway import bind, finish, gateway
from tests.server.conftest import Server
from tests.server.rows import Store
from tests.server.writer_process import Writer

T = TypeVar("T")
Serve = Callable[..., Server]
FILTERS = (
    {},
    {"where": "right = call", "include_cancelled": True},
    {"chips": ["otm"], "parameters": {"symbol": "SPY", "sessions": "2"}},
    {"where": "cancelled or cancel_record"},
)


def ask(server: Server, work: Callable[[Any], Awaitable[T]]) -> T:
    async def run() -> T:
        async with grpc.aio.insecure_channel(server.target) as channel:
            return await work(flow_pb2_grpc.FlowServiceStub(channel))  # type: ignore[no-untyped-call] # generated

    return asyncio.run(run())


async def pages(stub: Any, wanted: dict[str, Any]) -> list[str]:
    """Ids of Query's pages by seq."""
    found: list[str] = []
    token = ""
    while True:
        page = await stub.Query(
            flow_pb2.QueryRequest(filter=flow_pb2.Filter(**wanted), order_by="seq asc", page_size=170, page_token=token)
        )
        found += [row.id for row in page.rows]
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
def test_the_rows_of_query_while_others_arrive(tmp_path: Path, serve: Serve, wanted: dict[str, Any]) -> None:
    writer = Writer(tmp_path / "flow.sqlite", 5)
    writer.add(2_600)
    for _ in range(5):
        writer.step()
    server = serve(f"sqlite:{tmp_path / 'flow.sqlite'}")

    async def work(stub: Any) -> tuple[list[str], list[str]]:
        expected = await pages(stub, wanted)
        newest = writer.newest
        found: list[str] = []
        metas = []
        async for part in stub.Export(flow_pb2.ExportRequest(filter=flow_pb2.Filter(**wanted))):
            writer.step()
            found += [row.id for row in part.rows]
            metas.append(part.meta)
        assert {meta.as_of_seq for meta in metas} == {newest}
        assert part.next_page_token == ""
        assert writer.newest > newest
        return expected, found

    expected, found = ask(server, work)
    writer.end()
    assert expected
    assert found == expected


def test_each_row_once_across_kills(tmp_path: Path, serve: Serve) -> None:
    writer = Writer(tmp_path / "flow.sqlite", 5)
    writer.add(4_500)
    server = serve(f"sqlite:{tmp_path / 'flow.sqlite'}")

    async def part_of(stub: Any, token: str) -> tuple[list[int], str]:
        seqs: list[int] = []
        async for part in stub.Export(flow_pb2.ExportRequest(page_token=token)):
            seqs += [row.seq for row in part.rows]
            token = part.next_page_token
            if part.rows:
                break
        return seqs, token

    seen, token = ask(server, lambda stub: part_of(stub, ""))
    while token:
        server.end(signal.SIGKILL)
        writer.step()
        server.start()
        more, token = ask(server, lambda stub, at=token: part_of(stub, at))  # type: ignore[misc] # mypy infers no lambda with defaults
        seen += more
    writer.end()
    assert seen == list(range(1, 4_501))


def test_refusals_and_the_deadline(store: Store, serve: Serve) -> None:
    store.add(50)
    server = serve(store.url)

    async def refused(stub: Any, **request: Any) -> str:
        timeout = request.pop("timeout", None)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in stub.Export(flow_pb2.ExportRequest(**request), timeout=timeout):
                pass
        return str(raised.value.code().name)

    async def work(stub: Any) -> list[str]:
        page = await stub.Query(flow_pb2.QueryRequest(page_size=5))
        return [
            await refused(stub, filter={"where": "vallue > 1"}),
            await refused(stub, page_token="zzz"),
            await refused(stub, page_token=page.next_page_token),
            await refused(stub, filter={"parameters": {"sortBy": "value"}}),
            await refused(stub, timeout=0.000_001),
        ]

    assert ask(server, work) == ["INVALID_ARGUMENT"] * 4 + ["DEADLINE_EXCEEDED"]


def test_no_more_is_read_than_is_taken(store: Store) -> None:
    """A client that takes one message and then no more, and one that leaves: the server does not read on for them."""
    store.add(30_000)
    reads = 0

    async def scenario() -> int:
        service = app.service(store.url)
        guarded = service._guarded

        async def counted(read: Any) -> Any:
            nonlocal reads
            reads += 1
            return await guarded(read)

        service._guarded = counted  # type: ignore[method-assign] # counts, and does what it did
        await service.start()
        server, healthy = gateway(service, Access(None, Limits(0, 0)))
        port = bind(server, "127.0.0.1", 0, None)
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call] # generated
            call = stub.Export(flow_pb2.ExportRequest())
            assert (await call.read()).meta.as_of_seq == 30_000
            asked = 40
            for _ in range(asked):  # time in which all of it could be read
                await stub.Query(flow_pb2.QueryRequest(page_size=1))
            call.cancel()
        await finish(server, healthy, 5.0)
        await service.close()
        return reads - asked

    assert 1 <= asyncio.run(scenario()) < 20
