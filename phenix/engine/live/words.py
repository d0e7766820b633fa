"""Codes of what repeats in a session's rows: the words of text fields, and contracts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from phenix.dsl.types import TEXTUAL
from phenix.engine.flow import STORED
from phenix.engine.targets.arrays import Array, Column, Words

__all__ = ["CONTRACT", "HELD", "Contract", "Contracts", "Lexicon", "Vocabulary"]

HELD: Final = tuple(f for f in STORED if f.name != "cancelled_seq" and (f.filterable or f.type.kind not in TEXTUAL))
"""Fields that are kept: all that can be filtered by or reckoned with; cancels are kept apart."""

CONTRACT: Final = ("symbol", "root", "expiration", "strike", "right")
Contract = tuple[str, str, int, int, str]
"""Values of :data:`CONTRACT`."""


class Lexicon:
    """The words of a text field, each with one code in every block; it grows and never changes."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self.words = Words(list(words))
        self._codes: dict[str | None, int] = {word: code for code, word in enumerate(self.words.words)}

    def extend(self, words: Sequence[str]) -> bool:
        """Take in the words of another lexicon that began like this one; False when it did not."""
        ours = self.words.words
        if list(words[: len(ours)]) != list(ours[: len(words)]):
            return False
        self.codes(words[len(ours) :])
        return True

    def codes(self, cells: Sequence[str | None]) -> Array:
        """Codes of cells, new words taken in; of a None any."""
        codes = self._codes
        for word in dict.fromkeys(cells):
            if word is not None and word not in codes:
                self.words.words.append(word)  # type: ignore[attr-defined]
                codes[word] = len(codes)
        return np.fromiter((codes.get(cell, 0) for cell in cells), np.uint16, len(cells))

    def recoded(self, column: Column) -> Array:
        """The codes that the words of a column have here, new ones taken in; of what is unknown any."""
        assert column.words is not None
        if column.known is not None and not column.known.any():
            return np.zeros(len(column.values), np.uint16)
        return self.codes(column.words.words)[column.values]


class Contracts:
    """Contracts by code; it grows and never changes."""

    def __init__(self) -> None:
        self.known: list[Contract] = []
        self._codes: dict[Contract, int] = {}

    def extend(self, first: int, contracts: Sequence[Contract]) -> bool:
        """Take in contracts that had the codes from ``first`` on elsewhere; False when they cannot have them here."""
        common = len(self.known) - first
        if common < 0 or self.known[first:][: len(contracts)] != contracts[:common]:
            return False
        self.codes(contracts[common:])
        return len(self.known) >= first + len(contracts)  # none of them was here under another code

    def codes(self, contracts: Iterable[Contract]) -> Array:
        """Codes of contracts, new ones taken in."""
        codes, known, found = self._codes, self.known, []
        for contract in contracts:
            code = codes.get(contract)
            if code is None:
                code = codes[contract] = len(known)
                known.append(contract)
            found.append(code)
        return np.array(found, np.uint32)


class Vocabulary:
    """What the blocks of a session share; enums begin with their members."""

    def __init__(self) -> None:
        self.texts = {f.name: Lexicon(f.type.members) for f in HELD if f.type.kind in TEXTUAL}
        self.contracts = Contracts()
