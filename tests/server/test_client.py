"""The typed client, with and without an event loop: rows over pages, sums, resumed calls, tables."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from phenix.client import BlockingClient, Client, RequestError, Reset, to_dicts
from phenix.server._pb import flow_pb2, flow_pb2_grpc, row_pb2
from tests.server.conftest import Server, run
from tests.server.rows import Store


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Server]]:
    """A store of more rows than a page holds, and a server."""
    made = Store(tmp_path_factory.mktemp("client") / "flow.sqlite")
    for row in made.add(2_300)[::50]:
        made.cancel(row)
    server = Server(made.url)
    yield made, server
    server.end()
    made.close()


def test_rows_come_page_after_page(served: tuple[Store, Server]) -> None:
    server = served[1]
    with BlockingClient(server.target) as client:
        every = to_dicts(client.rows(order_by="value desc"))
        assert len(every) == 2_300 - 46
        assert [row["value"] for row in every] == sorted((row["value"] for row in every), reverse=True)
        _, body = server.get("/api/flow?sortBy=value&limit=1000")
        assert every[:1_000] == body["data"]
        assert to_dicts(client.rows(order_by="value desc", limit=1_500)) == every[:1_500]
        assert list(client.rows(limit=0)) == []
        some = to_dicts(
            client.rows("right = call", chips=["otm"], parameters={"symbol": "SPY"}, include_cancelled=True)
        )
        assert some
        assert {(row["right"], row["symbol"]) for row in some} == {("CALL", "SPY")}
        assert to_dicts([client.get(every[7]["id"])]) == [every[7]]
        assert client.query("@whales", page_size=3).meta.where == "@whales"


def test_sums(served: tuple[Store, Server]) -> None:
    with BlockingClient(served[1].target) as client:
        summary, facets = client.summarize("right = call", limit=2), client.facets(limit=1)
        assert summary.all.rows == sum(1 for _ in client.rows("right = call"))
        assert len(summary.symbols) == 2
        assert [len(facets.symbol), facets.rows] == [1, 2_254]


def test_an_export_is_every_row_in_seq_order(served: tuple[Store, Server]) -> None:
    with BlockingClient(served[1].target) as client:
        assert list(client.export()) == list(client.rows(order_by="seq asc"))
        wanted: dict[str, Any] = {"chips": ["otm"], "include_cancelled": True, "parameters": {"symbol": "SPY"}}
        some = list(client.export("right = call", **wanted))
        assert some == list(client.rows("right = call", order_by="seq asc", **wanted))
        assert some
        assert next(client.export()).seq == 2
        with pytest.raises(RequestError) as refused:
            list(client.export("nosuch = 1"))
        assert refused.value.findings[0].field == "where"
        with pytest.raises(RequestError) as late:
            list(client.export(timeout_s=0))
        assert late.value.code == "DEADLINE_EXCEEDED"


def test_an_export_goes_on_over_kills(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    expected = [row[0] for row in store.add(6_000)]
    server = Server(store.url)

    async def export() -> list[int]:
        seen: list[int] = []
        async with Client(server.target) as client:
            async for row in client.export():
                seen.append(row.seq)
                if len(seen) in (1_500, 6_000):
                    server.end()
                    store.add(1)
                    await asyncio.to_thread(server.start)
        return seen

    assert asyncio.run(export()) == expected
    server.end()
    with pytest.raises(RequestError) as gone, BlockingClient(server.target) as client:
        list(client.export())
    assert gone.value.code == "UNAVAILABLE"
    store.close()


def test_texts_and_reasons(served: tuple[Store, Server]) -> None:
    with BlockingClient(served[1].target) as client:
        wrong = client.check("vallue >= 1k")
        assert (wrong.ok, wrong.diagnostics[0].suggestion.text) == (False, "value")
        assert client.check('chip x "X" = @whales', kind="file").diagnostics
        assert client.format("value>=1000 and(@whales)").text == "value >= 1000 and @whales"
        assert client.explain("@whales").english
        estimate = client.estimate("right = call", sessions=2)
        assert estimate.hits == sum(1 for _ in client.export("right = call"))
        row = client.query("@otm", page_size=1).rows[0]
        reasons = client.why(row.id)
        assert {chip.id for chip in reasons.chips} >= set(row.chips)
        catalog = client.catalog()
        assert {chip.id for chip in catalog.chips} >= set(row.chips)
        assert "minValue" in {parameter.name for parameter in catalog.parameters}


def test_presets_and_alerts(store: Store, serve: Callable[..., Server]) -> None:
    store.add(5)
    with BlockingClient(serve(store.url).target) as client:
        assert list(client.presets.list()) == []
        made = client.presets.create("Calls", where="right = call")
        assert (made.name, made.where) == ("Calls", "right = call")
        assert client.alerts.create(payload={"symbol": "SPY", "whales": True}).id.startswith("alert_")
        changed = client.presets.update(made.id, name="Puts", where="right = put", etag=made.etag)
        assert client.presets.get(made.id) == changed
        assert [entry.name for entry in client.presets.list()] == ["Puts"]
        assert list(client.export(parameters={"preset": made.id})) == list(client.export("right = put"))
        with pytest.raises(RequestError) as stale:
            client.presets.delete(made.id, etag=made.etag)
        assert stale.value.reason == "PRECONDITION_FAILED"
        client.presets.delete(made.id)
        with pytest.raises(RequestError) as gone:
            client.presets.get(made.id)
        assert gone.value.reason == "NOT_FOUND"
        with pytest.raises(TypeError, match="not both"):
            client.presets.create(where="@whales", payload={})


def test_a_subscription_without_a_loop(served: tuple[Store, Server]) -> None:
    store, server = served
    with BlockingClient(server.target) as client:
        rows = client.subscribe("symbol = LIVE", snapshot=5)
        threading.Timer(0.2, lambda: store.add(3, symbol="LIVE", root="LIVE")).start()
        assert [next(rows).symbol for _ in range(3)] == ["LIVE"] * 3
        rows.close()  # type: ignore[attr-defined] # a generator
        assert client.query(page_size=1).rows[0].symbol == "LIVE"
    client.close()


def test_what_is_refused_is_an_error_with_findings(served: tuple[Store, Server]) -> None:
    with BlockingClient(served[1].target) as client:
        for work in (lambda: client.query("nosuch = 1"), lambda: list(client.rows("nosuch = 1")),
                     lambda: client.summarize("nosuch = 1")):  # fmt: skip
            with pytest.raises(RequestError) as refused:
                work()
            assert (refused.value.reason, len(refused.value.findings)) == ("INVALID_QUERY", 1)


def test_a_walk_goes_on_over_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    expected = [row[0] for row in store.add(2_500)][::-1]
    server = Server(store.url)

    async def walk() -> list[int]:
        seen: list[int] = []
        async with Client(server.target) as client:
            async for row in client.rows():
                seen.append(row.seq)
                if len(seen) in (1, 1_001):
                    server.end()
                    await asyncio.to_thread(server.start)
        return seen

    assert asyncio.run(walk()) == expected
    server.end()
    with pytest.raises(RequestError) as gone, BlockingClient(server.target) as client:
        client.query(timeout_s=5)
    assert gone.value.code == "UNAVAILABLE"
    store.close()


def test_the_command_sends_the_token(tmp_path: Path) -> None:
    store, file = Store(tmp_path / "flow.sqlite"), tmp_path / "tokens.txt"
    store.add(3)
    secret = run("token", "me", "--file", str(file)).stdout.strip()
    server = Server(store.url, environ={"PHENIX_API_TOKENS": str(file)})
    asked = ("query", "--server", server.target, "--limit", "2", "--format", "ndjson")
    assert len(run(*asked, environ={"PHENIX_TOKEN": secret}).stdout.splitlines()) == 2
    refused = run(*asked)
    assert (refused.returncode, "This needs a token" in refused.stderr) == (2, True)
    assert "cannot be read" in run(*asked, "--ca", str(tmp_path / "none")).stderr
    server.end()
    store.close()


def test_a_call_that_an_ending_server_cancels_is_made_again() -> None:
    """What a server cannot finish within its grace it cancels; the next one is asked for the rest."""

    asked: list[int] = []

    class Ending(flow_pb2_grpc.FlowServiceServicer):
        async def Subscribe(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
            asked.append(request.after_seq)
            yield flow_pb2.SubscribeResponse(watermark=request.after_seq + 1)
            await context.abort(grpc.StatusCode.CANCELLED, "the server ends")

    async def follow() -> list[int]:
        server = grpc.aio.server()
        flow_pb2_grpc.add_FlowServiceServicer_to_server(Ending(), server)  # type: ignore[no-untyped-call] # generated
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with Client(f"127.0.0.1:{port}") as client:
            async for response in client.subscribe(after_seq=4).responses():
                if response.watermark == 7:
                    break
        await server.stop(None)
        return asked

    assert asyncio.run(follow()) == [4, 5, 6]


def test_a_reset_is_told_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A server says that rows which it had not sent were removed, and goes on with those there are."""

    class Removing(flow_pb2_grpc.FlowServiceServicer):
        async def Subscribe(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
            yield flow_pb2.SubscribeResponse(watermark=4, progress=flow_pb2.Progress())
            yield flow_pb2.SubscribeResponse(watermark=9, reset=flow_pb2.Reset(reason="ROWS_REMOVED", oldest_seq=10))
            event = flow_pb2.Event(kind=flow_pb2.EVENT_KIND_UPDATED, sequence=10, row=row_pb2.Row(seq=10))
            yield flow_pb2.SubscribeResponse(watermark=10, events=flow_pb2.EventBatch(events=[event]))

    async def follow() -> list[Any]:
        server = grpc.aio.server()
        flow_pb2_grpc.add_FlowServiceServicer_to_server(Removing(), server)  # type: ignore[no-untyped-call] # generated
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with Client(f"127.0.0.1:{port}") as client:
            items = client.subscribe(after_seq=4).items()
            found = [await anext(items), await anext(items)]
            await items.aclose()  # type: ignore[attr-defined] # a generator
        await server.stop(None)
        return found

    reset, event = asyncio.run(follow())
    assert reset == Reset(9, "ROWS_REMOVED", 10)
    assert event.row.seq == 10
    assert "rows before seq 10 were removed before they were sent" in caplog.text


def test_a_generator_that_was_dropped_has_ended_when_the_client_is_closed(
    store: Store, serve: Callable[..., Server]
) -> None:
    """It is ended by a task of the client's loop, which takes its time."""
    ended = threading.Event()

    async def lasting() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            for _ in range(100):
                await asyncio.sleep(0)
            ended.set()

    async def drop_one() -> None:
        await anext(lasting())

    client = BlockingClient(serve(store.url).target)
    client._run(drop_one())
    client.close()
    assert ended.is_set()
