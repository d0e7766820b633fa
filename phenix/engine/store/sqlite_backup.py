"""Backup of a store while it is written, and restore.

A backup is copied page by page inside one read transaction, so it is the store as it stood when the copy began, and
the writer goes on meanwhile. It is one file, complete in itself, and beside it another with the saved queries, where
there are any. A file appears under its name only when it is whole, checked and on the disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import apsw

from phenix.engine.store.base import ENRICHED_STREAM, Problem, StoreError
from phenix.engine.store.schema import ENRICHED_TABLE, RAW_TABLE
from phenix.engine.store.sqlite import open_writer
from phenix.engine.store.sqlite_file import APPLICATION_ID, BUSY_MS, lock_writer, open_reading
from phenix.engine.store.sqlite_guard import guarded
from phenix.engine.store.sqlite_saved import SAVED_APPLICATION_ID, connect_saved, saved_beside

__all__ = ["Copied", "back_up", "restore"]

_PAGES: Final = 1_024
"""Pages copied between looks at the clock: 8 MiB."""
_STEPS: Final = 1_000_000
"""Virtual machine steps of a check between moments at which it can be interrupted."""
_BESIDE: Final = ("-wal", "-shm", "-journal")
"""Files that SQLite keeps beside a database."""
_MAGIC: Final = b"SQLite format 3\0"

_T = TypeVar("_T")
Tell = Callable[[int, int], None]
"""Told how many of how many bytes are copied."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy: how far its rows and their enrichment go, how many queries are saved, its bytes and how long it took."""

    rows: int
    raw_watermark: int
    watermark: int
    saved: int
    size: int
    seconds: float


def back_up(store: Path, target: Path, *, force: bool, tell: Tell) -> Copied:
    """Copy a store to a file while its writer goes on, and its saved queries beside it; of an older schema too.

    Raises StoreError: the store cannot be read or is damaged, or the file is there (without ``force``), is the store
    itself, or cannot be written.
    """
    begun = time.monotonic()
    source = open_reading(store, older=True)
    try:
        _refuse_itself(store, target)
        for file in (target, saved_beside(target)):
            if file.exists() and not force:
                raise StoreError(
                    Problem.ADDRESS, f"{file} is there already: name another file, or replace it with --force"
                )
        with _copied_saved(store, target) as saved, _made(target) as part:
            rows, raw, enriched, size = _copy(source, store, part, tell, _check_store)
            _publish_saved(saved, target, replace=force)
            _publish(part, target, replace=force)
    finally:
        source.close()
    count, more = saved.figures if saved else (0, 0)
    return Copied(rows, raw, enriched, count, size + more, time.monotonic() - begun)


def restore(backup: Path, store: Path, *, force: bool, tell: Tell) -> Copied:
    """Put a backup in a store's place, brought up to this schema; the backup stays as it is.

    Saved queries go with it; a backup without any leaves those that are there. Raises StoreError: the backup cannot be
    read, is damaged or of a newer schema; the store has a writer or another program reads it, holds something (without
    ``force``), or is no store.
    """
    begun = time.monotonic()
    source = open_reading(backup, older=True)
    try:
        _refuse_itself(store, backup)
        lock = lock_writer(store)
        try:
            if _holds(store, APPLICATION_ID, "a Phenix store") and not force:
                raise StoreError(
                    Problem.ADDRESS, f"there is a store at {store} already: replace it with --force, or name another"
                )
            beside = saved_beside(store)
            with _copied_saved(backup, store) as saved, _made(store) as part:
                if saved and _holds(beside, SAVED_APPLICATION_ID, "a file of saved queries") and not force:
                    raise StoreError(
                        Problem.ADDRESS, f"there are saved queries at {beside} already: replace them with --force"
                    )
                rows, raw, enriched, size = _copy(source, backup, part, tell, _check_store)
                if saved:
                    _withdraw(beside)
                _withdraw(store)
                if saved:
                    _publish(saved.part, beside, replace=True)
                _publish(part, store, replace=True)
        finally:
            os.close(lock)
    finally:
        source.close()
    open_writer(store).close()  # brings an older schema up to date
    count, more = saved.figures if saved else (0, 0)
    return Copied(rows, raw, enriched, count, size + more, time.monotonic() - begun)


@dataclass(frozen=True, slots=True)
class _Saved:
    part: Path
    figures: tuple[int, int]
    """Queries and bytes."""


@contextmanager
def _copied_saved(of: Path, to: Path) -> Iterator[_Saved | None]:
    """The saved queries beside a store as a file in the making, None where there are none.

    They are copied before the store: a rule version that one of them names is in the store's copy, then.
    """
    path = saved_beside(of)
    if not path.exists():
        yield None
        return
    source = connect_saved(path, writing=False, older=True)
    try:
        with _made(saved_beside(to)) as part:
            try:
                part.touch(0o600)  # targets of alerts have secrets
            except OSError as error:
                raise _unwritable(saved_beside(to), error) from error
            yield _Saved(part, _copy(source, path, part, lambda *_: None, _check_saved))
    finally:
        source.close()


def _publish_saved(saved: _Saved | None, target: Path, *, replace: bool) -> None:
    beside = saved_beside(target)
    if saved:
        _publish(saved.part, beside, replace=replace)
    elif replace:
        beside.unlink(missing_ok=True)  # of an older backup of that name


