"""What a stream says beside rows: that the rules changed, and that it lags."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from phenix.client import Client, Degraded, RulesChanged
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.flow import INDEX, RAW
from phenix.engine.store.base import Batch, RuleVersion
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from tests.server.conftest import Server
from tests.server.rows import Store, made
from tests.server.sse import Frame, Sse

Serve = Callable[..., Server]
SEQ = INDEX["seq"]
BIG = {"price": 6_000_000, "size": 1, "value": 6_000_000_00}  # $60,000


def activate(store: Store, least: str) -> Bundle:
    """Another threshold of Whales from the next row on."""
    text = f"whales_min: money = {least}"
    sources = [Source(one.name, one.text.replace("whales_min: money = 500k", text)) for one in read_rules()]
    bundle, _ = compile_bundle(sources)
    assert bundle is not None
    version = RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)
    store.writer.put_rule_version(version, activate=True, now_utc=2)
    store.bundle = bundle
    return bundle


def told(frame: Frame | None) -> tuple[str, int, Any]:
    assert frame is not None
    assert frame.id == frame.data["sequence"] == frame.data["watermark"]
    assert frame.event == frame.data["eventType"]
    return frame.event, frame.id, frame.data.get("ruleVersion") or frame.data.get("flow", {}).get("seq")


def frames(stream: Sse, upto: int) -> list[tuple[str, int, Any]]:
    """What it says until a row of that seq came, progress left out."""
    found: list[tuple[str, int, Any]] = []
    while not found or found[-1][:2] != ("flow.updated", upto):
        one = told(stream.frame())
        if one[0] not in ("progress", "degraded"):
            found.append(one)
    stream.cut()
    return found


def test_the_client_tells_of_rules_and_of_lag(store: Store, serve: Serve) -> None:
    """Its items are events and notices in the order of the log; whoever takes rows alone gets rows alone."""
    store.add(2)
    bundle = activate(store, "50k")
    store.add(1)
    server = serve(store.url, "--heartbeat", "0.05")  # that has not seen these rows wait

    async def follow() -> list[Any]:
        async with Client(server.target) as client:
            rows, subscription = aiter(client.subscribe(after_seq=0)), client.subscribe(after_seq=1)
            found: list[Any] = [(await anext(rows)).seq for _ in range(3)]
            await rows.aclose()  # type: ignore[attr-defined] # a generator
            items = subscription.items()
            found += [await anext(items) for _ in range(4)]
            late = store.writer.append(Batch(rows=[made(50)[: len(RAW)]])).rows
            found += [await anext(items), subscription.degraded]
            stored = [[*late[0], *made(50)[len(RAW) :]]]
            store.bundle.tag(stored)
            store.writer.append_enriched([(*one[:2], *one[len(RAW) :]) for one in stored], [])
            last = [await anext(items), await anext(items)]  # that it no longer lags, and the row, as they come
            await items.aclose()  # type: ignore[attr-defined] # a generator
            return [*found, last]

    *found, last = asyncio.run(follow())
    state, one, rules, other = found[3:7]
    assert state == Degraded(1, ())  # who resumes may have been told something else before
    assert found[:3] == [1, 2, 3]
    assert (one.sequence, other.sequence) == (2, 3)
    assert rules == RulesChanged(2, bundle.version, bundle.checksum, filter_kept=False)
    assert found[7:] == [Degraded(3, ("enrichment_lag_high",)), ("enrichment_lag_high",)]
    (again,) = (item for item in last if isinstance(item, Degraded))
    assert again.reasons == ()
    assert [item.sequence for item in last if not isinstance(item, Degraded)] == [4]


@pytest.mark.parametrize("where", ["@whales", "value >= $whales_min"])
def test_a_stream_goes_on_with_the_rules_from_the_seq_they_took_effect_at(
    store: Store, serve: Serve, where: str
) -> None:
    server = serve(store.url, "--heartbeat", "0.05")
    query = f"where={where.replace('@', '%40').replace('>=', '%3E%3D').replace(' ', '%20')}&snapshot=0"
    live = Sse(server.port, query)
    assert told(live.frame())[:2] == ("progress", 0)
    first = store.bundle.version
    store.add(3, **BIG)  # no whales yet
    store.add(1, price=60_000_000, value=6_000_000_000)
    second = activate(store, "50k").version
    store.add(2, **BIG)
    third = activate(store, "900k").version
    store.add(1, **BIG)
    store.add(1, price=100_000_000, value=10_000_000_000)
    expected = [("flow.updated", 4, 4), ("rules", 4, second), ("flow.updated", 5, 5), ("flow.updated", 6, 6),
                ("rules", 6, third), ("flow.updated", 8, 8)]  # fmt: skip
    assert frames(live, 8) == expected
    assert len({first, second, third}) == 3
    server.end(signal.SIGKILL)
    server.start()
    whole = [("rules", 0, first), *expected]  # from the beginning, where other rules held than now
    for resume, left in ((0, whole), (3, expected), (4, expected[1:]), (5, expected[3:]), (7, expected[5:])):
        assert frames(Sse(server.port, query, resume), 8) == left, resume

    async def follow() -> list[tuple[str | None, int]]:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
            call = stub.Subscribe(flow_pb2.SubscribeRequest(filter=flow_pb2.Filter(where=where), after_seq=3))
            found: list[tuple[str | None, int]] = []
            async for answer in call:
                if (what := answer.WhichOneof("content")) in ("events", "rules"):
                    found.append((answer.rules.version or what, answer.watermark))
                if answer.watermark >= 8:
                    return found
            return found

    assert asyncio.run(follow()) == [("events", 4), (second, 4), ("events", 6), (third, 6), ("events", 8)]


def test_a_quiet_stream_is_told_of_rules_before_any_row_says_so(store: Store, serve: Serve) -> None:
    store.add(3)
    server = serve(store.url, "--heartbeat", "0.05")
    streams = [Sse(server.port, "snapshot=0"), Sse(server.port, "snapshot=0&where=size%20<%200")]
    for stream in streams:
        assert told(stream.frame())[:2] == ("progress", 3)
    second = activate(store, "600k").version
    for stream in streams:
        frame = told(stream.frame())
        while frame[0] in ("progress", "degraded"):
            frame = told(stream.frame())
        assert frame == ("rules", 3, second)
    store.add(1, **BIG)
    assert frames(streams[0], 4) == [("flow.updated", 4, 4)]  # it is not said again
    streams[1].cut()


def test_a_filter_that_new_rules_do_not_know_goes_on_as_it_was(store: Store, serve: Serve) -> None:
    server = serve(store.url, "--heartbeat", "0.05")
    stream = Sse(server.port, "where=value%20>=%20$whales_min&snapshot=0")
    assert told(stream.frame())[0] == "progress"
    sources = [Source(one.name, one.text.replace("whales_min", "whale_least")) for one in read_rules()]
    bundle, found = compile_bundle(sources)
    assert bundle is not None, found
    version = RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)
    store.writer.put_rule_version(version, activate=True, now_utc=2)
    store.bundle = bundle
    store.add(1, price=60_000_000, value=6_000_000_000)
    rules = stream.frame()
    while rules is not None and rules.event == "progress":
        rules = stream.frame()
    assert rules is not None
    assert (rules.event, rules.id, rules.data["filterKept"], rules.data["ruleChecksum"]) == (
        "rules", 0, True, bundle.checksum,
    )  # fmt: skip
    assert told(stream.frame()) == ("flow.updated", 1, 1)
    stream.cut()


def test_a_stream_says_when_enrichment_is_behind_and_when_no_longer(store: Store, serve: Serve) -> None:
    """The oldest print that waits came long ago: rows are made up with a time of theirs."""
    server = serve(store.url, "--heartbeat", "0.05")
    streams = [Sse(server.port, "snapshot=0"), Sse(server.port, "snapshot=0&where=size%20<%200")]

    def state() -> list[tuple[int, bool, list[str]]]:
        found = []
        for stream in streams:
            frame = stream.frame()
            while frame is not None and frame.event != "degraded":
                assert frame.event in ("progress", "flow.updated")
                frame = stream.frame()
            assert frame is not None
            found.append((frame.id, frame.data["degraded"], frame.data["degradedReason"]))
        return found

    row = made(1)
    appended = store.writer.append(Batch(rows=[row[: len(RAW)]])).rows
    assert state() == [(0, True, ["enrichment_lag_high"])] * 2
    late = Sse(server.port, "snapshot=0")
    begun = [late.frame(), late.frame()]
    assert [frame and frame.event for frame in begun] == ["progress", "degraded"]
    late.cut()
    stored = [[*appended[0], *row[len(RAW) :]]]
    store.bundle.tag(stored)
    store.writer.append_enriched([(*one[:2], *one[len(RAW) :]) for one in stored], [])
    assert state() == [(1, False, [])] * 2
    for stream in streams:
        stream.cut()
