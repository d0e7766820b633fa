"""Disks that fail and disks that forget, put under SQLite in place of the system's own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Final

import apsw

__all__ = ["Disk", "FailingDisk", "Fault", "ForgetfulDisk", "under_sqlite"]

_SYSTEM: Final = "unix"
_SECTOR: Final = 512
"""Bytes that a disk writes whole or not at all."""


class Disk(apsw.VFS):
    """The system's files, with a say in every change of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name, _SYSTEM)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        """Open a file so that its changes are told."""
        return _File(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's
        """Delete a file; ``syncdir`` says whether that is to last before it returns."""
        self.deleting(Path(name), syncdir)
        super().xDelete(name, syncdir)

    def writing(self, path: Path, offset: int, data: bytes) -> None:
        """Called before a write; raising refuses it, as it does in what follows."""

    def truncating(self, path: Path, size: int) -> None:
        """Called before a file is cut."""

    def syncing(self, path: Path) -> None:
        """Called before a file's writes are made to last."""

    def deleting(self, path: Path, lasting: bool) -> None:
        """Called before a file is deleted."""


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        super().__init__(_SYSTEM, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's
        self._disk.writing(self._path, offset, data)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's
        self._disk.truncating(self._path, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's
        self._disk.syncing(self._path)
        super().xSync(flags)


@contextmanager
def under_sqlite(disk: Disk) -> Iterator[None]:
    """Every database opened inside ``with`` is on this disk."""
    apsw.set_default_vfs(disk.name)
    try:
        yield
    finally:
        apsw.set_default_vfs(_SYSTEM)
        disk.unregister()


class Fault(StrEnum):
    """What a disk says to a write or a sync."""

    FULL = "full"
    WRITE = "write"
    SYNC = "sync"


class FailingDisk(Disk):
    """Refuses the ``at``-th write (or sync) from the first on, and with ``lasting`` all after it."""

    def __init__(self, fault: Fault, at: int, *, lasting: bool) -> None:
        super().__init__("failing")
        self.fault, self.at, self.lasting = fault, at, lasting
        self.refused = 0
        self._count = 0

    def writing(self, path: Path, offset: int, data: bytes) -> None:  # noqa: ARG002 - any write counts
        """Refuse, when it is time."""
        if self.fault is not Fault.SYNC:
            self._refuse()

    def syncing(self, path: Path) -> None:  # noqa: ARG002 - any sync counts
        """Refuse, when it is time."""
        if self.fault is Fault.SYNC:
            self._refuse()

    def _refuse(self) -> None:
        self._count += 1
        if self._count < self.at or (self._count > self.at and not self.lasting):
            return
        self.refused += 1
        if self.fault is Fault.FULL:
            raise apsw.FullError("database or disk is full")
        error = apsw.IOError("disk I/O error")
        code = apsw.SQLITE_IOERR_FSYNC if self.fault is Fault.SYNC else apsw.SQLITE_IOERR_WRITE
        setattr(error, "extendedresult", code)  # noqa: B010 - SQLite reads it; the stubs do not have it
        raise error


@dataclass(frozen=True, slots=True)
class _Change:
    """``data`` at ``size``, or with None a cut to ``size``, or with -1 the end of the file."""

    size: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    path: Path
    change: _Change | None
    """None makes what was changed last."""
    lasting: bool = False


class ForgetfulDisk(Disk):
    """Keeps every change in order, so that the power can be cut after any of them."""

    def __init__(self) -> None:
        super().__init__("forgetful")
        self._steps: list[_Step] = []

    @property
    def steps(self) -> int:
        """How many changes and syncs there were."""
        return len(self._steps)

    def writing(self, path: Path, offset: int, data: bytes) -> None:
        """Remember it."""
        self._steps.append(_Step(path, _Change(offset, bytes(data))))

    def truncating(self, path: Path, size: int) -> None:
        """Remember it."""
        self._steps.append(_Step(path, _Change(size)))

    def syncing(self, path: Path) -> None:
        """Remember it."""
        self._steps.append(_Step(path, None))

    def deleting(self, path: Path, lasting: bool) -> None:
        """Remember it."""
        self._steps.append(_Step(path, _Change(-1), lasting))

    def cut(self, upto: int, chance: random.Random, folder: Path) -> None:
        """Write into ``folder`` the files as they may be found when the power fails after ``upto`` steps.

        What was synced is there. Of what was not, each write is there whole, in some of its sectors or not at all, and
        the later one may be there without the earlier. Names last once a new file was synced, which syncs its folder.
        """
        lasting: dict[Path, bytearray] = {}
        pending: dict[Path, list[_Change]] = {}
        for step in self._steps[:upto]:
            waiting = pending.setdefault(step.path, [])
            if step.change is not None:
                waiting.append(step.change)
                if not step.lasting:
                    continue
            new = step.path not in lasting
            for change in waiting:
                _apply(lasting, step.path, change)
            waiting.clear()
            if new:
                for path, changes in pending.items():
                    if _Change(-1) in changes:
                        lasting.pop(path, None)
                        del changes[: changes.index(_Change(-1)) + 1]
        luck = chance.choice((0.0, 0.5, 0.9))
        for path, changes in pending.items():
            for change in changes:
                if chance.random() < luck:
                    for part in _torn(change, chance):
                        _apply(lasting, path, part)
        for path, content in lasting.items():
            (folder / path.name).write_bytes(content)


def _torn(change: _Change, chance: random.Random) -> list[_Change]:
    """The whole change, or a write in some of its sectors."""
    if change.data is None or chance.random() < 0.5:
        return [change]
    begin, end = change.size, change.size + len(change.data)
    edges = [begin, *range((begin // _SECTOR + 1) * _SECTOR, end, _SECTOR), end]
    return [
        _Change(left, change.data[left - begin : right - begin])
        for left, right in pairwise(edges)
        if chance.random() < 0.5
    ]


def _apply(files: dict[Path, bytearray], path: Path, change: _Change) -> None:
    if change.size < 0:
        files.pop(path, None)
        return
    content = files.setdefault(path, bytearray())
    end = change.size if change.data is None else change.size + len(change.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if change.data is None:
        del content[end:]
    else:
        content[change.size : end] = change.data
