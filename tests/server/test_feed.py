"""The other reasons: the terminal's line, its silence and stale quotes, from what a real worker records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from phenix import app
from phenix.config import load
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import utc_of
from phenix.engine.feed import Feed
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.server.auth import Access, Limits
from phenix.server.follow import Degraded
from phenix.server.params import Asked
from phenix.server.rest.routes import application
from phenix.server.service import FlowService
from phenix.server.status import Gauge
from tests.ingest.files import day_sources
from tests.scrape import at, read_text
from tests.server.rows import Store

OPEN = Access(None, Limits(0, 0))
MINUTE = 60_000
NOON = utc_of(20260918, 12 * 60 * MINUTE)  # a Friday
NIGHT = utc_of(20260918, 22 * 60 * MINUTE)
SUNDAY = utc_of(20260920, 12 * 60 * MINUTE)
BELL = utc_of(20260918, (9 * 60 + 30) * MINUTE)
HOLIDAY = utc_of(20261225, 12 * 60 * MINUTE)
GOOD = Feed(NOON, True, True, NOON, NOON, 0, False)
SILENT, LOST, STALE = OF_THE_FEED = "no_live_data", "terminal_disconnected", "quote_feed_stale"


def told(now: int, **values: Any) -> Feed:
    """A feed as ingest tells of it now: all is well but for ``values``."""
    return replace(Feed(now, True, True, now, now, 0, False), **values)


@pytest.mark.parametrize(
    ("now", "feed", "reasons"),
    [
        (NOON, None, []),  # no ingest ever wrote: rows of files
        (NOON, told(NOON), []),
        (NOON, told(NOON, data_utc=NOON - 29_000, quote_utc=NOON - 29_000), []),
        (NOON, told(NOON, data_utc=NOON - 30_000, quote_utc=NOON - 30_000), []),
        (NOON, told(NOON, data_utc=NOON - 31_000), [SILENT]),
        (NOON, told(NOON, quote_utc=NOON - 30_000), []),
        (NOON, told(NOON, quote_utc=NOON - 31_000), [STALE]),
        (NOON, told(NOON, data_utc=NOON - 31_000, quote_utc=NOON - 31_000), [SILENT]),
        (NOON, told(NOON, stream_connected=False), [LOST]),
        (NOON, told(NOON, terminal_connected=False), [LOST]),
        (NOON, told(NOON, terminal_connected=False, data_utc=NOON - 31_000), [SILENT, LOST]),
        (NOON, told(NOON - 31_000, stream_connected=False), [SILENT]),  # nobody tells: whether it is, is not known
        (NIGHT, told(NIGHT, data_utc=NIGHT - 3_600_000, quote_utc=NIGHT - 3_600_000), []),
        (NIGHT, told(NIGHT, stream_connected=False), [LOST]),
        (SUNDAY, told(SUNDAY - 86_400_000), []),
        (HOLIDAY, told(HOLIDAY - 86_400_000), []),
        (BELL + 29_000, told(BELL + 29_000, data_utc=BELL - 3_600_000), []),
        (BELL + 31_000, told(BELL + 31_000, data_utc=BELL - 3_600_000), [SILENT]),
        (NOON, told(NOON, data_utc=NOON - 31_000, closed=True), []),
        # A feed that plays another day is awaited by that day's clock.
        (SUNDAY, told(SUNDAY, data_utc=SUNDAY - 31_000, offset_ms=NOON - SUNDAY), [SILENT]),
        (NOON, told(NOON, data_utc=NOON - 31_000, offset_ms=NIGHT - NOON), []),
    ],
)
def test_what_follows_from_what_ingest_told(tmp_path: Path, now: int, feed: Feed | None, reasons: list[str]) -> None:
    store = Store(tmp_path / "flow.sqlite")
    if feed is not None:
        store.writer.put_feed(GOOD)
        store.writer.put_feed(feed)
        assert store.writer.reads.feed() == feed
    found = Gauge(Calendar.packaged(), lambda: now / 1000).measure(store.writer.reads)
    assert list(found.degraded) == reasons
    store.close()


class Shifted:
    """This machine's clock, set forward."""

    def __init__(self) -> None:
        self.by_ms = 0

    def ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.by_ms

    def s(self) -> float:
        return self.ms() / 1000


