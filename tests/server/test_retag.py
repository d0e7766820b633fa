"""Stored tags of another rule version: made beside, killed, followed and removed; and the same answers as computed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import grpc
import pytest

from phenix import app
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX, Row
from phenix.engine.query.page import compile_filter, fetch_page
from phenix.engine.query.plan import Scope, count_statement, page_statement
from phenix.engine.query.request import FlowRequest, Refusal, Total
from phenix.engine.store.base import Reader
from phenix.engine.store.retagged import covers, retaggings
from phenix.engine.store.schema import TAGS
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_retagged import SqliteRetags
from phenix.server._pb import rules_pb2, rules_pb2_grpc
from tests.server.conftest import Server, environment, phenix, run
from tests.server.rows import SESSION, Store, other_rules, rules

WHERE = ("", "@whales", "not @whales", "sig_score > 0.3", "@mine and not @otm", "score_quality = partial and @urgent")
SORTS = ("seq", "symbol", "value", "otm_pct")


def same_figures() -> Bundle:
    """Whales from another threshold, another score, and a chip of its own."""
    return other_rules()


def other_constants() -> Bundle:
    """The packaged rules with another constant of the formulas that made the rows' figures."""
    made = rules().with_params({"aa_floor": "$0.05", "whales_min": "60k"})
    assert isinstance(made, Bundle)
    return made


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Store]:
    """Rows of two sessions, five of the first taken back in the second, and the other versions."""
    made = Store(tmp_path / "flow.sqlite")
    rows = made.add(1_500, session_date=SESSION - 1)
    for row in rows[5:1_500:300]:
        made.cancel(row)
    made.add(1_295)
    made.keep(other_rules())
    made.keep(other_constants())
    yield made
    made.close()


def retag(store: Store, version: str, **how: Any) -> None:
    for _ in app.retaggings(store.url).make(version, **how):
        pass


def walk(reader: Reader, bundle: Bundle, request: FlowRequest) -> tuple[list[Row], int | None, str]:
    """All rows through pages, how many were told, and how they were found."""
    rows: list[Row] = []
    cursor = ""
    while True:
        page = fetch_page(reader, FlowRequest(**{**as_dict(request), "cursor": cursor}), bundle)
        assert not isinstance(page, Refusal), page
        rows += page.rows
        if page.next_cursor is None:
            return rows, page.total, page.plan
        cursor = page.next_cursor


def as_dict(request: FlowRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in FlowRequest.__dataclass_fields__}


def asked(where: str, bundle: Bundle, sort: str = "seq", **more: Any) -> FlowRequest:
    parts = (("where", where),) if where else ()
    return FlowRequest(parts, rules=bundle.version, sort=BY_NAME[sort], limit=400, total=Total.EXACT, **more)


def tagged(rows: Sequence[Row], bundle: Bundle) -> list[tuple[Any, ...]]:
    again = [list(row) for row in rows]
    bundle.tag(again)
    return [tuple(row) for row in again]


def beside(store: Path, version: str) -> list[tuple[Any, ...]]:
    """What is stored beside: seq and tags."""
    with open_reader(store) as reader:
        sql = f"SELECT seq, {', '.join(TAGS)} FROM option_trade_retagged WHERE version_id = ? ORDER BY seq"
        return reader.execute(sql, (version,))


def expected(rows: Sequence[Row], bundle: Bundle) -> list[tuple[Any, ...]]:
    return [(row[0], *(row[INDEX[name]] for name in TAGS)) for row in tagged(rows, bundle)]


@pytest.mark.parametrize("bundle_of", [same_figures, other_constants])
def test_stored_tags_are_those_that_are_computed(filled: Store, bundle_of: Callable[[], Bundle]) -> None:
    """The same rows in the same order with the same totals, whichever way; and the rows themselves stay as they are."""
    bundle, before = bundle_of(), filled.writer.reads.rows_after(0, 10_000)
    requests = [
        asked(where, bundle, sort, sessions=sessions, include_cancelled=sessions == 2)
        for where in WHERE if "@mine" not in where or bundle.chip("mine") for sort in SORTS for sessions in (0, 2)
    ]  # fmt: skip
    with open_reader(filled.path) as reader:
        computed = [walk(reader, bundle, request) for request in requests]
        assert {plan for _, _, plan in computed} == {"store, tags computed"}
        retag(filled, bundle.version)
        stored = [walk(reader, bundle, request) for request in requests]
        assert {plan for _, _, plan in stored} == {"store, re-tagged"}
        assert [found[:2] for found in stored] == [found[:2] for found in computed]
    assert beside(filled.path, bundle.version) == expected(before, bundle)
    assert filled.writer.reads.rows_after(0, 10_000) == before
    assert len({len(rows) for rows, _, _ in computed}) > 5  # filters that filter


