"""Clients that leave: their statement is stopped and its reader is free, long before it would have ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from phenix import app
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.lifecycle import Lifecycle
from phenix.engine.live.index import LiveIndex
from phenix.engine.live.search import Search
from phenix.engine.log import Log
from phenix.engine.query.page import compile_filter
from phenix.engine.query.request import Refusal
from phenix.engine.rollout import Rollout
from phenix.engine.store.base import Reader, StoreTimeout
from phenix.engine.store.sqlite import open_reader, open_writer
from phenix.engine.store.sqlite_rules import SqliteLedger
from phenix.engine.store.sqlite_saved import open_saved
from phenix.server import process
from phenix.server._pb import flow_pb2, flow_pb2_grpc, rules_pb2, rules_pb2_grpc
from phenix.server.auth import Access, Limits
from phenix.server.editor import Editor
from phenix.server.process import Addresses
from phenix.server.readers import Readers
from phenix.server.rule_desk import RuleDesk
from phenix.server.rulebook import Rulebook
from phenix.server.saved import SavedQueries
from phenix.server.service import FlowService
from phenix.server.status import Gauge
from tests.dsl.corpus import HOSTILE
from tests.server.rows import Store

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
HEAVY = "HEAVY"
LONG_S = 3_600.0
PATIENCE_S = 60.0


class Served:
    """A server on real sockets with one reader for queries; a query for the symbol HEAVY is a statement without end."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.loop = asyncio.get_running_loop()
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.addresses: Addresses

    def open(self) -> Reader:
        reader: Any = open_reader(self.store.path)
        execute = reader.execute

        def watched(sql: str, params: Sequence[Any] = (), **limits: Any) -> Any:
            if HEAVY not in params:
                return execute(sql, params, **limits)
            self.loop.call_soon_threadsafe(self.begun.put_nowait, sql)
            return execute(ENDLESS, (), **limits)

        reader.execute = watched
        return reader  # type: ignore[no-any-return]

    def editor(self) -> Editor:
        """One whose lints may take an hour, and that tells when it begins with those of a file."""
        editor: Any = Editor(LONG_S)
        check_rules = editor._check_rules

        def watched(*args: Any) -> Any:
            self.loop.call_soon_threadsafe(self.begun.put_nowait, "lints")
            return check_rules(*args)

        editor._check_rules = watched
        return editor  # type: ignore[no-any-return]

    async def ask(self, request: str) -> asyncio.StreamWriter:
        """Send a request on a socket of its own, and do not wait for what it answers."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.addresses.port)
        writer.write(request.encode())
        return writer

    async def light(self) -> int:
        """A request that every reader answers."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            return (await client.get(f"http://127.0.0.1:{self.addresses.port}/api/flow?limit=1")).status_code


@asynccontextmanager
async def served(store: Store) -> AsyncIterator[Served]:
    made = Served(store)
    queries, replays = Readers(made.open, 1), Readers(partial(open_reader, store.path), 1)
    kept = store.path.with_name("saved.sqlite")
    files = [Readers(partial(open_saved, kept, writing=writing), 1) for writing in (True, False)]
    saved, book = SavedQueries(*files, queries), partial(Rulebook, store.bundle, Rollout())
    service = FlowService(
        queries, replays, Readers(partial(open_reader, store.path), 1),
        Log(partial(open_reader, store.path), replays.run), LiveIndex(), store.bundle, saved, made.editor(),
        RuleDesk(app.lifecycle(store.url), app.comparisons(store.url)),
        app.alerts(kept, partial(open_reader, store.path), replays, saved, book, 60),
        Gauge(Calendar.packaged(), time.time), timeout_s=LONG_S, progress_s=60, rollout=Rollout(),
    )  # fmt: skip
    sock, ready = process.listen("127.0.0.1", 0), asyncio.Event()

    def tell(addresses: Addresses) -> None:
        made.addresses = addresses
        ready.set()

    serving = asyncio.create_task(process.serve(service, Access(None, Limits(0, 0)), "127.0.0.1", sock, 0, tell))
    await ready.wait()
    try:
        yield made
    finally:
        signal.raise_signal(signal.SIGTERM)
        await serving


def _get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _post(path: str, body: str) -> str:
    kind = "Content-Type: application/json\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"


REQUESTS = (
    _get(f"/api/flow/historical?symbol={HEAVY}"),
    _get(f"/api/flow/summary?sessions=2&symbol={HEAVY}"),
    _get(f"/api/flow/stream?sessions=2&symbol={HEAVY}"),
    _post("/api/dsl/estimate", f'{{"text": "symbol = {HEAVY}", "sessions": 2}}'),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=("page", "sums", "stream", "estimate"))
