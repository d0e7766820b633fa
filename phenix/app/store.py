"""The store: the writer (one process), readers (any), copies, and what is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from phenix.engine.store.base import Reader, Writer
    from phenix.engine.store.sqlite_backup import Copied
    from phenix.engine.store.sqlite_retention import Held, Leaving, Removed

__all__ = ["back_up", "choose_sessions", "compact", "open_reader", "open_writer", "remove_sessions", "restore"]


def open_writer(store: str, *, wait_s: float = 0.0) -> Writer:
    """The one writer of the store at a URL, once another has ended within ``wait_s``; raises StoreError."""
    from phenix.engine.store import sqlite
    from phenix.engine.store.base import sqlite_path

    return sqlite.open_writer(sqlite_path(store), wait_s=wait_s)


def open_reader(store: str) -> Reader:
    """A reader of the store at a URL; raises StoreError."""
    from phenix.engine.store import sqlite
    from phenix.engine.store.base import sqlite_path

    return sqlite.open_reader(sqlite_path(store))


def back_up(store: str, target: Path, *, force: bool, tell: Callable[[int, int], None]) -> Copied:
    """Copy the store at a URL to a file; raises StoreError."""
    from phenix.engine.store import sqlite_backup
    from phenix.engine.store.base import sqlite_path

    return sqlite_backup.back_up(sqlite_path(store), target, force=force, tell=tell)


def restore(backup: Path, store: str, *, force: bool, tell: Callable[[int, int], None]) -> Copied:
    """Put a backup in the place of the store at a URL; raises StoreError."""
    from shutil import rmtree

    from phenix.engine.live.file import blocks_of
    from phenix.engine.store import sqlite_backup
    from phenix.engine.store.base import sqlite_path

    path = sqlite_path(store)
    # Blocks of the store before may hold cancels that never came to the one that is put there.
    rmtree(blocks_of(path), ignore_errors=True)
    return sqlite_backup.restore(backup, path, force=force, tell=tell)


def choose_sessions(
    store: str, *, keep: int | None = None, before: int | None = None
) -> tuple[list[Held], list[Leaving]]:
    """The sessions a store holds, oldest first, and those of them that would be removed; raises StoreError."""
    from phenix.engine import retention
    from phenix.engine.store import sqlite_retention
    from phenix.engine.store.base import sqlite_path

    held = sqlite_retention.held_sessions(sqlite_path(store))
    return held, retention.choose_sessions(held, keep=keep, before=before)


def remove_sessions(store: str, sessions: Sequence[Leaving], tell: Callable[[int], None]) -> Removed:
    """Remove sessions while ingest goes on; raises StoreError."""
    from shutil import rmtree

    from phenix.engine.live.file import blocks_of
    from phenix.engine.store import sqlite_retention
    from phenix.engine.store.base import sqlite_path

    path = sqlite_path(store)
    removed = sqlite_retention.remove_sessions(path, sessions, tell)
    for session in sessions:
        rmtree(blocks_of(path) / str(session.session_date), ignore_errors=True)
    return removed


def compact(store: str) -> int:
    """Give the free space of a store back to the system; its size after. Raises StoreError."""
    from phenix.engine.store import sqlite_retention
    from phenix.engine.store.base import sqlite_path

    return sqlite_retention.compact(sqlite_path(store))
