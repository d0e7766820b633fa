"""Columns as arrays with what is known of each value, and the operations compiled column code calls.

A value is a pair of an array and a mask of where it is known; no mask means known everywhere. What
an array holds where it is not known is of no consequence, but never makes NumPy warn: nulls are
filled with zeros, and nothing is ever divided by zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "OPERATIONS",
    "Array",
    "Block",
    "Column",
    "Known",
    "Mask",
    "PerWord",
    "Words",
]

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Known = Mask | None
"""Where a value is known; None where it is known everywhere."""

_FEW: Final = 4
"""Up to so many alternatives are compared one after the other; more are looked up."""


class Words:
    """The different words of a text column, in the order of their codes; it may grow, it never changes."""

    __slots__ = ("_codes", "words")

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.words)

    def code(self, word: str) -> int:
        """A word's code, -1 where the column never holds it."""
        known = len(self._codes)
        for code, new in enumerate(self.words[known:], known):
            self._codes[new] = code  # the same whoever else is at it: several threads may ask at once
        return self._codes.get(word, -1)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a block.

    ``values`` is bool, int64 (or a narrower integer), float64, or for text codes of ``words``, valid ones also
    where nothing is known.
    """

    values: Array
    known: Known = None
    words: Words | None = None

    def __getitem__(self, rows: slice) -> Column:
        return Column(self.values[rows], None if self.known is None else self.known[rows], self.words)


class Block(Protocol):
    """Rows of equal length by column, as compiled conditions read them."""

    @property
    def rows(self) -> int:
        """How many."""
        ...

    def column(self, name: str, as_of: int) -> Column:
        """A field, derived ones included; ``as_of`` is the reader's seq."""
        ...

    def chip(self, bit: int) -> Column:
        """A chip's stored answer."""
        ...


# -- masks


def _sure(hits: Mask, known: Known) -> Mask:
    return hits if known is None else hits & known


def _maybe(hits: Mask, known: Known) -> Mask:
    return hits if known is None else hits >= known  # hits | ~known, in one pass


def _meet(a: Known, b: Known) -> Known:
    return b if a is None else a if b is None else a & b


def _present(known: Known, rows: int) -> Mask:
    return np.ones(rows, np.bool_) if known is None else known


def _missing(known: Known, rows: int) -> Mask:
    return np.zeros(rows, np.bool_) if known is None else ~known


# -- numbers


def _quotient(a: Any, b: Any, known: Known) -> tuple[Array, Known]:
    zero = b == 0
    if not zero.any():
        return a / b, known
    return a / np.where(zero, 1.0, b), _meet(known, ~zero)


def _least(a: Any, b: Any) -> Array:
    least: Array = np.minimum(a, b) if _plainly(a, b) else np.where(b < a, b, a)
    return least


def _greatest(a: Any, b: Any) -> Array:
    greatest: Array = np.maximum(a, b) if _plainly(a, b) else np.where(b > a, b, a)
    return greatest


def _plainly(a: Any, b: Any) -> bool:
    """Whether NumPy's own choice is exact: of 0.0 and -0.0 it gives either, the language the first."""
    for side in (a, b):
        if isinstance(side, float):
            return side != 0.0
    return not any(isinstance(side, np.ndarray) and side.dtype.kind == "f" for side in (a, b))


def _first(a: Array, known: Known, b: Any, other: Known) -> tuple[Array, Known]:
    if known is None:
        return a, None
    return np.where(known, a, b), None if other is None else known | other


def _among(values: Array, items: Array) -> Mask:
    """Membership in a sorted array that is not empty."""
    if len(items) > _FEW:
        places = items.searchsorted(values)
        np.minimum(places, len(items) - 1, out=places)
        return np.equal(items[places], values)
    hits: Mask = values == items[0]
    for item in items[1:]:
        hits |= values == item
    return hits


# -- text


class PerWord:
    """A test of text, asked once a word and then looked up by code."""

    __slots__ = ("_last", "_test")

    def __init__(self, test: Callable[[str], bool]) -> None:
        self._test = test
        self._last = (Words(()), np.empty(0, np.bool_))

    def answers(self, words: Words) -> Mask:
        """The answer for each word; of the words asked last only new ones are asked again."""
        last, old = self._last
        if last is words and len(old) == len(words):
            return old
        kept = old if last is words else old[:0]
        new = np.fromiter(map(self._test, words.words[len(kept) :]), np.bool_)
        answers = np.concatenate((kept, new))
        self._last = words, answers
        return answers

    def __call__(self, column: Column) -> Mask:
        """Where a column's words pass."""
        assert column.words is not None
        answers = self.answers(column.words)
        passing = np.flatnonzero(answers)
        failing = len(answers) - len(passing)
        if not len(passing):
            return np.zeros(len(column.values), np.bool_)
        if not failing:
            return np.ones(len(column.values), np.bool_)
        if len(passing) <= _FEW:
            return _among(column.values, passing)
        if failing <= _FEW:
            return ~_among(column.values, np.flatnonzero(~answers))
        return answers.take(column.values)


def _same_word(a: Column, b: Column) -> Mask:
    assert a.words is not None and b.words is not None
    if a.words is b.words:
        return np.equal(a.values, b.values)
    codes = np.array([b.words.code(word) for word in a.words.words], np.int64)
    return np.equal(codes.take(a.values), b.values)


def _first_word(a: Column, b: Column) -> Column:
    assert a.words is not None and b.words is not None
    if a.known is None:
        return a
    joint = Words(list(dict.fromkeys((*a.words.words, *b.words.words))))
    codes = np.array([joint.code(word) for word in b.words.words], np.int64)
    known = None if b.known is None else a.known | b.known
    return Column(np.where(a.known, a.values, codes.take(b.values)), known, joint)


def _every_row(word: str, rows: int) -> Column:
    return Column(np.zeros(rows, np.uint8), None, Words((word,)))


OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "sure": _sure, "maybe": _maybe, "meet": _meet, "present": _present, "missing": _missing,
    "quotient": _quotient, "least": _least, "greatest": _greatest, "first": _first, "among": _among,
    "same_word": _same_word, "first_word": _first_word, "every_row": _every_row,
    "zeros": lambda rows: np.zeros(rows, np.bool_), "ones": lambda rows: np.ones(rows, np.bool_),
    "int64": np.int64, "float64": np.float64, "absolute": np.abs,
}  # fmt: skip
"""What compiled column code calls, by the name it calls it."""
