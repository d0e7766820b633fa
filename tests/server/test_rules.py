"""Rule versions over REST and gRPC on real sockets: stored, compared, activated, rolled back; and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from phenix.client.calls import RequestError, error_of
from phenix.engine.bundle import read_rules
from phenix.engine.store.sqlite import open_reader
from phenix.server._pb import rules_pb2, rules_pb2_grpc
from phenix.server.saved_body import MAX_BODY
from tests.server.asking import Answer, ask
from tests.server.conftest import Server
from tests.server.rows import Store

Served = tuple[Path, Server]
VERSIONS, ACTIVATE, ROLLBACK, DIFF = (f"/api/rules/{name}" for name in ("versions", "activate", "rollback", "diff"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A store of a few rows that nothing writes any more, and a server."""
    store = Store(tmp_path / "flow.sqlite")
    store.add(5)
    store.close()
    server = Server(store.url)
    yield tmp_path / "flow.sqlite", server
    server.end()


def stored(server: Server, **params: str) -> str:
    answer = ask(server, "POST", VERSIONS, {"params": params})
    assert answer.status == 201, answer.json
    return str(answer.data["version"])


def forced(server: Server, version: str) -> Answer:
    return ask(server, "POST", ACTIVATE, {"version": version, "force": True, "reason": "to see"})


def test_the_life_of_a_version(served: Served) -> None:
    path, server = served
    (first,) = ask(server, "GET", VERSIONS).data["versions"]
    assert (first["active"], first["activatedSeq"]) == (True, 0)
    version = stored(server, whales_min="750k")
    changes = ask(server, "GET", f"{DIFF}?to={version}").data
    assert (changes["before"], changes["after"], changes["paramsOnly"]) == (first["version"], version, True)
    assert [(one["kind"], one["name"]) for one in changes["changes"]] == [("param", "whales_min"), ("chip", "whales")]
    assert ask(server, "POST", DIFF, {"to": version}).data == changes
    assert ask(server, "POST", ACTIVATE, {"version": version}).codes == ["409", "conflict"]
    entry = forced(server, version[:8]).data
    assert {name: entry[name] for name in ("seq", "before", "askedBy", "forced", "waiting")} == {
        "seq": 5, "before": first["version"], "askedBy": "127.0.0.1", "forced": True, "waiting": False,
    }  # fmt: skip
    assert server.get("/api/flow")[1]["meta"]["ruleVersion"] == version
    assert server.get("/api/flow/filters/catalog")[1]["ruleVersion"] == version
    back = ask(server, "POST", ROLLBACK, {"reason": "no good"}).data
    assert (back["cause"], back["version"], back["seq"], back["reason"]) == ("rollback", first["version"], 5, "no good")
    assert ask(server, "POST", ROLLBACK, {}).codes == ["409", "conflict"]
    listed = ask(server, "GET", "/api/v1/rules/versions").data
    assert [one["active"] for one in listed["versions"]] == [True, False]
    assert [(one["cause"], one["seq"]) for one in listed["activations"]] == [
        ("bootstrap", 0), ("activate", 5), ("rollback", 5),
    ]  # fmt: skip
    with open_reader(path) as reader:
        assert [entry.version_id for entry in reader.activations()] == [first["version"], version, first["version"]]


def test_whole_rules_are_stored_once(served: Served) -> None:
    _, server = served
    sources = {source.name: source.text for source in read_rules()}
    sources["mine.phx"] = 'edition 1\nchip mine "Mine" = value >= 2M\n'
    answers = [ask(server, "POST", VERSIONS, {"sources": sources}) for _ in range(2)]
    assert [(answer.status, answer.data["new"]) for answer in answers] == [(201, True), (200, False)]
    assert "mine" in answers[0].data["chips"]
    version = answers[0].data["version"]
    forced(server, version)
    assert server.get("/api/flow?chips=mine")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "codes"),
    [
        (VERSIONS, {"sources": {"a.phx": "chip"}}, ["422", "invalid_rules", "PHX001"]),
        (VERSIONS, {"params": {"whales_min": "7"}}, ["422", "invalid_rules", "PHX114"]),
        (VERSIONS, {"params": {"whale_min": "7"}}, ["422", "invalid_rules", "PHX103"]),
        (VERSIONS, {"params": {"whales_min": "1M"}, "version": "nowhere"}, ["404", "not_found"]),
        (VERSIONS, {}, ["400", "invalid_query"]),
        (VERSIONS, {"params": {"a": "1"}, "sources": {"b": "c"}}, ["400", "invalid_query"]),
        (VERSIONS, {"params": {"a": 1}}, ["400", "invalid_query", "PHX402"]),
        (VERSIONS, {"parms": {"a": "1"}}, ["400", "invalid_query", "PHX401"]),
        (VERSIONS, [], ["400", "invalid_json"]),
        (ACTIVATE, {}, ["400", "invalid_query", "PHX402"]),
        (ACTIVATE, {"version": 5, "force": "yes"}, ["400", "invalid_query", "PHX402", "PHX402"]),
        (ACTIVATE, {"version": "nowhere"}, ["404", "not_found"]),
        (ROLLBACK, {"reason": ["a"]}, ["400", "invalid_query", "PHX402"]),
        (DIFF, {"from": "nowhere"}, ["404", "not_found"]),
    ],
)
def test_what_cannot_be_done_is_said(session: tuple[Store, Server], path: str, body: Any, codes: list[str]) -> None:
    _, server = session
    assert ask(server, "POST", path, body).codes[: len(codes)] == codes
    (version,) = ask(server, "GET", VERSIONS).data["versions"]
    assert version["active"]


