"""Rows with the chips and the score of another stored rule version beside those they were tagged with: ``rules=``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from phenix.engine.bundle import Bundle
from phenix.engine.flow import INDEX, Row
from phenix.engine.predicate import compile_predicate
from phenix.server.rules import Rules
from tests.server.conftest import Server
from tests.server.rows import Store, other_rules


@pytest.fixture(scope="module")
def other() -> Bundle:
    """Other rules than those the rows are tagged by."""
    return other_rules()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, other: Bundle) -> Iterator[tuple[list[Row], Server]]:
    """Rows as they are stored, and a server; nothing writes any more."""
    store = Store(tmp_path_factory.mktemp("other") / "flow.sqlite")
    for row in store.add(300)[5:300:60]:
        store.cancel(row)
    store.keep(other)
    rows = store.writer.reads.rows_after(0, 1_000)
    store.close()
    server = Server(store.url)
    yield rows, server
    server.end()


def retagged(rows: list[Row], bundle: Bundle) -> list[Row]:
    """Rows tagged by a bundle one by one."""
    again = [list(row) for row in rows]
    bundle.tag(again)
    return [tuple(row) for row in again]


def ids(server: Server, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        status, body = server.get(f"/api/flow?{query}&limit=70{cursor}")
        assert status == 200, body
        found += body["data"]
        if not body["page"]["hasMore"]:
            return found
        cursor = f"&cursor={body['page']['nextCursor']}"


@pytest.mark.parametrize("where", ["", "@whales", "not @whales", "sig_score > 0.3", "@mine", "@mine and not @otm"])
def test_rows_and_filters_are_as_another_version_has_them(
    served: tuple[list[Row], Server], other: Bundle, where: str
) -> None:
    rows, server = served
    tagged = retagged(rows, other)
    predicate = compile_predicate([("where", where)] if where else [], other)
    assert not isinstance(predicate, tuple)
    wanted = [row for row in tagged if row[INDEX["cancelled_seq"]] is None and not row[INDEX["cancel_record"]]
              and predicate.matches(row, 10**6)]  # fmt: skip
    found = ids(server, f"rules={other.version}&sortOrder=asc&where={where.replace(' ', '%20')}")
    assert [row["seq"] for row in found] == [row[INDEX["seq"]] for row in wanted]
    encoder = Rules.of(other).encoder
    assert found == [encoder.row(row, 10**6) for row in wanted]
    assert len(wanted) not in (0, 300) or not where


def test_rows_without_it_are_as_they_were_tagged(served: tuple[list[Row], Server], other: Bundle) -> None:
    rows, server = served
    packaged = {row["ruleVersion"] for row in ids(server, "")}
    assert packaged == {rows[0][INDEX["rule_version"]]}
    stored = len(ids(server, "chips=whales"))
    assert stored < len(ids(server, f"chips=whales&rules={other.version}"))
    body = server.get(f"/api/flow?rules={other.version}&limit=1&total=exact&chips=whales")[1]
    assert (body["meta"]["ruleVersion"], body["page"]["total"]) == (
        other.version, len(ids(server, f"chips=whales&rules={other.version}")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("rules=nowhere", "`rules` is 'nowhere'; expected a rule version of the store."),
        ("rules={other}&sortBy=sigScore", "leave `rules` out, or sort by another field than `sigScore`, or have"),
        ("chips=mine", "there is no chip 'mine'"),
    ],
)
def test_what_cannot_be_had_is_said(served: tuple[list[Row], Server], other: Bundle, query: str, said: str) -> None:
    status, body = served[1].get(f"/api/flow?{query.format(other=other.version)}")
    assert status == 400
    assert said in body["detail"]


def test_a_cursor_is_of_the_version_it_walks_by(served: tuple[list[Row], Server], other: Bundle) -> None:
    _, server = served
    cursor = server.get(f"/api/flow?rules={other.version}&limit=5")[1]["page"]["nextCursor"]
    assert server.get(f"/api/flow?limit=5&cursor={cursor}")[1]["code"] == "cursor_mismatch"
    assert server.get(f"/api/flow/summary?rules={other.version}")[1]["errors"][0]["code"] == "PHX406"
