"""Each metric moves and each alert fires when its cause is injected into what runs, as a real Prometheus sees it."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from phenix import app
from phenix.config import Settings, load
from phenix.engine.feed import Feed
from phenix.engine.flow import RAW
from phenix.engine.metrics import METRICS, Form, Process
from phenix.engine.store.base import Batch, sqlite_path
from phenix.engine.store.sqlite import open_writer
from phenix.ingest.terminal.client import Stream
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from tests.deploy.test_prometheus import RULES
from tests.operate.stores import phenix
from tests.prometheus import Ask, prometheus
from tests.scrape import Series, scrape
from tests.server.conftest import Server
from tests.server.receiver import Receiver
from tests.server.rows import Store, made
from tests.server.sse import Sse
from tests.server.test_alerts import alert, hook
from tests.server.test_saved import activate

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")

PATIENCE_S = 60
HASTY = (("for: \\w+", "for: 0s"), ("\\[\\d+m\\]", "[8s]"), ("_age_seconds > 600", "_age_seconds > 2"))
AT_ONCE = reduce(lambda text, one: re.sub(*one, text), HASTY, RULES)


@dataclass(frozen=True)
class Cause:
    """Something that happens to a process, the metrics that move with it, and the alerts that fire."""

    name: str
    metrics: tuple[str, ...]
    alerts: tuple[str, ...] = ()


INGEST = (
    Cause("connected", ("ingest_connections_total", "ingest_streams", "feed_connected")),
    Cause("prints", ("ingest_events_total", "ingest_prints_total", "ingest_batch_rows", "ingest_cpu_seconds_total",
                     "enrichment_latency_ms", "filter_hits_total", "print_latency_ms")),
    Cause("broken frames", ("ingest_parse_failures_total",), ("PhenixParseFailures",)),
    Cause("cut", ("ingest_disconnections_total", "ingest_gaps_total"), ("PhenixGaps",)),
    Cause("held", ("ingest_dropped_total",), ("PhenixDropped", "PhenixGaps")),
    Cause("flood", ("ingest_queue_messages", "ingest_lag_seconds"), ("PhenixIngestLag",)),
)  # fmt: skip
SERVE = (
    Cause("rows", ("store_seq",)),
    Cause("requests", ("api_requests_total", "grpc_calls_total", "api_flow_latency_ms", "api_flow_error_total",
                       "query_plans_total")),
    Cause("followed", ("streams_open", "log_seq", "stream_rows_total", "print_latency_ms")),
    Cause("alerted", ("alert_events_total", "alert_deliveries_total", "alert_delivery_latency_ms", "alert_seq")),
    Cause("unheard", ("alert_outbox_size", "alert_outbox_age_seconds"), ("PhenixAlertsUndelivered",)),
    Cause("rules", ("rules_active", "alerts_not_understood")),
    Cause("deaf", ("stream_overflows_total", "store_bytes"), ("PhenixSlowReaders",)),
    Cause("starved", ("api_flow_latency_ms",), ("PhenixQuerySlow",)),
    Cause("waiting", ("enrichment_backlog_size", "enrichment_lag_seconds", "degraded", "ready"),
          ("PhenixEnrichmentBehind", "PhenixNotReady")),
    Cause("silent", ("feed_silence_seconds",), ("PhenixTerminalDisconnected",)),
    Cause("no terminal", ("preflight_failed",), ("PhenixPreflightFailed",)),
    Cause("no store", ("api_flow_error_total",), ("PhenixServerErrors", "PhenixNotReady")),
    Cause("killed", (), ("PhenixDown",)),
)  # fmt: skip
ELSEWHERE = {"PhenixFeedSilent", "PhenixQuotesStale"}
"""Alerts whose cause is injected in test_prometheus.py."""


def test_every_metric_and_every_alert_has_a_cause() -> None:
    for process, causes in ((Process.INGEST, INGEST), (Process.SERVE, SERVE)):
        assert {name for cause in causes for name in cause.metrics} == {
            metric.name for metric in METRICS if process in metric.told_by
        }
    injected = {alert for cause in INGEST + SERVE for alert in cause.alerts}
    assert injected | ELSEWHERE == set(re.findall(r"- alert: (\w+)", RULES))


class Watch:
    """What a process tells, and which alerts fire, cause by cause in their order."""

    def __init__(self, url: str, ask: Ask, causes: tuple[Cause, ...]) -> None:
        self._url = url
        self._ask = ask
        self._left = list(causes)
        self._before: Series = scrape(url)

    def see(self, name: str) -> None:
        """Wait until each metric of the next cause, which has this name, has moved and each of its alerts fires."""
        cause = self._left.pop(0)
        assert cause.name == name
        still, due = set(cause.metrics), time.monotonic() + PATIENCE_S
        while True:
            now = scrape(self._url) if still else self._before
            still = {name for name in still if not _moved(name, self._before, now)}
            fires = {labels["alertname"] for labels, _ in self._ask('ALERTS{alertstate="firing"}')}
            if not still and fires >= set(cause.alerts):
                self._before = now
                return
            assert time.monotonic() < due, (cause, still, fires)
            time.sleep(0.2)

    def end(self) -> None:
        assert self._left == []


def _moved(name: str, before: Series, now: Series) -> bool:
    form = next(metric.form for metric in METRICS if metric.name == name)
    told = name + "_count" if form is Form.HISTOGRAM else name
    then, found = ({key: value for key, value in of.items() if key[0] == told} for of in (before, now))
    return then != found if form is Form.GAUGE else sum(found.values()) > sum(then.values())


@pytest.mark.timeout(300)
def test_what_is_injected_into_ingest(tmp_path: Path) -> None:
    async def work() -> None:
        play: dict[str, Any] = {"stocks": "standard", "wait_for_play": True, "settle_s": 0.1}
        async with (
            app.terminal(app.session(symbols=5, rate=20), **play) as terminal,
            # A connection for each request: one that was kept may be closed by the other side as it is used again.
            httpx.AsyncClient(
                base_url=terminal.base_url, timeout=60, limits=httpx.Limits(max_keepalive_connections=0)
            ) as rest,
        ):
            settings = load({
                "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
                "PHENIX_STORE": f"sqlite:{tmp_path / 'live.sqlite'}",
            })  # fmt: skip
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            with prometheus(tmp_path, {"phenix-ingest": port}, AT_ONCE) as ask:
                # Room for little: what comes while the store stands still is dropped.
                async with _working(settings, port, queue_messages=500, patience_s=0.05) as (stream, begin):
                    watch = await asyncio.to_thread(Watch, f"http://127.0.0.1:{port}/metrics", ask, INGEST)
                    begin()
                    await asyncio.to_thread(watch.see, "connected")
                    await _control(rest, "POST", "play")
                    await asyncio.to_thread(watch.see, "prints")
                    await _control(rest, "POST", "faults", name="broken_frames", share=0.5)
                    await asyncio.to_thread(watch.see, "broken frames")
                    await _control(rest, "DELETE", "faults")
                    await _control(rest, "POST", "faults", name="abrupt_close", after=1, count=1)
                    await asyncio.to_thread(watch.see, "cut")
                    async with _held(tmp_path / "live.sqlite"):
                        await _control(rest, "POST", "play", speed=20)
                        async with asyncio.timeout(PATIENCE_S):
                            while not stream.dropped:  # noqa: ASYNC110 - the stream tells nobody
                                await asyncio.sleep(0.05)
                    await asyncio.to_thread(watch.see, "held")
                # Room for much, taken out one by one: what comes waits for long on any machine.
                async with _working(settings, port, queue_messages=20_000, batch_messages=1) as (_, begin):
                    begin()
                    await _control(rest, "POST", "play", speed=0)  # as fast as it is read
                    await asyncio.to_thread(watch.see, "flood")
                watch.end()

    asyncio.run(work())


@asynccontextmanager
async def _working(settings: Settings, port: int, **options: Any) -> AsyncIterator[tuple[Stream, Callable[[], None]]]:
    """A worker that tells on a port: its stream, and what begins its work, which is ended as by a kill."""
    stream = Stream(settings.stream_url, **options)
    with open_writer(sqlite_path(settings.store), busy_ms=PATIENCE_S * 1000) as writer:
        async with app.terminal_client(settings) as client:
            recorder = app.recorder(writer)
            worker = await app.worker(settings, recorder, client, stream=stream, flush_s=0.0)
            running: list[asyncio.Task[Any]] = []
            with app.ingest_metrics(port, worker, recorder):
                try:
                    yield stream, lambda: running.append(asyncio.create_task(worker.run(asyncio.Event())))
                finally:
                    for task in running:
                        task.cancel()
                    ended = await asyncio.gather(*running, return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError]


@asynccontextmanager
async def _held(store: Path) -> AsyncIterator[None]:
    """Another program that does not let go of the store's file, as a disk does that stands still."""
    code = (
        "import signal, sqlite3, sys; held = sqlite3.connect(sys.argv[1], timeout=60); held.execute('BEGIN IMMEDIATE');"
        "print(1, flush=True); signal.pause()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(store), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"1\n"
    try:
        yield
    finally:
        process.kill()  # whose lock ends with it
        await process.wait()


async def _control(rest: httpx.AsyncClient, method: str, path: str, **body: Any) -> None:
    assert (await rest.request(method, f"/control/{path}", json=body or None)).is_success


@pytest.mark.timeout(300)
def test_what_is_injected_into_serve(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    to_here = {"PHENIX_ALERT_ALLOW": "127.0.0.1", "PHENIX_ALERT_RETRY_BASE_MS": "600000"}
    server = Server(store.url, "--heartbeat", "0.2", environ=to_here)
    following: list[Sse] = []
    try:
        with prometheus(tmp_path, {"phenix-serve": server.port}, AT_ONCE) as ask:
            watch = Watch(server.url("/metrics"), ask, SERVE)
            store.add(50)
            watch.see("rows")
            assert [server.get(path)[0] for path in ("/api/flow", "/api/flow?where=nonsense")] == [200, 400]
            asyncio.run(_call(server.target))
            watch.see("requests")
            following.append(Sse(server.port, "snapshot=0"))
            assert following[0].frame() is not None
            store.add(5)
            watch.see("followed")
            with Receiver() as receiver:
                alert(server, "size > 0 or @grenade", targets=[hook(receiver)])
                store.add(1)
                watch.see("alerted")
                receiver.status = 503
                store.add(1)
                watch.see("unheard")
            store.bundle = activate(store, lambda text: re.sub("(?i)grenade", "blast", text))
            store.add(1)
            watch.see("rules")
            following += [Sse(server.port, "snapshot=0", receive=4096) for _ in range(3)]
            for _ in range(6):  # more than a queue and the sockets hold, for clients that read nothing
                store.add(5_000)
            watch.see("deaf")
            with _starved(server):
                watch.see("starved")
            store.writer.append(Batch(rows=[made(90_000)[: len(RAW)]]))  # received long ago, and not enriched
            watch.see("waiting")
            now = time.time_ns() // 1_000_000
            store.writer.put_feed(Feed(now, False, True, now, now, 0, False))
            watch.see("silent")
            away = {"THETADATA_BASE_URL": "http://127.0.0.1:1", "THETADATA_CONNECT_TIMEOUT_MS": "50"}
            assert phenix("preflight", PHENIX_STORE=store.url, **away).returncode == 10
            watch.see("no terminal")
            store.writer.close()
            for file in tmp_path.glob("flow.sqlite*"):
                file.write_bytes(b"this is no store any more" * 400)
            with _asking(server, "/api/flow"):
                watch.see("no store")
            due = time.monotonic() + PATIENCE_S
            while not ask('ALERTS{alertname="PhenixServerErrors", alertstate="firing", code="UNAVAILABLE"}'):
                assert time.monotonic() < due
                with suppress(grpc.aio.AioRpcError):
                    asyncio.run(_call(server.target))
            for stream in following:
                stream.cut()
            server.end()
            watch.see("killed")
            watch.end()
    finally:
        server.end()
        store.close()


async def _call(target: str) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        await flow_pb2_grpc.FlowServiceStub(channel).Query(flow_pb2.QueryRequest())  # type: ignore[no-untyped-call]


@contextmanager
def _asking(server: Server, path: str) -> Iterator[None]:
    """Ask again and again inside ``with``."""
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            with suppress(OSError):
                server.get(path)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()


@contextmanager
def _starved(server: Server) -> Iterator[None]:
    """Let it run a fifth of the time, while rows are asked for that take a while to sort."""
    done = threading.Event()

    def starve() -> None:
        while not done.is_set():
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(0.08)
            server.process.send_signal(signal.SIGCONT)
            time.sleep(0.02)

    starving = threading.Thread(target=starve, daemon=True)
    with _asking(server, "/api/flow/historical?sortBy=symbol&limit=1000"):
        starving.start()
        try:
            yield
        finally:
            done.set()
            starving.join()