def test_parameters_of_a_diff_are_checked(session: tuple[Store, Server]) -> None:
    _, server = session
    assert ask(server, "GET", f"{DIFF}?form=x").codes == ["400", "invalid_query", "PHX401"]
    assert ask(server, "GET", f"{VERSIONS}?limit=5").codes == ["400", "invalid_query", "PHX406"]
    assert ask(server, "GET", DIFF).data["changes"] == []


# -- gRPC


def call(server: Server, work: Callable[[Any], Any]) -> Any:
    async def run() -> Any:
        async with grpc.aio.insecure_channel(server.target) as channel:
            return await work(rules_pb2_grpc.RuleServiceStub(channel))

    return asyncio.run(run())


def test_the_same_over_grpc(served: Served) -> None:
    _, server = served
    version = stored(server, large_size_min="900")
    diff = call(server, lambda stub: stub.Diff(rules_pb2.DiffRequest(after=version)))
    assert (diff.params_only, [(one.kind, one.name) for one in diff.changes]) == (
        True, [("param", "large_size_min"), ("chip", "large_size")],
    )  # fmt: skip
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        call(server, lambda stub: stub.Activate(rules_pb2.ActivateRequest(version=version)))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    request = rules_pb2.ActivateRequest(version=version, reason="to see", force=True)
    entry = call(server, lambda stub: stub.Activate(request)).activation
    assert (entry.version, entry.seq, entry.waiting, entry.cause) == (version, 5, False, "activate")
    back = call(server, lambda stub: stub.Rollback(rules_pb2.RollbackRequest())).activation
    assert (back.cause, back.before) == ("rollback", version)
    listed = call(server, lambda stub: stub.ListVersions(rules_pb2.ListVersionsRequest()))
    assert [one.active for one in listed.versions] == [True, False]
    assert [one.number for one in listed.activations] == [1, 2, 3]


def push(server: Server, files: Iterable[tuple[str, str]] = (), version: str = "", **params: str) -> dict[str, Any]:
    """What storing a version answers, as REST has it."""
    sent = [rules_pb2.RuleFile(name=name, text=text) for name, text in files]
    request = rules_pb2.PushRequest(files=sent, params=params, version=version)
    found = call(server, lambda stub: stub.Push(request))
    return {"version": found.version, "checksum": found.checksum, "new": found.new, "chips": list(found.chips)}


def refused_push(server: Server, *given: Any, **params: str) -> RequestError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        push(server, *given, **params)
    return error_of(raised.value)


def test_files_make_the_same_version_over_both(served: Served) -> None:
    path, server = served
    files = {source.name: source.text for source in read_rules()}
    files["mine.phx"] = 'edition 1\nchip mine "Mine" = value >= 2M\n'
    files["more.phx"] = 'edition 1\nchip more "More" = size >= 9_000\n'
    first = push(server, sorted(files.items(), reverse=True))  # in whatever order
    assert (first["new"], {"mine", "more"} <= set(first["chips"])) == (True, True)
    again = ask(server, "POST", VERSIONS, {"sources": files})
    assert (again.status, again.data) == (200, {**first, "new": False})
    files["mine.phx"] = files["mine.phx"].replace("2M", "3M")
    other = ask(server, "POST", VERSIONS, {"sources": files}).data
    assert push(server, files.items()) == {**other, "new": False}
    with open_reader(path) as reader:
        held = [(one.version_id, one.is_active) for one in reader.rule_versions()]
    assert held[1:] == [(first["version"], False), (other["version"], False)]


