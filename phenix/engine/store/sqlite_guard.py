"""What SQLite's errors mean to the person running Phenix, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from phenix.engine.store.base import Problem, StoreError, StoreTimeout

__all__ = ["guarded", "transaction"]

_MEANING: Final[tuple[tuple[type[apsw.Error], Problem, str], ...]] = (
    (apsw.BusyError, Problem.LOCKED,
     "is locked by another program: close what else has it open (a shell, a backup), then try again"),
    (apsw.LockedError, Problem.LOCKED, "is locked by another program: close what else has it open, then try again"),
    (apsw.ReadOnlyError, Problem.READ_ONLY,
     "is read-only: give this user write permission on the file and its directory"),
    (apsw.PermissionsError, Problem.READ_ONLY, "may not be opened: give this user permission on the file"),
    (apsw.FullError, Problem.FULL,
     "cannot grow: the disk or its quota is full; nothing already stored is lost. Free space and start again"),
    (apsw.NotADBError, Problem.CORRUPT, "is not an SQLite database: check the path, or restore a backup"),
    (apsw.CorruptError, Problem.CORRUPT,
     "is damaged: stop its writer, keep a copy of the file and restore the last backup"),
    (apsw.CantOpenError, Problem.IO, "cannot be opened: check the path, its permissions and free space"),
    (apsw.IOError, Problem.IO,
     "met an input or output error: check the disk, its free space and limits; nothing already stored is lost"),
    (apsw.ProtocolError, Problem.LOCKED, "is locked by too many programs at once: try again"),
    (apsw.NoMemError, Problem.IO, "needs more memory than there is"),
    (apsw.TooBigError, Problem.IO, "was given a value larger than SQLite can hold"),
)  # fmt: skip


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn what can go wrong with a database file into a StoreError; errors in our own SQL pass through."""
    try:
        yield
    except apsw.InterruptError as error:
        raise StoreTimeout(
            f"a statement on {path} passed its deadline and was stopped: ask for less, or later"
        ) from error
    except apsw.Error as error:
        for kind, problem, meaning in _MEANING:
            if isinstance(error, kind):
                raise StoreError(problem, f"the store {path} {meaning} ({error})") from error
        raise


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """What is written inside is stored as a whole, or not at all. It waits for the writer before it first."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, a full disk among them, have ended it already
            connection.execute("ROLLBACK")
        raise
