"""P1 and P7 beside DuckDB and ClickHouse: the same rows, filters, orders and answers, in one run.

The latest session of a store is taken from its blocks in memory, written once as Parquet, and loaded into a DuckDB and
a ClickHouse table (MergeTree) ordered by seq. Each filter of ``bench/pages.py`` then runs in each engine, in turn, from
the same compiled condition, and the ids must be the same. Phenix gives whole rows out of its store; the others are
asked for the seqs alone. ``python bench/engines.py [ROWS] [--store FILE]``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from chdb.session import Session
from live import quantile
from pages import CLASSES, ORDERS, made

from phenix import app
from phenix.engine.bundle import Bundle, load_bundle
from phenix.engine.flow import BY_NAME, STORED
from phenix.engine.live.file import blocks_of
from phenix.engine.live.index import LiveIndex
from phenix.engine.live.session import Snapshot
from phenix.engine.live.words import HELD
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest
from phenix.engine.query.summary import fetch_summary
from phenix.engine.targets.clickhouse import SETTINGS as CLICKHOUSE_SETTINGS
from phenix.engine.targets.clickhouse import ClickHouseTarget, column_types, server_parameters
from phenix.engine.targets.sqlite import SqliteTarget

OURS = "Phenix"
TIMES = 30
SORTS = {"seq": "seq", "sigScore": "sig_score"}
COLUMNS = (*HELD, next(field for field in STORED if field.name == "cancelled_seq"))
SUMS = "count(*), sum(value), count(distinct symbol)"


def parquet(snapshot: Snapshot, file: Path) -> int:
    """Write the rows of a session; how many."""
    rows = 0
    writer = None
    for block, count in snapshot.blocks:
        view = block.view(slice(0, count), count)
        columns = {}
        for field in COLUMNS:
            column = view.stored(field.name)
            gone = None if column.known is None else ~column.known
            if column.words is None:
                columns[field.column or field.name] = pa.array(column.values, mask=gone)
            else:
                codes = pa.array(column.values.astype("int32"), mask=gone)
                words = pa.array(list(column.words.words) or [""])
                columns[field.column or field.name] = pa.DictionaryArray.from_arrays(codes, words).cast(pa.string())
        table = pa.table(columns)
        # Narrow numbers differ by block: all of one field are written alike.
        table = table.cast(
            pa.schema([(f.name, pa.int64() if pa.types.is_integer(f.type) else f.type) for f in table.schema])
        )
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
        rows += count
    assert writer is not None
    writer.close()
    return rows


class Duck:
    """DuckDB, in this process."""

    name = "DuckDB"

    def __init__(self, file: Path, folder: Path, bundle: Bundle) -> None:
        self._connection = duckdb.connect(str(folder / "rows.duckdb"))
        self._connection.execute("CREATE TABLE rows AS SELECT * FROM read_parquet(?) ORDER BY seq", [str(file)])
        self._target = SqliteTarget(_column, bundle.bits.__getitem__)
        self._bundle = bundle
        self.version = duckdb.__version__

    def ask(self, what: str, predicate: Predicate, tail: str) -> list[tuple[Any, ...]]:
        """Rows of a statement; the SQL that SQLite is given runs here as it is."""
        lowered = self._target.where(predicate.core)
        sql = f"SELECT {what} FROM rows AS t WHERE {lowered.text} AND {_ALIVE} {tail}"
        return self._connection.execute(sql, list(lowered.bind(self._bundle.params, 0))).fetchall()


class House:
    """ClickHouse, in this process."""

    name = "ClickHouse"

    def __init__(self, file: Path, folder: Path, bundle: Bundle) -> None:
        self._session = Session(str(folder / "clickhouse"))
        held = ", ".join(f"`{name}` {type_}" for name, type_ in column_types(COLUMNS).items())
        self._run("SET " + ", ".join(f"{name} = {value}" for name, value in CLICKHOUSE_SETTINGS.items()))
        self._run(f"CREATE TABLE rows ({held}) ENGINE = MergeTree ORDER BY seq")
        self._run(f"INSERT INTO rows SELECT * FROM file('{file}', Parquet)")
        self._run("OPTIMIZE TABLE rows FINAL")
        self._target = ClickHouseTarget(_column, bundle.bits.__getitem__)
        self._bundle = bundle
        self.version = self._run("SELECT version()")[0][0]

    def ask(self, what: str, predicate: Predicate, tail: str) -> list[tuple[Any, ...]]:
        """Rows of a statement."""
        lowered = self._target.where(predicate.core)
        sql = f"SELECT {what} FROM rows AS t WHERE {lowered.text} AND {_ALIVE} {tail}"
        return self._run(sql, server_parameters(lowered, self._bundle.params, 0))

    def _run(self, sql: str, bound: dict[str, str] | None = None) -> list[tuple[Any, ...]]:
        found = str(self._session.query(sql, "TSV", params=bound or {}))
        return [tuple(line.split("\t")) for line in found.splitlines()]


_ALIVE = "t.cancelled_seq IS NULL AND NOT t.cancel_record"


def _column(name: str) -> str:
    return re.sub(r"\be\.", "t.", BY_NAME[name].sql)


@dataclass(frozen=True)
class Took:
    """What a call took in ms: its 95th percentile, its median, and the processors' median, every thread counted."""

    p95: float
    median: float
    cpu: float


