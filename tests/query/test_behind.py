"""Pages while enrichment is behind: waiting prints as received, in one walk with the enriched rows before them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phenix.dsl import core as c
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.conditions import condition
from phenix.engine.flow import BY_NAME, FIELDS, INDEX, RAW, STORED, Field, Part
from phenix.engine.live.index import LiveIndex
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal, Total
from phenix.engine.store.base import Batch, Reader
from phenix.engine.store.sqlite import open_reader
from phenix.engine.targets.reference import evaluate
from tests.server.rows import Store, made

SEQ, SET, KNOWN, CONDITION = (INDEX[name] for name in ("seq", "chips_set", "chips_known", "condition"))
ENRICHED_ROWS, WAITING_ROWS = 120, 80

FILTERS = (
    "", "right = call", "@calls", "not @calls", "@whales", "not @whales", "@whales is unknown", "not (@whales is true)",
    "@calls or @whales", "@puts and @whales", "@calls is unknown", "value >= 10k", "not (value >= 10k)",
    "value is null", "value is not null", "oi > 5", "oi is null", "(dte ?? 3) = 3", "(oi ?? 0) = 0",
    "abs(otm_pct) <= 1%",
    "size >= 250 and @puts", "symbol in {SPY, QQQ} and not (side = ask)", "strike - spot > $1", "value / 2 > 10k",
    "side in {ask, aa}", "max(dte, 1) = 1", "time_et >= 09:30:02 ET", "@large_size or dte <= 1", "cancelled",
    "not cancelled", "root like \"S*\" or opening",
)  # fmt: skip
SORTS = ("seq", "size", "value", "oi", "sig_score", "symbol", "otm_pct", "trade_ts_utc", "dte", "spot", "time_et")


def test_what_is_decided_of_a_received_print_comes_from_the_catalog(bundle: Bundle) -> None:
    from phenix.engine.unenriched import RECEIVED, Unenriched

    assert {f.name for f in FIELDS if f.part is Part.RAW} | {"time_et"} == RECEIVED
    decided = [bit for bit, core in Unenriched.of_bundle(bundle).chips
               if c.Const(BY_NAME["adjusted"].type.kind, None) not in c.walk(core)]  # fmt: skip
    assert [chip.id for chip in bundle.chips if chip.bit in decided] == [
        chip.id for chip in bundle.chips if _reads(chip.id, bundle) <= RECEIVED
    ]
    assert {"calls", "puts"} <= {chip.id for chip in bundle.chips if chip.bit in decided}


def _reads(chip: str, bundle: Bundle) -> frozenset[str]:
    """Fields a chip reads, itself and through others."""
    (core,) = [one.core for one in bundle.chips if one.id == chip]
    below = [_reads(x.id, bundle) for x in c.walk(core) if isinstance(x, c.Chip)]
    return c.reads(core).union(*below)


@pytest.fixture
def bundle(store: Store) -> Bundle:
    return store.bundle


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Enriched rows, then waiting ones, cancel records and compressions among both."""
    made_up = Store(tmp_path / "flow.sqlite")
    rows = made_up.add(ENRICHED_ROWS)
    for row in rows[5::40]:
        made_up.cancel(row)
    yield made_up
    made_up.close()


