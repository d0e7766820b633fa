"""The log: batches without seam, bounded queues, nobody slowed by a slow reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from phenix.engine.flow import INDEX
from phenix.engine.groups import Groups
from phenix.engine.log import Log, Subscription
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.store.base import Problem, Reader, StoreError
from phenix.engine.store.sqlite import open_reader
from phenix.engine.watch import Batch, Event, Kind, Step, Watch, read_batch
from tests.server.rows import Store

SEQ = INDEX["seq"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "flow.sqlite")
    yield made
    made.close()


@asynccontextmanager
async def following(store: Store, *, queue_rows: int = 20_000, groups: Groups | None = None) -> AsyncIterator[Log]:
    reader = open_reader(store.path)

    async def read(wanted: Callable[[Reader], Batch]) -> Batch:
        return await asyncio.to_thread(wanted, reader)

    log = Log(lambda: open_reader(store.path), read, groups=groups, queue_rows=queue_rows)
    log.start(store.writer.reads.watermark())
    try:
        yield log
    finally:
        await log.close()
        reader.close()


async def take(subscription: Subscription, upto: int) -> list[Batch]:
    """Batches until a seq is reached; they must meet without a gap."""
    batches: list[Batch] = []
    position = subscription.position
    while position < upto:
        batch = await subscription.next(10)
        assert batch is not None
        assert batch.after == position
        position = batch.upto
        batches.append(batch)
    return batches


def seqs(batches: list[Batch]) -> list[int]:
    return [step.seq for batch in batches for step in batch.steps]


def predicate(store: Store, text: str) -> Predicate:
    found = compile_predicate((("where", text),), store.bundle)
    assert isinstance(found, Predicate)
    return found


def test_from_the_beginning_and_from_now(store: Store) -> None:
    async def scenario() -> None:
        store.add(2500)
        async with following(store) as log:
            old, new = log.subscribe(0), log.subscribe()
            assert seqs(await take(old, 2500)) == list(range(1, 2501))
            await asyncio.to_thread(store.add, 30)
            assert seqs(await take(new, 2530)) == list(range(2501, 2531))
            assert seqs(await take(old, 2530)) == list(range(2501, 2531))

    asyncio.run(scenario())


def test_a_position_ahead_of_the_tail(store: Store) -> None:
    """A client may come back with a seq that this process has not read yet."""

    async def scenario() -> None:
        async with following(store) as log:
            store.add(100)
            subscription = log.subscribe(60)
            assert seqs(await take(subscription, 100)) == list(range(61, 101))

    asyncio.run(scenario())


def test_a_slow_reader_is_replayed_and_told_and_slows_nobody(store: Store) -> None:
    async def scenario() -> None:
        async with following(store, queue_rows=20) as log:
            slow, quick = log.subscribe(), log.subscribe()
            fast: list[Batch] = []
            for _ in range(30):
                await asyncio.to_thread(store.add, 5)
                fast += await take(quick, store.made)
            assert log.overflows
            assert slow.queued <= 20
            late = await take(slow, 150)
            assert seqs(fast) == seqs(late) == list(range(1, 151))
            assert [batch.replayed for batch in late].count(True) == 1
            assert not any(batch.replayed for batch in fast)
            await asyncio.to_thread(store.add, 1)
            assert [batch.replayed for batch in await take(slow, 151)] == [False]

    asyncio.run(scenario())


def test_a_commit_larger_than_the_bound(store: Store) -> None:
    async def scenario() -> None:
        async with following(store, queue_rows=20) as log:
            subscription = log.subscribe()
            await asyncio.to_thread(store.add, 3000)
            assert seqs(await take(subscription, 3000)) == list(range(1, 3001))

    asyncio.run(scenario())


def test_quiet_and_closing(store: Store) -> None:
    async def scenario() -> None:
        async with following(store) as log:
            subscription = log.subscribe()
            assert await subscription.next(0.01) == Batch(0, 0)
            waiting = asyncio.create_task(subscription.next(60))
            await log.close()
            assert await waiting is None
            assert await subscription.next(60) is None
            subscription.close()
            subscription.close()
            assert log.subscribers == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [StoreError(Problem.IO, "the disk is gone"), ZeroDivisionError()], ids=str)
def test_the_tail_survives_a_store_that_fails(store: Store, error: Exception) -> None:
    """A reader that fails once is opened again; nothing is lost meanwhile."""

    async def scenario() -> None:
        failing: dict[str, Any] = {"left": 1, "error": error}

        class Failing:
            def __init__(self) -> None:
                self._reader = open_reader(store.path)

            def rows_after(self, seq: int, limit: int) -> Any:
                if failing["left"]:
                    failing["left"] -= 1
                    raise failing["error"]
                return self._reader.rows_after(seq, limit)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._reader, name)

        reader = open_reader(store.path)

        async def read(wanted: Callable[[Reader], Batch]) -> Batch:
            return await asyncio.to_thread(wanted, reader)

        log = Log(Failing, read)  # type: ignore[arg-type]
        subscription = log.subscribe(0)
        log.start(0)
        await asyncio.to_thread(store.add, 10)
        assert seqs(await take(subscription, 10)) == list(range(1, 11))
        await log.close()
        reader.close()
        assert not failing["left"]

    asyncio.run(scenario())


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_batches_hold_what_a_cancel_takes_back(store: Store, limit: int) -> None:
    rows = store.add(5)
    record = store.cancel(rows[1])
    store.add(2)
    reader = open_reader(store.path)
    steps: list[Step] = []
    after = 0
    while (batch := read_batch(reader, after, limit=limit)).steps:
        steps += batch.steps
        after = batch.upto
    reader.close()
    assert [step.seq for step in steps] == list(range(1, 9))
    originals = {step.seq: step.original[SEQ] for step in steps if step.original is not None}
    assert originals == {record[SEQ]: rows[1][SEQ]}


def test_a_watch_judges_each_seq_as_of_itself(store: Store) -> None:
    rows = store.add(3, right="CALL")
    record = store.cancel(rows[0])
    reader = open_reader(store.path)
    steps = read_batch(reader, 0).steps
    reader.close()

    def found(text: str, *, with_cancelled: bool = False) -> list[tuple[int, str, int]]:
        watch = Watch(predicate(store, text), with_cancelled)
        events = [event for step in steps if (event := watch.event(step))]
        return [(event.seq, event.kind.name, event.row[SEQ]) for event in events]

    first, second, third, last = (row[SEQ] for row in (*rows, record))
    assert found("right = call and not cancel_record") == [
        (first, "UPDATED", first), (second, "UPDATED", second), (third, "UPDATED", third), (last, "RETRACTED", first),
    ]  # fmt: skip
    assert found("cancelled") == [(last, "UPDATED", first)]
    assert found("cancel_record") == [(last, "UPDATED", last)]
    assert found("size < 0") == []
    assert Event(1, Kind.UPDATED, rows[0]).record is None


def test_what_means_nothing_is_passed_over_without_a_gap(store: Store) -> None:
    """A subscriber is not woken for what its watch does not match; its position goes on."""

    async def scenario() -> None:
        groups = Groups(least=1)
        async with following(store, groups=groups) as log:
            calls = log.subscribe(watch=Watch(predicate(store, "right = call")), version=store.bundle.version)
            everything = log.subscribe()
            groups.settle()
            await asyncio.to_thread(store.add, 5, right="PUT")
            await take(everything, 5)
            assert (calls.position, calls.queued) == (5, 0)
            for right in ("CALL", "PUT", "PUT", "CALL", "PUT"):  # now while it is busy elsewhere
                await asyncio.to_thread(store.add, 1, right=right)
                await take(everything, store.made)
            assert (calls.position, calls.queued) == (5, 2)
            assert seqs(await take(calls, 10)) == [6, 9]
            await asyncio.to_thread(store.add, 1, right="CALL")
            assert seqs(await take(calls, 11)) == [11]
            calls.close()
            everything.close()
        groups.settle()

    asyncio.run(scenario())
