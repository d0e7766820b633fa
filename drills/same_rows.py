"""Same rows: one filter gives one list of ids, whoever answers it and however it is paged, while rows come in.

Random filters, sorted at random both ways, over the latest session, the one before it or both, are walked in pages of
random lengths over REST and over gRPC from a real ``phenix serve``, while another process's worth of rows is stored
batch by batch. Each walk is then held, as of the seq it began with, against the sessions in memory, SQLite alone, the
row function, and the reference interpreter.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx

from drills._processes import Phenix
from drills._tapes import generated_tape
from phenix import app
from phenix.client import Client
from phenix.engine.bundle import Bundle
from phenix.engine.certify.engines import ReferenceEngine
from phenix.engine.certify.rules import RandomRules
from phenix.engine.encode import row_id
from phenix.engine.flow import FIELDS, INDEX, Row
from phenix.engine.live.index import LiveIndex
from phenix.engine.live.search import can_sort
from phenix.engine.query.page import compile_filter, search_of
from phenix.engine.query.plan import Scope, page_statement, sees_cancelled
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.store.base import Batch, Reader
from phenix.ingest.reading import read_parts

__all__ = ["Difference", "drill", "main", "random_filter"]

DATE: Final = 20261120
BEFORE: Final = 20261119
SORTS: Final = [f for f in FIELDS if f.json and f.filterable and can_sort(f)]
_SEQ, _TS, _ID = (INDEX[name] for name in ("seq", "trade_ts_utc", "trade_id"))
_RECORD, _CANCELLED = INDEX["cancel_record"], INDEX["cancelled_seq"]
_SESSION, _INGESTED = INDEX["session_date"], INDEX["ingested_at_utc"]
_READY_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class _Days:
    """Sessions that are asked for: how, what of the request's parts says so, and what a page is taken from."""

    parameters: dict[str, str]
    sessions: int
    parts: tuple[tuple[str, str], ...]
    dates: frozenset[int]

    def scope(self, as_of: int) -> Scope:
        """What a page is taken from."""
        if not self.sessions:
            return Scope(as_of)
        return Scope(as_of, session=DATE) if self.sessions == 1 else Scope(as_of, since=BEFORE)


