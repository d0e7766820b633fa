"""What the server tells of itself: metrics move when their cause is there, and nothing a client sends is a label."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from phenix.engine.flow import RAW
from phenix.engine.metrics import METRICS, Exposition, Form, Process
from phenix.engine.store.base import Batch
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from tests.prometheus import prometheus
from tests.scrape import Series, at, scrape
from tests.server.conftest import Server
from tests.server.rows import Store, made
from tests.server.sse import Sse

Serve = Callable[..., Server]


def until(holds: Callable[[Series], bool], url: str) -> Series:
    """What is told once something holds: the server counts a request when it has sent the answer."""
    due = time.monotonic() + 60
    while not holds(found := scrape(url)):
        assert time.monotonic() < due, found
    return found


def call(server: Server, ask: Callable[[flow_pb2_grpc.FlowServiceStub], Any]) -> str:
    """The code that a call ends with."""

    async def called() -> str:
        async with grpc.aio.insecure_channel(server.target) as channel:
            try:
                await ask(flow_pb2_grpc.FlowServiceStub(channel))  # type: ignore[no-untyped-call]
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
        return "OK"

    return asyncio.run(called())


def test_what_is_asked_is_counted_by_route_and_outcome(store: Store, serve: Serve) -> None:
    store.add(5)
    server = serve(store.url)
    for _ in range(3):
        assert server.get("/api/flow?where=size%20%3E%200")[0] == 200
    assert server.get("/api/flow?where=nonsense")[0] == 400
    assert server.get("/api/v1/flow/00000000001-0000000000000001")[0] == 404
    assert server.get("/nowhere/at/all")[0] == 404
    assert call(server, lambda stub: stub.Query(flow_pb2.QueryRequest())) == "OK"
    wrong = flow_pb2.QueryRequest(filter=flow_pb2.Filter(where="nonsense"))
    assert call(server, lambda stub: stub.Query(wrong)) == "INVALID_ARGUMENT"
    expected = {
        ("GET", "/api/flow", "200"): 3.0,
        ("GET", "/api/flow", "400"): 1.0,
        ("GET", "/api/v1/flow/{id}", "404"): 1.0,
        ("GET", "none", "404"): 1.0,
    }

    def counted(it: Series) -> bool:
        of = {tuple(value for _, value in key): count for (name, key), count in it.items()
              if name == "api_requests_total"}  # fmt: skip
        of.pop(("GET", "/metrics", "200"), None)
        return of == expected and at(it, "api_flow_error_total", protocol="grpc", code="INVALID_ARGUMENT") == 1

    found = until(counted, server.url("/metrics"))
    assert at(found, "grpc_calls_total", method="phenix.v1.FlowService/Query", code="OK") == 1
    assert at(found, "api_flow_latency_ms_count", protocol="rest", route="/api/flow") == 4
    assert at(found, "api_flow_latency_ms_count", protocol="grpc", route="phenix.v1.FlowService/Query") == 2
    assert at(found, "api_flow_error_total", protocol="rest", code="400") == 1
    assert at(found, "api_flow_error_total", protocol="rest", code="404") == 1
    assert at(found, "grpc_calls_total", method="phenix.v1.FlowService/Query", code="INVALID_ARGUMENT") == 1
    assert sum(at(found, "query_plans_total", plan=plan) or 0 for plan in ("memory", "store")) == 4
    assert at(found, "api_flow_latency_ms_bucket", protocol="rest", route="/api/flow", le="+Inf") == 4
    assert at(found, "rules_active", version=store.bundle.version) == 1
    assert (at(found, "store_bytes") or 0) >= store.path.stat().st_size > 0


def test_streams_are_counted_while_they_are_open_with_what_they_are_sent(store: Store, serve: Serve) -> None:
    server = serve(store.url, "--heartbeat", "0.05")
    stream = Sse(server.port, "snapshot=0")
    assert stream.frame() is not None
    none = Sse(server.port, "snapshot=0&where=size%20%3C%200")
    assert none.frame() is not None
    store.add(7, enriched_at_utc=int(time.time() * 1000))
    while (frame := stream.frame()) is not None and frame.id < 7:
        pass
    found = until(lambda it: at(it, "stream_rows_total") == 7, server.url("/metrics"))
    assert at(found, "streams_open", protocol="sse") == 2
    assert at(found, "streams_open", protocol="grpc") == 0
    assert at(found, "print_latency_ms_count", step="enriched_to_published") == 7
    assert at(found, "print_latency_ms_count", step="published_to_sent") == 7
    assert (at(found, "print_latency_ms_sum", step="enriched_to_published") or 0) > 0
    assert at(found, "log_seq") == 7
    stream.cut()
    none.cut()
    found = until(lambda it: at(it, "streams_open", protocol="sse") == 0, server.url("/metrics"))
    assert at(found, "api_requests_total", route="/api/flow/stream", method="GET", status="200") == 2
    assert at(found, "api_flow_latency_ms_count", protocol="rest", route="/api/flow/stream") is None


def test_the_lag_is_the_one_that_readiness_and_answers_tell(store: Store, serve: Serve) -> None:
    store.add(2)
    server = serve(store.url)
    found = scrape(server.url("/metrics"))
    assert [at(found, "enrichment_backlog_size"), at(found, "enrichment_lag_seconds")] == [0, 0]
    assert at(found, "degraded", reason="enrichment_lag_high") == 0
    assert [at(found, "ready", check=check) for check in ("store", "backlog", "log")] == [1, 1, 1]
    waiting = [made(100 + n)[: len(RAW)] for n in range(3)]  # received when they are from: long ago
    store.writer.append(Batch(rows=waiting))
    found = scrape(server.url("/metrics"))
    assert at(found, "enrichment_backlog_size") == 3
    assert [at(found, "store_seq", part="raw"), at(found, "store_seq", part="enriched")] == [5, 2]
    assert (at(found, "enrichment_lag_seconds") or 0) > 30
    assert at(found, "degraded", reason="enrichment_lag_high") == 1
    assert [at(found, "ready", check=check) for check in ("store", "backlog", "log")] == [1, 0, 1]
    assert server.get("/ready")[0] == 503
    assert server.get("/api/flow")[1]["meta"]["degradedReason"] == ["enrichment_lag_high"]


def test_a_store_that_is_gone_is_told_and_what_it_would_tell_is_missing(store: Store, serve: Serve) -> None:
    store.add(2)
    server = serve(store.url)
    assert at(scrape(server.url("/metrics")), "ready", check="store") == 1
    store.writer.close()
    for file in store.path.parent.iterdir():
        if file.is_file():
            file.write_bytes(b"this is no store any more" * 400)
    found = until(lambda it: at(it, "ready", check="store") == 0, server.url("/metrics"))
    assert at(found, "enrichment_lag_seconds") is None
    # What cannot be known is no reason to call somebody: the checks are those of /ready.
    assert {key: value for key, value in found.items() if key[0] == "ready"} == {("ready", (("check", "store"),)): 0}
    assert [*server.get("/ready")[1]["checks"]] == ["store"]


def test_nothing_a_client_sends_becomes_a_series(session: tuple[Store, Server]) -> None:
    _, server = session

    def send(method: str, path: str, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request(method, path, headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def hostile(n: int) -> None:
        for path in (f"/x{n}", f"/api/flow/{n:011x}-{n:016x}", f"/assets/{n}.js", f"/api/flow?symbol=SYM{n}",
                     f"/api/flow?where=size%20%3E%20{n}", f"/api/flow?x{n}=1", f"/api/flow/presets/{n}",
                     f"/api/v{n + 2}/flow"):  # fmt: skip
            send("GET", path, **{"user-agent": f"agent {n}", "accept": f"a/{n}"})
        for method in (f"M{n}", "TRACE", "DELETE"):
            send(method, f"/api/flow/{n}")
        send("GET", "/api/flow", host=f"evil{n}.example")

        async def calls() -> None:
            async with grpc.aio.insecure_channel(server.target) as channel:
                for name in (f"/x{n}.Y/Z", "/phenix.v1.FlowService/Query", f"/phenix.v1.FlowService/Query{n}"):
                    call: Any = channel.unary_unary(name)  # type: ignore[no-untyped-call]
                    with pytest.raises(grpc.aio.AioRpcError):
                        await call(b"\xff\xff")

        asyncio.run(calls())

    hostile(0)
    expected = {("GET", "none", "403"), ("none", "/api/flow/{id}", "405")}

    def counted(it: Series) -> bool:
        of = {tuple(value for _, value in key) for name, key in it if name == "api_requests_total"}
        return expected <= of and at(it, "grpc_calls_total", method="none", code="UNIMPLEMENTED") is not None

    before = until(counted, server.url("/metrics"))
    for n in range(1, 15):
        hostile(n)
    after = until(lambda it: at(it, "grpc_calls_total", method="none", code="UNIMPLEMENTED") == 30,
                  server.url("/metrics"))  # fmt: skip
    assert after.keys() - before.keys() <= {("api_requests_total", (("method", "GET"), ("route", "/metrics"),
                                                                      ("status", "200")))}  # fmt: skip


def test_open_metrics_where_it_is_asked_for(session: tuple[Store, Server]) -> None:
    _, server = session
    for accept, kind, last in (
        ("", "text/plain; version=0.0.4; charset=utf-8", ""),
        ("application/openmetrics-text; version=nonsense", "application/openmetrics-text;", "# EOF"),
    ):
        request = urllib.request.Request(server.url("/metrics"), headers={"accept": accept} if accept else {})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers["content-type"].startswith(kind)
            assert answer.read().decode().rstrip().endswith(last)


def test_every_metric_of_the_table_is_told_and_no_other(session: tuple[Store, Server]) -> None:
    _, server = session
    with urllib.request.urlopen(server.url("/metrics"), timeout=30) as answer:
        kinds = dict(line.split()[2:4] for line in answer.read().decode().splitlines() if line.startswith("# TYPE"))
    told = {name: form for name, form in kinds.items() if not name.startswith("process_")}
    assert told == {m.name: m.form.value for m in METRICS if Process.SERVE in m.told_by}
    assert {m.name for m in METRICS if m.name.endswith("_total") != (m.form is Form.COUNTER)} == set()
    with pytest.raises(ValueError, match="api_requests_total"):
        Exposition(Process.SERVE, {})


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_prometheus_scrapes_it(store: Store, serve: Serve, tmp_path: Path) -> None:
    store.add(7)
    server = serve(store.url)
    with prometheus(tmp_path, {"serve": server.port}) as ask:

        def comes(query: str, value: str) -> None:
            due = time.monotonic() + 60
            while [(labels["job"], found) for labels, found in ask(query)] != [("serve", value)]:
                assert time.monotonic() < due, ask(query)
                time.sleep(0.1)

        comes("up", "1")
        comes('store_seq{part="enriched"}', "7")
        store.add(3)
        comes('store_seq{part="enriched"}', "10")