def test_params_make_the_same_version_over_both(served: Served) -> None:
    _, server = served
    first = push(server, whales_min="750k")
    assert first["new"]
    assert ask(server, "POST", VERSIONS, {"params": {"whales_min": "750k"}}).data == {**first, "new": False}
    second = push(server, (), first["version"][:8], large_size_min="900")
    body = {"version": first["version"], "params": {"large_size_min": "900"}}
    assert ask(server, "POST", VERSIONS, body).data == {**second, "new": False}
    changes = ask(server, "GET", f"{DIFF}?to={second['version']}").data["changes"]
    assert {one["name"] for one in changes if one["kind"] == "param"} == {"whales_min", "large_size_min"}


FAILS = """edition 1
chip mine "Mine" = size >= 100
test "small" { row size = 1 expect mine }
"""


@pytest.mark.parametrize(
    ("files", "version", "params", "code"),
    [
        ({"a.phx": "chip"}, "", {}, "INVALID_ARGUMENT"),
        ({"a.phx": 'edition 1\nchip a "A" = vallue > 1\n', "b.phx": 'chip b "B" = @a'}, "", {}, "INVALID_ARGUMENT"),
        ({"a.phx": FAILS}, "", {}, "INVALID_ARGUMENT"),
        ({"": "\ud7ff\x00"}, "", {}, "INVALID_ARGUMENT"),
        ({}, "", {"whales_min": "7"}, "INVALID_ARGUMENT"),
        ({}, "", {"whale_min": "7"}, "INVALID_ARGUMENT"),
        ({}, "nowhere", {"whales_min": "1M"}, "NOT_FOUND"),
    ],
)
def test_what_is_not_stored_is_said_in_the_words_of_rest(
    session: tuple[Store, Server], files: dict[str, str], version: str, params: dict[str, str], code: str
) -> None:
    _, server = session
    body = {"sources": files} if files else {"params": params} | ({"version": version} if version else {})
    told = ask(server, "POST", VERSIONS, body).json
    found = refused_push(server, files.items(), version, **params)
    assert (found.code, found.reason.lower(), found.message) == (code, told["code"], told["detail"])
    assert bool(told["errors"]) == (code == "INVALID_ARGUMENT")
    assert [(one.field, one.message, one.code, one.line, one.column, one.end_column) for one in found.findings] == [
        (one["source"], f"{one['message']} ({one['help']})" if one.get("help") else one["message"], one["code"],
         one["line"] or 0, one["column"] or 0, one["endColumn"] or 0)
        for one in told["errors"]
    ]  # fmt: skip
    assert len(ask(server, "GET", VERSIONS).data["versions"]) == 1


FILE = ("a.phx", 'edition 1\nchip a "A" = iso\n')


@pytest.mark.parametrize(
    ("files", "version", "params", "said"),
    [
        ([], "", {}, "Send `files`, rule files with their names, or `params`"),
        ([], "abcdef", {}, "Send `files`"),
        ([FILE], "", {"whales_min": "1M"}, "Send `files`"),
        ([FILE], "abcdef", {}, "Send `files`"),
        ([FILE, ("b.phx", ""), FILE], "", {}, "The file `a.phx` is given twice: keep one of the two."),
        ([("a.phx", " " * MAX_BODY)], "", {}, "The request has more than 1,048,576 bytes"),
        ([], "", {"whales_min": " " * MAX_BODY}, "The request has more than 1,048,576 bytes"),
    ],
)
def test_requests_to_store_that_mean_nothing(
    session: tuple[Store, Server], files: list[tuple[str, str]], version: str, params: dict[str, str], said: str
) -> None:
    _, server = session
    found = refused_push(server, files, version, **params)
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", "TOO_LARGE" if "bytes" in said else "INVALID_QUERY")
    assert found.message.startswith(said)
    assert len(ask(server, "GET", VERSIONS).data["versions"]) == 1


def test_a_version_is_certified(session: tuple[Store, Server]) -> None:
    _, server = session
    request = rules_pb2.CertifyRequest(pairs=200, seed=7)
    found = call(server, lambda stub: stub.Certify(request))
    assert (found.clean, found.seed, list(found.mismatches)) == (True, 7, [])
    assert found.pairs >= 200
    assert {"reference", "row", "columns"} <= set(found.targets)
    assert set(found.targets) | set(found.skipped) >= {"sqlite", "clickhouse"}
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        call(server, lambda stub: stub.Certify(rules_pb2.CertifyRequest(pairs=-1)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_server_without_a_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    server = Server(store.url)
    try:
        (tmp_path / "flow.sqlite").rename(tmp_path / "gone.sqlite")
        assert ask(server, "GET", VERSIONS).codes == ["404", "not_found"]
    finally:
        server.end()
        store.close()
