"""Blocks: rows by column, for conditions compiled to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from phenix.dsl.types import REAL, TEXTUAL, Kind, Type
from phenix.engine.flow import BY_NAME, FIELDS, INDEX, Row
from phenix.engine.targets.arrays import Array, Column, Mask, Words

__all__ = ["DERIVED", "Block", "cells_of", "column_of"]

_DAY: Final = 86_400_000
_EXACT_DOUBLE: Final = 2**53
"""Whole numbers up to here are doubles, too."""
_MEMBERS: Final = {
    members: (Words(members), dict[str | None, int](zip(members, range(len(members)), strict=True)))
    for members in {field.type.members for field in FIELDS if field.type.members}
}
"""Enums always have the codes of their declaration."""


class Block:
    """Rows by column; what it does not hold is built when first read, and kept."""

    __slots__ = ("_build", "_columns", "rows")

    def __init__(self, columns: Mapping[str, Column], rows: int, build: Callable[[str], Column] | None = None) -> None:
        """``columns`` by name of stored fields, each of length ``rows``; ``build`` gives the others."""
        self.rows = rows
        self._columns = dict(columns)
        self._build = build

    @classmethod
    def of_rows(cls, rows: Sequence[Row]) -> Block:
        """Stored rows, in the order of :data:`~phenix.engine.flow.STORED`."""

        def build(name: str) -> Column:
            place = INDEX[name]
            return column_of([row[place] for row in rows], BY_NAME[name].type)

        return cls({}, len(rows), build)

    @classmethod
    def of_cells(cls, columns: Sequence[Sequence[Any]]) -> Block:
        """As :meth:`of_rows`, given by column; the last ones may be left out."""
        return cls({}, len(columns[0]), lambda name: column_of(columns[INDEX[name]], BY_NAME[name].type))

    @classmethod
    def joined(cls, blocks: Sequence[Block]) -> Block:
        """The rows of several blocks, one after the other."""
        if len(blocks) == 1:
            return blocks[0]
        return cls({}, sum(b.rows for b in blocks), lambda name: _joined([block.stored(name) for block in blocks]))

    def __getitem__(self, rows: slice) -> Block:
        """The block of a run of these rows, sharing their memory."""
        return Block({}, len(range(self.rows)[rows]), lambda name: self.stored(name)[rows])

    def with_columns(self, columns: Mapping[str, Column]) -> Block:
        """The same rows with some stored fields replaced."""
        return Block(columns, self.rows, self.stored)

    def column(self, name: str, as_of: int) -> Column:
        """A field, derived ones included; ``as_of`` is the reader's seq."""
        derive = DERIVED.get(name)
        return self.stored(name) if derive is None else derive(self, as_of)

    def stored(self, name: str) -> Column:
        """A stored field."""
        column = self._columns.get(name)
        if column is None:
            if self._build is None:
                raise KeyError(f"the block holds no column {name}")
            column = self._columns[name] = self._build(name)
        return column

    def chip(self, bit: int) -> Column:
        """A chip's stored answer."""
        on, known = (_bit(self.stored(name).values, bit) for name in ("chips_set", "chips_known"))
        return Column(on, known)


def _bit(masks: Array, bit: int) -> Mask:
    """Where a bit is on; in a type too narrow for it, nowhere."""
    if bit >= 8 * masks.itemsize - (masks.dtype.kind == "i"):
        return np.zeros(len(masks), np.bool_)
    on: Mask = masks & (1 << bit) != 0
    return on


def column_of(cells: Sequence[Any], type_: Type) -> Column:
    """Cells of one field as a column; None is null. Cells without nulls, most columns, are taken in one go."""
    if type_.kind in TEXTUAL:
        return _coded(cells, type_.members)
    real = type_.kind in REAL
    try:
        if type_.kind is Kind.BOOL:
            return Column(np.frombuffer(bytes(cells), np.bool_))
        if not real:
            return Column(np.fromiter(cells, np.int64, len(cells)))
    except TypeError:  # of a None
        pass
    doubles = np.fromiter(cells, np.float64, len(cells))  # of a None NaN
    null = np.isnan(doubles)
    if real and not null.any():
        return Column(doubles)
    doubles[null] = 0.0
    if real:
        return Column(doubles, ~null)
    if type_.kind is Kind.BOOL:
        return Column(doubles != 0.0, ~null)
    if np.abs(doubles).max(initial=0.0) < _EXACT_DOUBLE:
        return Column(doubles.astype(np.int64), ~null)
    return Column(np.array([0 if cell is None else cell for cell in cells], np.int64), ~null)


def _coded(cells: Sequence[str | None], members: tuple[str, ...]) -> Column:
    if members in _MEMBERS:
        words, codes = _MEMBERS[members]
        try:
            return Column(np.frombuffer(bytes(map(codes.__getitem__, cells)), np.uint8), None, words)
        except KeyError:  # a None
            pass
    found = dict.fromkeys(cells)
    known = None
    if None in found:
        known = np.array([cell is not None for cell in cells], np.bool_)
        del found[None]
    own = {word: code for code, word in enumerate(found)} | {None: 0}
    values = np.fromiter(map(own.__getitem__, cells), np.min_scalar_type(len(own)), len(cells))
    return Column(values, known, Words([word for word in found if word is not None] or [""]))


def _joined(columns: Sequence[Column]) -> Column:
    values, words = [column.values for column in columns], columns[0].words
    if words is not None and any(column.words is not words for column in columns):
        own: dict[str, int] = {}
        for place, column in enumerate(columns):
            assert column.words is not None
            codes = [own.setdefault(word, len(own)) for word in column.words.words]
            values[place] = np.array(codes, np.int64)[column.values]
        words = Words(list(own))
    known = None
    if any(column.known is not None for column in columns):
        known = np.concatenate([
            np.ones(len(column.values), np.bool_) if column.known is None else column.known for column in columns
        ])  # fmt: skip
    return Column(np.concatenate(values), known, words)


def cells_of(column: Column) -> list[Any]:
    """A column as cells: what :func:`column_of` would make it from."""
    cells: list[Any] = column.values.tolist()
    if column.words is not None:
        cells = list(map(column.words.words.__getitem__, cells))
    if column.known is not None:
        for row in np.flatnonzero(~column.known).tolist():
            cells[row] = None
    return cells


# -- derived fields


def _time_et(block: Block, as_of: int) -> Column:  # noqa: ARG001
    clock = block.stored("trade_ts_et").values
    # Dividing by a constant is several times faster than the remainder.
    return Column(clock - clock // _DAY * _DAY)


def _cancelled(block: Block, as_of: int) -> Column:
    seq = block.stored("cancelled_seq")
    hits = seq.values <= as_of
    return Column(hits if seq.known is None else hits & seq.known)


DERIVED: Final[Mapping[str, Callable[[Block, int], Column]]] = {"time_et": _time_et, "cancelled": _cancelled}
"""Fields that are computed from stored ones; a test compares their names with the catalog."""
