"""A store's file: whose it is, the pragmas checked one by one, and the lock of its one writer.

One writer, held by a lock file beside the database that the system releases when the process dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw
import apsw.bestpractice

from phenix.engine.store.base import Problem, StoreError
from phenix.engine.store.migrations import LATEST
from phenix.engine.store.sqlite_guard import guarded

__all__ = [
    "APPLICATION_ID",
    "BUSY_MS",
    "check_identity",
    "lock_writer",
    "open_beside",
    "open_reading",
    "prepare",
    "set_pragma",
]

APPLICATION_ID: Final = 0x50484E58
"""``PHNX``: tells a store from any other SQLite file."""
BUSY_MS: Final = 5_000
"""How long to wait for another program to let go of the file."""
_LOOK_S: Final = 0.05
_CACHE_KIB: Final = 65_536


def open_reading(path: Path, *, older: bool = False) -> apsw.Connection:
    """A read-only connection to a store, of an older schema too with ``older``.

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
            prepare(connection, BUSY_MS)
            set_pragma(connection, "query_only", 1)
            check_identity(connection, path, older=older, empty=False)
        except BaseException:
            connection.close()
            raise
    return connection


def open_beside(path: Path) -> apsw.Connection:
    """A connection for small transactions between those of a store's writer, which may be another process.

    Raises StoreError as :func:`open_reading`.
    """
    with guarded(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            prepare(connection, BUSY_MS)
            check_identity(connection, path, older=False, empty=False)
            set_pragma(connection, "synchronous", 2)
        except BaseException:
            connection.close()
            raise
    return connection


def prepare(connection: apsw.Connection, busy_ms: int) -> None:
    """What every connection is set to."""
    connection.set_busy_timeout(busy_ms)
    apsw.bestpractice.connection_dqs(connection)
    apsw.bestpractice.connection_enable_foreign_keys(connection)
    set_pragma(connection, "cache_size", -_CACHE_KIB)
    set_pragma(connection, "temp_store", 2)


def set_pragma(connection: apsw.Connection, name: str, value: int | str) -> None:
    """Set one pragma and read it back: SQLite ignores what it cannot do."""
    list(connection.execute(f"PRAGMA {name} = {value}"))
    found = connection.pragma(name)
    if found != value:
        raise StoreError(
            Problem.IO, f"SQLite would not set {name} to {value} (it is {found}): the file system may not allow it"
        )


def check_identity(connection: apsw.Connection, path: Path, *, older: bool, empty: bool) -> int:
    """The schema version of a store; raises StoreError for a file that is none, or older or empty against the wish."""
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    # A process that died while making the store may have left a file that is a database without a table.
    bare = not application and not list(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1"))
    if bare and not empty:
        raise StoreError(
            Problem.MISSING, f"the store {path} is still empty: `phenix import` or `phenix ingest` fills it"
        )
    if not bare and application != APPLICATION_ID:
        raise StoreError(
            Problem.FOREIGN,
            f"{path} is an SQLite database, but not a Phenix store: name another file; it was not touched",
        )
    if version > LATEST:
        raise StoreError(
            Problem.NEWER,
            f"the store {path} has schema {version} of a newer Phenix, this one knows up to {LATEST}:"
            " run the newer version, or put a backup from before it back with this one's `phenix restore`;"
            " the store was not touched",
        )
    if version < LATEST and not older:
        raise StoreError(
            Problem.OLDER,
            f"the store {path} has schema {version}, this Phenix reads {LATEST}:"
            " start its `phenix ingest` or `phenix import` once, which brings it up to date",
        )
    return int(version)


def _refuse_directory(path: Path) -> None:
    if path.is_dir():
        raise StoreError(Problem.ADDRESS, f"the store {path} is a directory: name a file in it")


def lock_writer(path: Path, wait_s: float = 0.0) -> int:
    """Take the writer's lock; the descriptor holds it, and the system frees it if the process dies.

    ``wait_s`` is how long to wait for another writer to end.
    """
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
    until = time.monotonic() + wait_s
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
            time.sleep(_LOOK_S)
    except OSError as error:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StoreError(
            Problem.LOCKED,
            f"the store {path} already has a writer{f' (process {owner})' if owner else ''}:"
            " a store has one at a time; stop the other `phenix ingest` or `phenix import`, or wait for it",
        ) from error
    # Only for whoever is refused meanwhile; on a full disk there is room for the lock and not for a name in it.
    with suppress(OSError):
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    return descriptor
