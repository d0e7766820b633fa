"""gRPC: the same rows as REST, canonical codes with details, deadlines, health and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from phenix.client import Client, RequestError
from phenix.server._pb import catalog_pb2, catalog_pb2_grpc, flow_pb2, flow_pb2_grpc
from phenix.server.grpc import schema
from phenix.server.grpc.contract import broken, contract
from phenix.server.grpc.rows import to_json
from tests.server.conftest import Server
from tests.server.rows import Store

T = TypeVar("T")
Session = tuple[Store, Server]
PROTO = Path(__file__).parents[2] / "proto" / "phenix" / "v1"


def call(server: Server, work: Callable[[grpc.aio.Channel], Awaitable[T]]) -> T:
    async def run() -> T:
        async with grpc.aio.insecure_channel(server.target) as channel:
            return await work(channel)

    return asyncio.run(run())


def test_committed_files_are_what_the_catalog_gives() -> None:
    row = (PROTO / "row.proto").read_text("utf-8")
    assert schema.row_proto(row) == row
    generated, _ = schema.stubs()
    committed = {path.name: path.read_text("utf-8") for path in schema.STUBS.glob("*_pb2*.py*")}
    assert generated == committed


def test_numbers_of_fields_never_change() -> None:
    fewer = schema.row_proto("")
    assert schema.row_proto(fewer) == fewer
    first, rest = fewer.split("  // ", 1)
    removed = first + "  // Gone.\n  int64 gone = 99;\n  // " + rest
    again = schema.row_proto(removed)
    assert again == first + "  reserved 99;\n  // " + rest
    assert schema.row_proto(again) == again


_INNER = 'field { name: "b" number: 1 type: TYPE_MESSAGE type_name: ".p.B" label: LABEL_OPTIONAL }'
_PROMISED = """
package: "p"
service { name: "S" method { name: "Get" input_type: ".p.A" output_type: ".p.B" } }
message_type {
  name: "A"
  field { name: "x" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL proto3_optional: true oneof_index: 1 }
  field { name: "y" number: 2 type: TYPE_STRING label: LABEL_REPEATED }
  field { name: "z" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
  oneof_decl { name: "one" } oneof_decl { name: "_x" }
  enum_type { name: "E" value { name: "E_UNSPECIFIED" number: 0 } value { name: "E_ON" number: 1 } }
  reserved_range { start: 7 end: 9 }
}
message_type {
  name: "B"
  nested_type { name: "C" field { name: "b" number: 1 type: TYPE_MESSAGE type_name: ".p.B" label: LABEL_OPTIONAL } }
}
"""


@pytest.mark.parametrize(
    ("was", "becomes", "gone"),
    [
        ("", "", []),
        ('name: "y" number: 2', 'name: "why" number: 2', ["p.A.y = 2 repeated string"]),
        ('name: "y" number: 2', 'name: "y" number: 4', ["p.A.y = 2 repeated string"]),
        ("number: 2 type: TYPE_STRING", "number: 2 type: TYPE_BYTES", ["p.A.y = 2 repeated string"]),
        ("TYPE_STRING label: LABEL_REPEATED", "TYPE_STRING label: LABEL_OPTIONAL", ["p.A.y = 2 repeated string"]),
        ("proto3_optional: true oneof_index: 1", "", ["p.A.x = 1 optional int64"]),
        ("LABEL_OPTIONAL oneof_index: 0", "LABEL_OPTIONAL", ["p.A.z = 3 string of one"]),
        ('value { name: "E_ON" number: 1 }', "", ["p.A.E.E_ON = 1"]),
        ('value { name: "E_ON" number: 1 }', "reserved_range { start: 1 end: 1 }", []),
        ("start: 7 end: 9", "start: 8 end: 9", ["p.A reserves 7"]),
        (_INNER, "", ["p.B.C.b = 1 p.B"]),
        (_INNER, "reserved_range { start: 1 end: 2 }", []),
        ('name: "Get"', 'name: "Fetch"', ["p.S.Get = p.A -> p.B"]),
        ('output_type: ".p.B"', 'output_type: ".p.B" server_streaming: true', ["p.S.Get = p.A -> p.B"]),
        ("message_type {", 'message_type { name: "D" } message_type {', []),
    ],
)  # fmt: skip
def test_what_clients_rely_on_does_not_change(was: str, becomes: str, gone: list[str]) -> None:
    assert was in _PROMISED
    promised = text_format.Parse(_PROMISED, FileDescriptorProto())
    now = text_format.Parse(_PROMISED.replace(was, becomes, 1) if was else _PROMISED, FileDescriptorProto())
    assert broken(contract([promised]), contract([now])) == gone


def test_the_committed_contract_holds() -> None:
    _, files = schema.stubs()
    assert contract(files.file) == (PROTO.parent.parent / "contract.txt").read_text("utf-8").splitlines()


QUERIES = (
    ({}, {}, ""),
    ({"where": "right = call"}, {"where": "right = call"}, ""),
    ({"chips": "otm,weeklies"}, {"chips": ["otm", "weeklies"]}, ""),
    ({"notChips": "vol>oi", "sortBy": "otmPct"}, {"not_chips": ["vol>oi"]}, "otmPct"),
    ({"symbol": "SPY,BRK.B", "sortBy": "value", "sortOrder": "asc"}, {"parameters": {"symbol": "SPY,BRK.B"}},
     "value asc"),
    ({"includeCancelled": "1", "minValue": "1000", "side": "ASK"},
     {"include_cancelled": True, "parameters": {"minValue": "1000", "side": "ASK"}}, ""),
    ({"where": "cancelled"}, {"where": "cancelled"}, "seq desc"),
)  # fmt: skip


@pytest.mark.parametrize(("rest", "wanted", "order"), QUERIES, ids=range(len(QUERIES)))
def test_the_same_rows_as_rest(session: Session, rest: dict[str, str], wanted: dict[str, Any], order: str) -> None:
    from urllib.parse import urlencode

    async def pages(channel: grpc.aio.Channel) -> list[dict[str, Any]]:
        stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        rows, token = [], ""
        while True:
            request = flow_pb2.QueryRequest(
                filter=flow_pb2.Filter(**wanted), order_by=order, page_size=70, page_token=token
            )
            response = await stub.Query(request)
            rows += [to_json(row) for row in response.rows]
            token = response.next_page_token
            if not token:
                return rows

    server = session[1]
    _, body = server.get("/api/flow?limit=1000&" + urlencode(rest))
    assert body["data"]
    assert call(server, pages) == body["data"]


def test_meta_and_total(session: Session) -> None:
    store, server = session

    async def query(channel: grpc.aio.Channel) -> Any:
        stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        request = flow_pb2.QueryRequest(filter={"where": "side=ask"}, page_size=1, total=flow_pb2.TOTAL_EXACT)
        return await stub.Query(request), await stub.Query(flow_pb2.QueryRequest())

    while server.get("/api/flow?limit=1")[1]["meta"]["plan"] == "store":  # the session is not in memory yet
        pass
    exact, plain = call(server, query)
    _, body = server.get("/api/flow?where=side=ask&limit=1&total=exact")
    assert exact.total_size == body["page"]["total"]
    assert not plain.HasField("total_size")
    assert (exact.meta.where, exact.meta.as_of_seq, exact.meta.session_date) == ("side = ask", 410, 20260918)
    assert exact.meta.plan == body["meta"]["plan"] == "memory, 820 rows looked at"
    assert exact.meta.rule_version == store.bundle.version
    assert len(plain.rows) == 50


def test_one_row_and_the_catalog(session: Session) -> None:
    store, server = session
    row = server.get("/api/flow?limit=1")[1]["data"][0]

    async def work(channel: grpc.aio.Channel) -> Any:
        flow = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)  # type: ignore[no-untyped-call]
        got = await flow.Get(flow_pb2.GetRequest(id=row["id"]))
        return got.row, await catalog.GetCatalog(catalog_pb2.GetCatalogRequest())

    got, catalog = call(server, work)
    assert to_json(got) == row
    assert {chip.id for chip in catalog.chips} == {chip.id for chip in store.bundle.chips}
    assert list(next(field for field in catalog.fields if field.name == "side").members) == ["AA", "ASK", "BID", "MID"]


REFUSED = (
    (flow_pb2.QueryRequest(filter={"chips": ["wales"]}), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("chips", "there is no chip 'wales' (write `whales`)", "UNKNOWN_CHIP")]),
    (flow_pb2.QueryRequest(filter={"parameters": {"minvalue": "1"}}), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("minvalue", "there is no parameter 'minvalue' (write `minValue`)", "UNKNOWN_PARAMETER")]),
    (flow_pb2.QueryRequest(page_size=-1), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("limit", "`limit` is '-1'; expected a whole number, 1 or more", "MALFORMED_VALUE")]),
    (flow_pb2.QueryRequest(order_by="value up"), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("sortOrder", "`sortOrder` is 'up'; expected one of asc, desc", "MALFORMED_VALUE")]),
    (flow_pb2.QueryRequest(page_token="zzz"), "INVALID_ARGUMENT", "INVALID_QUERY", []),
    (flow_pb2.QueryRequest(filter={"where": "x" * 100_000}), "INVALID_ARGUMENT", "TOO_COMPLEX", None),
    (flow_pb2.QueryRequest(filter={"where": "true", "parameters": {"where": "false"}}), "INVALID_ARGUMENT",
     "INVALID_QUERY", [("where", "`where` is given more than once", "REPEATED_PARAMETER")]),
    (flow_pb2.QueryRequest(filter={"parameters": {"fields": "seq"}}), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("fields", "`fields` means nothing here (leave it out: it is for a page, a stream and one row)",
       "UNUSED_PARAMETER")]),
    (flow_pb2.SummarizeRequest(filter={"parameters": {"cursor": "x"}}), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("cursor", "`cursor` means nothing here (leave it out: it is for a page, Query and Export)",
       "UNUSED_PARAMETER")]),
    (flow_pb2.SubscribeRequest(filter={"parameters": {"batch": "1"}}), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("batch", "`batch` means nothing here (leave it out: it is for a stream)", "UNUSED_PARAMETER")]),
    (flow_pb2.GetRequest(id="0199aaaaaaa-0000000000000000"), "NOT_FOUND", "NOT_FOUND", []),
    (flow_pb2.GetRequest(id="x"), "INVALID_ARGUMENT", "INVALID_QUERY", []),
    (flow_pb2.SubscribeRequest(snapshot=-1), "INVALID_ARGUMENT", "INVALID_QUERY",
     [("snapshot", "`snapshot` is '-1'; expected a whole number, 0 or more", "MALFORMED_VALUE")]),
    (flow_pb2.SubscribeRequest(after_seq=10**9), "OUT_OF_RANGE", "RESUME_EXPIRED", []),
)  # fmt: skip


@pytest.mark.parametrize(("request_", "code", "reason", "fields"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(session: Session, request_: Any, code: str, reason: str, fields: Any) -> None:
    async def refused(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
        stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        match request_:
            case flow_pb2.QueryRequest():
                made = stub.Query(request_)
            case flow_pb2.GetRequest():
                made = stub.Get(request_)
            case flow_pb2.SummarizeRequest():
                made = stub.Summarize(request_)
            case _:
                made = stub.Subscribe(request_)
        answer = made.read() if isinstance(request_, flow_pb2.SubscribeRequest) else made
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await answer
        return raised.value

    error = call(session[1], refused)
    assert error.code().name == code
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (reason, "phenix")
    if fields is not None:
        bad = error_details_pb2.BadRequest()
        found = bool(len(status.details) > 1 and status.details[1].Unpack(bad))
        assert found == bool(fields)
        assert [(v.field, v.description, v.reason) for v in bad.field_violations] == fields


def test_a_message_larger_than_is_read(session: Session) -> None:
    async def refused(channel: grpc.aio.Channel) -> str:
        stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Query(flow_pb2.QueryRequest(filter={"where": "a" * 10_000_000}))
        return raised.value.code().name

    assert call(session[1], refused) == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("where", ["a" * 60_000, " or ".join(f"é{i} > 1" for i in range(500)), "x" * 700 + " > ''"])
def test_a_refusal_fits_into_the_headers_it_travels_in(session: Session, where: str) -> None:
    async def refused(channel: grpc.aio.Channel) -> tuple[str, int]:
        stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Query(flow_pb2.QueryRequest(filter={"where": where}))
        status = rpc_status.from_call(raised.value)
        assert status is not None
        return raised.value.code().name, status.ByteSize()

    code, size = call(session[1], refused)
    assert code == "INVALID_ARGUMENT"
    assert size < 4_000


def test_many_findings_are_cut_to_what_fits(session: Session) -> None:
    async def refused(channel: grpc.aio.Channel) -> int:
        stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Query(flow_pb2.QueryRequest(filter={"parameters": {f"wrong{i}": "1" for i in range(300)}}))
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "300 things are wrong" in (raised.value.details() or "")
        status = rpc_status.from_call(raised.value)
        bad = error_details_pb2.BadRequest()
        assert status is not None
        assert status.details[1].Unpack(bad)
        return len(bad.field_violations)

    assert 5 < call(session[1], refused) < 300


def test_a_deadline_reaches_the_statement(session: Session) -> None:
    async def late(channel: grpc.aio.Channel) -> str:
        stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Query(flow_pb2.QueryRequest(), timeout=0.000_001)
        return raised.value.code().name

    assert call(session[1], late) == "DEADLINE_EXCEEDED"


def test_health_and_reflection(session: Session) -> None:
    async def work(channel: grpc.aio.Channel) -> tuple[Any, list[str]]:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        stream = stub.ServerReflectionInfo(iter([listing]))
        names = [s.name async for answer in stream for s in answer.list_services_response.service]
        return health.status, names

    status, names = call(session[1], work)
    assert status == health_pb2.HealthCheckResponse.SERVING
    assert names == [
        "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "phenix.v1.CatalogService",
        "phenix.v1.FlowService", "phenix.v1.RuleService", "phenix.v1.SavedQueryService",
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])
def test_bytes_that_are_no_message_are_the_callers_fault_in_health_too(session: Session, method: str) -> None:
    async def refused(channel: grpc.aio.Channel) -> str:
        kind = channel.unary_stream if method.endswith("Watch") else channel.unary_unary
        made = kind(method)(b"\x0a\xff")  # bytes in, bytes out
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await (made.read() if method.endswith("Watch") else made)
        return raised.value.code().name

    assert call(session[1], refused) == "INVALID_ARGUMENT"


def test_the_typed_client(session: Session) -> None:
    async def work() -> None:
        async with Client(session[1].target) as client:
            page = await client.query("right = call", page_size=3)
            assert [row.right for row in page.rows] == ["CALL"] * 3
            assert (await client.get(page.rows[0].id)).seq == page.rows[0].seq
            with pytest.raises(RequestError) as raised:
                await client.query(chips=["wales"])
            assert (raised.value.code, raised.value.reason) == ("INVALID_ARGUMENT", "INVALID_QUERY")
            assert raised.value.findings[0].field == "chips"
            with pytest.raises(RequestError):
                async for _ in client.subscribe("vallue > 1"):
                    pass
            rows = []
            async for row in client.subscribe("right = call", snapshot=5):
                rows.append(row.seq)
                if len(rows) == 5:
                    break
            assert rows == sorted(rows)

    asyncio.run(work())
