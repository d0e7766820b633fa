"""The engines of a proof: each target run on real rows, behind one protocol.

The reference interpreter reads rows by its own words, so that an error in the product's accessors
shows. SQLite answers from a store with the real schema, ClickHouse from a table in this process.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from phenix.dsl import core as c
from phenix.dsl.types import Value
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX, RAW, STORED, Row
from phenix.engine.store.base import Batch
from phenix.engine.store.schema import FROM_ROWS
from phenix.engine.store.sqlite import open_writer
from phenix.engine.targets.clickhouse import SETTINGS, ClickHouseTarget, column_types, server_parameters
from phenix.engine.targets.columns import compile_conditions, compile_filter, compile_value
from phenix.engine.targets.reference import evaluate
from phenix.engine.targets.row import Names, false_rail, true_rail, value
from phenix.engine.targets.sql import Lowered, SqlTarget
from phenix.engine.targets.sqlite import SqliteTarget

__all__ = [
    "DERIVED",
    "TARGETS",
    "Answers",
    "ClickHouseEngine",
    "ColumnsEngine",
    "Engine",
    "ReferenceEngine",
    "RowEngine",
    "SqliteEngine",
    "lacking",
    "open_engines",
]

Answers = list[list[bool | None]]
"""Per condition, per row in seq order; None is unknown."""

DERIVED: Final[Mapping[str, Callable[[Row, int], Any]]] = {
    "time_et": lambda row, _: row[INDEX["trade_ts_et"]] % 86_400_000,
    "cancelled": lambda row, as_of: row[INDEX["cancelled_seq"]] is not None and row[INDEX["cancelled_seq"]] <= as_of,
}
"""Fields that are not stored, as the definition has them."""


class Engine(Protocol):
    """One target. ``load`` gives it rows, read as of a seq; the others may then be asked any number of times."""

    name: str
    version: str

    def load(self, rows: Sequence[Row], as_of: int, bundle: Bundle) -> None:
        """Take rows, in any order; their seqs are 1, 2, …"""
        ...

    def answers(self, cores: Sequence[c.Core]) -> Answers:
        """Three-valued answers of conditions."""
        ...

    def matches(self, cores: Sequence[c.Core]) -> list[list[bool]]:
        """Which rows a filter of each condition keeps: those on which it is true."""
        ...

    def values(self, cores: Sequence[c.Core]) -> list[list[Value]]:
        """Values of trees that are no conditions."""
        ...

    def close(self) -> None:
        """Let go of what it holds; closing twice is fine."""
        ...


def _by_seq(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row[INDEX["seq"]])


def _truth(answer: Any) -> bool | None:
    return None if answer is None else bool(answer)


class ReferenceEngine:
    """The reference interpreter."""

    name = "reference"

    def __init__(self) -> None:
        from phenix import __version__

        self.version = __version__

    def load(self, rows: Sequence[Row], as_of: int, bundle: Bundle) -> None:
        """Take rows."""
        self._rows, self._as_of, self._bundle = _by_seq(rows), as_of, bundle

    def values(self, cores: Sequence[c.Core]) -> list[list[Value]]:
        """Values, row by row."""
        return [[self._value(core, row) for row in self._rows] for core in cores]

    def answers(self, cores: Sequence[c.Core]) -> Answers:
        """Answers, row by row."""
        return [[_truth(answer) for answer in per_row] for per_row in self.values(cores)]

    def matches(self, cores: Sequence[c.Core]) -> list[list[bool]]:
        """Where the answer is true."""
        return [[answer is True for answer in per_row] for per_row in self.answers(cores)]

    def close(self) -> None:
        """Nothing is held."""

    def _value(self, core: c.Core, row: Row) -> Value:
        def field(name: str) -> Value:
            derived = DERIVED.get(name)
            found: Value = derived(row, self._as_of) if derived else row[INDEX[name]]
            return found

        def chip(name: str) -> Value:
            bit = 1 << self._bundle.bits[name]
            return bool(row[INDEX["chips_set"]] & bit) if row[INDEX["chips_known"]] & bit else None

        return evaluate(core, field, self._bundle.params, chip)


class RowEngine:
    """The generated Python function of each condition."""

    name = "row"

    def __init__(self) -> None:
        self.version = f"Python {platform.python_version()}"

    def load(self, rows: Sequence[Row], as_of: int, bundle: Bundle) -> None:
        """Take rows."""
        self._rows, self._as_of, self._bundle = _by_seq(rows), as_of, bundle

    def answers(self, cores: Sequence[c.Core]) -> Answers:
        """True where the one rail holds, false where the other does; both at once is no answer at all."""
        return [
            [
                None if not on and not off else bool(on) if bool(on) is not bool(off) else _contradiction(core)
                for on, off in self._run(core, lambda names, x: f"({true_rail(x, names)}, {false_rail(x, names)})")
            ]
            for core in cores
        ]

    def matches(self, cores: Sequence[c.Core]) -> list[list[bool]]:
        """Where the true rail holds."""
        return [[bool(on) for on in self._run(core, lambda names, x: true_rail(x, names))] for core in cores]

    def values(self, cores: Sequence[c.Core]) -> list[list[Value]]:
        """Values, row by row."""
        return [self._run(core, lambda names, x: value(x, names)) for core in cores]

    def close(self) -> None:
        """Nothing is held."""

    def _run(self, core: c.Core, spell: Callable[[Names, c.Core], str]) -> list[Any]:
        on, known = f"row[{INDEX['chips_set']}]", f"row[{INDEX['chips_known']}]"
        bits = self._bundle.bits
        names = Names(
            field=lambda name: BY_NAME[name].source,
            chip_true=lambda chip: f"({on} & {1 << bits[chip]})",
            chip_false=lambda chip: f"({known} & ~{on} & {1 << bits[chip]})",
            params=self._bundle.params,
        )
        source = f"lambda row, as_of: {spell(names, core)}"
        # Generated from a checked tree: names of the catalog, literals as constants.
        function = eval(compile(source, "<proof>", "eval"), names.constants)  # noqa: S307
        return [function(row, self._as_of) for row in self._rows]


def _contradiction(core: c.Core) -> bool:
    raise AssertionError(f"both true and false: {core!r}")


class ColumnsEngine:
    """NumPy columns, several conditions as one generated function."""

    name = "columns"

    def __init__(self) -> None:
        self.version = f"NumPy {importlib.metadata.version('numpy')}"

    def load(self, rows: Sequence[Row], as_of: int, bundle: Bundle) -> None:
        """Take rows as a block, in the order they come."""
        self._seqs = [row[INDEX["seq"]] for row in rows]
        # A block reads its rows when it is asked: it has a list of its own.
        self._block, self._as_of, self._bundle = Block.of_rows(list(rows)), as_of, bundle

    def answers(self, cores: Sequence[c.Core]) -> Answers:
        """From the masks of true and false; both at once is no answer at all."""
        run = compile_conditions(cores, self._bundle.params, self._bundle.bits)
        out: Answers = []
        for core, (true, false) in zip(cores, run(self._block, self._as_of), strict=True):
            if (true & false).any():
                _contradiction(core)
            pairs = zip(true.tolist(), false.tolist(), strict=True)
            out.append(self._ordered([True if on else False if off else None for on, off in pairs]))
        return out

    def matches(self, cores: Sequence[c.Core]) -> list[list[bool]]:
        """By the filter of each."""
        filters = [compile_filter(core, self._bundle.params, self._bundle.bits) for core in cores]
        return [self._ordered(run(self._block, self._as_of).tolist()) for run in filters]

    def values(self, cores: Sequence[c.Core]) -> list[list[Value]]:
        """Values, where they are known."""
        out = []
        for core in cores:
            found, known = compile_value(core, self._bundle.params, self._bundle.bits)(self._block, self._as_of)
            mask = [True] * len(self._seqs) if known is None else known.tolist()
            out.append(self._ordered([x if held else None for x, held in zip(found.tolist(), mask, strict=True)]))
        return out

    def close(self) -> None:
        """Nothing is held."""

    def _ordered(self, per_row: list[Any]) -> list[Any]:
        return [x for _, x in sorted(zip(self._seqs, per_row, strict=True), key=lambda pair: pair[0])]


class SqliteEngine:
    """A store of the real schema in a temporary file, asked by WHERE clauses and by expressions."""

    name = "sqlite"

    def __init__(self, target: type[SqlTarget] = SqliteTarget) -> None:
        self.version = "SQLite"
        self._lowering = target
        self._held = ExitStack()

    def load(self, rows: Sequence[Row], as_of: int, bundle: Bundle) -> None:
        """Write the rows as ingest does."""
        self.close()
        folder = self._held.enter_context(tempfile.TemporaryDirectory(prefix="phenix-certify-"))
        writer = self._held.enter_context(open_writer(Path(folder) / "proof.sqlite"))
        rows = _by_seq(rows)
        writer.append(Batch([tuple(row[: len(RAW)]) for row in rows]))
        identity = INDEX["seq"], INDEX["trade_id"]
        writer.append_enriched([(*(row[i] for i in identity), *row[len(RAW) :]) for row in rows])
        self._reads, self._count, self._as_of, self._bundle = writer.reads, len(rows), as_of, bundle
        self._target = self._lowering(lambda name: BY_NAME[name].sql, bundle.bits.__getitem__)
        self.version = f"SQLite {self._reads.execute('SELECT sqlite_version()')[0][0]}"

    def answers(self, cores: Sequence[c.Core]) -> Answers:
        """1, 0 or NULL."""
        return [[_truth(v) for v in self._column(self._target.three_valued(core))] for core in cores]

    def matches(self, cores: Sequence[c.Core]) -> list[list[bool]]:
        """By a WHERE clause of each."""
        out = []
        for core in cores:
            lowered = self._target.where(core)
            found = self._reads.execute(f"SELECT t.seq FROM {FROM_ROWS} WHERE {lowered.text}", self._bound(lowered))
            kept = {seq for (seq,) in found}
            out.append([seq in kept for seq in range(1, self._count + 1)])
        return out

    def values(self, cores: Sequence[c.Core]) -> list[list[Value]]:
        """As SQLite computes them."""
        return [self._column(self._target.value(core)) for core in cores]

    def close(self) -> None:
        """Close the store and delete it."""
        self._held.close()

    def _bound(self, lowered: Lowered) -> tuple[Any, ...]:
        return lowered.bind(self._bundle.params, self._as_of)

    def _column(self, lowered: Lowered) -> list[Any]:
        sql = f"SELECT ({lowered.text}) FROM {FROM_ROWS} ORDER BY t.seq"
        return [v for (v,) in self._reads.execute(sql, self._bound(lowered))]


_ABREAST: Final = 50
"""Conditions of one ClickHouse statement, each a column of it: a statement costs some 20 ms whatever it holds."""
_TYPED: Final = "TSVWithNamesAndTypes"
_NULL: Final = "\\N"


class ClickHouseEngine:
    """ClickHouse in this process, many conditions as the columns of one statement."""

    name = "clickhouse"

    def __init__(self, target: type[SqlTarget] = ClickHouseTarget) -> None:
        from chdb.session import Session

        self._session: Any = Session()  # type: ignore[no-untyped-call]
        self._lowering = target
        self.version = f"ClickHouse {self._ask('SELECT version()')[0][0]}"
        self._ask("SET " + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items()))
        columns = ", ".join(f"`{name}` {type_}" for name, type_ in column_types(STORED).items())
        self._ask(f"CREATE TABLE IF NOT EXISTS block ({columns}) ENGINE = Memory")

    def load(self, rows: Sequence[Row], as_of: int, bundle: Bundle) -> None:
        """Write the rows into one table."""
        self._ask("TRUNCATE TABLE block")
        lines = "\n".join(json.dumps(list(row), ensure_ascii=False) for row in rows)
        self._ask(f"INSERT INTO block FORMAT JSONCompactEachRow {lines}")
        self._count, self._as_of, self._bundle = len(rows), as_of, bundle
        self._target = self._lowering(lambda name: re.sub(r"\be\.", "t.", BY_NAME[name].sql), bundle.bits.__getitem__)

    def answers(self, cores: Sequence[c.Core]) -> Answers:
        """1, 0 or NULL."""
        return self._columns(cores, self._target.select, _answered)

    def matches(self, cores: Sequence[c.Core]) -> list[list[bool]]:
        """As WHERE clauses lower them, side by side; the first of them in a WHERE itself."""
        found = self._columns(cores, lambda part: self._target.select(part, decided=True), _answered)
        out = [[answer is True for answer in per_row] for per_row in found]
        for core in cores[:1]:
            kept = {int(seq) for (seq,) in self._run("SELECT t.seq FROM block AS t WHERE {}", self._target.where(core))}
            out[0] = [seq in kept for seq in range(1, self._count + 1)]
        return out

    def values(self, cores: Sequence[c.Core]) -> list[list[Value]]:
        """As ClickHouse computes them, read back to the last digit."""
        out: list[list[Value]] = []
        for core in cores:
            lines = self._run("SELECT {} AS value FROM block AS t ORDER BY t.seq", self._target.value(core), _TYPED)
            # A whole double is written without a point.
            read = float if "Float64" in lines[1][0] else int
            out.append([None if cell == _NULL else read(cell) for (cell,) in lines[2:]])
        return out

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _columns(
        self, cores: Sequence[c.Core], lower: Callable[[Sequence[c.Core]], Lowered], read: Callable[[str], Any]
    ) -> list[list[Any]]:
        out: list[list[Any]] = []
        for start in range(0, len(cores), _ABREAST):
            lowered = lower(cores[start : start + _ABREAST])
            lines = self._run("SELECT {} FROM block AS t ORDER BY t.seq", lowered)
            out += ([read(cell) for cell in column] for column in zip(*lines, strict=True))
        return out

    def _run(self, statement: str, lowered: Lowered, form: str = "TSV") -> list[list[str]]:
        bound = server_parameters(lowered, self._bundle.params, self._as_of)
        # Not str.format: the text holds braces of its own.
        return self._ask(statement.replace("{}", lowered.text), bound, form)

    def _ask(self, sql: str, bound: Mapping[str, str] | None = None, form: str = "TSV") -> list[list[str]]:
        found = str(self._session.query(sql, form, params=dict(bound or {})))
        return [line.split("\t") for line in found.splitlines()]


def _answered(cell: str) -> bool | None:
    return {"1": True, "0": False, "true": True, "false": False, _NULL: None}[cell]


TARGETS: Final[Mapping[str, Callable[[], Engine]]] = {
    "reference": ReferenceEngine,
    "row": RowEngine,
    "columns": ColumnsEngine,
    "sqlite": SqliteEngine,
    "clickhouse": ClickHouseEngine,
}
"""The targets a proof compares, the definition first."""

_NEEDS: Final = {"clickhouse": "chdb"}


def lacking(target: str) -> str:
    """Why a target cannot run here; empty when it can."""
    needs = _NEEDS.get(target)
    if needs is None or importlib.util.find_spec(needs) is not None:
        return ""
    return f"the package `{needs}` is not installed: pip install {needs}"


@contextmanager
def open_engines() -> Iterator[tuple[list[Engine], dict[str, str]]]:
    """Inside ``with``: every target that can run here, the reference first, and for each other why it cannot."""
    skipped = {target: why for target in TARGETS if (why := lacking(target))}
    with ExitStack() as opened:
        yield [opened.enter_context(closing(TARGETS[target]())) for target in TARGETS if target not in skipped], skipped
