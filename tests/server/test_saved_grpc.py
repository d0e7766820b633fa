"""Saved queries over gRPC: the same entries as over REST, canonical codes with details."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from itertools import product
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from phenix.dsl.diagnostics import has_errors
from phenix.engine.members import JsonError, read_json
from phenix.engine.saved import Form, bare, convert
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from phenix.server._pb import saved_pb2 as pb
from phenix.server._pb.saved_pb2_grpc import SavedQueryServiceStub
from tests.dsl.corpus import CASES, Case, read
from tests.server.asking import PRESETS, SPY, ask
from tests.server.conftest import Server
from tests.server.rows import Store, rules

PRESET, ALERT = pb.SAVED_KIND_PRESET, pb.SAVED_KIND_ALERT
Work = Callable[[Any], Awaitable[Any]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose saved queries any test may add to."""
    store = Store(tmp_path_factory.mktemp("saved") / "flow.sqlite")
    store.add(100)
    server = Server(store.url)
    yield server
    server.end()
    store.close()


def call(server: Server, work: Work, stub: Any = SavedQueryServiceStub) -> Any:
    async def run() -> Any:
        async with grpc.aio.insecure_channel(server.target) as channel:
            return await work(stub(channel))

    return asyncio.run(run())


def refused(server: Server, work: Work) -> tuple[str, str, list[tuple[str, str]]]:
    """Code, reason, and field and reason of each violation, of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        call(server, work)
    status = rpc_status.from_call(error.value)
    assert status is not None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(bad)
    assert info.domain == "phenix"
    return error.value.code().name, info.reason, [(one.field, one.reason) for one in bad.field_violations]


def create(**values: Any) -> Work:
    return lambda stub: stub.Create(pb.SavedQueryServiceCreateRequest(**values))


def test_an_entry_from_its_making_to_its_end(shared: Server) -> None:
    made = call(shared, create(kind=PRESET, name=" Big ", payload_json=json.dumps(SPY))).saved_query
    over_rest = ask(shared, "GET", f"{PRESETS}/{made.id}")
    entry = over_rest.data
    assert (made.name, made.where, made.kind) == ("Big", entry["where"], PRESET)
    assert made.rule_version == entry["ruleVersion"]
    assert (json.loads(made.payload_json), made.payload_version) == (entry["payload"], pb.PAYLOAD_VERSION_V2)
    assert (made.fidelity, list(made.reasons), made.etag) == (pb.FIDELITY_EXACT, [], over_rest.etag)
    assert made.created_at == made.updated_at > 1_700_000_000_000

    def get(version: int = 0) -> Any:
        request = pb.SavedQueryServiceGetRequest(id=made.id, payload_version=version)
        return call(shared, lambda stub: stub.Get(request)).saved_query

    assert get() == made
    legacy = get(pb.PAYLOAD_VERSION_LEGACY)
    assert (legacy.payload_json, legacy.payload_version) == (
        '{"symbol":"SPY","whales":true}',
        pb.PAYLOAD_VERSION_LEGACY,
    )

    def update(**values: Any) -> Any:
        request = pb.SavedQueryServiceUpdateRequest(id=made.id, **values)
        return call(shared, lambda stub: stub.Update(request)).saved_query

    renamed = update(name="Small", etag=made.etag)
    assert (renamed.name, renamed.payload_json, renamed.updated_at > made.updated_at) == (
        "Small",
        made.payload_json,
        True,
    )
    changed = update(where="@otm or @aa and size > 5")
    assert (changed.name, changed.fidelity, changed.where) == (
        "Small", pb.FIDELITY_UNSUPPORTED, "@otm or (@aa and size > 5)",
    )  # fmt: skip
    assert get(pb.PAYLOAD_VERSION_LEGACY).payload_json == "null"
    assert update(name="").name == made.id

    stale = pb.SavedQueryServiceUpdateRequest(id=made.id, name="x", etag=made.etag)
    assert refused(shared, lambda stub: stub.Update(stale)) == ("ABORTED", "PRECONDITION_FAILED", [])
    gone = pb.SavedQueryServiceDeleteRequest(id=made.id, etag=made.etag)
    assert refused(shared, lambda stub: stub.Delete(gone)) == ("ABORTED", "PRECONDITION_FAILED", [])
    last = pb.SavedQueryServiceDeleteRequest(id=made.id, etag=get().etag)
    call(shared, lambda stub: stub.Delete(last))
    for request in (
        lambda stub: stub.Get(pb.SavedQueryServiceGetRequest(id=made.id)),
        lambda stub: stub.Update(pb.SavedQueryServiceUpdateRequest(id=made.id)),
        lambda stub: stub.Delete(pb.SavedQueryServiceDeleteRequest(id="alert_x")),
    ):
        assert refused(shared, request) == ("NOT_FOUND", "NOT_FOUND", [])


REFUSED = (
    (create(name="x"), "INVALID_QUERY", []),
    (create(kind=PRESET, payload_json="{"), "INVALID_JSON", []),
    (create(kind=PRESET, payload_json='{"wales": 1}'), "INVALID_PAYLOAD", [("wales", "UNKNOWN_PAYLOAD_FIELD")]),
    (create(kind=ALERT, where="valu > 1 and @wales"), "INVALID_PAYLOAD",
     [("where", "UNKNOWN_NAME"), ("where", "UNKNOWN_CHIP")]),
    (create(kind=ALERT, name="a\nb"), "INVALID_PAYLOAD", [("name", "PAYLOAD_SHAPE")]),
    (create(kind=ALERT, where="x" * 1_100_000), "TOO_LARGE", []),
    (lambda stub: stub.List(pb.SavedQueryServiceListRequest()), "INVALID_QUERY", []),
    (lambda stub: stub.List(pb.SavedQueryServiceListRequest(kind=PRESET, page_size=-1)), "INVALID_QUERY",
     [("limit", "MALFORMED_VALUE")]),
    (lambda stub: stub.List(pb.SavedQueryServiceListRequest(kind=PRESET, page_token="zzz")), "CURSOR_MISMATCH", []),
    (lambda stub: stub.Convert(pb.SavedQueryServiceConvertRequest(where="valu > 1")), "INVALID_PAYLOAD",
     [("where", "UNKNOWN_NAME")]),
)  # fmt: skip


@pytest.mark.parametrize(("work", "reason", "fields"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(shared: Server, work: Work, reason: str, fields: list[tuple[str, str]]) -> None:
    before = ask(shared, "GET", PRESETS).json["page"]["total"]
    assert refused(shared, work) == ("INVALID_ARGUMENT", reason, fields)
    assert ask(shared, "GET", PRESETS).json["page"]["total"] == before


def test_pages(shared: Server) -> None:
    ids = [call(shared, create(kind=ALERT, name=str(i))).saved_query.id for i in range(5)]

    async def pages(stub: Any) -> list[str]:
        found, token = [], ""
        while True:
            page = await stub.List(pb.SavedQueryServiceListRequest(kind=ALERT, page_size=2, page_token=token))
            assert page.total_size == 5
            found += [entry.id for entry in page.saved_queries]
            token = page.next_page_token
            if not token:
                return found

    assert call(shared, pages) == ids


def test_conversions(shared: Server) -> None:
    """Convert says of every case what the pure conversions say."""
    names: dict[int, Form] = {pb.FILTER_FORM_WHERE: "where", pb.FILTER_FORM_V2: "v2", pb.FILTER_FORM_LEGACY: "legacy"}
    cases = [case for path in sorted(CASES.glob("payload*.txt")) for case in read(path.name)]

    async def answer(stub: Any, case: Case, form: int) -> Any:
        text = case.directive.startswith("where")
        given = {"where": case.input} if text else {"payload_json": case.input}
        try:
            return await stub.Convert(pb.SavedQueryServiceConvertRequest(**given, to=form))
        except grpc.aio.AioRpcError as error:
            return error.code().name

    async def converted(stub: Any) -> int:
        compared = 0
        for case, number in product(cases, names):
            got = await answer(stub, case, number)
            try:
                payload = case.input if case.directive.startswith("where") else read_json(case.input)
            except JsonError:
                assert got == "INVALID_ARGUMENT", case
                continue
            expected = convert(bare(payload), names[number], rules())
            if has_errors(expected.findings):
                assert got == "INVALID_ARGUMENT", case
                continue
            said = got.where if number == pb.FILTER_FORM_WHERE else json.loads(got.payload_json or "null")
            assert (said or None) == (expected.result or None), (case, number)
            assert got.fidelity == pb.Fidelity.Value(f"FIDELITY_{expected.fidelity.upper()}"), (case, number)
            assert list(got.reasons) == list(expected.reasons), (case, number)
            compared += 1
        return compared

    assert call(shared, converted) > 300


def test_a_preset_filters_here_too(shared: Server) -> None:
    made = call(shared, create(kind=PRESET, where="symbol = SPY")).saved_query
    request = flow_pb2.QueryRequest(filter={"parameters": {"preset": made.id}})
    found = call(shared, lambda stub: stub.Query(request), flow_pb2_grpc.FlowServiceStub)
    assert (found.meta.where, {row.symbol for row in found.rows}) == ("symbol = SPY", {"SPY"})
