"""Backup while a process writes, and restore: what is copied is whole, and nothing is replaced by accident."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from phenix.engine.store.base import ENRICHED_STREAM, Problem, StoreError
from phenix.engine.store.migrations import LATEST
from phenix.engine.store.saved import Entry
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_backup import back_up, restore
from phenix.engine.store.sqlite_saved import open_saved, saved_beside
from tests.ingest.files import rows, run_import
from tests.operate.stores import day, days, execute, phenix
from tests.server.writer_process import Writer


def quiet(_done: int, _total: int) -> None:
    """A teller that says nothing."""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    process = Writer(tmp_path / "flow.sqlite", 1)
    yield process
    process.end()


def test_a_backup_under_writing_is_a_consistent_prefix(tmp_path: Path, writer: Writer) -> None:
    store = tmp_path / "flow.sqlite"
    writer.add(3_000)
    enough = Event()

    def write_on() -> None:
        while not enough.is_set():
            writer.step()

    writing = Thread(target=write_on)
    writing.start()
    marks = []
    try:
        for number in range(3):
            during: list[int] = []
            copied = back_up(
                store,
                tmp_path / f"{number}.sqlite",
                force=False,
                tell=lambda *_, during=during: during.append(writer.newest),
            )
            marks.append((copied, writer.newest))
    finally:
        enough.set()
        writing.join()
    assert marks[-1][1] > marks[0][0].raw_watermark > 0  # it did go on
    with open_reader(store) as live:
        for number, (copied, _) in enumerate(marks):
            path = tmp_path / f"{number}.sqlite"
            assert sorted(p.name for p in tmp_path.glob(f"{number}.*")) == [path.name]
            with open_reader(path) as copy:
                stored = copy.execute("SELECT seq FROM option_trades ORDER BY seq")
                assert stored == [(n,) for n in range(1, copied.raw_watermark + 1)]
                enriched = copy.rows_after(0, 10**7)
                assert len(enriched) == copied.watermark == copy.watermark()
                checkpoint = copy.checkpoint(ENRICHED_STREAM)
                assert checkpoint is not None
                assert checkpoint.watermark == str(copied.watermark)
                # The same rows as the live store's, as of that seq.
                cancels = live.cancelled_between(0, copied.watermark)
                assert copy.cancelled_between(0, 2**62) == cancels


def test_a_backup_is_served(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    assert phenix("backup", backup, "--store", f"sqlite:{store}").returncode == 0
    command = [sys.executable, "-m", "phenix", "serve", "--store", f"sqlite:{backup}"]
    environ = {**os.environ, "PHENIX_PORT": "0", "PHENIX_GRPC_PORT": "0"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://[\d.:]+", line)))
        with urllib.request.urlopen(f"{address}/api/flow?limit=1") as answer:
            assert len(json.load(answer)["data"]) == 1
        server.send_signal(signal.SIGTERM)


def test_a_store_comes_back_as_it_was(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    before = rows(store)
    done = phenix("backup", backup, "--store", f"sqlite:{store}", "--json")
    report = json.loads(done.stdout)
    assert (report["rows"], report["rawWatermark"], report["watermark"]) == (200, 200, 200)
    run_import(store, day(tmp_path / "files", "2024-11-05", 50))
    assert len(rows(store)) == 250
    refused = phenix("restore", backup, "--store", f"sqlite:{store}")
    assert (refused.returncode, refused.stderr) == (
        2, f"phenix: there is a store at {store} already: replace it with --force, or name another\n"
    )  # fmt: skip
    done = phenix("restore", backup, "--store", f"sqlite:{store}", "--force")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"the store is that of {backup}: 200 rows up to seq 200, enriched up to 200; ")
    assert rows(store) == before
    run_import(store, day(tmp_path / "files", "2024-11-05", 50))
    assert [seq for (seq,) in execute(store, "SELECT seq FROM option_trades")] == list(range(1, 251))
    assert phenix("restore", backup, "--store", f"sqlite:{tmp_path / 'new' / 'flow.sqlite'}").returncode == 0
    assert rows(tmp_path / "new" / "flow.sqlite") == before


READING = """
import sys
from pathlib import Path
from phenix.engine.store.sqlite import open_reader
reader = open_reader(Path(sys.argv[1]))
print(reader.watermark(), flush=True)
sys.stdin.read()
"""


def test_a_store_in_use_is_not_replaced(tmp_path: Path, writer: Writer) -> None:
    store, backup = tmp_path / "flow.sqlite", tmp_path / "backup.sqlite"
    writer.add(10)
    back_up(store, backup, force=False, tell=quiet)
    with pytest.raises(StoreError, match=rf"already has a writer \(process {writer.process.pid}\)") as error:
        restore(backup, store, force=True, tell=quiet)
    assert error.value.problem is Problem.LOCKED
    writer.add(10)
    writer.end()
    command = [sys.executable, "-c", READING, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"20\n"
        with pytest.raises(StoreError, match="is open in another program: stop `phenix serve`"):
            restore(backup, store, force=True, tell=quiet)
        reader.communicate()
    with open_reader(store) as after:
        assert after.watermark() == 20
    assert not list(tmp_path.glob("*.partial*"))
    assert restore(backup, store, force=True, tell=quiet).watermark == 10


def test_a_file_is_not_replaced_without_force(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    backup.write_text("a letter")
    with pytest.raises(StoreError, match="is there already: name another file, or replace it with --force"):
        back_up(store, backup, force=False, tell=quiet)
    assert backup.read_text() == "a letter"
    back_up(store, backup, force=True, tell=quiet)
    assert rows(backup) == rows(store)
    for own in (store, Path(f"{store}-wal"), Path(f"{store}.lock"), tmp_path / "files" / ".." / store.name):
        with pytest.raises(StoreError, match="belongs to the store"):
            back_up(store, own, force=True, tell=quiet)
    with pytest.raises(StoreError, match="is no folder: make it"):
        back_up(store, tmp_path / "no" / "folder" / "x.sqlite", force=False, tell=quiet)


def test_what_is_no_store_is_not_replaced(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    back_up(store, backup, force=False, tell=quiet)
    notes, foreign = tmp_path / "notes.txt", tmp_path / "foreign.sqlite"
    notes.write_text("a letter")
    execute(foreign, "CREATE TABLE notes (text)")
    for path in (notes, foreign):
        before = path.read_bytes()
        with pytest.raises(StoreError, match="is not a Phenix store: move it away first"):
            restore(backup, path, force=True, tell=quiet)
        assert path.read_bytes() == before
        with pytest.raises(StoreError, match=r"not an SQLite database|not a Phenix store"):
            restore(path, store, force=True, tell=quiet)


def saved(store: Path, *names: str) -> None:
    """Save queries beside a store, as serve does."""
    with closing(open_saved(saved_beside(store), writing=True)) as file, file.transaction():
        for name in names:
            file.put(Entry(f"preset_{name}", "preset", name, "{}", "value > 1", "v1", "exact", (), "", 1, 1))


def names_saved(store: Path) -> list[str]:
    with closing(open_saved(saved_beside(store), writing=False)) as file:
        return [entry.name for _, entry in file.page("preset", 0, 100)]


def test_saved_queries_go_with_the_store(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    saved(store, "one", "two")
    with closing(open_saved(saved_beside(store), writing=True)):  # as by a serve that goes on
        done = phenix("backup", backup, "--store", f"sqlite:{store}")
    assert "; 2 saved queries; " in done.stdout
    assert names_saved(backup) == ["one", "two"]
    saved(store, "three")
    refused = phenix("restore", backup, "--store", f"sqlite:{tmp_path / 'new.sqlite'}")
    assert refused.returncode == 0
    assert names_saved(tmp_path / "new.sqlite") == ["one", "two"]
    with (
        closing(open_saved(saved_beside(store), writing=False)),
        pytest.raises(StoreError, match="is open in another program"),
    ):
        restore(backup, store, force=True, tell=quiet)
    assert names_saved(store) == ["one", "two", "three"]
    assert restore(backup, store, force=True, tell=quiet).saved == 2
    assert names_saved(store) == ["one", "two"]
    assert not list(tmp_path.glob("*.partial*"))


def test_saved_queries_are_not_replaced_by_accident(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    saved(backup, "theirs")
    with pytest.raises(StoreError, match=r"backup\.saved\.sqlite is there already"):
        back_up(store, backup, force=False, tell=quiet)
    assert back_up(store, backup, force=True, tell=quiet).saved == 0
    assert not saved_beside(backup).exists()  # they were of another backup
    new = tmp_path / "new.sqlite"
    saved(new, "own")
    assert restore(backup, new, force=False, tell=quiet).saved == 0
    assert names_saved(new) == ["own"]  # the backup has none to put there
    saved(store, "one")
    back_up(store, backup, force=True, tell=quiet)
    new.unlink()
    with pytest.raises(StoreError, match=r"there are saved queries at .*new\.saved\.sqlite already"):
        restore(backup, new, force=False, tell=quiet)
    assert names_saved(new) == ["own"]
    assert not new.exists()
    _damage(saved_beside(backup), every=100)
    with pytest.raises(StoreError, match=r"backup.saved.sqlite.*(damaged|malformed|not a database)"):
        restore(backup, new, force=True, tell=quiet)
    assert names_saved(new) == ["own"]


def _damage(path: Path, every: int = 8192) -> None:
    """Break the second half of the pages, which the header does not show."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for at in range(size // 2, size, every):
            file.seek(at)
            file.write(b"\xff" * 100)