def timed(runs: Mapping[str, Callable[[], Any]]) -> dict[str, tuple[Took, Any]]:
    """What some calls take, warm, and their last answers: in turn, so that what else there is meets them all."""
    answers = {name: run() for name, run in runs.items()}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(TIMES):
        for name, run in runs.items():
            begun, cpu = time.perf_counter(), time.process_time()
            answers[name] = run()
            took[name].append(((time.perf_counter() - begun) * 1000, (time.process_time() - cpu) * 1000))
    found = {}
    for name, pairs in took.items():
        wall, cpus = zip(*pairs, strict=True)
        found[name] = Took(quantile(sorted(wall), 0.95), median(wall), median(cpus)), answers[name]
    return found


def measure(store: Path, folder: Path) -> list[dict[str, Any]]:
    """Every class in each order, and sums, in every engine."""
    bundle, _ = load_bundle()
    assert bundle is not None
    figures: list[dict[str, Any]] = []
    with app.open_reader(f"sqlite:{store}") as reader:
        live = LiveIndex(blocks_of(store))
        live.follow(reader)
        file = folder / "rows.parquet"
        rows = parquet(live.snapshot(), file)
        print(f"{rows:,} rows in {file.stat().st_size / 1e6:,.0f} MB of Parquet; loading", file=sys.stderr)
        others = [Duck(file, folder, bundle), House(file, folder, bundle)]

        def figure(id: str, what: str, took: dict[str, tuple[Took, Any]], **detail: Any) -> None:
            theirs = {name: one for name, (one, _) in took.items() if name != OURS}
            ours, best = took[OURS][0], min(one.median for one in theirs.values())
            figures.append(
                {"id": id, "what": what, "value": round(ours.p95, 2), "unit": "ms",
                 "detail": {**{name: round(one.p95, 2) for name, one in theirs.items()},
                            "median": {name: round(one.median, 2) for name, (one, _) in took.items()},
                            "processors": {name: round(one.cpu, 2) for name, (one, _) in took.items()},
                            "times_faster_than_the_best": round(best / ours.median, 1), **detail}},
            )  # fmt: skip
            shown = ", ".join(f"{name} {one.median:.2f} ({one.cpu:.2f})" for name, (one, _) in took.items())
            print(f"{what:55} median, and of the processors: {shown}", file=sys.stderr)

        versions = {one.name: one.version for one in others}
        for name, where in CLASSES.items():
            parts = (("where", where),) if where else ()
            predicate = compile_predicate(parts, bundle)
            assert isinstance(predicate, Predicate)
            for key, order in ORDERS:
                field = SORTS[key]
                request = FlowRequest(parts, sort=BY_NAME[field], descending=order == "desc")

                def page(request: FlowRequest = request) -> Page:
                    found = fetch_page(reader, request, bundle, live=live)
                    assert isinstance(found, Page)
                    return found

                tail = f"ORDER BY t.{field} {order} NULLS LAST, t.seq {order} LIMIT 50"
                took = timed({OURS: page, **{one.name: partial(one.ask, "t.seq", predicate, tail) for one in others}})
                answer = took[OURS][1]
                for one in others:
                    if [int(seq) for (seq,) in took[one.name][1]] != [row[0] for row in answer.rows]:
                        raise RuntimeError(f"{one.name} gives other rows for {where!r} by {field} {order}")
                figure("P1", f"{name}, by {key} {order}, p95 in the engine", took, rows=rows, plan=answer.plan)
            summed = partial(fetch_summary, reader, FlowRequest(parts), bundle, live=live)
            took = timed({OURS: summed, **{one.name: partial(one.ask, SUMS, predicate, "") for one in others}})
            figure("P7", f"summary of {name}, p95 in the engine", took, theirs_compute=SUMS)
        figures[0]["detail"]["versions"] = versions
    return figures


def main() -> None:
    """Measure a store, made first unless it is named."""
    command = argparse.ArgumentParser(description="The same filters in Phenix, DuckDB and ClickHouse.")
    command.add_argument("rows", nargs="?", type=int, default=1_000_000)
    command.add_argument("--store", type=Path, help="a store that is there")
    args = command.parse_args()
    with tempfile.TemporaryDirectory(prefix="phenix-bench-") as name:
        store = args.store or made(args.rows, Path(name))
        print(json.dumps(measure(store, Path(name))))


if __name__ == "__main__":
    main()
