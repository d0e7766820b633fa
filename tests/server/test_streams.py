"""Live streams over real sockets: every matching seq exactly once, in order, whatever is cut or killed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from phenix.client import Client
from phenix.engine.flow import INDEX
from phenix.engine.store.sqlite import open_reader
from phenix.server._pb import flow_pb2, flow_pb2_grpc
from phenix.server.editor import Editor
from tests.server.conftest import Server
from tests.server.rows import Store
from tests.server.sse import Frame, Sse
from tests.server.writer_process import Writer

Serve = Callable[..., Server]
SEQ, RIGHT, RECORD = INDEX["seq"], INDEX["right"], INDEX["cancel_record"]
CANCELLED = INDEX["cancelled_seq"]
UPDATED, RETRACTED = "flow.updated", "flow.retracted"
KINDS = {flow_pb2.EVENT_KIND_UPDATED: UPDATED, flow_pb2.EVENT_KIND_RETRACTED: RETRACTED}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path / "flow.sqlite", 1)
    yield made
    made.end()


def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'flow.sqlite'}"


def expected(path: Path, right: str = "CALL", *, with_cancelled: bool = False) -> list[tuple[int, str, int]]:
    """What a stream from the beginning brings: (seq it happens at, kind, seq of the row)."""
    reader = open_reader(path)
    rows = reader.rows_after(0, 1_000_000)
    reader.close()
    found = []
    for row in rows:
        if row[RIGHT] == right and (with_cancelled or not row[RECORD]):
            found.append((row[SEQ], UPDATED, row[SEQ]))
        if row[RIGHT] == right and row[CANCELLED] is not None:
            found.append((row[CANCELLED], RETRACTED, row[SEQ]))
    # A cancel that matches beside its print is one event: the retraction, with the record.
    at = {seq for seq, kind, _ in found if kind == RETRACTED}
    return sorted(event for event in found if event[1] == RETRACTED or event[0] not in at)


def events(frame: Frame) -> Iterator[tuple[int, str, int]]:
    """The rows of a frame; one that tells of a state has none: rows may be seen before they are enriched."""
    if frame.event not in (UPDATED, RETRACTED):
        return
    for data in frame.data.get("events", [frame.data]):
        yield data["sequence"], data["eventType"], data["flow"]["seq"]


@pytest.mark.parametrize("batch", ["0", "1"])
def test_sse_cut_and_killed_at_random(writer: Writer, tmp_path: Path, serve: Serve, batch: str) -> None:
    writer.add(5)
    server = serve(url(tmp_path), "--heartbeat", "0.05")
    rng = random.Random(batch)
    got: list[tuple[int, str, int]] = []
    last, kills, cuts = 0, 0, 0
    while cuts < 12 or last < writer.newest:
        stream = Sse(server.port, f"right=call&batch={batch}&snapshot=0", last)
        assert stream.status == 200
        for _ in range(rng.choice((1, 3, 10, 30))):
            frame = stream.frame()
            assert frame is not None
            assert frame.id == frame.data["watermark"]
            got += events(frame)
            last = frame.id
            if cuts < 12 and rng.random() < 0.7:
                writer.step()
            if last >= writer.newest:
                break
        stream.cut()
        cuts += 1
        if kills < 2 and rng.random() < 0.2:
            kills += 1
            server.end(signal.SIGKILL)
            writer.step()
            server.start()
    assert kills
    assert got == expected(tmp_path / "flow.sqlite")


def test_grpc_cut_and_killed_at_random(writer: Writer, tmp_path: Path, serve: Serve) -> None:
    writer.add(5)
    server = serve(url(tmp_path), "--heartbeat", "0.05")
    rng = random.Random(3)

    async def follow() -> list[tuple[int, str, int]]:
        got: list[tuple[int, str, int]] = []
        last, cuts, kills = 0, 0, 0
        wanted = flow_pb2.Filter(where="right = call", include_cancelled=True)
        while cuts < 12 or last < writer.newest:
            async with grpc.aio.insecure_channel(server.target) as channel:
                stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
                call = stub.Subscribe(flow_pb2.SubscribeRequest(filter=wanted, after_seq=last), wait_for_ready=True)
                left = rng.choice((1, 3, 10))
                async for response in call:
                    got += [(event.sequence, KINDS[event.kind], event.row.seq) for event in response.events.events]
                    last = response.watermark
                    left -= 1
                    if cuts < 12:
                        writer.step()
                    if not left or last >= writer.newest:
                        break
                call.cancel()
            cuts += 1
            if kills < 2 and rng.random() < 0.2:
                kills += 1
                server.end(signal.SIGKILL)
                writer.step()
                server.start()
        assert kills
        return got

    assert asyncio.run(follow()) == expected(tmp_path / "flow.sqlite", with_cancelled=True)


def test_the_client_resumes_by_itself(writer: Writer, tmp_path: Path, serve: Serve) -> None:
    writer.add(5)
    server = serve(url(tmp_path), "--heartbeat", "0.05")

    async def follow() -> list[tuple[int, str, int]]:
        got: list[tuple[int, str, int]] = []
        async with Client(server.target) as client:
            subscription = client.subscribe("right = call", after_seq=0)
            turn = 0
            async for response in subscription.responses():
                got += [(event.sequence, KINDS[event.kind], event.row.seq) for event in response.events.events]
                turn += 1
                if turn in (5, 12):
                    server.end(signal.SIGKILL)
                    writer.step()
                    server.start()
                if turn < 20:
                    writer.step()
                elif response.watermark >= writer.newest:
                    break
            assert subscription.connections >= 3
        return got

    assert asyncio.run(follow()) == expected(tmp_path / "flow.sqlite")


def test_no_seam_between_snapshot_and_live(writer: Writer, tmp_path: Path, serve: Serve) -> None:
    """Streams opened while commits land: the snapshot and what follows are all rows, each once."""
    writer.add(5)
    server = serve(url(tmp_path), "--heartbeat", "0.05")
    for _ in range(15):
        writer.step()
        stream = Sse(server.port, "snapshot=1000&includeCancelled=1")
        writer.step()
        first = stream.frame()
        assert first is not None
        assert first.event == "flow.snapshot"
        shown = [row["seq"] for row in first.data["data"]]
        assert shown == sorted(shown, reverse=True)
        live: list[int] = []
        last = first.id
        while last < writer.newest:
            frame = stream.frame()
            assert frame is not None
            live += [seq for seq, _, _ in events(frame)]
            last = frame.id
        stream.cut()
        assert shown[::-1] + live == list(range(1, writer.newest + 1))


def test_retractions_reach_whom_the_print_matched(store: Store, serve: Serve) -> None:
    one, other = store.put([*_prints(right="CALL"), *_prints(right="PUT")])
    server = serve(store.url, "--heartbeat", "0.05")
    queries = {
        "calls": "where=right=call", "puts": "where=right=put", "cancelled": "where=cancelled",
        "either": "where=cancelled%20or%20cancel_record", "not": "where=not%20cancelled", "all": "includeCancelled=1",
        "records": "where=cancel_record",
    }  # fmt: skip
    streams = {name: Sse(server.port, f"{query}&snapshot=0") for name, query in queries.items()}
    for stream in streams.values():
        begun = stream.frame()
        assert begun is not None
        assert (begun.event, begun.id) == ("progress", 2)
    record = store.cancel(one)
    assert record[RIGHT] in ("CALL", "PUT")
    found: dict[str, Any] = {}
    for name, stream in streams.items():
        frame = stream.frame()
        while frame is not None and frame.event == "progress" and frame.id < record[SEQ]:
            frame = stream.frame()
        assert frame is not None
        assert frame.id == frame.data["sequence"] == frame.data["watermark"] == record[SEQ]
        flow, beside = frame.data.get("flow"), frame.data.get("record")
        found[name] = (frame.event, flow and (flow["seq"], flow["cancelled"]), beside and beside["cancelRecord"])
        stream.cut()
    assert found == {
        "calls": (RETRACTED, (one[SEQ], True), None),
        "puts": ("progress", None, None),
        "cancelled": (UPDATED, (one[SEQ], True), None),
        "either": (UPDATED, (one[SEQ], True), True),
        "not": (RETRACTED, (one[SEQ], True), True),
        "all": (RETRACTED, (one[SEQ], True), True),
        "records": (UPDATED, (record[SEQ], False), None),
    }
    assert other[RIGHT] == "PUT"
    replay = Sse(server.port, "where=right=call&snapshot=0&watermark=0")
    frames = [replay.frame() for _ in range(4)]
    replay.cut()
    shown = [(f.event, f.data["flow"]["cancelled"]) for f in frames if f and "flow" in f.data]
    assert shown == [(UPDATED, False), (RETRACTED, True)]


def test_over_grpc_too_a_cancel_is_its_print_to_one_and_its_record_to_another(store: Store, serve: Serve) -> None:
    (one,) = store.add()
    server = serve(store.url)

    async def told() -> tuple[list[int], int]:
        async with Client(server.target) as client:
            asked = [client.subscribe(where, after_seq=one[SEQ]) for where in ("cancelled", "cancel_record")]
            streams = [subscription.responses() for subscription in asked]
            for stream in streams:
                assert (await anext(stream)).HasField("progress")  # both follow when the cancel is stored
            record = store.cancel(one)
            rows = []
            for stream in streams:
                while not (response := await anext(stream)).HasField("events"):
                    pass
                rows += [event.row.seq for event in response.events.events]
            return rows, record[SEQ]

    rows, record = asyncio.run(told())
    assert rows == [one[SEQ], record]


def _prints(**values: Any) -> list[list[Any]]:
    from tests.server.rows import made

    return [made(900 + len(str(values)) + ord(str(values["right"])[0]), **values)]


def test_progress_when_nothing_matches(store: Store, serve: Serve) -> None:
    server = serve(store.url, "--heartbeat", "0.05")
    stream = Sse(server.port, "where=size%20>%209000000&snapshot=0")
    begun = stream.frame()
    assert begun is not None
    assert begun.data == {"sequence": 0, "watermark": 0, "eventType": "progress"}
    store.add(30)
    seen = 0
    while seen < 30:
        frame = stream.frame()
        assert frame is not None
        assert frame.event == "progress"
        seen = frame.id
    stream.cut()


def test_shapes(store: Store, serve: Serve) -> None:
    store.add(10)
    server = serve(store.url)
    stream = Sse(server.port, "snapshot=2&fields=seq&batch=1")
    first = stream.frame()
    assert first == Frame(
        "flow.snapshot", 10,
        {"sequence": 10, "watermark": 10, "eventType": "flow.snapshot", "data": [{"seq": 10}, {"seq": 9}]},
    )  # fmt: skip
    store.add(3)
    frame = stream.frame()
    stream.cut()
    one = {"eventType": UPDATED}
    assert frame == Frame(
        UPDATED, 13,
        {"sequence": 13, "watermark": 13, **one, "events": [
            {"sequence": seq, "watermark": seq, **one, "flow": {"seq": seq}} for seq in (11, 12, 13)
        ]},
    )  # fmt: skip
    unnamed = Sse(server.port, "named=0&watermark=12&snapshot=5&fields=seq")
    frames = [unnamed.frame() for _ in range(3)]
    unnamed.cut()
    assert [f and (f.event, f.data["eventType"], f.id) for f in frames] == [
        ("message", "progress", 12), ("message", "degraded", 12), ("message", UPDATED, 13),
    ]  # fmt: skip
    _, body = server.get("/api/flow/stream?transport=json&watermark=11&fields=seq")
    assert (body["watermark"], [event["flow"] for event in body["events"]]) == (13, [{"seq": 12}, {"seq": 13}])
    _, body = server.get("/api/flow/stream?transport=json&watermark=13")
    assert (body["watermark"], [event["eventType"] for event in body["events"]]) == (13, ["progress"])


def test_the_header_wins_over_the_parameter(store: Store, serve: Serve) -> None:
    """A browser repeats the URL it began with and adds where it stands."""
    store.add(5)
    server = serve(store.url)
    stream = Sse(server.port, "watermark=1&snapshot=0", last_id=4)
    frames = [stream.frame() for _ in range(3)]
    stream.cut()
    told = [(frame.event, frame.id) for frame in frames if frame]
    assert told == [("progress", 4), ("degraded", 4), (UPDATED, 5)]


def test_shutdown_ends_open_streams(store: Store, serve: Serve) -> None:
    store.add(5)
    server = serve(store.url)
    streams = [Sse(server.port, "snapshot=1") for _ in range(5)]
    for stream in streams:
        assert stream.frame() is not None

    async def follow() -> list[flow_pb2.SubscribeResponse]:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
            call = stub.Subscribe(flow_pb2.SubscribeRequest(snapshot=1))
            got = []
            async for response in call:
                if not got:
                    server.process.send_signal(signal.SIGTERM)
                got.append(response)
            return got

    first, last = asyncio.run(follow())
    assert (first.watermark, len(first.snapshot.rows)) == (5, 1)
    assert (last.watermark, last.progress.closing) == (5, True)
    for stream in streams:
        ending = stream.frame()
        assert ending is not None
        assert (ending.event, ending.id, ending.data["reason"]) == ("progress", 5, "closing")
        assert stream.frame() is None
        stream.cut()
    assert server.end(signal.SIGTERM) == 0


def test_shutdown_does_not_wait_for_who_does_not_read(store: Store, serve: Serve) -> None:
    server = serve(store.url)
    deaf = Sse(server.port, "snapshot=0", receive=4096)
    hearing = Sse(server.port, "snapshot=0&batch=1")
    for _ in range(12):
        store.add(500)
    assert _read_until(hearing, 6000)
    assert server.end(signal.SIGTERM) == 0
    deaf.cut()
    hearing.cut()


def test_a_slow_reader_over_a_socket_loses_nothing(store: Store) -> None:
    """Ten megabytes for a client that does not read: its queue overflows, and the store fills the gap."""
    from phenix import app
    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.live.index import LiveIndex
    from phenix.engine.log import Log, Subscription
    from phenix.engine.rollout import Rollout
    from phenix.engine.store.sqlite_saved import open_saved
    from phenix.server import process
    from phenix.server.auth import Access, Limits
    from phenix.server.readers import Readers
    from phenix.server.rule_desk import RuleDesk
    from phenix.server.rulebook import Rulebook
    from phenix.server.saved import SavedQueries
    from phenix.server.service import FlowService
    from phenix.server.status import Gauge

    def open_store() -> Any:
        return open_reader(store.path)

    async def scenario() -> None:
        replays = Readers(open_store, 1)
        log = Log(open_store, replays.run, queue_rows=100)
        kept = store.path.with_name("saved.sqlite")
        files = [Readers(partial(open_saved, kept, writing=writing), 1) for writing in (True, False)]
        saved = SavedQueries(*files, replays)
        service = FlowService(
            Readers(open_store, 1), replays, Readers(open_store, 1), log, LiveIndex(), store.bundle, saved, Editor(),
            RuleDesk(app.lifecycle(store.url), app.comparisons(store.url)),
            app.alerts(kept, open_store, replays, saved, partial(Rulebook, store.bundle, Rollout()), 60),
            Gauge(Calendar.packaged(), time.time), timeout_s=5, progress_s=60, rollout=Rollout(),
        )  # fmt: skip
        sock = process.listen("127.0.0.1", 0)
        port, ready = sock.getsockname()[1], asyncio.Event()
        open_to_all = Access(None, Limits(0, 0))
        serving = asyncio.create_task(process.serve(service, open_to_all, "127.0.0.1", sock, 0, lambda _: ready.set()))
        await ready.wait()
        slow = await asyncio.to_thread(Sse, port, "snapshot=0", receive=4096)
        quick = await asyncio.to_thread(Sse, port, "snapshot=0")
        for _ in range(12):
            await asyncio.to_thread(store.add, 500)
        fast = await asyncio.to_thread(_read_until, quick, 6000)
        late = await asyncio.to_thread(_read_until, slow, 6000)
        assert _seqs(fast) == _seqs(late) == list(range(1, 6001))
        assert "slow_reader" in [frame.data.get("reason") for frame in late]
        left, leave = asyncio.Event(), log.leave

        def seen(subscription: Subscription) -> None:
            leave(subscription)
            if not log.subscribers:
                left.set()

        log.leave = seen
        slow.cut()
        quick.cut()
        await left.wait()
        signal.raise_signal(signal.SIGTERM)
        await serving

    asyncio.run(scenario())


def _read_until(stream: Sse, seq: int) -> list[Frame]:
    frames: list[Frame] = []
    while not frames or frames[-1].id < seq:
        frame = stream.frame()
        assert frame is not None
        frames.append(frame)
    return frames


def _seqs(frames: list[Frame]) -> list[int]:
    return [frame.data["flow"]["seq"] for frame in frames if frame.event == UPDATED]
