"""Rule versions over REST and gRPC on real sockets: stored, compared, activated, rolled back; and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from phenix.engine.bundle import read_rules
from phenix.engine.store.sqlite import open_reader
from phenix.server._pb import rules_pb2, rules_pb2_grpc
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
