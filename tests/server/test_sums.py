"""Summary and facets: the rows of the API added up, over REST and gRPC alike."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from phenix.server._pb import flow_pb2, flow_pb2_grpc
from tests.server.conftest import Server
from tests.server.rows import Store

Session = tuple[Store, Server]
FILTERS = ({}, {"chips": "otm"}, {"symbol": "SPY,QQQ", "right": "CALL"}, {"where": "side is null"}, {"symbol": "ZZZ"},
           {"includeCancelled": "1", "minValue": "50000"})  # fmt: skip


def rows_of(server: Server, query: dict[str, str]) -> list[dict[str, Any]]:
    status, body = server.get(f"/api/flow?{urlencode({**query, 'limit': '1000'})}")
    assert status == 200
    assert not body["page"]["hasMore"]
    found: list[dict[str, Any]] = body["data"]
    return found


def money(amounts: Any) -> float:
    return round(sum(round(amount * 10_000) for amount in amounts) / 10_000, 4)


def added(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rows": len(rows), "size": sum(row["size"] for row in rows), "premium": money(row["value"] for row in rows),
        "bullishPremium": money(row["value"] for row in rows if row["sentiment"] == "bullish"),
        "bearishPremium": money(row["value"] for row in rows if row["sentiment"] == "bearish"),
    }  # fmt: skip


def grouped(rows: list[dict[str, Any]], *names: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


@pytest.mark.parametrize("query", FILTERS, ids=str)
def test_a_summary_is_its_rows_added_up(session: Session, query: dict[str, str]) -> None:
    server = session[1]
    rows = rows_of(server, query)
    status, body = server.get(f"/api/flow/summary?{urlencode({**query, 'limit': '1000'})}")
    data = body["data"]
    assert status == 200
    assert data["all"] == added(rows)
    calls, puts = (added([row for row in rows if row["right"] == right]) for right in ("CALL", "PUT"))
    assert (data["calls"], data["puts"]) == (calls, puts)
    assert data["putCallRatio"] == (puts["size"] / calls["size"] if calls["size"] else None)
    directed = data["all"]["bullishPremium"] + data["all"]["bearishPremium"]
    assert data["bullishRatio"] == (pytest.approx(data["all"]["bullishPremium"] / directed) if directed else None)
    contract = ("symbol", "root", "expiration", "strike", "right")
    for key, names in (("symbols", ("symbol",)), ("contracts", contract)):
        expected = [
            {**dict(zip(names, group, strict=True)), **added(of)} for group, of in grouped(rows, *names).items()
        ]
        told = data[key]
        assert sorted(told, key=str) == sorted(expected, key=str)
        assert [one["premium"] for one in told] == sorted((one["premium"] for one in told), reverse=True)
    sides = {one["side"]: (one["rows"], one["premium"]) for one in data["sides"]}
    for side in (None, "AA", "ASK", "BID", "MID"):
        of = added([row for row in rows if row["side"] == side])
        assert sides[side] == (of["rows"], of["premium"])
    minutes = {
        (minute["minuteEt"], side): minute[side.lower() if side else "unknown"]
        for minute in data["minutes"]
        for side in sides
    }
    for (minute, side), premium in minutes.items():
        assert premium == money(r["value"] for r in rows if r["tradeTsEt"][:16] == minute and r["side"] == side)
    assert money(minutes.values()) == data["all"]["premium"]


@pytest.mark.parametrize("query", FILTERS, ids=str)
def test_facets_count_the_rows(session: Session, query: dict[str, str]) -> None:
    server = session[1]
    rows = rows_of(server, query)
    status, body = server.get(f"/api/flow/facets?{urlencode({**query, 'limit': '1000'})}")
    assert status == 200
    data = body["data"]
    assert data.pop("rows") == len(rows)
    for name, told in data.items():
        key = "chips" if name == "chip" else name
        values = [chip for row in rows for chip in row["chips"]] if name == "chip" else [row[key] for row in rows]
        assert {one["value"]: one["rows"] for one in told} == Counter(values), name
        assert [one["rows"] for one in told] == sorted((one["rows"] for one in told), reverse=True)


def test_grpc_says_the_same(session: Session) -> None:
    server = session[1]

    async def ask(query: dict[str, str]) -> tuple[Any, Any]:
        plain = {name: value for name, value in query.items() if name not in ("where", "includeCancelled")}
        filter_ = flow_pb2.Filter(
            parameters=plain, where=query.get("where", ""), include_cancelled="includeCancelled" in query
        )
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
            return (
                await stub.Summarize(flow_pb2.SummarizeRequest(filter=filter_, limit=3)),
                await stub.Facets(flow_pb2.FacetsRequest(filter=filter_, limit=3)),
            )

    for query in FILTERS:
        query = {name: value for name, value in query.items() if name != "chips"}
        summary, facets = asyncio.run(ask(query))
        _, rest = server.get(f"/api/flow/summary?{urlencode({**query, 'limit': '3'})}")
        assert (
            server.get(f"/api/flow/summary?{urlencode({**query, 'topSymbolsLimit': '3'})}")[1]["data"] == rest["data"]
        )
        _, counted = server.get(f"/api/flow/facets?{urlencode({**query, 'limit': '3'})}")
        assert summary.all.premium == round(rest["data"]["all"]["premium"] * 10_000)
        assert summary.HasField("put_call_ratio") is (rest["data"]["putCallRatio"] is not None)
        assert [one.symbol for one in summary.symbols] == [one["symbol"] for one in rest["data"]["symbols"]]
        assert [one.strike / 10_000 for one in summary.contracts] == [o["strike"] for o in rest["data"]["contracts"]]
        assert [one.HasField("side") for one in summary.sides] == [True] * 4 + [False]
        told = MessageToDict(facets, always_print_fields_with_no_presence=True)
        for name in ("symbol", "chip", "sentiment", "side", "right", "expiration", "session"):
            ours = [(one.get("value"), int(one["rows"])) for one in told[name]]
            assert ours == [(one["value"], one["rows"]) for one in counted["data"][name]]
        assert bool(summary.meta.where) is bool(rest["meta"]["where"])


def test_what_is_wrong_is_said_as_everywhere(session: Session) -> None:
    for path in ("summary", "facets"):
        status, body = session[1].get(f"/api/v1/flow/{path}?where=nosuch+%3D+1&limit=0")
        assert (status, body["code"], len(body["errors"])) == (400, "invalid_query", 2)
