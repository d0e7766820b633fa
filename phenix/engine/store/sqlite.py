"""The SQLite door: opening a store file for writing or reading, with the pragmas checked one by one.

WAL, so readers never wait for the writer; ``synchronous=FULL``, so an acknowledged batch survives a power cut;
one writer, held by a lock file beside the database that the system releases when the process dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

import apsw
import apsw.bestpractice

from phenix.engine.store.base import Problem, StoreError
from phenix.engine.store.migrations import LATEST, migrate
from phenix.engine.store.sqlite_guard import guarded
from phenix.engine.store.sqlite_reader import SqliteReader
from phenix.engine.store.sqlite_writer import SqliteWriter

__all__ = ["APPLICATION_ID", "open_reader", "open_writer"]

APPLICATION_ID: Final = 0x50484E58
"""``PHNX``: tells a store from any other SQLite file."""

_BUSY_MS: Final = 5_000
"""How long to wait for another program to let go of the file."""
_CACHE_KIB: Final = 65_536
_WAL_PAGES: Final = 8_192
"""Pages the WAL may grow to before it is folded back: 64 MiB of it, so hot index pages are written once, not often."""
_WAL_KEEP_BYTES: Final = 128 * 2**20


def open_writer(path: Path, *, busy_ms: int = _BUSY_MS) -> SqliteWriter:
    """Open the store for its one writer, creating or migrating it as needed.

    ``busy_ms`` is how long to wait for another program to let go of the file.

    Raises StoreError: another writer has it, the path or disk does not allow it, the file is not ours, is damaged
    or was written by a newer Phenix.
    """
    lock = _lock(path)
    connection: apsw.Connection | None = None
    try:
        with guarded(path):
            connection = apsw.Connection(str(path))
            _prepare(connection, busy_ms)
            version = _check_identity(connection, path, for_writing=True)
            if version == 0:
                connection.execute("PRAGMA page_size = 8192")  # ignored where the file has its first page
            _pragma(connection, "journal_mode", "wal")
            _pragma(connection, "synchronous", 2)
            _pragma(connection, "wal_autocheckpoint", _WAL_PAGES)
            _pragma(connection, "journal_size_limit", _WAL_KEEP_BYTES)
            if version < LATEST:
                with connection:
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    migrate(connection, version, time.time_ns() // 1_000_000)
            return SqliteWriter(connection, path, lock)
    except BaseException:
        if connection is not None:
            connection.close()
        os.close(lock)
        raise


def open_reader(path: Path, *, timeout_s: float = 10.0) -> SqliteReader:
    """Open the store read-only; ``timeout_s`` is the deadline of statements that name none.

    Raises StoreError: no such store yet, not readable, not ours, damaged, or of another schema.
    """
    try:
        _refuse_directory(path)
        path.stat()
    except FileNotFoundError as error:
        raise StoreError(
            Problem.MISSING,
            f"there is no store at {path}: `phenix import` or `phenix ingest` makes one, or check the path",
        ) from error
    except OSError as error:
        raise StoreError(
            Problem.IO, f"the store {path} cannot be opened ({error.strerror}): check the path and its permissions"
        ) from error
    with guarded(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            _prepare(connection, _BUSY_MS)
            _pragma(connection, "query_only", 1)
            _check_identity(connection, path, for_writing=False)
            return SqliteReader(connection, path, timeout_s)
        except BaseException:
            connection.close()
            raise


def _prepare(connection: apsw.Connection, busy_ms: int) -> None:
    connection.set_busy_timeout(busy_ms)
    apsw.bestpractice.connection_dqs(connection)
    apsw.bestpractice.connection_enable_foreign_keys(connection)
    _pragma(connection, "cache_size", -_CACHE_KIB)
    _pragma(connection, "temp_store", 2)


def _pragma(connection: apsw.Connection, name: str, value: int | str) -> None:
    """Set one pragma and read it back: SQLite ignores what it cannot do."""
    list(connection.execute(f"PRAGMA {name} = {value}"))
    found = connection.pragma(name)
    if found != value:
        raise StoreError(
            Problem.IO, f"SQLite would not set {name} to {value} (it is {found}): the file system may not allow it"
        )


def _check_identity(connection: apsw.Connection, path: Path, *, for_writing: bool) -> int:
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    # A process that died while making the store may have left a file that is a database without a table.
    empty = not application and not list(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1"))
    if empty and not for_writing:
        raise StoreError(
            Problem.MISSING, f"the store {path} is still empty: `phenix import` or `phenix ingest` fills it"
        )
    if not empty and application != APPLICATION_ID:
        raise StoreError(
            Problem.FOREIGN,
            f"{path} is an SQLite database, but not a Phenix store: name another file; it was not touched",
        )
    if version > LATEST:
        raise StoreError(
            Problem.NEWER,
            f"the store {path} has schema {version} of a newer Phenix, this one knows up to {LATEST}:"
            " run the newer version; the store was not touched",
        )
    if version < LATEST and not for_writing:
        raise StoreError(
            Problem.OLDER,
            f"the store {path} has schema {version}, this Phenix reads {LATEST}:"
            " start its `phenix ingest` or `phenix import` once, which brings it up to date",
        )
    return int(version)


def _refuse_directory(path: Path) -> None:
    if path.is_dir():
        raise StoreError(Problem.ADDRESS, f"the store {path} is a directory: name a file in it")


def _lock(path: Path) -> int:
    """Take the writer's lock; the descriptor holds it, and the system frees it if the process dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _refuse_directory(path)
        name = path.with_name(path.name + ".lock")  # after the refusal: `.` has no name
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(
            Problem.READ_ONLY,
            f"the store {path} cannot be written ({error.strerror}): check the path and its permissions",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StoreError(
            Problem.LOCKED,
            f"the store {path} already has a writer{f' (process {owner})' if owner else ''}:"
            " a store has one at a time; stop the other `phenix ingest` or `phenix import`, or wait for it",
        ) from error
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
