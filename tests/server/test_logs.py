"""Log lines of a server: one a request, under its id, with what it belongs to, and no secret in any of them."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import uvicorn

from phenix import app
from phenix.engine import logs
from phenix.engine.logs import FIELDS, HEADER, Form
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from phenix.server.auth import Access, Limits, Role, new_token
from phenix.server.process import listen
from phenix.server.rest.routes import application
from tests.server.conftest import Server
from tests.server.receiver import Receiver
from tests.server.rows import Store
from tests.server.sse import Sse
from tests.server.test_alerts import alert, hook
from tests.server.test_stream_states import activate


def said(log: Path) -> list[dict[str, Any]]:
    """The lines so far; one that is being written does not count."""
    return [json.loads(one) for one in log.read_text().splitlines(keepends=True) if one.endswith("\n")]


def line(log: Path, identity: str) -> dict[str, Any]:
    """The one line of a request, which is written when the answer has been sent."""
    due = time.monotonic() + 60
    while not (found := [one for one in said(log) if one.get("request_id") == identity]):
        assert time.monotonic() < due, log.read_text()
        time.sleep(0.02)
    (one,) = found
    return one


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """The status, and the id that the answer bears."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers[HEADER]


@pytest.fixture
def logged(store: Store, tmp_path: Path) -> Any:
    store.add(5)
    server = Server(store.url, environ={"PHENIX_LOG_LEVEL": "debug"}, log=tmp_path / "log")
    yield server
    server.end()


def test_a_request_is_a_line_under_the_id_its_answer_bears(store: Store, logged: Server) -> None:
    log = logged.log
    assert log is not None
    here = {"protocol": "rest", "client": "127.0.0.1", "logger": "phenix.server.rest"}
    state = {"rule_version": store.bundle.version, "watermark": 5}
    for number, (path, status, route, level) in enumerate((
        ("/api/flow?symbol=SPY", 200, "/api/flow", "info"),
        ("/api/v1/flow/summary", 200, "/api/v1/flow/summary", "info"),
        ("/api/flow?where=nonsense", 400, "/api/flow", "info"),
        ("/api/flow/00000000001-0000000000000001", 404, "/api/flow/{id}", "info"),
        ("/nowhere/at/all", 404, "none", "info"),
        ("/health", 200, "/health", "debug"),
    )):  # fmt: skip
        wanted = f"one-{number}.x:_"
        assert ask(logged, path, x_request_id=wanted) == (status, wanted)
        found = line(log, wanted)
        assert found.pop("ms") > 0
        assert found.pop("at").endswith("Z")
        assert found == {**here, **state, "level": level, "method": "GET", "route": route, "status": str(status),
                         "request_id": wanted, "message": f"GET {route} {status}"}  # fmt: skip
    # A walk is answered by the rules it began with, whichever are active.
    cursor, old = logged.get("/api/flow?limit=1")[1]["page"]["nextCursor"], store.bundle.version
    new = activate(store, "50k").version
    for identity, path, version in (("now", "/api/flow", new), ("walk", f"/api/flow?limit=1&cursor={cursor}", old)):
        assert ask(logged, path, x_request_id=identity) == (200, identity)
        assert line(log, identity)["rule_version"] == version != ""
    assert new != old
    stream = Sse(logged.port, "snapshot=1")
    assert stream.frame() is not None
    stream.cut()
    due = time.monotonic() + 60
    while not (streams := [one for one in said(log) if one.get("route") == "/api/flow/stream"]):
        assert time.monotonic() < due
        time.sleep(0.02)
    assert [(one["status"], len(one["request_id"])) for one in streams] == [("200", 16)]
    assert {name for one in said(log) for name in one} <= FIELDS.keys()


def test_an_id_that_is_none_is_replaced(logged: Server) -> None:
    assert logged.log is not None
    for offered in ("", "a b", "x" * 129, "phx_secretsecret", "é", 'a"b'):
        status, given = ask(logged, "/api/flow", x_request_id=offered)
        assert (status, len(given), int(given, 16) >= 0) == (200, 16, True), offered
        assert line(logged.log, given)["route"] == "/api/flow"
        assert not offered or offered not in logged.log.read_text()