def test_a_closed_connection_frees_the_reader(store: Store, request_: str) -> None:
    async def scenario() -> None:
        store.add(3)
        store.add(3, session_date=20260917)
        async with served(store) as server:
            leaving = await server.ask(request_)
            await server.begun.get()
            other = asyncio.create_task(server.light())  # the only reader is taken
            behind = await server.ask(request_)  # leaves before its turn
            behind.transport.abort()
            assert not other.done()
            leaving.close()
            assert await other == 200
            assert await server.light() == 200
            assert server.begun.empty()

    asyncio.run(scenario())


def test_a_cancelled_call_frees_the_reader(store: Store) -> None:
    async def scenario() -> None:
        store.add(3)
        store.add(3, session_date=20260917)
        wanted = {"where": f"symbol = {HEAVY}", "parameters": {"sessions": "2"}}
        async with (
            served(store) as server,
            grpc.aio.insecure_channel(f"127.0.0.1:{server.addresses.grpc_port}") as channel,
        ):
            stub = flow_pb2_grpc.FlowServiceStub(channel)  # type: ignore[no-untyped-call]
            unary = stub.Query(flow_pb2.QueryRequest(filter=wanted))
            await server.begun.get()
            other = asyncio.create_task(server.light())
            unary.cancel()
            assert await other == 200
            stream = stub.Export(flow_pb2.ExportRequest(filter=wanted))
            reading = asyncio.ensure_future(stream.read())
            await server.begun.get()
            stream.cancel()
            assert await server.light() == 200
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(scenario())


def test_lints_end_when_who_asked_has_left(store: Store) -> None:
    async def scenario() -> None:
        hostile, small = ({"text": text, "kind": "file"} for text in (HOSTILE, 'chip x = dte < 3 doc "X."'))
        async with (
            served(store) as server,
            grpc.aio.insecure_channel(f"127.0.0.1:{server.addresses.grpc_port}") as channel,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.addresses.port}", timeout=PATIENCE_S) as client,
        ):
            stub = rules_pb2_grpc.RuleServiceStub(channel)  # type: ignore[no-untyped-call]
            request = rules_pb2.CheckRequest(text=HOSTILE, kind=rules_pb2.TEXT_KIND_FILE)
            for over_rest in (True, False):
                if over_rest:
                    connections = [await server.ask(_post("/api/dsl/check", json.dumps(hostile))) for _ in range(2)]
                else:
                    calls = [stub.Check(request) for _ in range(2)]
                assert [await server.begun.get() for _ in range(2)] == ["lints", "lints"]  # both threads are taken
                other = asyncio.create_task(client.post("/api/dsl/check", json=small))
                for one in connections if over_rest else calls:
                    one.close() if over_rest else one.cancel()
                assert (await other).json()["data"]["complete"] is True
                await server.begun.get()  # of the small one

    asyncio.run(scenario())


def test_what_changes_something_is_not_stopped_by_a_client_that_leaves(store: Store) -> None:
    async def scenario() -> None:
        store.add(3)
        store.add(3, session_date=20260917)
        async with served(store) as server:
            heavy = await server.ask(REQUESTS[0])
            await server.begun.get()
            # Its rules are read with the reader that is taken: it waits there when its client leaves.
            saving = await server.ask(_post("/api/flow/presets", '{"name": "mine", "payload": {"symbol": "SPY"}}'))
            async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
                address = f"http://127.0.0.1:{server.addresses.port}"
                for _ in range(3):  # asked later, it is answered later than that began to wait
                    await client.get(f"{address}/health")
                saving.close()
                await client.get(f"{address}/health")
                heavy.close()
                while not (found := (await client.get(f"{address}/api/flow/presets")).json()["data"]):
                    pass
            assert [entry["name"] for entry in found] == ["mine"]

    asyncio.run(scenario())


def test_a_change_of_rules_that_nobody_waits_for_lets_no_other_in_before_its_end(store: Store) -> None:
    begun, go = threading.Event(), threading.Event()

    def judge(*_: object) -> str:
        begun.set()
        return "it was judged" if go.wait(PATIENCE_S) else ""

    opened = partial(open_reader, store.path), partial(open_writer, store.path)
    life = Lifecycle(*opened, SqliteLedger(store.path), gate=judge)
    desk = RuleDesk(life, app.comparisons(store.url))

    async def scenario() -> None:
        made = await desk.set_params("", {"whales_min": "750k"})
        assert not isinstance(made, Refusal)
        leaving = asyncio.create_task(desk.activate(made["version"], "", force=False))
        assert await asyncio.to_thread(begun.wait, PATIENCE_S)
        leaving.cancel()
        assert isinstance((await asyncio.gather(leaving, return_exceptions=True))[0], asyncio.CancelledError)
        assert desk._one.locked()
        go.set()
        next_one = await desk.activate(made["version"], "", force=False)
        assert isinstance(next_one, Refusal)
        assert "it was judged" in next_one.detail

    asyncio.run(scenario())


