"""How SQLite goes about the bundled chips and the likeliest filters: the plans of the statements a page runs.

Each case holds parameters of GET /api/flow, one a line. ``page`` is the plan of the page's own search, traced on the
connection; ``bare`` that of the filter alone over the whole store, which shows what the lowering leaves to an index.
The directive says why, where a case has to look at every row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phenix.engine.bundle import Bundle
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.store.schema import ALL_ROWS
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_reader import SqliteReader
from phenix.server.params import Asked, read
from tests.dsl import corpus
from tests.dsl.corpus import Case, check
from tests.server.rows import SESSION, Store

Plan = list[tuple[int, int, str]]
"""(id, parent, detail) of each step."""

EVERY_ROW = re.compile(r"SCAN|\(rowid<\?\)$")
"""A scan, and a walk down the rows that only the page's own ``seq <= ?`` bounds."""


class Planner:
    """A migrated store with a few rows, and the plans it makes."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.store.add(3, session_date=SESSION - 1)
        self.store.add(3)
        self.reader: SqliteReader = open_reader(path)
        self.connection: Any = self.reader._connection

    def close(self) -> None:
        self.reader.close()
        self.store.close()

    def page(self, asked: Asked) -> Plan:
        traced: list[tuple[str, Any]] = []
        self.connection.exec_trace = lambda _, sql, bound: traced.append((sql, bound)) or True
        try:
            found = fetch_page(self.reader, asked.request, self.store.bundle)
        finally:
            self.connection.exec_trace = None
        assert isinstance(found, Page), found
        (statement,) = [one for one in traced if one[0].startswith("WITH page")]
        return self.plan(*statement)

    def bare(self, asked: Asked) -> Plan:
        predicate = compile_predicate(asked.request.parts, self.store.bundle)
        assert isinstance(predicate, Predicate)
        text, bound = predicate.sql(self.reader.watermark())
        return self.plan(f"SELECT t.seq FROM {ALL_ROWS} WHERE {text}", bound)

    def plan(self, sql: str, bound: Any) -> Plan:
        rows = self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", bound)
        return [(step, parent, detail) for step, parent, _, detail in rows]


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    made = Planner(tmp_path_factory.mktemp("plans") / "flow.sqlite")
    yield made
    made.close()


def shorten(detail: str) -> str:
    """``SEARCH t option_trades_symbol (symbol=? AND seq<?)``; what only says how is left out."""
    detail = detail.replace("USING ", "").replace("COVERING ", "").replace("INTEGER PRIMARY KEY ", "")
    return detail.replace("TEMP B-TREE FOR ORDER BY", "SORT").replace("INDEX option", "option").removeprefix("USE ")


def within(plan: Plan, parent: int) -> list[str]:
    """The steps below one; those of an OR beneath its parts in brackets."""
    out = []
    for step, above, detail in plan:
        if above == parent:
            below = within(plan, step)
            if any("session_leaving" in line for line in below):
                continue  # which session is being removed: one row at most, asked once for a statement
            out.append(shorten(detail) + (f" [{'; '.join(below)}]" if below else ""))
    return out


def asked(planner: Planner, text: str) -> Asked:
    pairs = [(name, value) for name, _, value in (line.partition("=") for line in text.splitlines())]
    found = read(pairs, planner.store.bundle)
    assert isinstance(found, Asked), (text, found)
    return found


def test_plans(planner: Planner, rewriting: bool) -> None:
    fetching = set()

    def answer(case: Case) -> str:
        request = asked(planner, case.input)
        plan = planner.page(request)
        (inner,) = [step for step, _, detail in plan if detail == "MATERIALIZE page"]
        page, bare = within(plan, inner), within(planner.bare(request), 0)
        fetching.add(frozenset(shorten(detail) for _, parent, detail in plan if not parent))
        for steps in (page, bare):
            assert sum(bool(EVERY_ROW.search(step)) for step in steps) <= 1, (case.input, "every row against every row")
        reason = case.directive.partition(": ")[2]
        assert bool(reason) == any(map(EVERY_ROW.search, page + bare)), (case.line, case.input, page, bare)
        return f"page  {'; '.join(page)}\nbare  {'; '.join(bare)}"

    check("plans.txt", answer, rewriting)
    # What a page has found is fetched by row number, always.
    by_number = {"MATERIALIZE page", "SCAN page", "SEARCH e (rowid=?)", "SEARCH t (rowid=?)"}
    leaving = "SCALAR SUBQUERY 3"  # the session that leaves the store, looked up once
    assert {steps - {leaving, "SORT"} for steps in fetching} == {frozenset(by_number)}


def test_every_bundled_chip_has_its_plans(bundle: Bundle) -> None:
    asked_for = {case.input for case in corpus.read("plans.txt")}
    for chip in bundle.chips:
        assert {f"chips={chip.id}", f"where={' '.join(chip.rule.split())}"} <= asked_for, chip.id


def test_a_wide_or_of_indexed_terms_keeps_the_index(planner: Planner) -> None:
    terms = [f"(symbol = S{i} and value >= {i}M)" for i in range(1, 21)]
    step, fetch = within(planner.bare(asked(planner, f"where={' or '.join(terms)}")), 0)
    assert step.count("SEARCH t option_trades_symbol (symbol=?)") == len(terms)
    assert fetch == "SEARCH e (rowid=?)"


def test_a_filter_that_is_wrapped_loses_its_index(planner: Planner) -> None:
    """What the plans above would look like if the lowering wrapped a column: the check can fail."""
    for text in ("symbol = 'SPY'", "symbol >= 'SP' AND symbol < 'SQ'", "symbol IN ('SPY', 'QQQ')"):
        (step,) = planner.plan(f"SELECT seq FROM option_trades WHERE {text}", ())
        assert "SEARCH" in step[2]
    for text in ("(symbol = 'SPY') IS 1", "coalesce(symbol, '') = 'SPY'", "symbol LIKE 'SP%'", "NOT (symbol <> 'SPY')"):
        (step,) = planner.plan(f"SELECT seq FROM option_trades WHERE {text}", ())
        assert "SCAN" in step[2], text