def test_a_damaged_store_is_found_and_a_backup_takes_its_place(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    before = rows(store)
    back_up(store, backup, force=False, tell=quiet)
    _damage(store)
    with pytest.raises(StoreError, match="is damaged"):
        back_up(store, tmp_path / "second.sqlite", force=False, tell=quiet)
    assert not (tmp_path / "second.sqlite").exists()
    assert restore(backup, store, force=True, tell=quiet).rows == 200
    assert rows(store) == before
    _damage(backup)
    with pytest.raises(StoreError, match="is damaged"):
        restore(backup, store, force=True, tell=quiet)
    assert rows(store) == before


def test_a_copy_that_contradicts_its_checkpoint_is_not_kept(tmp_path: Path) -> None:
    store = days(tmp_path, "2024-11-04")
    execute(store, "DELETE FROM option_trade_enriched WHERE seq > 190")
    with pytest.raises(StoreError, match="rows are enriched up to seq 190, the checkpoint says 200"):
        back_up(store, tmp_path / "backup.sqlite", force=False, tell=quiet)
    assert not (tmp_path / "backup.sqlite").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from phenix.engine.store import sqlite_backup
sqlite_backup._PAGES = 1
def die(done, total):
    if done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)
getattr(sqlite_backup, sys.argv[1])(Path(sys.argv[2]), Path(sys.argv[3]), force=True, tell=die)
"""


def test_a_kill_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    back_up(store, backup, force=False, tell=quiet)
    kept = backup.read_bytes()
    run_import(store, day(tmp_path / "files", "2024-11-05", 50))
    before = rows(store)
    for verb, source, target in (("back_up", store, backup), ("restore", backup, store)):
        done = subprocess.run([sys.executable, "-c", KILLED, verb, str(source), str(target)])
        assert done.returncode == -signal.SIGKILL
    assert (backup.read_bytes(), rows(store)) == (kept, before)
    assert len(list(tmp_path.glob("*.partial"))) == 2
    restore(backup, store, force=True, tell=quiet)
    back_up(store, backup, force=True, tell=quiet)
    assert not list(tmp_path.glob("*.partial*"))


def test_a_backup_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    store, backup = days(tmp_path, "2024-11-04"), tmp_path / "backup.sqlite"
    back_up(store, backup, force=False, tell=quiet)
    execute(backup, f"PRAGMA user_version = {LATEST + 1}")
    with pytest.raises(StoreError, match="of a newer Phenix") as error:
        restore(backup, tmp_path / "new.sqlite", force=False, tell=quiet)
    assert error.value.problem is Problem.NEWER
    assert not (tmp_path / "new.sqlite").exists()
