"""Who may do what, over both doors; nothing beyond this machine without tokens; limits; TLS."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from phenix.client import Client, RequestError
from phenix.engine.query.request import Refusal
from phenix.server._pb import catalog_pb2, flow_pb2, rules_pb2, rules_pb2_grpc, saved_pb2
from phenix.server.auth import Limits, Role, Token, Tokens, TokensError, new_token, role_of_call, role_of_request
from tests.server.certificate import self_signed
from tests.server.conftest import Server, environment, phenix, run
from tests.server.rows import Store

DAYS = {"reader": None, "author": None, "operator": None, "ended": datetime.now(UTC).date() - timedelta(1)}


class Guarded:
    """A server with a token of each role."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "flow.sqlite")
        self.store.add(50)
        self.file = folder / "tokens.txt"
        self.secrets = {"none": "", "wrong": "phx_nobody"}
        for name, until in DAYS.items():
            role = "reader" if name == "ended" else name
            more = ["--until", until.isoformat()] if until else []
            made = run("token", name, "--role", role, "--file", str(self.file), *more)
            assert made.returncode == 0, made.stderr
            self.secrets[name] = made.stdout.strip()
        self.server = Server(self.store.url, environ={"PHENIX_API_TOKENS": str(self.file)})

    def ask(self, method: str, path: str, secret: str, **headers: str) -> tuple[int, Any, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        sent = {**headers, **({"authorization": f"Bearer {secret}"} if secret else {})}
        connection.request(method, path, body=b"{}" if method in ("POST", "PUT") else None, headers=sent)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status, orjson.loads(body) if is_json and body else body, answer.headers


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    one = Guarded(tmp_path_factory.mktemp("guarded"))
    yield one
    one.server.end()
    one.store.close()


WHO = ("none", "wrong", "ended", "reader", "author", "operator")
TOLD = {"none": "This needs a token", "wrong": "is not known", "ended": "This token ended"}
MORE = (("GET", "/api/nothing"), ("GET", "/metrics"), ("GET", "/docs"), ("POST", "/api/rules/activate"))
"""Routes that no document of the API lists."""


def _needed(method: str, path: str) -> Role | None:
    """The role a route asks for, None where nobody is asked."""
    if path in ("/health", "/ready"):
        return None
    if method == "GET" or "/dsl/" in path:
        return Role.READER
    return Role.READER if path.endswith("/rules/diff") else Role.OPERATOR if "/rules/" in path else Role.AUTHOR


@pytest.mark.parametrize("who", WHO)
def test_each_route_for_each_role(guarded: Guarded, who: str) -> None:
    secret = guarded.secrets[who]
    _, document, _ = guarded.ask("GET", "/api/openapi.json", guarded.secrets["reader"])
    routes = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods
              if method in ("get", "post", "put", "delete")]  # fmt: skip
    assert len(routes) > 50
    for method, path in [*routes, *MORE]:
        asked = path.replace("{id}", "x") + ("?transport=json&watermark=0" if path.endswith("/stream") else "")
        status, body, headers = guarded.ask(method, asked, secret)
        needed = _needed(method, path)
        if needed is not None and who in TOLD:
            assert (status, body["code"], headers["www-authenticate"]) == (401, "unauthorized", "Bearer"), path
            assert TOLD[who] in body["detail"]
            assert secret not in str(body) or not secret
        elif needed is not None and Role[who.upper()] < needed:
            assert (status, body["code"]) == (403, "forbidden"), (method, path)
        else:
            assert status not in (401, 403), (method, path)
    for path in ("/health", "/ready", "/login"):
        assert guarded.ask("GET", path, secret)[0] == 200


