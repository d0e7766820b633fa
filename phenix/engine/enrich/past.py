"""The prints of one session date as a cancel may name them, linked by contract.

A day may have tens of millions, and hardly one is asked for again: the latest stay in memory, the rest go to a
file without a name in the folder for temporary files, which the system removes with the process.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NONE", "Entry", "Past"]

NONE: Final = -1
"""No print, and no side."""

_CHUNK: Final = 1 << 16
_KEPT: Final = 4
"""Chunks in memory: a quarter of a million prints, eleven megabytes."""


class Entry(NamedTuple):
    """What is remembered of a print, which is the same under any rules.

    ``before`` is the place of the contract's print before it; how far ``above`` the ask it was, and of what ``spread``,
    counts where ``touch`` is the ask.
    """

    seq: int
    ts: int
    price: int
    size: int
    exchange: int
    before: int
    above: int
    spread: int
    lean: int
    touch: int


_LAYOUT: Final = np.dtype(list(zip(
    Entry._fields, (np.int64,) * 2 + (np.int32,) * 6 + (np.int8,) * 2, strict=True,
)))  # fmt: skip
_SIZE_AT: Final = _LAYOUT.fields["size"][1] if _LAYOUT.fields else 0


class Past:
    """Entries by place, which is the order they came in."""

    def __init__(self) -> None:
        self.entries = 0
        self._chunks: dict[int, NDArray[Any]] = {}
        self._file: IO[bytes] | None = None

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add prints, a column for each member of an entry."""
        start, rows = 0, len(columns["seq"])
        while start < rows:
            number, at = divmod(self.entries, _CHUNK)
            if at == 0:
                self._chunks[number] = np.empty(_CHUNK, _LAYOUT)
                self._put_away(number - _KEPT)
            end = min(rows, start + _CHUNK - at)
            for name, values in columns.items():
                self._chunks[number][name][at : at + end - start] = values[start:end]
            self.entries += end - start
            start = end

    def __getitem__(self, place: int) -> Entry:
        number, at = divmod(place, _CHUNK)
        chunk = self._chunks.get(number)
        if chunk is None:
            assert self._file is not None
            chunk, at = (
                np.frombuffer(os.pread(self._file.fileno(), _LAYOUT.itemsize, place * _LAYOUT.itemsize), _LAYOUT),
                0,
            )
        return Entry._make(chunk[at].item())

    def spend(self, place: int) -> None:
        """Give a print the size 0, which no cancel names."""
        number, at = divmod(place, _CHUNK)
        chunk = self._chunks.get(number)
        if chunk is not None:
            chunk["size"][at] = 0
        else:
            assert self._file is not None
            os.pwrite(self._file.fileno(), bytes(4), place * _LAYOUT.itemsize + _SIZE_AT)

    def _put_away(self, number: int) -> None:
        chunk = self._chunks.get(number)
        if chunk is None:
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
                weakref.finalize(self, self._file.close)
            self._file.seek(number * chunk.nbytes)
            self._file.write(chunk.data)
            self._file.flush()
        except OSError:  # no folder, or a full one: what cannot be put away stays
            return
        del self._chunks[number]
