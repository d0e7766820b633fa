"""Why, over REST, gRPC and the command line: rows of every kind, and the rules that tagged them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.encode import row_id
from phenix.engine.flow import INDEX
from phenix.engine.store.base import RuleVersion
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from tests.server.conftest import Server, run
from tests.server.rows import Store

Session = tuple[Store, Server]
Serve = Callable[..., Server]


def why(server: Server, id_: str) -> dict[str, Any]:
    status, body = server.get(f"/api/flow/{id_}/why")
    assert status == 200, body
    found: dict[str, Any] = body["data"]
    return found


def over_grpc(server: Server, id_: str) -> dict[str, Any]:
    async def asked() -> Any:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
            return await stub.Why(flow_pb2.WhyRequest(id=id_))

    return MessageToDict(asyncio.run(asked()), always_print_fields_with_no_presence=True)


def test_answers_are_the_chips_of_the_row(session: Session) -> None:
    store, server = session
    rows = server.get("/api/flow?limit=1000&includeCancelled=1")[1]["data"]
    assert {row["cancelled"] for row in rows} == {row["cancelRecord"] for row in rows} == {True, False}
    for row in rows[::9] + [row for row in rows if row["cancelRecord"]][:3]:
        found = why(server, row["id"])
        assert (found["id"], found["ruleVersion"]) == (row["id"], row["ruleVersion"])
        assert [chip["id"] for chip in found["chips"]] == [chip.id for chip in store.bundle.chips]
        assert {chip["id"] for chip in found["chips"] if chip["answer"] == "true"} == set(row["chips"])
        assert {chip["id"] for chip in found["chips"] if chip["answer"] == "unknown"} == set(row["chipsUnknown"])
        for chip in found["chips"]:
            assert (chip["nearestMiss"] is not None) == (chip["answer"] == "false"), chip
            assert chip["tree"]["answer"] == chip["answer"]
            assert bool(chip["undecided"]) == (chip["answer"] == "unknown"), chip


def test_values_are_those_of_the_row_in_its_units(serve: Serve, store: Store) -> None:
    (row,) = store.add(1, value=4_120_000_000, dte=3, repeat3m=4, vol_oi_ratio=None, otm_pct=7.5, side="MID")
    server = serve(store.url)
    id_ = row_id(row[INDEX["trade_ts_utc"]], row[INDEX["trade_id"]])
    chips = {chip["id"]: chip for chip in why(server, id_)["chips"]}
    assert chips["whales"] == {
        "id": "whales", "label": "Whales", "group": "size", "rule": "value >= $whales_min",
        "english": "The premium is at least $500,000.", "answer": "false",
        "tree": {
            "kind": "condition", "text": "value >= $whales_min", "answer": "false", "parts": [],
            "values": [
                {"name": "value", "label": "Premium", "value": 412_000.0, "text": "$412,000"},
                {"name": "$whales_min", "label": "Premium of Whales.", "value": 500_000, "text": "$500,000"},
            ],
        },
        "nearestMiss": {
            "text": "`value` is $412,000 and needs at least $500,000",
            "changes": [{
                "field": "value", "label": "Premium", "value": 412_000.0, "text": "$412,000", "op": ">=",
                "needs": 500_000.0, "needsText": "$500,000", "options": [],
            }],
        },
        "undecided": [],
    }  # fmt: skip
    assert chips["urgent"]["answer"] == "unknown"
    assert [field["name"] for field in chips["urgent"]["undecided"]] == ["vol_oi_ratio"]
    assert [part["answer"] for part in chips["urgent"]["tree"]["parts"]] == ["false", "unknown"]
    assert chips["grenade"]["answer"] == "true"
    assert chips["ask"]["nearestMiss"]["changes"][0]["options"] == ["ASK"]
    printed = run("why", id_, "@whales", "vol>oi", "--store", store.url)
    assert printed.stdout == (
        "@whales: false\n"
        "  false   value >= $whales_min  (value is $412,000, $whales_min is $500,000)\n"
        "  nearest miss: `value` is $412,000 and needs at least $500,000\n\n"
        "@vol_oi: unknown\n"
        "  unknown vol_oi_ratio > 1.0  (vol_oi_ratio is unknown)\n"
        "  unknown: vol_oi_ratio\n"
    )
    assert (printed.returncode, run("why", id_, "--store", store.url).stdout.count("@")) == (0, len(chips))
    assert run("why", id_, "wales", "--store", store.url).stderr == (
        "phenix: there is no chip wales: did you mean @whales?\n"
    )
    assert "there is no row x in the store" in run("why", "x", "--store", store.url).stderr


def test_the_same_over_grpc(session: Session) -> None:
    server = session[1]
    for row in server.get("/api/flow?limit=20&includeCancelled=1")[1]["data"]:
        rest, other = why(server, row["id"]), over_grpc(server, row["id"])
        other.pop("meta")
        for chip in rest["chips"]:
            if chip["nearestMiss"] is None:
                del chip["nearestMiss"]
        assert other == rest


REFUSED = (
    ("x/why", 400, "invalid_query"),
    ("0199aaaaaaa-0000000000000000/why", 404, "not_found"),
    ("0199aaaaaaa-ffffffffffffffff/why", 404, "not_found"),
    ("%00/why", 400, "invalid_query"),
    (f"{'a' * 5_000}/why", 400, "invalid_query"),
)


@pytest.mark.parametrize(("path", "status", "code"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(session: Session, path: str, status: int, code: str) -> None:
    found, body = session[1].get(f"/api/flow/{path}")
    assert (found, body["status"], body["code"]) == (status, status, code)


def test_a_parameter_is_refused(session: Session) -> None:
    row = session[1].get("/api/flow?limit=1")[1]["data"][0]
    status, body = session[1].get(f"/api/flow/{row['id']}/why?chips=whales")
    assert (status, body["code"]) == (400, "invalid_query")


def _with_another_chip() -> Bundle:
    added = Source("more.phx", 'chip tiny "Tiny" = size < 10 doc "A few contracts."')
    bundle, found = compile_bundle([*read_rules(), added])
    assert bundle is not None, found
    return bundle


def test_the_rules_that_tagged_the_row_answer(serve: Serve, store: Store) -> None:
    first, other = store.bundle, _with_another_chip()
    (before,) = store.add(1, size=3)
    store.writer.put_rule_version(
        RuleVersion(other.version, other.config_json, other.checksum, False, 2, None, None), activate=True, now_utc=2
    )
    store.bundle = other
    (after,) = store.add(1, size=3)
    server = serve(store.url)
    for row, bundle in ((before, first), (after, other)):
        found = why(server, row_id(row[INDEX["trade_ts_utc"]], row[INDEX["trade_id"]]))
        assert (found["ruleVersion"], found["ruleChecksum"]) == (bundle.version, bundle.checksum)
        assert ("tiny" in {chip["id"] for chip in found["chips"]}) == (bundle is other)


def test_rules_that_are_gone_are_said_to_be(serve: Serve, store: Store) -> None:
    store.bundle = _with_another_chip()  # never put into the store
    (row,) = store.add(1)
    server = serve(store.url)
    id_ = row_id(row[INDEX["trade_ts_utc"]], row[INDEX["trade_id"]])
    status, body = server.get(f"/api/flow/{id_}/why")
    assert (status, body["code"]) == (404, "not_found")
    assert store.bundle.version in body["detail"]
    assert "tagged by rules that the store cannot give" in run("why", id_, "--store", store.url).stderr