@pytest.mark.parametrize("who", WHO)
def test_each_grpc_method_for_each_role(guarded: Guarded, who: str) -> None:
    secret = guarded.secrets[who]
    metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
    methods = [method for file in (flow_pb2, catalog_pb2, rules_pb2, saved_pb2)
               for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods]  # fmt: skip
    assert len(methods) >= 20

    async def code(channel: grpc.aio.Channel, name: str, streams: bool) -> grpc.StatusCode:
        try:
            if streams:
                call = channel.unary_stream(name)(b"", metadata=metadata)
                await call.read()
                call.cancel()
            else:
                await channel.unary_unary(name)(b"", metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def run() -> None:
        async with grpc.aio.insecure_channel(guarded.server.target) as channel:
            for method in methods:
                service = method.containing_service
                found = await code(channel, f"/{service.full_name}/{method.name}", method.server_streaming)
                writes = method.name in ("Create", "Update", "Delete")
                operates = method.name in ("Push", "Activate", "Rollback")
                if who in TOLD:
                    assert found is grpc.StatusCode.UNAUTHENTICATED, method.full_name
                elif (writes and who == "reader") or (operates and who != "operator"):
                    assert found is grpc.StatusCode.PERMISSION_DENIED, method.full_name
                else:
                    assert found not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)

    asyncio.run(run())


def test_rules_are_stored_by_an_operator_alone(guarded: Guarded) -> None:
    async def push(who: str) -> Any:
        metadata = (("authorization", f"Bearer {guarded.secrets[who]}"),)
        async with grpc.aio.insecure_channel(guarded.server.target) as channel:
            stub = rules_pb2_grpc.RuleServiceStub(channel)  # type: ignore[no-untyped-call]
            return await stub.Push(rules_pb2.PushRequest(params={"whales_min": "750k"}), metadata=metadata)

    for who in ("reader", "author"):
        status, told, _ = guarded.ask("POST", "/api/rules/versions", guarded.secrets[who])
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            asyncio.run(push(who))
        assert (status, refused.value.code()) == (403, grpc.StatusCode.PERMISSION_DENIED)
        assert refused.value.details() == told["detail"]
    assert asyncio.run(push("operator")).new  # nobody stored it before


def test_a_browser_signs_in_with_a_form(guarded: Guarded) -> None:
    status, _, headers = guarded.ask("GET", "/", "")
    assert (status, headers["location"]) == (303, "/login")
    connection = http.client.HTTPConnection("127.0.0.1", guarded.server.port, timeout=30)
    form = {"content-type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", body="token=phx_nobody", headers=form)
    refused = connection.getresponse()
    assert (refused.status, refused.headers.get("set-cookie")) == (401, None)
    assert b"This token is not known here" in refused.read()
    connection.request("POST", "/login", body=f"token={guarded.secrets['reader']}", headers=form)
    entered = connection.getresponse()
    entered.read()
    cookie = entered.headers["set-cookie"]
    assert entered.status == 303
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    connection.request("POST", "/login", body="token=" + "x" * 10_000, headers=form)
    assert connection.getresponse().status == 422
    connection.close()
    for path in ("/", "/api/flow"):
        assert guarded.ask("GET", path, "", cookie=cookie.split(";")[0])[0] == 200
    assert guarded.ask("GET", "/api/flow", "", cookie="phenix_token=phx_nobody")[0] == 401
    assert guarded.ask("GET", "/api/flow", "", cookie="=;;phenix_token")[0] == 401


@pytest.mark.parametrize("who", ["none", "wrong", "ended", "reader"])
def test_grpc_asks_for_the_same(guarded: Guarded, who: str) -> None:
    async def work() -> tuple[str, str]:
        async with Client(guarded.server.target, token=guarded.secrets[who]) as client:
            page = await client.query(page_size=1)
            rows = aiter(client.subscribe(snapshot=1))
            row = await anext(rows)
            await rows.aclose()  # type: ignore[attr-defined] # a generator; left open it ends when it is collected
            return str(len(page.rows)), str(row.seq)

    if who == "reader":
        assert asyncio.run(work()) == ("1", "50")
        return
    with pytest.raises(RequestError) as refused:
        asyncio.run(work())
    assert (refused.value.code, refused.value.reason) == ("UNAUTHENTICATED", "UNAUTHORIZED")


