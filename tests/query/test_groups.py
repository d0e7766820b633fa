"""Watches matched together mean what each means alone."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from phenix.engine.flow import INDEX
from phenix.engine.groups import Groups
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.store.sqlite import open_reader
from phenix.engine.watch import Batch, Kind, Watch, read_batch
from tests.dsl.test_many import TEXTS
from tests.server.rows import Store

OWN = ("", "right = call", "cancelled", "not cancelled", "cancel_record", "cancelled or cancel_record", "size < 0",
       "not cancelled and size >= 10", "cancelled and right = put or value >= 100k")  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("groups") / "flow.sqlite")
    yield made
    made.close()


@pytest.fixture(scope="module")
def watches(store: Store) -> list[Watch]:
    found = []
    for text in (*OWN, *TEXTS):
        predicate = compile_predicate((("where", text),) if text else (), store.bundle)
        assert isinstance(predicate, Predicate), text
        found += [Watch(predicate, with_cancelled) for with_cancelled in (False, True)]
    return found


def batches(store: Store, rng: random.Random, *, live: bool) -> Iterator[Batch]:
    """Random commits with many cancels, read as they land or all afterwards."""
    reader = open_reader(store.path)
    after = reader.watermark()
    alive: list[list[object]] = []
    for _ in range(25):
        if alive and rng.random() < 0.5:
            store.cancel(alive.pop(rng.randrange(len(alive))))
        else:
            alive += store.add(rng.choice((1, 2, 30)))
        if live:
            yield (batch := read_batch(reader, after))
            after = batch.upto
    while (batch := read_batch(reader, after, limit=rng.choice((1, 7, 1000)))).steps:
        yield batch
        after = batch.upto
    reader.close()


@pytest.mark.parametrize("live", [True, False])
def test_grouped_and_alone_agree(store: Store, watches: list[Watch], live: bool) -> None:
    rng = random.Random(f"groups {live}")
    groups = Groups(least=1)
    joined: list[Watch] = []
    kinds: set[tuple[Kind, bool]] = set()
    for batch in batches(store, rng, live=live):
        for _ in range(rng.randrange(9)):  # they come and go all the time
            if joined and rng.random() < 0.3:
                groups.leave(joined.pop(rng.randrange(len(joined))))
            else:
                joined.append(rng.choice(watches))
                groups.join(joined[-1])
        if rng.random() < 0.7:
            groups.settle()
            laid_out = {watch.key for watch in joined}
        else:
            laid_out = set()
        groups.match(batch)
        assert laid_out <= batch.matched.keys()
        for watch in watches:
            alone = tuple(event for step in batch.steps if (event := watch.event(step)))
            assert batch.events(watch) == alone, watch.predicate.text
            kinds |= {(event.kind, event.record is None) for event in alone}
    assert kinds == {(Kind.UPDATED, True), (Kind.UPDATED, False), (Kind.RETRACTED, True), (Kind.RETRACTED, False)}
    groups.settle()


def test_equal_watches_are_one_until_the_last_leaves(store: Store, watches: list[Watch]) -> None:
    groups = Groups(least=1)
    one, other = watches[2], watches[8]
    for watch in (one, one, other):
        groups.join(watch)
    groups.leave(one)
    groups.settle()
    (row,) = store.add(1)
    reader = open_reader(store.path)

    def matched() -> set[object]:
        groups.match(batch := read_batch(reader, row[INDEX["seq"]] - 1))
        return set(batch.matched)

    assert matched() == {one.key, other.key}
    groups.leave(one)
    groups.settle()
    assert matched() == {other.key}
    groups.leave(other)
    groups.settle()
    assert matched() == set()
    reader.close()


def test_a_few_are_matched_alone(store: Store, watches: list[Watch]) -> None:
    groups = Groups(least=3)
    for watch in watches[:2]:
        groups.join(watch)
    groups.settle()
    (row,) = store.add(1)
    reader = open_reader(store.path)
    groups.match(batch := read_batch(reader, row[INDEX["seq"]] - 1))
    reader.close()
    assert batch.matched == {}


def test_who_comes_back_finds_its_place(store: Store, watches: list[Watch]) -> None:
    """Leaving and coming back, as clients that are cut do, lays nothing out again."""
    groups = Groups(least=1)
    for watch in watches[:6]:
        groups.join(watch)
    groups.settle()
    (row,) = store.add(1)
    reader = open_reader(store.path)
    batch = read_batch(reader, row[INDEX["seq"]] - 1)
    laid_out = groups._groups
    groups.leave(watches[0])
    groups.match(batch)
    groups.join(watches[0])
    groups.settle()
    assert groups._groups is laid_out
    assert watches[0].key in batch.matched
    reader.close()
