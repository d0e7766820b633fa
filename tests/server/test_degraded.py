"""Degraded mode: answers, streams, readiness and metrics tell the same of one lag, and return by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from phenix import app
from phenix.client import Client, to_dicts
from phenix.engine.flow import BY_NAME, INDEX, RAW, Part
from phenix.engine.query.request import FlowRequest
from phenix.engine.store.base import Batch
from phenix.server.auth import Access, Limits
from phenix.server.follow import Degraded
from phenix.server.grpc.gateway import bind, gateway
from phenix.server.params import Asked
from phenix.server.rest.routes import application
from tests.scrape import at, read_text
from tests.server.rows import Store, made

OPEN = Access(None, Limits(0, 0))
LAG = "enrichment_lag_high"
RECEIVED_AT = 1_790_000_000_000


class Serving:
    """Both gateways over a store, by a clock that stands where it is set."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = RECEIVED_AT / 1000
        self.service = app.service(store.url, progress_s=0.05, clock=lambda: self.now)
        self.rest: httpx.AsyncClient
        self.client: Client

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.rest.get(path, params=parameters)
        assert answer.status_code in (200, 503), answer.text
        return answer.json()

    async def states(self) -> list[bool]:
        """Whether it is degraded, as each door tells."""
        meta = (await self.get("/api/flow"))["meta"]
        ready = await self.get("/ready")
        found = await self.client.query()
        told = read_text((await self.rest.get("/metrics")).text)
        summed = (await self.get("/api/flow/summary"))["meta"]
        assert meta["degradedReason"] == ([LAG] if meta["degraded"] else [])
        assert (ready["status"] == "ready") is ready["checks"]["backlog"]["ok"]
        assert meta["lagSeconds"] == found.meta.lag_seconds == at(told, "enrichment_lag_seconds")
        return [
            meta["degraded"],
            summed["degraded"],
            LAG in found.meta.degraded_reasons,
            ready["status"] != "ready",
            at(told, "degraded", reason=LAG) == 1,
        ]


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Serving]:
    store = Store(folder / "flow.sqlite")
    one = Serving(store)
    store.add(5)
    await one.service.start()
    calls, _ = gateway(one.service, OPEN)
    port = bind(calls, "127.0.0.1", 0, None)
    await calls.start()
    transport = httpx.ASGITransport(application(one.service, OPEN))
    try:
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as one.rest,
            Client(f"127.0.0.1:{port}") as one.client,
        ):
            yield one
    finally:
        await one.service.close()
        await calls.stop(None)
        store.close()


def wait(store: Store, count: int) -> list[list[Any]]:
    """Prints that are received and not enriched."""
    rows = [made(500 + n, ingested_at_utc=RECEIVED_AT + n) for n in range(count)]
    for n, row in enumerate(rows):  # plain ones: a cancel record or a compression has no chips
        row[INDEX["right"]], row[INDEX["condition"]] = ("CALL", "PUT")[n % 2], 18
    appended = store.writer.append(Batch(rows=[row[: len(RAW)] for row in rows])).rows
    return [[*raw, *row[len(RAW) :]] for raw, row in zip(appended, rows, strict=True)]


def enrich(store: Store, rows: list[list[Any]]) -> None:
    store.bundle.tag(rows)
    store.writer.append_enriched([(*row[:2], *row[len(RAW) :]) for row in rows], [])