def test_a_proof_ends_with_who_asked_for_it(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or by itself, or by a kill: it leaves nothing behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    opened = partial(open_reader, store.path), partial(open_writer, store.path)
    desk = RuleDesk(Lifecycle(*opened, SqliteLedger(store.path)), app.comparisons(store.url))

    async def scenario() -> None:
        made = await desk.set_params("", {"whales_min": "750k"})
        assert not isinstance(made, Refusal)

        async def begun() -> tuple[asyncio.Task[Any], list[str]]:
            asked = asyncio.create_task(desk.certify(made["version"], 10**9, 1))
            async with asyncio.timeout(PATIENCE_S):
                while not (found := _proofs()):  # noqa: ASYNC110 - a process tells nobody that it is there
                    await asyncio.sleep(0.01)
            return asked, found

        leaving, proofs = await begun()
        refused = await desk.certify(made["version"], 200, 1)
        assert isinstance(refused, Refusal)
        assert (refused.code, _proofs()) == ("rate_limited", proofs)
        async with asyncio.timeout(PATIENCE_S):
            while not any(temporary.rglob("clickhouse*")):  # noqa: ASYNC110 - nor that it has begun to write
                await asyncio.sleep(0.01)
        leaving.cancel()
        assert isinstance((await asyncio.gather(leaving, return_exceptions=True))[0], asyncio.CancelledError)
        assert (_proofs(), list(temporary.iterdir())) == ([], [])
        killed, (proof,) = await begun()
        os.kill(int(proof), signal.SIGKILL)
        assert (await killed).code == "unavailable"
        told = await desk.certify(made["version"], 200, 7)
        assert not isinstance(told, Refusal)
        assert (told["version"], told["clean"], told["seed"]) == (made["version"], True, 7)
        assert list(temporary.iterdir()) == []

    asyncio.run(scenario())


def test_a_proof_that_takes_its_time_to_end_counts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its last word and its end it is left alone."""
    late = "import atexit, os, sys, time; atexit.register(lambda: (sys.stdout.flush(), os.close(1), time.sleep(0.5)))"
    (tmp_path / "sitecustomize.py").write_text(late)
    monkeypatch.syspath_prepend(str(tmp_path))
    opened = partial(open_reader, store.path), partial(open_writer, store.path)
    desk = RuleDesk(Lifecycle(*opened, SqliteLedger(store.path)), app.comparisons(store.url))

    async def scenario() -> None:
        made = await desk.set_params("", {"whales_min": "750k"})
        assert not isinstance(made, Refusal)
        told = await desk.certify(made["version"], 200, 7)
        assert not isinstance(told, Refusal), told
        assert (told["version"], told["clean"]) == (made["version"], True)

    asyncio.run(scenario())


def test_a_proof_ends_with_the_server_that_was_killed(bundle: Bundle) -> None:
    asked = {"config": bundle.config_json, "checksum": bundle.checksum, "pairs": 10**9, "seed": 1}
    process = subprocess.Popen(
        [sys.executable, "-m", "phenix.engine.certify.apart"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asked) + "\n")
    assert process.communicate(timeout=PATIENCE_S)[0] == ""
    assert process.returncode == 1


def _proofs() -> list[str]:
    """Processes of this one that prove rules."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it may end meanwhile
            parent = (one / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"phenix.engine.certify.apart" in (one / "cmdline").read_bytes():
                found.append(one.name)
    return found


def test_a_search_in_memory_ends_between_two_blocks(store: Store, bundle: Bundle) -> None:
    rows = [list(row) for row in store.add(400)]
    live = LiveIndex(room=50)
    with open_reader(store.path) as reader:
        live.follow(reader)
    predicate = compile_filter((("where", "size > 0"),), bundle)
    assert not isinstance(predicate, tuple)
    asked = 0

    def unwanted() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    search = Search(predicate, live.snapshot(), rows[-1][0], cancelled=True, unwanted=unwanted)  # type: ignore[arg-type]
    with pytest.raises(StoreTimeout):
        search.count()
    assert search.looked_at == 150


def test_a_read_that_is_cancelled_before_its_turn_is_never_begun(store: Store) -> None:
    async def scenario() -> list[str]:
        readers, begun, held = Readers(partial(open_reader, store.path), 1), threading.Event(), threading.Event()
        done: list[str] = []

        def first(_: Reader) -> None:
            begun.set()
            held.wait(PATIENCE_S)
            done.append("first")

        running = asyncio.create_task(readers.run(first))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        waiting = asyncio.create_task(readers.run(lambda _: done.append("second")))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held.set()
        await running
        await readers.run(lambda _: done.append("third"))
        await asyncio.to_thread(readers.close)
        return done

    assert asyncio.run(scenario()) == ["first", "third"]
