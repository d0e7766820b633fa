"""Files of the vendor's tables, read once to find their order and once more in it.

Prints of all files are ordered by trade time, ties in the order of files and lines. Only eight bytes a line are held
in memory: the second of the minute and the place in the files, in one list a minute.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from phenix.ingest.layout import LINE_BYTES, TRADE_QUOTE, Layout, LayoutError, Table, ndjson_values
from phenix.ingest.normalize import Refusal
from phenix.ingest.values import Minutes, Seconds

__all__ = ["Line", "TableFile", "TradeFiles", "open_table"]

_MARK_LINES: Final = 4_096
_OFFSET_BITS: Final = 44
"""Bits of a place in the files: 16 TiB of them."""
_NDJSON: Final = frozenset({".ndjson", ".jsonl"})


Line = tuple["TableFile", int, bytes]
"""A line with its place: file, offset, text."""


class TableFile:
    """One file: its layout, its lines, and which number a line has."""

    def __init__(self, path: Path, layout: Layout, body_at: int, *, ndjson: bool) -> None:
        self.path = path
        self.layout = layout
        self.size = path.stat().st_size
        self._body_at = body_at
        self._ndjson = ndjson
        self._first_line = 1 if ndjson else 2
        self._marks = array("q")
        self.values: Callable[[bytes], Sequence[bytes] | Refusal] = (
            partial(ndjson_values, layout) if ndjson else layout.values
        )
        """The texts of the table's columns in a line, or what is wrong with it."""

    def lines(self) -> Iterator[Line]:
        """Every line that is not blank, in file order; an overlong one is cut."""
        offset, number = self._body_at, 0
        marks, limit = self._marks, LINE_BYTES + 1
        del marks[:]
        with self.path.open("rb") as file:
            file.seek(offset)
            while text := file.readline(limit):
                if number % _MARK_LINES == 0:
                    marks.append(offset)
                number += 1
                length = len(text)
                if length == limit and text[-1:] != b"\n":
                    length += _skip_line(file)
                if not text.isspace():
                    yield self, offset, text
                offset += length

    def number(self, offset: int) -> int:
        """Line number in the file of a line :meth:`lines` gave."""
        mark = bisect_right(self._marks, offset) - 1
        number = self._first_line + mark * _MARK_LINES
        with self.path.open("rb") as file:
            position = self._marks[mark]
            file.seek(position)
            while position < offset:
                chunk = file.read(min(1 << 20, offset - position))
                number += chunk.count(b"\n")
                position += len(chunk) or offset
        return number

    @property
    def split_at(self) -> int | None:
        """Where the time stands in a plain line, counted in commas; None where lines are not plain."""
        if self._ndjson:
            return None
        return self.layout.column("trade_timestamp" if self.layout.table is TRADE_QUOTE else "timestamp")


def open_table(table: Table, path: Path) -> TableFile:
    """Look at a file's header; raises LayoutError when it cannot be read or is another kind of file."""
    try:
        if not path.is_file():
            what = "is not a regular file: give a file on disk" if path.exists() else "does not exist"
            raise LayoutError(f"{path} {what}")
        if path.suffix.lower() in _NDJSON:
            return TableFile(path, Layout(table, list(table.columns)), 0, ndjson=True)
        with path.open("rb") as file:
            header = file.readline(LINE_BYTES + 1)
    except OSError as error:
        raise LayoutError(f"{path} cannot be read: {error.strerror}") from error
    return TableFile(path, Layout.of_header(table, header, str(path)), len(header), ndjson=False)


def _skip_line(file: BinaryIO) -> int:
    skipped = 0
    while chunk := file.readline(1 << 20):
        skipped += len(chunk)
        if chunk[-1:] == b"\n":
            break
    return skipped


class TradeFiles:
    """The lines of several files in the order of trade time."""

    def __init__(self, files: Sequence[TableFile]) -> None:
        self._files = tuple(files)
        self._starts: list[int] = []
        start = 0
        for file in self._files:
            self._starts.append(start)
            start += file.size + 1
        self.minutes = Minutes()
        self.seconds = Seconds()
        self._order: dict[int, array[int]] = {}
        self.lines = 0
        """Lines found by :meth:`index`."""

    def index(self) -> Iterator[tuple[Line, Refusal] | int]:
        """Find the order: lines without a trade time come back with the reason, and now and then the bytes read."""
        minutes, seconds, order = self.minutes, self.seconds, self._order
        for file, start in zip(self._files, self._starts, strict=True):
            column = file.split_at
            for line in file.lines():
                _, offset, text = line
                try:
                    if column is None:
                        raise ValueError  # noqa: TRY301 - the same second look as for a line that is not plain
                    time = text.split(b",", column + 1)[column]
                    minute, ms = minutes[time[:16]], seconds[time[16:]]
                except (ValueError, IndexError):
                    found = self._second_look(line)
                    if isinstance(found, Refusal):
                        yield line, found
                        continue
                    minute, ms = found
                places = order.get(minute)
                if places is None:
                    places = order[minute] = array("Q")
                places.append(ms << _OFFSET_BITS | start + offset)
                self.lines += 1
                if self.lines % 100_000 == 0:
                    yield start + offset

    def in_order(self) -> Iterator[Line]:
        """The lines by trade time, ties by file and line; after :meth:`index` ran to its end."""
        mask = (1 << _OFFSET_BITS) - 1
        handles = [file.path.open("rb") for file in self._files]
        try:
            positions = [0] * len(handles)
            for minute in sorted(self._order):
                for place in sorted(self._order.pop(minute)):
                    place &= mask
                    which = bisect_right(self._starts, place) - 1
                    offset, handle = place - self._starts[which], handles[which]
                    if positions[which] != offset:
                        handle.seek(offset)
                    text = handle.readline(LINE_BYTES + 1)
                    positions[which] = offset + len(text)
                    yield self._files[which], offset, text
        finally:
            for handle in handles:
                handle.close()

    def _second_look(self, line: Line) -> tuple[int, int] | Refusal:
        file, _, text = line
        values = file.values(text)
        if isinstance(values, Refusal):
            return values
        time = values[list(TRADE_QUOTE.columns).index("trade_timestamp")]
        try:
            return self.minutes[time[:16]], self.seconds[time[16:]]
        except ValueError as error:
            return Refusal("trade_timestamp_malformed", f"trade_timestamp: {error}")