def test_rows_can_be_sorted_by_stored_scores_alone(filled: Store) -> None:
    bundle = other_rules()
    request = asked("", bundle, "sig_score", descending=True)
    with open_reader(filled.path) as reader:
        refused = fetch_page(reader, request, bundle)
        assert isinstance(refused, Refusal)
        assert f"`phenix rules retag {bundle.version}`" in refused.detail
        retag(filled, bundle.version, sessions=1)
        rows, _, plan = walk(reader, bundle, request)
        assert plan == "store, re-tagged"
        assert isinstance(fetch_page(reader, asked("", bundle, "sig_score", sessions=2), bundle), Refusal)
        assert walk(reader, bundle, asked("session_date = 2020-01-02", bundle, "sig_score"))[:2] == ([], 0)
    score, date, record = (INDEX[name] for name in ("sig_score", "session_date", "cancel_record"))
    ours = [row for row in filled.writer.reads.rows_after(0, 10_000) if row[date] == SESSION and not row[record]]
    by_score = sorted(
        tagged(ours, bundle), key=lambda row: (row[score] is not None, row[score] or 0, row[0]), reverse=True
    )
    assert rows == by_score
    assert len({row[score] for row in rows}) > 10


def test_both_halves_of_what_is_tagged_up_to_a_seq(filled: Store) -> None:
    """A walk from before new rows is answered from what is stored, one that sees them is computed; alike both ways."""
    bundle = other_rules()
    retag(filled, bundle.version)
    with open_reader(filled.path) as reader:
        request = asked("@whales", bundle, "symbol")
        first = fetch_page(reader, request, bundle)
        assert not isinstance(first, Refusal)
        filled.add(200)
        rest = fetch_page(reader, FlowRequest(**{**as_dict(request), "cursor": first.next_cursor}), bundle)
        assert not isinstance(rest, Refusal)
        assert (first.plan, rest.plan) == ("store, re-tagged", "store, re-tagged")
        across = walk(reader, bundle, request)
        assert across[2] == "store, tags computed"
        early = [row for row in across[0] if row[0] <= first.as_of]
        assert [*first.rows, *rest.rows] == early
        assert len(early) == first.total and len(across[0]) - len(early) > 0
        retag(filled, bundle.version)
        assert walk(reader, bundle, request) == (*across[:2], "store, re-tagged")


class Removing:
    """A reader under whose hands tags are removed before its first page is read."""

    def __init__(self, reader: Reader, store: Path, version: str) -> None:
        self._reader = reader
        self._remove = lambda: SqliteRetags(store).remove(version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def execute(self, sql: str, *args: Any, **more: Any) -> Any:
        if sql.startswith("WITH page"):
            self._remove()
        return self._reader.execute(sql, *args, **more)


def test_a_page_whose_tags_are_removed_meanwhile_is_computed(filled: Store) -> None:
    bundle = other_rules()
    request = asked("@whales", bundle)
    with open_reader(filled.path) as reader:
        wanted = fetch_page(reader, request, bundle)
        retag(filled, bundle.version)
        found = fetch_page(Removing(reader, filled.path, bundle.version), request, bundle)  # type: ignore[arg-type]
    assert not isinstance(found, Refusal) and not isinstance(wanted, Refusal)
    assert (found.rows, found.total, found.plan) == (wanted.rows, wanted.total, "store, tags computed")
    assert wanted.rows


def test_what_is_tagged_beside_a_removal_is_not_told_as_tagged(filled: Store) -> None:
    """It loses its tags to the removal as it goes on, which takes those of a version whoever stored them."""
    bundle = other_rules()
    retag(filled, bundle.version)
    with SqliteRetags(filled.path) as removing, open_reader(filled.path) as reader:
        assert removing._remove_some(bundle.version)
        retag(filled, bundle.version)
        assert covers(reader, bundle.version, [SESSION, SESSION - 1], reader.watermark())
        assert removing._remove_some(bundle.version)
        assert not covers(reader, bundle.version, [SESSION], 1)
        removing.remove(bundle.version)
        assert retaggings(reader) == []
    assert beside(filled.path, bundle.version) == []


@pytest.mark.parametrize("sort", ["seq", "sig_score"])
def test_the_tags_of_one_session_are_looked_at_not_those_of_all(filled: Store, sort: str) -> None:
    bundle = other_rules()
    retag(filled, bundle.version)
    request, scope = asked("@whales", bundle, sort), Scope(5_000, session=SESSION, retagged=bundle.version)
    predicate = compile_filter(request.parts, bundle)
    assert not isinstance(predicate, Refusal)
    for statement in (page_statement(request, predicate, scope, None), count_statement(request, predicate, scope)):
        with open_reader(filled.path) as reader:
            steps = [row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)]
        begins = next(step for step in steps if step.startswith(("SEARCH", "SCAN")) and "page" not in step)
        assert begins.startswith("SEARCH t USING") and "session_date=?" in begins, steps


def command(store: Store, *options: str) -> subprocess.Popen[str]:
    arguments = phenix("rules", "retag", *options, "--store", store.url, "--json")
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


ENDLESS = (
    "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    "CREATE TRIGGER stuck AFTER INSERT ON option_trade_retagged WHEN NEW.seq = {} BEGIN SELECT i FROM endless; END",
)
"""Who stores the tags of a row never gets beyond it."""