class Live:
    """A worker and a service on one store, by one clock; the worker in this process, for it shall share it."""

    def __init__(self, rest: httpx.AsyncClient, service: FlowService, clock: Shifted, terminal: Any) -> None:
        self.rest = rest
        self.clock = clock
        self.terminal = terminal
        self.told: list[tuple[str, ...]] = []
        """What a stream said of it."""
        self.listening = asyncio.create_task(self._listen(service))

    async def _listen(self, service: FlowService) -> None:
        stream = await service.subscribe(Asked(FlowRequest(), snapshot=0))
        assert not isinstance(stream, Refusal)
        async for content in stream:
            if isinstance(content, Degraded):
                self.told.append(content.reasons)

    async def reasons(self) -> list[str]:
        """The reasons of the feed now, the same at every door; a print on its way as the clock is set may lag, too."""
        meta = (await self.rest.get("/api/flow")).json()["meta"]
        series = read_text((await self.rest.get("/metrics")).text)
        ready = (await self.rest.get("/ready")).json()
        assert meta["degraded"] is bool(meta["degradedReason"])
        counted = [reason for reason in OF_THE_FEED if at(series, "degraded", reason=reason)]
        again = (await self.rest.get("/api/flow")).json()["meta"]
        before, found = ([one for one in it["degradedReason"] if one in OF_THE_FEED] for it in (meta, again))
        if before == found:  # or it changed between two of the questions
            assert counted == found
            assert ready["checks"]["terminal"]["ok"] is not bool({SILENT, LOST} & set(counted))
        return found

    async def until(self, holds: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds(await self.reasons()):  # noqa: ASYNC110 - what it reads is in a store
                await asyncio.sleep(0.05)


@asynccontextmanager
async def live(folder: Path, speed: float = 20.0) -> AsyncIterator[Live]:
    sources = day_sources(folder, 3_000)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)
    clock, stop = Shifted(), asyncio.Event()
    async with app.terminal(tape, speed=speed, stocks="standard", settle_s=0.1) as terminal:
        settings = load({
            "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
            "INGEST_SYMBOLS": "XYZ", "PHENIX_STORE": f"sqlite:{folder / 'live.sqlite'}",
        })  # fmt: skip
        with app.open_writer(settings.store) as writer:
            async with app.terminal_client(settings) as client:
                worker = await app.worker(settings, app.recorder(writer), client, clock=clock.ms)
                running = asyncio.create_task(worker.run(stop))
                service = app.service(settings.store, clock=clock.s)
                await service.start()
                transport = httpx.ASGITransport(application(service, OPEN))
                try:
                    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as rest:
                        one = Live(rest, service, clock, terminal)
                        while worker.figures.stored < 20 or await one.reasons():
                            assert not running.done()
                            await asyncio.sleep(0.05)
                        yield one
                    await service.log.close()
                    await one.listening
                finally:
                    await service.close()
                    stop.set()
                    await running


async def control(one: Live, method: str, path: str, **body: Any) -> None:
    async with httpx.AsyncClient(base_url=one.terminal.base_url) as client:
        answer = await client.request(method, path, json=body or None)
        assert answer.status_code < 300, answer.text


def test_a_terminal_that_lost_its_line_is_told_and_its_return(tmp_path: Path) -> None:
    async def work() -> None:
        async with live(tmp_path) as one:
            await control(one, "POST", "/control/faults", name="status_flapping", after=1)
            await one.until(lambda found: found == [LOST] and one.told[-1:] == [(LOST,)])
            await control(one, "DELETE", "/control/faults")
            await one.until(lambda found: found == [] and one.told[-1:] == [()])

    asyncio.run(work())


def test_a_feed_that_says_nothing_is_told_and_its_return(tmp_path: Path) -> None:
    async def work() -> None:
        async with live(tmp_path) as one:
            await control(one, "POST", "/control/faults", name="silent_feed", after=1)
            one.clock.by_ms += 31_000
            await one.until(lambda found: SILENT in found)
            await control(one, "DELETE", "/control/faults")
            await one.until(lambda found: SILENT not in found)

    asyncio.run(work())


def test_quotes_that_stopped_are_told_while_prints_go_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with live(tmp_path) as one:  # after its last quote, at 10:15, prints go on to 10:50
            one.clock.by_ms += 31_000
            await one.until(lambda found: STALE in found)

    asyncio.run(work())


def test_an_ingest_that_ended_is_silence_unless_the_market_closed(tmp_path: Path) -> None:
    from tests.ingest.test_worker import _play

    sources = day_sources(tmp_path, 40)
    stores = tmp_path / "stopped.sqlite", tmp_path / "closed.sqlite"
    asyncio.run(_play(sources, "XYZ", stores[0], [{"stop_after": 20}], speed=40.0))
    asyncio.run(_play(sources, "XYZ", stores[1], [{"once": True}]))
    later, a_day = time.time() + 60, 86_400
    for store, reasons in zip(stores, ((SILENT,), ()), strict=True):
        with app.open_reader(f"sqlite:{store}") as reader:
            assert Gauge(Calendar.packaged(), lambda: later).measure(reader).degraded == reasons
            # What was closed the day before is open again.
            assert Gauge(Calendar.packaged(), lambda: later + a_day).measure(reader).degraded == (SILENT,)