def test_a_call_is_a_line_under_the_id_it_ends_with(store: Store, logged: Server) -> None:
    log = logged.log
    assert log is not None

    async def ended(call: Any) -> str:
        with suppress(grpc.aio.AioRpcError):
            await call
        return str(dict(await call.trailing_metadata())[HEADER])

    async def work() -> None:
        async with grpc.aio.insecure_channel(logged.target) as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
            wrong = flow_pb2.QueryRequest(filter=flow_pb2.Filter(where="nonsense"))
            for identity, request, code in (("a-1", flow_pb2.QueryRequest(), "OK"), ("a-2", wrong, "INVALID_ARGUMENT")):
                assert await ended(stub.Query(request, metadata=((HEADER, identity),))) == identity
                found = line(log, identity)
                assert found.pop("ms") > 0
                del found["at"]
                assert found == {
                    "level": "info", "logger": "phenix.server.grpc", "message": f"phenix.v1.FlowService/Query {code}",
                    "request_id": identity, "protocol": "grpc", "route": "phenix.v1.FlowService/Query", "status": code,
                    "client": "ipv4:127.0.0.1", "rule_version": store.bundle.version, "watermark": 5,
                }  # fmt: skip
            made = await ended(stub.Query(flow_pb2.QueryRequest(), metadata=((HEADER, "a b"),)))
            assert line(log, made)["status"] == "OK"
            followed = stub.Subscribe(flow_pb2.SubscribeRequest(snapshot=1), metadata=((HEADER, "a-3"),))
            await followed.read()
            followed.cancel()
            unknown: Any = channel.unary_unary("/x.Y/Z")  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.aio.AioRpcError):
                await unknown(b"", metadata=((HEADER, "a-4"),))

    asyncio.run(work())
    assert line(log, "a-3")["status"] == "CANCELLED"
    assert (line(log, "a-4")["route"], line(log, "a-4")["status"]) == ("none", "UNIMPLEMENTED")