def test_every_door_agrees_at_29_and_31_seconds_and_it_returns(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as one:
            stream = await one.service.subscribe(Asked(FlowRequest(), snapshot=0))
            told: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()

            async def listen() -> None:
                assert not hasattr(stream, "code")
                async for content in stream:  # type: ignore[union-attr]
                    if isinstance(content, Degraded):
                        told.put_nowait(content.reasons)

            listening = asyncio.create_task(listen())
            rows = wait(one.store, 3)
            for after, degraded in ((0, False), (29, False), (30, False), (31, True), (29, False), (31, True)):
                before = one.now > RECEIVED_AT / 1000 + 30
                one.now = RECEIVED_AT / 1000 + after
                assert await one.states() == [degraded] * 5, after
                if degraded is not before:
                    async with asyncio.timeout(60):
                        assert await told.get() == ((LAG,) if degraded else ())
                polled = await one.get("/api/flow/stream", transport="json", watermark=5)
                assert (polled["degraded"], polled["degradedReason"]) == (degraded, [LAG] if degraded else [])
                page = await one.get("/api/flow")
                assert len(page["data"]) == (8 if degraded else 5)
                assert page["meta"]["asOfSeq"] == page["meta"]["watermark"] == 5
                assert len((await one.client.query()).rows) == len(page["data"])
            enrich(one.store, rows)
            assert await one.states() == [False] * 5
            async with asyncio.timeout(60):
                assert await told.get() == ()
            page = await one.get("/api/flow")
            assert (len(page["data"]), page["meta"]["asOfSeq"]) == (8, 8)
            listening.cancel()

    asyncio.run(work())


def test_a_waiting_print_is_given_as_it_was_received(tmp_path: Path) -> None:
    async def work() -> None:
        async with serving(tmp_path) as one:
            rows = wait(one.store, 2)
            one.now += 60
            enriched = [f.json for f in BY_NAME.values() if f.part is Part.ENRICHED and f.json]
            page = await one.get("/api/flow", limit=2)
            for given, row in zip(page["data"], reversed(rows), strict=True):
                assert given["seq"] == row[0]
                assert given["price"] == row[INDEX["price"]] / 10_000
                assert {given[key] for key in enriched if key != "missingMetrics"} == {None}
                assert given["missingMetrics"] == []
                assert given["cancelled"] is False
                on = "calls" if row[INDEX["right"]] == "CALL" else "puts"
                assert on in given["chips"]
                assert {"whales", "otm", "bid"} <= set(given["chipsUnknown"])
                assert not set(given["chips"]) & set(given["chipsUnknown"])
                assert not {"calls", "puts"} & set(given["chipsUnknown"])
            shown = page["data"][0]
            assert (await one.get(f"/api/flow/{shown['id']}"))["data"] == shown
            assert to_dicts([(await one.client.get(shown["id"]))]) == [shown]
            for path in (
                f"/api/flow/{shown['id']}/why",
                f"/api/flow/{shown['id'][:-1]}{'1' if shown['id'][-1] == '0' else '0'}",
            ):
                assert (await one.rest.get(path)).status_code == 404
            first = await one.client.query(page_size=2)
            assert to_dicts(first.rows) == page["data"]
            for where, count in (("@calls", 1), ("not @calls", 1), ("@whales", 0), ("not @whales", 0),
                                 ("@whales is unknown", 2), ("value > 0", 0), ("value is null", 2)):  # fmt: skip
                found = await one.get("/api/flow", where=f"({where}) and seq > 5", total="exact")
                assert (len(found["data"]), found["page"]["total"]) == (count, count), where
            # A walk goes on as it began, and says so, once nothing is behind any more.
            enrich(one.store, rows)
            rest = await one.get("/api/flow", limit=2, cursor=page["page"]["nextCursor"])
            assert [row["seq"] for row in rest["data"]] == [5, 4]
            assert rest["meta"]["degradedReason"] == [LAG]
            over = await one.client.query(page_size=2, page_token=first.next_page_token)
            assert [row.seq for row in over.rows] == [5, 4]
            assert list(over.meta.degraded_reasons) == [LAG]
            assert (await one.get("/api/flow", limit=2))["meta"]["degraded"] is False

    asyncio.run(work())


@pytest.mark.parametrize("path", ["/api/flow/summary", "/api/flow/facets"])
def test_sums_are_of_enriched_rows_and_say_that_they_lag(tmp_path: Path, path: str) -> None:
    async def work() -> None:
        async with serving(tmp_path) as one:
            healthy = (await one.get(path))["data"]
            wait(one.store, 2)
            one.now += 60
            behind = await one.get(path)
            assert behind["data"] == healthy
            assert behind["meta"]["degradedReason"] == [LAG]

    asyncio.run(work())