def test_grpc_streams_and_reflection_are_behind_the_door_and_health_is_not(guarded: Guarded) -> None:
    async def work(secret: str) -> tuple[Any, Any]:
        metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
        async with grpc.aio.insecure_channel(guarded.server.target) as channel:
            healthy = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            call = stub.ServerReflectionInfo(metadata=metadata)
            try:
                # Who is refused sends nothing: gRPC's client forgets an answer that comes while it sends (grpc#36066).
                if secret:
                    await call.write(request)
                answer = await call.read()
                assert answer is not grpc.aio.EOF
            except grpc.aio.AioRpcError as error:
                status = rpc_status.from_call(error)
                info = error_details_pb2.ErrorInfo()
                assert status is not None
                assert status.details[0].Unpack(info)
                return healthy.status, info.reason
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            return healthy.status, [one.name for one in answer.list_services_response.service]

    serving = health_pb2.HealthCheckResponse.SERVING
    assert asyncio.run(work("")) == (serving, "UNAUTHORIZED")
    status, names = asyncio.run(work(guarded.secrets["reader"]))
    assert (status, "phenix.v1.FlowService" in names) == (serving, True)


def test_roles_of_methods_and_paths() -> None:
    assert role_of_call("/phenix.v1.FlowService/Subscribe") is Role.READER
    assert role_of_call("/phenix.v1.SavedQueryService/Delete") is Role.AUTHOR
    assert role_of_call("/phenix.v1.RuleService/Activate") is Role.OPERATOR
    assert role_of_call("/phenix.v1.RuleService/Push") is Role.OPERATOR
    assert role_of_call("/phenix.v1.FlowService/Somethingnew") is Role.OPERATOR
    assert role_of_call("/grpc.health.v1.Health/Watch") is None
    assert role_of_request("GET", "/assets/index.js") is None
    assert role_of_request("DELETE", "/api/rules/versions/x") is Role.OPERATOR
    assert role_of_request("POST", "/api/v1/rules/activate") is Role.OPERATOR
    assert role_of_request("PATCH", "/somewhere") is Role.AUTHOR


def test_tokens_are_kept_hashed_and_read_strictly(tmp_path: Path) -> None:
    secret, token = new_token("page", Role.READER, date(2026, 12, 31))
    assert secret not in token.line
    file = tmp_path / "tokens.txt"
    file.write_text(f"# who may read\n\n{token.line}\n")
    read = Tokens.read(file)
    assert read.check(secret, Role.READER) == token
    last = Tokens([token], lambda: date(2026, 12, 31))
    after = Tokens([token], lambda: date(2027, 1, 1))
    assert isinstance(last.check(secret, Role.READER), Token)
    assert isinstance(after.check(secret, Role.READER), Refusal)
    digest = "0" * 64
    for line, said in (
        ("page reader", "not a token"), (f"a chief sha256:{digest}", "'chief' is no role; there are reader, author"),
        (f"{token.line}\n{token.line}", ":2: there is a token 'page' before"),
        (f"a reader sha256:{digest} until tomorrow", "'tomorrow' is no day"), ("# nobody", "hold none"),
    ):  # fmt: skip
        file.write_text(line)
        with pytest.raises(TokensError, match=said):
            Tokens.read(file)
    with pytest.raises(TokensError, match="cannot be read"):
        Tokens.read(tmp_path / "none")


def test_the_command_adds_a_token_and_touches_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text("# ours")
    assert run("token", "page", "--file", str(file)).stdout.startswith("phx_")
    assert file.stat().st_mode & 0o777 == 0o600
    kept = file.read_text()
    assert kept.startswith("# ours\npage reader sha256:")
    again = run("token", "page", "--role", "author", "--file", str(file))
    assert (again.returncode, "there is a token 'page' before" in again.stderr) == (2, True)
    assert file.read_text() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.txt"]
    assert "name one with --file" in run("token", "page").stderr
    assert "cannot be written" in run("token", "page", "--file", str(tmp_path / "no" / "t")).stderr
    assert "is no day" in run("token", "page", "--until", "soon").stderr


