"""Stores of every earlier schema, with data, brought up to the present one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from phenix.engine.store.base import Problem, StoreError
from phenix.engine.store.migrations import LATEST, MIGRATIONS
from phenix.engine.store.sqlite import open_reader, open_writer

SCHEMAS = Path(__file__).with_name("schemas")
"""``N.sql`` makes a store as schema N was, with data: the dump of one that a Phenix of that time wrote."""
VERSIONS = sorted(int(path.stem) for path in SCHEMAS.glob("*.sql"))


def make(folder: Path, version: int) -> Path:
    store = folder / "flow.sqlite"
    connection = sqlite3.connect(store)
    connection.executescript((SCHEMAS / f"{version}.sql").read_text("utf-8"))
    connection.close()
    return store


def query(store: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(store)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def schema(store: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Columns and indexes of each table; where a column stands in the text of its table is no part of it."""
    tables = [name for (name,) in query(store, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return {
        name: [
            *query(store, f"SELECT * FROM pragma_table_xinfo('{name}')"),
            *query(store, f"SELECT strict, wr FROM pragma_table_list('{name}')"),
            *query(
                store,
                "SELECT i.name, i.[unique], i.partial, x.seqno, x.name, s.sql FROM"
                f" pragma_index_list('{name}') i, pragma_index_xinfo(i.name) x"
                " LEFT JOIN sqlite_schema s ON s.name = i.name ORDER BY i.name, x.seqno",
            ),
        ]
        for name in tables
    }


def data(store: Path, like: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the tables and columns that another store has."""
    found = {}
    for table, lines in schema(like).items():
        columns = ", ".join(f'"{line[1]}"' for line in lines if len(line) == 7)
        if table not in ("schema_migrations", "sqlite_stat1"):
            found[table] = query(store, f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3")
    return found


def test_every_schema_so_far_has_its_store() -> None:
    assert VERSIONS == [step.version for step in MIGRATIONS] == list(range(1, LATEST + 1))


@pytest.mark.parametrize("version", VERSIONS)
def test_an_earlier_store_becomes_the_present_one(tmp_path: Path, version: int) -> None:
    store, before = make(tmp_path, version), make(tmp_path.parent, version)
    try:
        assert query(store, "PRAGMA user_version") == [(version,)]
        if version < LATEST:
            with pytest.raises(StoreError, match=rf"has schema {version}, this Phenix reads {LATEST}") as error:
                open_reader(store)
            assert error.value.problem is Problem.OLDER
        open_writer(store).close()
        open_writer(tmp_path / "fresh.sqlite").close()
        assert query(store, "PRAGMA user_version") == [(LATEST,)]
        assert [n for (n,) in query(store, "SELECT version FROM schema_migrations")] == list(range(1, LATEST + 1))
        assert schema(store) == schema(tmp_path / "fresh.sqlite")
        assert data(store, before) == data(before, before)
    finally:
        before.unlink()
    with open_reader(store) as reader:
        assert len(reader.rows_after(0, 100)) == 30
        assert [letter.reason for _, letter in reader.dead_letters()] == ["columns", "price_decimals"]


KILLED = """
import os, signal, sys
from pathlib import Path
from phenix.engine.store import migrations, sqlite, sqlite_file
def step(connection):
    connection.execute("CREATE TABLE half (made INTEGER)")
    connection.execute("ALTER TABLE option_trades ADD COLUMN half INTEGER")
    connection.execute("UPDATE option_trades SET half = 1")
    os.kill(os.getpid(), signal.SIGKILL)
migrations.MIGRATIONS += (migrations.Migration(99, "half", step),)
migrations.LATEST = sqlite.LATEST = sqlite_file.LATEST = 99
sqlite.open_writer(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_migration_that_was_killed_left_nothing(tmp_path: Path, version: int) -> None:
    store = make(tmp_path, version)
    before = schema(store), data(store, store)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store)], env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    assert (schema(store), data(store, store)) == before
    assert query(store, "PRAGMA user_version") == [(version,)]
    with open_writer(store) as writer:
        assert len(writer.reads.rows_after(0, 100)) == 30


@pytest.mark.parametrize("command", ["import", "export", "serve", "backup", "replay", "retention", "ingest"])
def test_an_older_program_leaves_a_newer_store_alone(tmp_path: Path, command: str) -> None:
    store = make(tmp_path, LATEST)
    connection = sqlite3.connect(store)
    connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    connection.close()
    before = store.read_bytes()
    file = tmp_path / "file.csv"
    file.write_text("symbol\n")
    argv = {
        "import": [str(SCHEMAS.parent.parent / "ingest" / "bad_lines.txt")],
        "backup": [str(tmp_path / "backup.sqlite")],
        "replay": ["2024-11-04"],
        "retention": ["--keep-sessions", "1"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "phenix", command, *argv.get(command, []), "--store", f"sqlite:{store}"],
        env={**os.environ, "PHENIX_PORT": "0", "PHENIX_GRPC_PORT": "0"},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, store.read_bytes()) == (2, before)
    if command != "import":  # which looks at its files first
        assert f"has schema {LATEST + 1} of a newer Phenix, this one knows up to {LATEST}" in done.stderr