class Late:
    """Prints that are stored and wait for enrichment."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.rows = [made(1_000 + n) for n in range(WAITING_ROWS)]
        for n, row in enumerate(self.rows):
            row[CONDITION] = 40 if n % 17 == 3 else 147 if n % 19 == 4 else row[CONDITION]
            row[INDEX["cancel_record"]] = int(condition(row[CONDITION]).cancel)
            row[INDEX["compression"]] = int(condition(row[CONDITION]).compression)
        appended = store.writer.append(Batch(rows=[row[: len(RAW)] for row in self.rows])).rows
        self.rows = [[*raw, *row[len(RAW) :]] for raw, row in zip(appended, self.rows, strict=True)]
        store.bundle.tag(self.rows)
        self.position = 0

    def enrich(self, count: int) -> None:
        """The next of them are enriched after all."""
        rows = self.rows[self.position : self.position + count]
        self.position += len(rows)
        self.store.writer.append_enriched([(*row[:2], *row[len(RAW) :]) for row in rows], [])

    def received(self) -> list[tuple[Any, ...]]:
        """Each as it is to be given, chips by the definition."""
        found = []
        for row in self.rows:
            one = [*row[: len(RAW)], *[None] * (len(STORED) - len(RAW))]
            one[SET] = one[KNOWN] = 0
            chips = {chip.id: _chip(chip.id, one, self.store.bundle) for chip in self.store.bundle.chips}
            for chip in self.store.bundle.chips:
                one[KNOWN] |= (chips[chip.id] is not None) << chip.bit
                one[SET] |= bool(chips[chip.id]) << chip.bit
            found.append(tuple(one))
        return found


def _value(name: str, row: Any, as_of: int) -> Any:
    """A field of a row; unknown where the row is not enriched and it takes that."""
    field = BY_NAME[name]
    if name == "cancelled":
        return None if row[INDEX["enriched_at_utc"]] is None else bool(row[INDEX["cancelled_seq"]] or 0)
    if name == "time_et":
        return row[INDEX["trade_ts_et"]] % 86_400_000
    return row[INDEX[field.name]]


def _chip(chip: str, row: Any, bundle: Bundle) -> bool | None:
    kind = condition(row[CONDITION])
    if kind.cancel or kind.compression:
        return False
    if any(BY_NAME[name].part is not Part.RAW and name != "time_et" for name in _reads(chip, bundle)):
        return None
    (core,) = [one.core for one in bundle.chips if one.id == chip]
    answer = evaluate(core, lambda name: _value(name, row, 0), bundle.params, lambda one: _chip(one, row, bundle))
    return None if answer is None else bool(answer)


def _matches(predicate: Predicate, row: Any, as_of: int) -> bool:
    bits, params = predicate.bundle.bits, predicate.bundle.params

    def chip(name: str) -> bool | None:
        mask = 1 << bits[name]
        return bool(row[SET] & mask) if row[KNOWN] & mask else None

    return evaluate(predicate.checked, lambda name: _value(name, row, as_of), params, chip) in (True, 1)


def expected(store: Store, late: Late, where: str, sort: Field, descending: bool, *, all_rows: bool) -> list[int]:
    """Seqs by the definition."""
    predicate = compile_predicate((("where", where),) if where else (), store.bundle)
    assert isinstance(predicate, Predicate)
    reader = store.writer.reads
    upto = late.rows[0][SEQ] - 1
    stored = [row for row in reader.rows_after(0, 10_000) if row[SEQ] <= upto]
    shown = all_rows or bool({"cancelled", "cancel_record"} & predicate.reads)
    rows = [
        row for row in [*stored, *late.received()]
        if _matches(predicate, row, upto)
        and (shown or not (condition(row[CONDITION]).cancel or row[INDEX["cancelled_seq"]]))
    ]  # fmt: skip
    keyed = sorted(((row[SEQ], _value(sort.name, row, upto)) for row in rows), reverse=descending)
    known = sorted((one for one in keyed if one[1] is not None), key=lambda one: one[1], reverse=descending)
    return [seq for seq, _ in known + [one for one in keyed if one[1] is None]]


def walk(
    reader: Reader, store: Store, request: FlowRequest, live: LiveIndex | None, late: Late | None, rng: random.Random
) -> tuple[list[Any], Page]:
    """Every row of a walk; waiting prints are enriched between pages, and after the first page nothing is behind."""
    rows: list[Any] = []
    cursor, first = "", None
    while True:
        page = fetch_page(reader, FlowRequest(
            request.parts, 0, request.sort, request.descending, request.limit, cursor, request.total,
            request.include_cancelled,
        ), store.bundle, live=live, behind=not cursor)  # fmt: skip
        assert isinstance(page, Page), page
        first = first or page
        assert (page.as_of, page.waiting) == (first.as_of, True)
        rows += page.rows
        if page.next_cursor is None:
            return rows, first
        cursor = page.next_cursor
        if late is not None:
            late.enrich(rng.randrange(12))


def test_every_filter_and_order_gives_the_rows_of_the_definition(store: Store) -> None:
    late = Late(store)
    received = {row[SEQ]: row for row in late.received()}
    live = LiveIndex()
    rng = random.Random(7)
    with open_reader(store.path) as reader:
        for where in FILTERS:
            for sort in rng.sample(SORTS, 4):
                descending, all_rows = rng.random() < 0.5, rng.random() < 0.3
                request = FlowRequest(
                    (("where", where),) if where else (), 0, BY_NAME[sort], descending, rng.choice((3, 11, 50)),
                    total=Total.EXACT, include_cancelled=all_rows,
                )  # fmt: skip
                told = (where, sort, descending, all_rows)
                found, first = walk(reader, store, request, live if rng.random() < 0.5 else None, None, rng)
                wanted = expected(store, late, where, BY_NAME[sort], descending, all_rows=all_rows)
                assert [row[SEQ] for row in found] == wanted, told
                assert first.total == len(wanted), told
                assert all(tuple(row) == received[row[SEQ]] for row in found if row[SEQ] in received), told


@pytest.mark.parametrize("sort", ["seq", "value", "size", "sig_score"])
@pytest.mark.parametrize("descending", [True, False])
def test_a_walk_goes_on_as_it_began_while_prints_are_enriched(store: Store, sort: str, descending: bool) -> None:
    late = Late(store)
    received = {row[SEQ]: row for row in late.received()}
    wanted = expected(store, late, "", BY_NAME[sort], descending, all_rows=False)
    request = FlowRequest((), 0, BY_NAME[sort], descending, 7)
    with open_reader(store.path) as reader:
        live = LiveIndex()
        found, _ = walk(reader, store, request, live, late, random.Random(sort))
        assert late.position > 0
        assert [row[SEQ] for row in found] == wanted
        assert all(tuple(row) == received[row[SEQ]] for row in found if row[SEQ] in received)
        # A walk that begins now has them enriched, and one that began healthy never sees a waiting one.
        late.enrich(WAITING_ROWS)
        page = fetch_page(reader, FlowRequest(limit=5), store.bundle, live=live)
        assert isinstance(page, Page)
        assert not page.waiting
        assert all(row[INDEX["value"]] is not None for row in page.rows)


def test_a_walk_that_began_healthy_stays_so(store: Store) -> None:
    with open_reader(store.path) as reader:
        first = fetch_page(reader, FlowRequest(limit=100), store.bundle)
        assert isinstance(first, Page)
        Late(store)
        second = fetch_page(reader, FlowRequest(limit=100, cursor=first.next_cursor or ""), store.bundle, behind=True)
        assert isinstance(second, Page)
        assert (second.waiting, second.as_of, second.has_more) == (False, first.as_of, False)
        seqs = [row[SEQ] for row in (*first.rows, *second.rows)]
        assert seqs == sorted(set(seqs), reverse=True)
        assert max(seqs) <= first.as_of


def test_a_cursor_of_waiting_prints_is_no_cursor_of_another_walk(store: Store) -> None:
    from phenix.engine.query.export import begin_export

    Late(store)
    with open_reader(store.path) as reader:
        page = fetch_page(reader, FlowRequest(limit=5, descending=False), store.bundle, behind=True)
        assert isinstance(page, Page)
        assert page.next_cursor
        refused = begin_export(reader, FlowRequest(cursor=page.next_cursor, descending=False), store.bundle)
        assert isinstance(refused, Refusal)
        assert refused.code == "cursor_mismatch"