@pytest.mark.parametrize("form", list(Form))
def test_no_secret_is_in_any_line(store: Store, tmp_path: Path, form: Form) -> None:
    store.add(5)
    secret, token = new_token("reader", Role.READER)
    tokens = tmp_path / "tokens"
    tokens.write_text(token.line + "\n")
    log = tmp_path / "log"
    environ = {"PHENIX_API_TOKENS": str(tokens), "PHENIX_LOG_FORMAT": form.value, "PHENIX_LOG_LEVEL": "debug"}
    server = Server(store.url, environ=environ, log=log)

    def login(sent: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/login", f"token={sent}", {"content-type": "application/x-www-form-urlencoded"})
        connection.getresponse().read()
        connection.close()

    async def calls() -> None:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
            for sent in (secret, secret[:-1]):
                for request in (flow_pb2.QueryRequest(), flow_pb2.QueryRequest(filter=flow_pb2.Filter(where=secret))):
                    with suppress(grpc.aio.AioRpcError):
                        await stub.Query(request, metadata=(("authorization", f"Bearer {sent}"), (HEADER, sent)))

    try:
        bearer = {"authorization": f"Bearer {secret}"}
        assert ask(server, "/api/flow", **bearer)[0] == 200
        for path in (
            f"/api/flow?token={secret}",
            f"/{secret}",
            f"/api/flow/presets/{secret}",
            f"/api/flow?where={secret}",
        ):
            for headers in (
                bearer,
                {"authorization": f"Bearer {secret[:-1]}"},
                {"cookie": f"phenix_token={secret}"},
                {},
            ):
                assert ask(server, path, x_request_id=secret, **headers)[0] >= 400 or "presets" in path
        assert ask(server, "/api/flow", method=secret[:20], **bearer)[0] >= 400
        for sent in (secret, secret[:-1]):
            login(sent)
        asyncio.run(calls())
        _, last = ask(server, "/health")
        due = time.monotonic() + 60
        while last not in log.read_text():
            assert time.monotonic() < due
            time.sleep(0.02)
    finally:
        server.end()
    text = log.read_text()
    assert secret[:20] not in text
    assert text.count("reader") >= 5  # who asked is told by name
    assert len(text.splitlines()) > 20


def test_where_alerts_are_sent_is_in_no_line(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environ = {"PHENIX_ALERT_ALLOW": "127.0.0.1", "PHENIX_ALERT_TRIES": "1", "PHENIX_LOG_LEVEL": "debug"}
    server = Server(store.url, environ=environ, log=log)
    try:
        with Receiver(status=500) as receiver:
            key = base64.b64encode(b"a-key-of-the-receiver-32-bytes-l").decode()
            path = alert(
                server, targets=[hook(receiver, "/hook/a-secret-path?k=a-secret-query", secret=f"whsec_{key}")]
            )
            store.add(1)
            (sent,) = receiver.until(1)
            assert sent.path == "/hook/a-secret-path?k=a-secret-query"
            due = time.monotonic() + 60
            while not (told := [one for one in said(log) if "was not delivered" in one["message"]]):
                assert time.monotonic() < due, log.read_text()
                time.sleep(0.02)
    finally:
        server.end()
    assert path.rpartition("/")[2] in told[0]["message"]
    text = log.read_text()
    assert [word for word in ("a-secret", key, "whsec_") if word in text] == []


def test_a_failure_says_which_request_it_was(store: Store) -> None:
    stream = io.StringIO()

    async def work() -> tuple[int, list[str]]:
        service = app.service(store.url)
        await service.start()
        await service.close()  # its readers take nothing any more, which no caller can cause
        sock = listen("127.0.0.1", 0)
        config = uvicorn.Config(application(service, Access(None, Limits(0, 0))), lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}", timeout=60) as rest:
            answer = await rest.get("/api/flow", headers={HEADER: "it-failed"})
        server.should_exit = True
        await serving
        return answer.status_code, answer.headers.get_list(HEADER)

    with logs.kept(Form.JSON, "info", stream):
        assert asyncio.run(work()) == (500, ["it-failed"])
    found = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [(one["level"], one["logger"], one["request_id"], one["route"]) for one in found] == [
        ("error", "phenix.server.rest", "it-failed", "/api/flow"),
        ("error", "uvicorn.error", "it-failed", "/api/flow"),
    ]
    assert found[1]["error"].startswith("Traceback (most recent call last):")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://hooks.example.com/services/T0/B0/XYZ failed", "GET https://hooks.example.com/… failed"),
        ("https://hooks.example.com?key=abc", "https://hooks.example.com?…"),
        ("metrics at http://127.0.0.1:80/metrics", "metrics at http://127.0.0.1:80/metrics"),
        ("http://localhost/x?token=abc#d", "http://localhost/x?…"),
        ("ws://user:pass@10.0.0.1:25520/v1/events refused", "ws://10.0.0.1:25520/… refused"),
        ("('https://h.example/a/b')", "('https://h.example/…')"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer …"),
        ("{'password': 'hunter2', 'x': 1}", "{'password': …, 'x': 1}"),
        ('{"password": "abc def"}', '{"password": …}'),
        ("{'secret': 'it\\'s \"me\"', 'x': 'y'}", "{'secret': …, 'x': 'y'}"),
        ('cut off: "token": "abc def', 'cut off: "token": …'),
        ("password=abc def", "password=… def"),
        ("no token='' here", "no token='' here"),
        ("postgres://user:pass@host/x", "postgres://host/…"),
        ("postgres://user:p@ss@host/x", "postgres://host/…"),
        ("postgres://user:pa/ss@host/x failed", "postgres://… failed"),
        ("'postgres://user:12/ss?@host', x", "'postgres://…', x"),
        ("https://hooks.example.com/to/@abc", "https://…"),
        ("http://127.0.0.1:80/metrics of me@example.com", "http://127.0.0.1:80/metrics of me@example.com"),
        ("token=abc&x=1", "token=…&x=1"),
        ("refused phx_abc-DEF_1.", "refused phx_….",),
        ("500 prints, 3 tokens of 7 days", "500 prints, 3 tokens of 7 days"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_taken_out(text: str, shown: str) -> None:
    assert logs.without_secrets(text) == shown


def test_lines_for_people_and_levels() -> None:
    stream = io.StringIO()
    with logs.kept(Form.PRETTY, "warning", stream) as lines:
        lines.about = lambda: {"watermark": 7, "rule_version": "v1"}
        ours = logging.getLogger("phenix.x")
        ours.info("not this")
        logging.getLogger("other").info("nor this")
        ours.warning("two\nlines \x1b[2J %s", 5)
        ours.error("failed", exc_info=ValueError("token=abc"))
    ours.warning("after")
    first, second, *rest = stream.getvalue().splitlines()
    assert first[12:] == " warning  phenix.x  two\\nlines \\x1b[2J 5  rule_version=v1  watermark=7"
    assert second.endswith(" error    phenix.x  failed  rule_version=v1  watermark=7")
    assert rest == ["ValueError: token=…"]
