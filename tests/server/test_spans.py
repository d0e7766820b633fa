"""Spans: what a receiver of OTLP gets of requests, calls and batches; and that nothing is there while it is off."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest

from phenix import app
from phenix.engine.logs import HEADER
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from tests.ingest.files import day_sources
from tests.server.conftest import Server, environment, phenix
from tests.server.rows import Store

WHY = "opentelemetry is not installed: `make check` installs what the lock names"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "Bearer a-secret-of-the-receiver"


@contextmanager
def receiver() -> Iterator[tuple[str, Callable[[str], list[Any]]]]:
    """One that decodes what it is sent: its address, and the spans so called that came, each with its service."""
    pytest.importorskip("opentelemetry.sdk", reason=WHY)
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    came: list[tuple[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            assert self.headers["authorization"] == SECRET
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            for of in sent.resource_spans:
                (service,) = [one.value.string_value for one in of.resource.attributes if one.key == "service.name"]
                came.extend((service, span) for scope in of.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", lambda name: [one for one in came if one[1].name == name]
        finally:
            server.shutdown()
            thread.join()


def told(endpoint: str) -> dict[str, str]:
    """The standard variables that send spans there, at once."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRET.replace(' ', '%20')}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def wait(found: Callable[[], list[Any]]) -> list[Any]:
    due = time.monotonic() + 60
    while not (spans := found()):
        assert time.monotonic() < due
        time.sleep(0.05)
    return spans


def test_a_request_is_a_span_within_the_trace_of_its_client(store: Store, tmp_path: Path) -> None:
    store.add(5)
    with receiver() as (endpoint, spans):
        server = Server(store.url, environ=told(endpoint), log=tmp_path / "log")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            sent = {"traceparent": f"00-{TRACE}-{PARENT}-01", HEADER: "one"}
            connection.request("GET", "/api/flow?symbol=SECRETSYM", headers=sent)
            assert connection.getresponse().status == 200
            connection.close()
            ((service, span),) = wait(lambda: spans("GET /api/flow"))
            assert (service, span.trace_id.hex(), span.parent_span_id.hex()) == ("phenix-serve", TRACE, PARENT)
            assert span.kind == span.SPAN_KIND_SERVER
            assert span.end_time_unix_nano > span.start_time_unix_nano
            assert attributes(span) == {
                "http.request.method": "GET", "http.route": "/api/flow", "http.response.status_code": 200,
                "phenix.request_id": "one", "phenix.client": "127.0.0.1", "phenix.watermark": 5,
                "phenix.rule_version": store.bundle.version,
            }  # fmt: skip
            lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
            assert [line["trace_id"] for line in lines if line.get("request_id") == "one"] == [TRACE]
            assert server.get("/nowhere/SECRETPATH")[0] == 404
            assert attributes(wait(lambda: spans("GET none"))[0][1])["http.route"] == "none"

            async def call() -> None:
                async with grpc.aio.insecure_channel(server.target) as channel:
                    stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
                    await stub.Query(flow_pb2.QueryRequest(), metadata=tuple((k.lower(), v) for k, v in sent.items()))

            asyncio.run(call())
            ((_, span),) = wait(lambda: spans("phenix.v1.FlowService/Query"))
            assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
            assert attributes(span) == {
                "rpc.system": "grpc", "rpc.service": "phenix.v1.FlowService", "rpc.method": "Query",
                "rpc.grpc.status_code": 0, "phenix.request_id": "one", "phenix.client": "ipv4:127.0.0.1",
                "phenix.watermark": 5, "phenix.rule_version": store.bundle.version,
            }  # fmt: skip
            store.writer.close()
            for file in store.path.parent.iterdir():
                if file.is_file() and file.name.startswith("flow."):
                    file.write_bytes(b"this is no store any more" * 400)
            due = time.monotonic() + 60
            while server.get("/api/flow")[0] != 503:
                assert time.monotonic() < due
            wait(
                lambda: [
                    span for _, span in spans("GET /api/flow") if span.status.code == span.status.STATUS_CODE_ERROR
                ]
            )
            assert "SECRET" not in str(spans("GET /api/flow") + spans("GET none"))
            assert server.end(signal.SIGTERM) == 0
            assert "secret" not in (tmp_path / "log").read_text()
        finally:
            server.end()


def test_what_ingest_stores_is_a_span_a_batch_and_the_last_is_sent_at_the_end(tmp_path: Path) -> None:
    sources = day_sources(tmp_path, 120)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)

    async def ingest(endpoint: str) -> str:
        async with app.terminal(tape, speed=0.0, stocks="standard", settle_s=0.1) as terminal:
            settings = {
                "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
                "INGEST_SYMBOLS": "XYZ", "PHENIX_STORE": f"sqlite:{tmp_path / 'live.sqlite'}",
                "OTEL_SERVICE_NAME": "tape", "OTEL_BSP_SCHEDULE_DELAY": "600000",
            }  # fmt: skip
            process = await asyncio.create_subprocess_exec(
                *phenix("ingest", "--once"), env={**environment(), **told(endpoint), **settings},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            out, said = await process.communicate()
            assert process.returncode == 0, said.decode()
            return out.decode()

    with receiver() as (endpoint, spans):
        assert asyncio.run(ingest(endpoint)).startswith("stored 120,")
        batches = [attributes(span) for service, span in spans("ingest batch") if service == "tape"]
        assert sum(one["phenix.prints"] for one in batches) == 120
        assert max(one["phenix.watermark"] for one in batches) == 120
        assert {one["phenix.rule_version"] for one in batches} == {app.packaged_bundle().version}


def test_a_receiver_that_is_gone_keeps_nobody_waiting(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk", reason=WHY)
    store.add(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = Server(store.url, environ=told(f"http://127.0.0.1:{port}"), log=tmp_path / "log")
    try:
        assert server.get("/api/flow")[0] == 200
        assert server.end(signal.SIGTERM) == 0  # within 20 seconds
    finally:
        server.end()
    assert "secret" not in (tmp_path / "log").read_text()


def probe(code: str, **variables: str) -> str:
    """What a program says that begins a span and ends it."""
    whole = f"""
import logging, os, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
{code}
from phenix.engine.spans import Kind, sending
with sending("x", os.environ) as spans:
    span = spans.begin(Kind.SERVER, [(b"traceparent", b"00-{TRACE}-{PARENT}-01")])
    span.end("name", {{"a": 1}}, failed=True)
print(repr(span.trace_id), "opentelemetry.sdk" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", whole], env={**environment(), **variables}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_nothing_of_it_is_there_while_it_is_off() -> None:
    off = "'' False\n"
    there = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert probe("") == off
    assert probe("", **there, OTEL_SDK_DISABLED="true") == off
    assert probe("", **there, OTEL_TRACES_EXPORTER="none") == off
    told = "no spans are sent: they can be over http/protobuf only, not grpc, usually on port 4318\n"
    assert probe("", **there, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") == told + off
    missing = "no spans are sent, though OTEL_EXPORTER_OTLP_ENDPOINT is set: pip install 'phenix[otel]'\n"
    assert probe("sys.modules['opentelemetry'] = None", **there) == missing + off