@contextmanager
def _made(target: Path) -> Iterator[Path]:
    """Where a file is made; what is left of it goes in the end."""
    part = _part(target)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _part(target: Path) -> Path:
    """Where a file is made; what an interrupted run left there goes."""
    if not target.parent.is_dir():
        raise StoreError(Problem.ADDRESS, f"{target.parent} is no folder: make it, or name another file")
    part = target.with_name(f"{target.name}.partial")
    try:
        for end in ("", *_BESIDE):
            part.with_name(part.name + end).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    return part


def _unwritable(target: Path, error: OSError) -> StoreError:
    return StoreError(
        Problem.READ_ONLY, f"{target} cannot be written ({error.strerror}): check the folder, its permissions and space"
    )


def _refuse_itself(store: Path, file: Path) -> None:
    if file.is_dir():
        raise StoreError(Problem.ADDRESS, f"{file} is a directory: name a file in it")
    own = [one.with_name(one.name + end) for one in (store, saved_beside(store)) for end in ("", *_BESIDE, ".lock")]
    if file.resolve() in [path.resolve() for path in own]:
        raise StoreError(Problem.ADDRESS, f"{file} belongs to the store {store} itself: name another file")


def _copy(
    source: apsw.Connection, source_path: Path, part: Path, tell: Tell, check: Callable[[apsw.Connection, Path], _T]
) -> _T:
    """Copy a database; what ``check`` says of the copy."""
    with guarded(part):
        target = apsw.Connection(str(part))
        try:
            # Worth nothing until it is whole, so it needs no journal; then all of it is brought to the disk at once.
            target.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            source.execute("BEGIN")  # one view of the store: without it every commit would begin the copy again
            page = source.pragma("page_size")
            with target.backup("main", source, "main") as backup:
                while not backup.step(_PAGES):
                    tell((backup.page_count - backup.remaining) * page, backup.page_count * page)
            source.execute("COMMIT")
        finally:
            target.close()
        target = apsw.Connection(str(part))
        try:
            target.pragma("journal_mode", "delete")  # a WAL database would want a second file beside it
            target.set_progress_handler(lambda: False, _STEPS)
            return check(target, source_path)
        finally:
            target.close()


def _check_store(target: apsw.Connection, source_path: Path) -> tuple[int, int, int, int]:
    """Rows, both watermarks and bytes.

    Raises StoreError when the copy is not sound, or does not agree with its own checkpoint.
    """
    wrong = target.execute("PRAGMA integrity_check(1)").get
    rows, raw = target.execute(f"SELECT count(*), coalesce(max(seq), 0) FROM {RAW_TABLE}").get
    enriched = target.execute(f"SELECT coalesce(max(seq), 0) FROM {ENRICHED_TABLE}").get
    sql = "SELECT watermark FROM ingest_checkpoints WHERE stream_name = ?"
    checkpoint = target.execute(sql, (ENRICHED_STREAM,)).get
    if wrong == "ok" and int(checkpoint or 0) != enriched:
        wrong = f"rows are enriched up to seq {enriched}, the checkpoint says {checkpoint or 0}"
    _refuse_damaged(wrong, source_path)
    return rows, raw, enriched, _size(target)


def _check_saved(target: apsw.Connection, source_path: Path) -> tuple[int, int]:
    """Saved queries and bytes. Raises StoreError when the copy is not sound."""
    _refuse_damaged(target.execute("PRAGMA integrity_check(1)").get, source_path)
    return target.execute("SELECT count(*) FROM saved_queries").get, _size(target)


def _refuse_damaged(wrong: str, source_path: Path) -> None:
    if wrong != "ok":
        raise StoreError(
            Problem.CORRUPT, f"{source_path} is damaged ({wrong}): the copy was not kept; use an older backup"
        )


def _size(target: apsw.Connection) -> int:
    return int(target.pragma("page_count") * target.pragma("page_size"))


def _publish(part: Path, target: Path, *, replace: bool) -> None:
    """Bring a file to the disk, then give it its name."""
    try:
        _sync(part)
        if replace:
            part.replace(target)
        else:
            os.link(part, target)  # unlike a rename it never replaces what came meanwhile
        _sync(target.parent)
    except FileExistsError as error:
        raise StoreError(Problem.ADDRESS, f"{target} came meanwhile: name another file") from error
    except OSError as error:
        raise _unwritable(target, error) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holds(path: Path, application: int, what: str) -> bool:
    """Whether something is there; raises StoreError for what is not ours. Read from the header: it may be damaged."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != _MAGIC or int.from_bytes(header[68:72], "big") != application:
        raise StoreError(Problem.FOREIGN, f"{path} is not {what}: move it away first; it was not touched")
    return True


def _withdraw(store: Path) -> None:
    """Make sure that nobody has the old store open, and that no log of it is left to be taken for the new one's."""
    if not store.exists():
        return
    try:
        connection = apsw.Connection(str(store))
        try:
            connection.set_busy_timeout(BUSY_MS // 5)
            if connection.pragma("journal_mode", "delete") != "delete":
                raise apsw.BusyError
        finally:
            connection.close()
    except apsw.BusyError:
        raise StoreError(
            Problem.LOCKED,
            f"the store {store} is open in another program: stop `phenix serve` and what else reads it, then try again",
        ) from None
    except (apsw.CorruptError, apsw.NotADBError):
        pass  # a damaged store is what a backup is for
    for end in _BESIDE:
        store.with_name(store.name + end).unlink(missing_ok=True)
