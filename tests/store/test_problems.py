"""What can be wrong with a store file, and that each error says it and loses nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import pytest

from phenix.engine.store.base import Batch, Problem, StoreError
from phenix.engine.store.migrations import LATEST, add_column
from phenix.engine.store.sqlite import open_reader, open_writer
from tests.store.rows import raw_row

LOCK = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); "
    "print('locked', flush=True); sys.stdin.read()"
)
HOLD = (
    "import sys; from pathlib import Path; from phenix.engine.store.sqlite import open_writer; "
    "w = open_writer(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
)


def _pragma(path: Path, text: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(text)
    connection.close()


def _missing(path: Path) -> None:
    assert not path.exists()


def _empty(path: Path) -> None:
    path.touch()


def _foreign(path: Path) -> None:
    _pragma(path, "CREATE TABLE notes (text)")


def _newer(path: Path) -> None:
    open_writer(path).close()
    _pragma(path, f"PRAGMA user_version = {LATEST + 1}")


def _older(path: Path) -> None:
    open_writer(path).close()
    _pragma(path, f"PRAGMA user_version = {LATEST - 1}")


def _no_database(path: Path) -> None:
    path.write_bytes(b"symbol,expiration,strike\r\n" * 200)


def _damaged(path: Path) -> None:
    open_writer(path).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)


def _directory(path: Path) -> None:
    path.mkdir()


READ = [
    (_missing, Problem.MISSING, "there is no store at"),
    (_empty, Problem.MISSING, "is still empty"),
    (_foreign, Problem.FOREIGN, "not a Phenix store"),
    (_newer, Problem.NEWER, "of a newer Phenix"),
    (_older, Problem.OLDER, "brings it up to date"),
    (_no_database, Problem.CORRUPT, "is not an SQLite database"),
    (_damaged, Problem.CORRUPT, "is damaged"),
    (_directory, Problem.ADDRESS, "is a directory"),
]
WRITE = [
    (_foreign, Problem.FOREIGN, "not a Phenix store"),
    (_newer, Problem.NEWER, "of a newer Phenix"),
    (_no_database, Problem.CORRUPT, "is not an SQLite database"),
    (_damaged, Problem.CORRUPT, "is damaged"),
    (_directory, Problem.ADDRESS, "is a directory"),
]


@pytest.mark.parametrize(("make", "problem", "message"), READ, ids=lambda value: getattr(value, "__name__", ""))
def test_a_reader_says_what_is_wrong(
    tmp_path: Path, make: Callable[[Path], None], problem: Problem, message: str
) -> None:
    path = tmp_path / "flow.sqlite"
    make(path)
    with pytest.raises(StoreError, match=message) as error:
        open_reader(path).watermark()
    assert error.value.problem is problem
    assert str(path) in str(error.value)


@pytest.mark.parametrize(("make", "problem", "message"), WRITE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_writer_says_what_is_wrong(
    tmp_path: Path, make: Callable[[Path], None], problem: Problem, message: str
) -> None:
    path = tmp_path / "flow.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=message) as error:
        open_writer(path)
    assert error.value.problem is problem
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_folder_without_a_name_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="is a directory: name a file in it"):
        open_writer(Path(name))


def test_an_interrupted_start_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    _pragma(path, "PRAGMA journal_mode = wal")  # all that a process killed in its first moment leaves
    with open_writer(path) as writer:
        assert writer.reads.execute("PRAGMA user_version") == [(LATEST,)]
        assert writer.reads.execute("SELECT version FROM schema_migrations") == [(n + 1,) for n in range(LATEST)]


def test_a_column_is_added_where_it_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    open_writer(path).close()
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE option_trade_enriched DROP COLUMN sig_score")
    for _ in range(2):
        add_column("sig_score")(connection)
    found = connection.execute("SELECT type FROM pragma_table_info('option_trade_enriched') WHERE name = 'sig_score'")
    assert found.fetchall() == [("REAL",)]
    connection.close()


def test_a_second_writer_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match=rf"already has a writer \(process {child.pid}\)") as error:
            open_writer(path)
        assert error.value.problem is Problem.LOCKED
        open_reader(path).close()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(open_writer, path, wait_s=60)
            child.send_signal(signal.SIGKILL)
            child.wait()
            waiting.result().close()
    with open_writer(path) as writer:
        assert len(writer.append(Batch([raw_row(1)])).rows) == 1


def test_a_store_locked_by_another_program_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    with open_writer(path, busy_ms=10) as writer:
        writer.append(Batch([raw_row(1)]))
        # Another process: two SQLite libraries in one would not see each other's locks.
        with subprocess.Popen(
            [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"locked\n"
            with pytest.raises(StoreError, match="is locked by another program") as error:
                writer.append(Batch([raw_row(2)]))
            other.kill()
        assert error.value.problem is Problem.LOCKED
        assert [row[0] for row in writer.append(Batch([raw_row(2)])).rows] == [2]


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with open_writer(tmp_path / "flow.sqlite") as writer:
        writer.append(Batch([raw_row(1)]))
        pages = writer.reads.execute("PRAGMA page_count")[0][0]
        writer.reads.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match="disk or its quota is full") as error:
            writer.append(Batch([raw_row(n) for n in range(2, 2000)], stream="import", watermark="2000"))
        assert error.value.problem is Problem.FULL
        assert (writer.reads.raw_watermark(), writer.reads.checkpoint("import")) == (1, None)
        writer.reads.execute("PRAGMA max_page_count = 1073741823")
        assert len(writer.append(Batch([raw_row(n) for n in range(1, 2000)])).rows) == 1998


@contextmanager
def _permissions_count() -> Iterator[None]:
    """Root ignores permissions, so root becomes somebody else for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_read_only_store_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    path = folder / "flow.sqlite"
    with open_writer(path) as writer:
        writer.append(Batch([raw_row(1)]))
    for parent in (tmp_path, *tmp_path.parents):  # pytest keeps its folders to its own user
        if Path(gettempdir()) in parent.parents and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o755)
    path.chmod(0o444)
    (folder / "flow.sqlite.lock").chmod(0o444)
    folder.chmod(0o555)
    with _permissions_count():
        with pytest.raises(StoreError, match=r"cannot be written \(Permission denied\): check the path") as error:
            open_writer(path)
        assert error.value.problem is Problem.READ_ONLY
        # Readers of a WAL database share an index file with its writer: without it they could miss what is written.
        with pytest.raises(StoreError, match="give this user write permission on the file and its directory"):
            open_reader(path)
    folder.chmod(0o755)
    with open_reader(path) as reader:
        assert reader.raw_watermark() == 1


def test_a_disk_too_full_for_the_name_in_the_lock_has_room_for_the_lock(tmp_path: Path) -> None:
    store = tmp_path / "flow.sqlite"
    (tmp_path / "flow.sqlite.lock").symlink_to("/dev/full")
    with open_writer(store), pytest.raises(StoreError) as refused:
        open_writer(store)
    assert refused.value.problem is Problem.LOCKED