@pytest.mark.timeout(600)
def test_a_kill_in_the_middle_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed at the first row of a step and in the middle of the next, neither committed."""
    bundle, store = other_rules(), Store(tmp_path / "flow.sqlite")
    store.add(1_800)
    store.keep(bundle)
    rows = store.writer.reads.rows_after(0, 10_000)
    connection = apsw.Connection(str(store.path))
    for at, reached in ((1, 0), (1_500, 1_000)):
        for statement in ENDLESS:
            connection.execute(statement.format(at))
        process = command(store, bundle.version)
        while not stuck(connection, reached):
            time.sleep(0.01)
        process.kill()
        process.communicate()
        for statement in ("DROP TRIGGER stuck", "DROP VIEW endless"):
            connection.execute(statement)
        assert beside(store.path, bundle.version) == expected(rows[:reached], bundle)
        with open_reader(store.path) as reader:
            assert not covers(reader, bundle.version, [SESSION], len(rows))
            assert covers(reader, bundle.version, [SESSION], reached)
    connection.close()
    done = command(store, bundle.version)
    (told,) = json.loads(done.communicate()[0])
    assert (done.returncode, told["rows"], told["state"]) == (0, len(rows), "complete")
    assert beside(store.path, bundle.version) == expected(rows, bundle)
    store.close()


def stuck(connection: apsw.Connection, reached: int) -> bool:
    """Whether what was reached is committed, and somebody is at what follows."""
    if connection.execute("SELECT upto_seq FROM rule_retaggings").get != reached:
        return False
    try:
        connection.execute("BEGIN IMMEDIATE")
    except apsw.BusyError:
        return True
    connection.execute("ROLLBACK")
    return False


@pytest.mark.timeout(600)
def test_it_follows_rows_as_they_come(filled: Store) -> None:
    bundle = other_rules()
    process = command(filled, bundle.version, "--follow")
    try:
        for count in (0, 700, 1):
            filled.add(count)
            level(filled, bundle.version)
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert "interrupted; what was tagged is kept, the same command continues" in said
    assert beside(filled.path, bundle.version) == expected(filled.writer.reads.rows_after(0, 10_000), bundle)


def level(store: Store, version: str) -> None:
    """Wait until all rows are tagged; the test's own limit ends it else."""
    with open_reader(store.path) as reader:
        while not covers(reader, version, [SESSION, SESSION - 1], reader.watermark()):
            time.sleep(0.01)


@pytest.mark.timeout(600)
def test_it_is_listed_and_removed(filled: Store, serve: Callable[..., Server]) -> None:
    bundle = other_rules()
    retag(filled, bundle.version, sessions=1)
    filled.add(7)
    server = serve(filled.url)
    (listed,) = server.get("/api/rules/versions")[1]["data"]["retaggings"]
    assert {name: value for name, value in listed.items() if name != "updatedAt"} == {
        "version": bundle.version, "sessionDate": "2026-09-18", "state": "waiting", "rows": 1_300, "waitingRows": 7,
    }  # fmt: skip
    assert json.loads(run("rules", "retag", "--store", filled.url, "--json").stdout) == [listed]
    with grpc.insecure_channel(server.target) as channel:
        answer = rules_pb2_grpc.RuleServiceStub(channel).ListVersions(rules_pb2.ListVersionsRequest())
    assert [(one.version, one.session_date, one.state, one.rows, one.waiting_rows) for one in answer.retaggings] == [
        (bundle.version, "2026-09-18", "waiting", 1_300, 7)
    ]
    said = run("rules", "retag", bundle.version[:6], "--store", filled.url)
    assert (said.returncode, said.stdout.splitlines()) == (0, [
        f"{bundle.version}  2026-09-18  complete  1,307 of 1,307 rows",
        f"{bundle.version}  2026-09-17  complete  1,500 of 1,500 rows",
    ])  # fmt: skip
    by_score = f"/api/flow?rules={bundle.version}&sortBy=sigScore&limit=3"
    status, body = server.get(by_score)
    assert (status, body["meta"]["plan"]) == (200, "store, re-tagged")
    assert {row["ruleVersion"] for row in body["data"]} == {bundle.version}
    said = run("rules", "retag", bundle.version, "--remove", "--store", filled.url)
    assert (said.returncode, said.stdout) == (0, "removed the tags of 2,807 rows\n")
    assert server.get(by_score)[0] == 400
    assert beside(filled.path, bundle.version) == []
    assert server.get("/api/rules/versions")[1]["data"]["retaggings"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nowhere"], "There is no rule version `nowhere`"),
        (["--follow"], "name the version, as in `phenix rules retag VERSION`; without one it only lists"),
        (["{other}", "--sessions", "0"], "'0' is no number of sessions: a whole number, 1 or more"),
        (["{other}", "--sessions", "1", "--remove"], "--remove is of all that the version tagged beside: leave"),
        (["{other}", "--follow", "--remove"], "not allowed with argument --follow"),
    ],
)
def test_what_cannot_be_done_is_said(store: Store, options: list[str], said: str) -> None:
    store.add(1)
    store.keep(other_rules())
    given = [one.format(other=other_rules().version) for one in options]
    done = run("rules", "retag", *given, "--store", store.url)
    assert done.returncode == 2
    assert said in done.stderr