_DAYS: Final = (
    _Days({"sessions": "1"}, 1, (), frozenset({DATE})),
    _Days({"sessions": "2"}, 2, (), frozenset({DATE, BEFORE})),
    _Days({"date": "2026-11-19"}, 0, (("date", "session_date = 2026-11-19"),), frozenset({BEFORE})),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A filter for which somebody gave other ids."""

    where: str
    order: str
    who: str
    found: int
    expected: int

    def __str__(self) -> str:
        return f"{self.who} gave {self.found} ids, not these {self.expected}: {self.where!r} by {self.order}"


class _Asked:
    """A random filter, its order, and what the answer is to be."""

    def __init__(self, rng: random.Random, rules: RandomRules, bundle: Bundle) -> None:
        field, self.days = rng.choice(SORTS), rng.choice(_DAYS)
        while True:
            text = random_filter(rng, rules, bundle)
            parts = (("where", text), *self.days.parts)
            request = FlowRequest(parts, self.days.sessions, sort=field, descending=rng.random() < 0.5)
            predicate = compile_filter(request.parts, bundle)
            if not isinstance(predicate, Refusal):
                break
        self.text, self.predicate = text, predicate
        self.request = replace(request, include_cancelled=rng.random() < 0.2)
        self.order = f"{field.json} {'desc' if request.descending else 'asc'}"
        self.name = f"{self.order} of {', '.join(map(str, sorted(self.days.dates)))}"
        self.cancelled = sees_cancelled(self.request, predicate)


def random_filter(rng: random.Random, rules: RandomRules, bundle: Bundle) -> str:
    """A random expression, a chip or two, a likely comparison, or several of them."""
    chip = f"@{rng.choice(bundle.chips).id}"
    likely = rng.choice(("value >= 50k", "dte <= 7", "right = call", "symbol in {SPY, QQQ, NVDA}", "side = ASK"))
    parts = rng.sample([f"({rules.rule()})", chip, f"not {chip}", likely], rng.choice((1, 1, 2, 3)))
    return " and ".join(parts)


class _Rows:
    """Every stored row as it is now."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._by_seq: dict[int, Row] = {}
        self._upto = 0

    def upto(self, as_of: int) -> list[Row]:
        """Those up to a seq."""
        last = self._reader.watermark()
        fresh = [*self._reader.rows_after(self._upto, 10_000_000), *self._reader.cancelled_between(self._upto, last)]
        self._by_seq |= {row[_SEQ]: row for row in fresh}
        self._upto = last
        return [row for seq, row in self._by_seq.items() if seq <= as_of]


def compare(
    asked: _Asked, rows: _Rows, reader: Reader, live: LiveIndex, bundle: Bundle, as_of: int, *, slowly: bool
) -> list[list[str]]:
    """Ids by SQLite alone, by the sessions in memory, by the row function and, ``slowly``, by the reference."""
    request = replace(asked.request, limit=1_000_000)
    scope = asked.days.scope(as_of)
    statement = page_statement(request, asked.predicate, scope, None)
    by_sql = reader.execute(statement.sql, statement.params)
    while (search := search_of(live, reader, request, asked.predicate, scope, None)) is None:
        live.follow(reader)
        live.sealed.build(reader)
    if request.sort.name == "seq":
        spots = search.by_seq(request.limit, descending=request.descending)
    else:
        spots = search.by_field(request.sort, request.limit, descending=request.descending)
    there = [row for row in rows.upto(as_of) if row[_SESSION] in asked.days.dates]
    shown = [row for row in there if asked.cancelled or not _taken_back(row, as_of)]
    found = [
        [_id(row) for row in by_sql],
        [_id(row) for row in reader.rows_at([spot.seq for spot in spots])],
        _in_order([row for row in shown if asked.predicate.matches(row, as_of)], request, as_of),
    ]
    if slowly:
        reference = ReferenceEngine()
        reference.load(shown, as_of, bundle)
        (matches,) = reference.matches([asked.predicate.core])
        found.append(_in_order([row for row, is_in in zip(shown, matches, strict=True) if is_in], request, as_of))
    return found


def _taken_back(row: Row, as_of: int) -> bool:
    return bool(row[_RECORD]) or (row[_CANCELLED] is not None and row[_CANCELLED] <= as_of)


def _id(row: Row) -> str:
    return row_id(row[_TS], row[_ID])


def _in_order(rows: Sequence[Row], request: FlowRequest, as_of: int) -> list[str]:
    """Ids in the order of the specification: unknown last, ties by seq in the sort's direction."""
    name = request.sort.name
    known: list[tuple[Any, int, Row]] = []
    unknown: list[tuple[Any, int, Row]] = []
    for row in rows:
        key = _taken_back(row, as_of) and not row[_RECORD] if name == "cancelled" else row[INDEX[name]]
        (unknown if key is None else known).append((key, row[_SEQ], row))
    known.sort(key=lambda item: item[:2], reverse=request.descending)
    unknown.sort(key=lambda item: item[1], reverse=request.descending)
    return [_id(row) for _, _, row in known + unknown]


async def _until_in_memory(http: httpx.AsyncClient) -> None:
    """Wait until the session before the latest is answered from its blocks, which its first request only asks for."""
    async with asyncio.timeout(_READY_S):
        while True:
            answer = await http.get("/api/flow", params={"date": "2026-11-19", "limit": 1})
            if answer.raise_for_status().json()["meta"]["plan"].startswith("memory"):
                return
            await asyncio.sleep(0.05)


async def _over_rest(
    http: httpx.AsyncClient, asked: _Asked, rng: random.Random, plans: Counter[str]
) -> tuple[list[str], int]:
    field, _, order = asked.order.partition(" ")
    query = {"where": asked.text, **asked.days.parameters, "sortBy": field, "sortOrder": order, "fields": "id",
             "includeCancelled": str(int(asked.request.include_cancelled))}  # fmt: skip
    ids: list[str] = []
    cursor, as_of = "", 0
    while True:
        answer = await http.get(
            "/api/flow", params={**query, "limit": _length(rng), **({"cursor": cursor} if cursor else {})}
        )
        body = answer.raise_for_status().json()
        as_of = as_of or body["meta"]["asOfSeq"]
        ids += [row["id"] for row in body["data"]]
        plans[body["meta"]["plan"].split(",")[0]] += 1
        cursor = body["page"]["nextCursor"]
        if not cursor:
            return ids, as_of


async def _over_grpc(client: Client, asked: _Asked, rng: random.Random) -> tuple[list[str], int]:
    ids: list[str] = []
    token, as_of = "", 0
    while True:
        page = await client.query(
            asked.text, parameters=asked.days.parameters, include_cancelled=asked.request.include_cancelled,
            order_by=asked.order, page_size=_length(rng), page_token=token,
        )  # fmt: skip
        as_of = as_of or page.meta.as_of_seq
        ids += [row.id for row in page.rows]
        token = page.next_page_token
        if not token:
            return ids, as_of


def _length(rng: random.Random) -> int:
    return rng.choice((7, 100, 1_000, 1_000))


async def drill(folder: Path, filters: int, prints: int, seed: int) -> list[Difference]:
    """Store, serve, ask and compare."""
    rng = random.Random(seed)
    before = generated_tape(folder / "before", seed=seed + 1, symbols=20, prints=max(500, prints // 4), date=BEFORE)
    tape = generated_tape(folder, seed=seed, symbols=20, prints=prints, date=DATE)
    store = folder / "flow.sqlite"
    stop = threading.Event()
    different: list[Difference] = []
    with app.open_writer(f"sqlite:{store}") as writer:
        recorder = app.recorder(writer)
        earlier, rows = ([row for part in read_parts(one.sources) for row in part.rows] for one in (before, tape))
        recorder.record(Batch(rows=earlier))
        recorder.record(Batch(rows=rows[: len(rows) * 3 // 4]))
        rest = rows[len(rows) * 3 // 4 :]
        asked = threading.Semaphore(0)
        storing = threading.Thread(target=_store_the_rest, args=(recorder, rest, -(-len(rest) // filters), asked, stop))
        async with Phenix("serve", "--store", f"sqlite:{store}", "--port", "0", "--grpc-port", "0",
                          environ={"PHENIX_RATE_LIMIT": "0"}) as serve:  # fmt: skip
            said = await serve.heard("ready at")
            http_at, grpc_at = (part.rpartition(":")[2].strip() for part in said.split("/ and gRPC"))
            storing.start()
            try:
                async with (
                    httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_at}", timeout=60) as http,
                    Client(f"127.0.0.1:{grpc_at}") as client,
                ):
                    different = await _ask_all(store, http, client, filters, rng, asked)
            finally:
                stop.set()
                asked.release()
                storing.join()
    return different


def _store_the_rest(
    recorder: Any, rows: Sequence[Row], count: int, asked: threading.Semaphore, stop: threading.Event
) -> None:
    """So many rows for each filter that is asked, until there are none or it is told to stop."""
    for start in range(0, len(rows), count):
        asked.acquire()
        if stop.is_set():
            return
        # As of now: a print that came long ago and waits for enrichment is shown as it was received.
        now = time.time_ns() // 1_000_000
        some = [(*row[:_INGESTED], now, *row[_INGESTED + 1 :]) for row in rows[start : start + count]]
        recorder.record(Batch(rows=some))


async def _ask_all(
    store: Path,
    http: httpx.AsyncClient,
    client: Client,
    filters: int,
    rng: random.Random,
    next_one: threading.Semaphore,
) -> list[Difference]:
    different: list[Difference] = []
    began, ids, as_ofs = time.monotonic(), 0, set()
    live = LiveIndex(room=rng.choice((256, 1_024, 4_096)), sealed=1)
    with app.open_reader(f"sqlite:{store}") as reader:
        bundle = app.packaged_bundle()  # what a fresh store's rows are tagged with
        rules, rows, plans = RandomRules(rng, bundle.scope), _Rows(reader), Counter[str]()
        await _until_in_memory(http)
        for number in range(filters):
            asked = _Asked(rng, rules, bundle)
            next_one.release()  # its rows come while it is walked
            walks = {"REST": await _over_rest(http, asked, rng, plans), "gRPC": await _over_grpc(client, asked, rng)}
            await asyncio.to_thread(live.follow, reader)
            for who, (walked, as_of) in walks.items():
                slowly = who == "REST" and number % 20 == 0
                told = await asyncio.to_thread(compare, asked, rows, reader, live, bundle, as_of, slowly=slowly)
                expected = told[2]
                by = [(who, walked), *zip(("SQLite", "memory", "row", "reference"), told, strict=False)]
                different += [
                    Difference(asked.text, asked.name, name, len(found), len(expected))
                    for name, found in by
                    if found != expected
                ]
                ids += len(walked)
                as_ofs.add(as_of)
            if number % 50 == 49:
                rate = (number + 1) / (time.monotonic() - began)
                print(f"{number + 1} of {filters} filters, {rate:.1f} a second", file=sys.stderr)
    print(f"{filters:,} filters, walked over REST and gRPC: {ids:,} ids, as of {len(as_ofs):,} seqs, "
          f"pages of REST by where they were found {dict(plans)}, "
          f"{len(different)} differences, {time.monotonic() - began:.0f} s")  # fmt: skip
    for one in different[:20]:
        print(one)
    return different


def main(arguments: list[str]) -> int:
    """Compare; exit 1 when anybody gave other ids."""
    command = argparse.ArgumentParser(prog="python -m drills same_rows", description=__doc__)
    command.add_argument("--filters", type=int, default=2_000)
    command.add_argument("--prints", type=int, default=20_000)
    command.add_argument("--seed", type=int, default=1)
    args = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="phenix-same-") as folder:
        return 1 if asyncio.run(drill(Path(folder), args.filters, args.prints, args.seed)) else 0
