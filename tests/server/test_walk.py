"""Walks over HTTP while another process writes, and stores that are busy or far behind."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from phenix.engine.bundle import Bundle
from phenix.engine.flow import INDEX, RAW
from phenix.engine.query.cursor import Cursor
from phenix.engine.store.base import Batch, RuleVersion
from tests.server.conftest import Server, run
from tests.server.rows import Store, made
from tests.server.writer_process import Writer

Serve = Callable[..., Server]


@pytest.mark.parametrize(
    "query", ["sortBy=seq", "sortBy=otmPct&sortOrder=asc", "sortBy=side&includeCancelled=1&chips=weeklies"]
)
def test_a_walk_while_another_process_writes(tmp_path: Path, serve: Serve, query: str) -> None:
    rng = random.Random(query)
    writer = Writer(tmp_path / "flow.sqlite", 5)
    writer.add(150)
    for _ in range(5):
        writer.step()
    server = serve(f"sqlite:{tmp_path / 'flow.sqlite'}")
    whole = server.get(f"/api/flow?{query}&limit=1000")[1]["data"]
    _, body = server.get(f"/api/flow?{query}&limit=13")
    walked = list(body["data"])
    while body["page"]["hasMore"]:
        for _ in range(rng.randrange(3)):
            writer.step()
        status, body = server.get(f"/api/flow?{query}&limit=13&cursor={body['page']['nextCursor']}")
        assert status == 200
        walked += body["data"]
    writer.end()
    assert walked == whole
    assert body["meta"]["watermark"] > body["meta"]["asOfSeq"]


def test_a_cursor_of_another_query(store: Store, serve: Serve) -> None:
    store.add(20)
    server = serve(store.url)
    cursor = server.get("/api/flow?limit=5")[1]["page"]["nextCursor"]
    status, body = server.get(f"/api/flow?limit=5&chips=otm&cursor={cursor}")
    assert (status, body["code"]) == (400, "cursor_mismatch")
    assert body["detail"] == (
        "`cursor` belongs to a query with another filter or order; ask for the first page without a cursor."
    )
    changed = cursor[:-2] + ("AA" if not cursor.endswith("AA") else "BB")
    assert server.get(f"/api/flow?limit=5&cursor={changed}")[1]["code"] == "invalid_query"


def test_a_locked_store(store: Store) -> None:
    store.add(5)
    store.close()
    locked = sqlite3.connect(store.path, isolation_level=None)
    locked.execute("PRAGMA locking_mode = EXCLUSIVE")
    locked.execute("BEGIN EXCLUSIVE")
    done = run("serve", "--store", store.url, "--port", "0", "--grpc-port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(store.path) in done.stderr
    assert "locked" in done.stderr
    locked.execute("ROLLBACK")
    locked.close()


def test_a_backlog_is_measured(store: Store, serve: Serve) -> None:
    store.add(5)
    server = serve(store.url)
    now = time.time_ns() // 1_000_000
    waiting: list[Any] = [made(100 + i, ingested_at_utc=now - 60_000)[: len(RAW)] for i in range(7)]
    store.writer.append(Batch(rows=waiting))
    status, body = server.get("/ready")
    assert (status, body["status"]) == (503, "not_ready")
    assert body["checks"]["backlog"]["rows"] == 7
    assert body["reason"].startswith("enrichment is 6")
    meta = server.get("/api/flow")[1]["meta"]
    assert (meta["degraded"], meta["degradedReason"], meta["watermark"]) == (True, ["enrichment_lag_high"], 5)
    assert 60 <= meta["lagSeconds"] < 300
    assert len(waiting[0]) == INDEX["ingested_at_utc"] + 1


def test_rules_activated_while_serving(store: Store, serve: Serve) -> None:
    """The store decides which rules are in force; a running server learns it, and finishes walks under the old ones."""
    store.add(20)
    server = serve(store.url)
    _, body = server.get("/api/flow?limit=5")
    cursor = body["page"]["nextCursor"]
    config = orjson.loads(store.bundle.config_json)
    config["sources"] = {name: text + "\n# another edition\n" for name, text in config["sources"].items()}
    other = Bundle.from_config(orjson.dumps(config).decode())
    assert other.version != store.bundle.version
    version = RuleVersion(other.version, other.config_json, other.checksum, False, 1, None, None)
    store.writer.put_rule_version(version, activate=True, now_utc=2)
    assert server.get("/api/flow/filters/catalog")[1]["ruleVersion"] == other.version
    assert server.get("/api/flow?limit=5")[1]["meta"]["ruleChecksum"] == other.checksum
    status, body = server.get(f"/api/flow?limit=5&cursor={cursor}")
    assert (status, body["meta"]["ruleVersion"], len(body["data"])) == (200, store.bundle.version, 5)
    exported = server.get(f"/api/flow?limit=5&cursor={body['page']['nextCursor']}&sortOrder=asc")
    assert (exported[0], exported[1]["code"]) == (400, "cursor_mismatch")


def test_a_walk_under_rules_that_are_gone_begins_again(store: Store, serve: Serve) -> None:
    store.add(20)
    server = serve(store.url)
    cursor = Cursor.decode(server.get("/api/flow?limit=5")[1]["page"]["nextCursor"])
    assert cursor is not None
    gone = replace(cursor, rule_version="never stored").encode()
    status, body = server.get(f"/api/flow?limit=5&cursor={gone}")
    assert (status, body["code"]) == (410, "cursor_expired")


def test_rules_that_do_not_load_are_not_used(store: Store, serve: Serve) -> None:
    store.add(5)
    server = serve(store.url)
    broken = RuleVersion("broken", "{}", "0" * 64, False, 1, None, None)
    store.writer.put_rule_version(broken, activate=True, now_utc=2)
    status, body = server.get("/api/flow?chips=otm")
    assert (status, body["meta"]["ruleVersion"]) == (200, store.bundle.version)