def test_elsewhere_only_with_tokens(guarded: Guarded, tmp_path: Path) -> None:
    done = run("serve", "--store", guarded.store.url, "--host", "0.0.0.0", "--port", "0", "--grpc-port", "0")
    assert (done.returncode, "will not listen on 0.0.0.0 without tokens" in done.stderr) == (2, True)
    server = Server(guarded.store.url, "--host", "0.0.0.0", environ={"PHENIX_API_TOKENS": str(guarded.file)})
    assert server.get("/api/flow")[0] == 401
    server.end()
    for settings, said in (
        ({"PHENIX_TLS_CERT": "x"}, "belong together"),
        ({"PHENIX_TLS_CERT": "x", "PHENIX_TLS_KEY": "y"}, "cannot be used"),
        ({"PHENIX_API_TOKENS": str(tmp_path / "none")}, "cannot be read"),
    ):
        command = phenix("serve", "--store", guarded.store.url, "--port", "0", "--grpc-port", "0")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**environment(), **settings})
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_without_tokens_only_under_a_name_of_this_machine(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    store.add(3)
    server = Server(store.url)
    for host, status in (
        ("127.0.0.1", 200), (f"localhost:{server.port}", 200), ("[::1]:8600", 200), ("evil.example", 403),
        (f"127.0.0.1.evil.example:{server.port}", 403), ("", 403), ("[::1", 403),
    ):  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.putrequest("GET", "/api/flow", skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        assert connection.getresponse().status == status, host
        connection.close()
    server.end()
    store.close()


def test_a_client_may_ask_so_much(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    store.add(3)
    server = Server(store.url, environ={"PHENIX_RATE_LIMIT": "2", "PHENIX_STREAM_LIMIT": "1"})
    answers = [server.get("/api/flow?limit=1") for _ in range(12)]
    assert [status for status, _ in answers][:8] == [200] * 8
    assert answers[-1][1]["code"] == "rate_limited"
    with pytest.raises(RequestError) as refused:
        asyncio.run(_ask_often(server.target))
    assert refused.value.reason == "RATE_LIMITED"
    server.end()
    server = Server(store.url, environ={"PHENIX_STREAM_LIMIT": "1"})
    first = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    first.request("GET", "/api/flow/stream")
    assert first.getresponse().status == 200
    assert server.get("/api/flow/stream")[1]["code"] == "rate_limited"
    assert server.get("/api/flow")[0] == 200
    first.close()
    server.end()
    store.close()


async def _ask_often(target: str) -> None:
    async with Client(target) as client:
        for _ in range(12):
            await client.query(page_size=1)


def test_limits_come_back_with_time() -> None:
    now = [0.0]
    limits = Limits(10, 2, lambda: now[0])
    assert [limits.ask("a") is None for _ in range(41)] == [True] * 40 + [False]
    assert limits.ask("b") is None
    now[0] = 0.25
    assert [limits.ask("a") is None for _ in range(3)] == [True, True, False]
    now[0] = 100.0
    assert [limits.ask("a") is None for _ in range(41)] == [True] * 40 + [False]
    assert [limits.enter("a") is None for _ in range(3)] == [True, True, False]
    limits.leave("a")
    assert limits.enter("a") is None
    assert all(Limits(0, 0).ask("a") is None and Limits(0, 0).enter("a") is None for _ in range(1000))


def test_tls_on_both_ports(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "DNS:localhost", "IP:127.0.0.1")
    store = Store(tmp_path / "flow.sqlite")
    store.add(3)
    server = Server(store.url, environ={"PHENIX_TLS_CERT": str(certificate), "PHENIX_TLS_KEY": str(key)})
    trusting = ssl.create_default_context(cafile=str(certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=30, context=trusting)
    connection.request("GET", "/api/flow")
    assert connection.getresponse().status == 200
    connection.close()

    async def work() -> int:
        async with Client(server.target, authority=certificate.read_bytes()) as client:
            return len((await client.query()).rows)

    assert asyncio.run(work()) == 3
    query = ("query", "--format", "jsonl", "--server")
    for asked in ((f"https://localhost:{server.grpc_port}",), (server.target,)):
        assert len(run(*query, *asked, "--ca", str(certificate)).stdout.splitlines()) == 3
    assert run(*query, f"http://{server.target}").returncode == 2
    server.end()
    store.close()
