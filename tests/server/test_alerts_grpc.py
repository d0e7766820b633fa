"""What alerts raise over gRPC: pages, and a watch that goes on where it was, whatever becomes of the server."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from phenix.client import BlockingClient, Client, RequestError
from phenix.server._pb import saved_pb2 as pb
from phenix.server._pb.saved_pb2_grpc import SavedQueryServiceStub
from tests.server.asking import ALERTS, ask
from tests.server.conftest import Server
from tests.server.receiver import PATIENCE_S, until
from tests.server.rows import Store

Serve = Callable[..., Server]


def saved(server: Server, where: str) -> str:
    return str(ask(server, "POST", ALERTS, {"name": where, "dsl": where}).data["id"])


def raised(server: Server, id_: str, count: int) -> list[dict[str, Any]]:
    """Events of an alert over REST, oldest first, once there are so many."""

    def found() -> list[dict[str, Any]] | None:
        events = ask(server, "GET", f"{ALERTS}/{id_}/events?limit=1000").data
        return events[::-1] if len(events) >= count else None

    events: list[dict[str, Any]] = until(found)
    return events


@pytest.fixture
def server(store: Store, serve: Serve) -> Iterator[Server]:
    store.add(3)
    return serve(store.url, "--heartbeat", "0.2")


def test_pages_are_those_of_rest(store: Store, server: Server) -> None:
    id_, other = saved(server, "size >= 1"), saved(server, "size < 0")
    rows = store.add(5)
    store.cancel(rows[0])
    wanted = raised(server, id_, 6)
    with BlockingClient(server.target) as client:
        events = list(client.alerts.events(id_))[::-1]
        assert list(client.alerts.events(other)) == []
        with pytest.raises(RequestError, match="There is no alert 'alert_none'"):
            next(client.alerts.events("alert_none"))
    assert [event.number for event in events] == [one["number"] for one in wanted]
    assert [json.loads(event.row_json) for event in events] == [one["flow"] for one in wanted]
    kinds = [pb.AlertEventKind.Name(event.kind).rpartition("_")[2].lower() for event in events]
    assert kinds == [one["kind"] for one in wanted] == ["matched"] * 5 + ["retracted"]
    assert events[0].id == events[5].id

    async def walk() -> list[int]:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub, numbers, token = SavedQueryServiceStub(channel), [], ""
            while True:
                request = pb.ListAlertEventsRequest(alert_id=id_, page_size=4, page_token=token)
                page = await stub.ListAlertEvents(request)
                assert page.total_size == 6
                numbers += [event.number for event in page.events]
                token = page.next_page_token
                if not token:
                    return numbers

    assert asyncio.run(walk()) == [event.number for event in reversed(events)]


def test_a_watch_goes_on_through_kills(store: Store, server: Server) -> None:
    id_, other = saved(server, "size >= 1"), saved(server, "size >= 2")
    seen: list[tuple[int, str]] = []

    async def watch() -> None:
        async with Client(server.target) as client:
            begun = client.alerts.watch(after_number=0)
            for round_ in range(3):
                store.add(4)
                matched = [event async for event in _take(begun, 4, id_, seen)]
                assert len(matched) == 4
                if round_ < 2:
                    server.end((signal.SIGKILL, signal.SIGTERM)[round_])
                    server.start()

    asyncio.run(asyncio.wait_for(watch(), 3 * PATIENCE_S))
    everything = sorted(
        [(one["number"], id_) for one in raised(server, id_, 12)]
        + [(one["number"], other) for one in raised(server, other, 1)]
    )
    assert seen == everything[: len(seen)]


async def _take(watching: Any, count: int, id_: str, seen: list[tuple[int, str]]) -> Any:
    """Events, noted, until so many of one alert came."""
    while count:
        event = await anext(watching)
        seen.append((event.number, event.alert_id))
        if event.alert_id == id_:
            count -= 1
            yield event


def test_a_watch_of_one_alert_tells_how_far_it_is_while_nothing_comes(store: Store, server: Server) -> None:
    id_, quiet = saved(server, "size >= 1"), saved(server, "size < 0")

    async def watch() -> int:
        async with grpc.aio.insecure_channel(server.target) as channel:
            call = SavedQueryServiceStub(channel).WatchAlerts(pb.WatchAlertsRequest(alert_id=quiet))
            first = await call.read()
            assert (first.number, list(first.events)) == (0, [])
            store.add(2)
            while not (told := await call.read()).number:
                assert list(told.events) == []
            call.cancel()
            return int(told.number)

    number = asyncio.run(asyncio.wait_for(watch(), PATIENCE_S))
    assert number in {one["number"] for one in raised(server, id_, 2)}


def test_what_cannot_be_watched_is_refused(store: Store, server: Server) -> None:
    id_ = saved(server, "size >= 1")
    store.add(1)
    raised(server, id_, 1)

    async def refused(**request: Any) -> str:
        async with grpc.aio.insecure_channel(server.target) as channel:
            call = SavedQueryServiceStub(channel).WatchAlerts(pb.WatchAlertsRequest(**request))
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call.read()
            return str(error.value.code().name)

    assert asyncio.run(refused(alert_id="alert_none")) == "NOT_FOUND"
    assert asyncio.run(refused(after_number=99)) == "OUT_OF_RANGE"
    assert asyncio.run(refused(after_number=-1)) == "INVALID_ARGUMENT"

    async def page() -> str:
        async with grpc.aio.insecure_channel(server.target) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await SavedQueryServiceStub(channel).ListAlertEvents(
                    pb.ListAlertEventsRequest(alert_id=id_, page_token="nonsense")
                )
            return str(error.value.code().name)

    assert asyncio.run(page()) == "INVALID_ARGUMENT"
