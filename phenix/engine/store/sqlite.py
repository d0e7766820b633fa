"""The SQLite door: opening a store file for writing or reading.

WAL, so readers never wait for the writer; ``synchronous=FULL``, so an acknowledged batch survives a power cut.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import apsw

from phenix.engine.store.migrations import LATEST, migrate
from phenix.engine.store.sqlite_file import (
    APPLICATION_ID,
    BUSY_MS,
    check_identity,
    lock_writer,
    open_reading,
    prepare,
    set_pragma,
)
from phenix.engine.store.sqlite_guard import guarded
from phenix.engine.store.sqlite_reader import SqliteReader
from phenix.engine.store.sqlite_retention import finish
from phenix.engine.store.sqlite_writer import SqliteWriter

__all__ = ["open_reader", "open_writer"]

_WAL_PAGES: Final = 8_192
"""Pages the WAL may grow to before it is folded back: 64 MiB of it, so hot index pages are written once, not often."""
_WAL_KEEP_BYTES: Final = 128 * 2**20


def open_writer(path: Path, *, busy_ms: int = BUSY_MS, wait_s: float = 0.0) -> SqliteWriter:
    """Open the store for its one writer, creating or migrating it as needed.

    ``busy_ms`` is how long to wait for another program to let go of the file, ``wait_s`` for another writer to end.

    Raises StoreError: another writer has it, the path or disk does not allow it, the file is not ours, is damaged
    or was written by a newer Phenix.
    """
    lock = lock_writer(path, wait_s)
    connection: apsw.Connection | None = None
    try:
        with guarded(path):
            connection = apsw.Connection(str(path))
            prepare(connection, busy_ms)
            version = check_identity(connection, path, older=True, empty=True)
            if version == 0:
                connection.execute("PRAGMA page_size = 8192")  # ignored where the file has its first page
            set_pragma(connection, "journal_mode", "wal")
            set_pragma(connection, "synchronous", 2)
            set_pragma(connection, "wal_autocheckpoint", _WAL_PAGES)
            set_pragma(connection, "journal_size_limit", _WAL_KEEP_BYTES)
            if version < LATEST:
                with connection:
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    migrate(connection, version, time.time_ns() // 1_000_000)
            finish(connection, lambda _: None)  # what a killed removal left
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
    return SqliteReader(open_reading(path), path, timeout_s)
