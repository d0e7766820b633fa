"""What a comparison counts: rows, and for each chip what it was on, and where the two rule versions differ.

A row is counted once, as it was tagged when it came. A later cancel changes nothing: what was shown of the print was
shown by then, under either version, and a count that only grows is the same after any restart. Cancel records and
compression prints are rows on which every chip is off. Every figure but the time taken is a whole number, so the sum
does not depend on how the rows were cut into batches.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

__all__ = ["IDS", "SCORE_SCALE", "SLICE_MS", "ChipCounts", "Counts", "Scores", "Taken"]

IDS: Final = 100
"""Ids of added and of removed rows that are named, the first ones; all are counted."""
SLICE_MS: Final = 900_000
"""Quarters of an hour on the New York wall clock, in which rows are counted."""
SCORE_SCALE: Final = 1_000_000
"""Differences of scores are summed in millionths."""


@dataclass(slots=True)
class ChipCounts:
    """Rows of one chip: on under the active version (``old``), the candidate (``new``), undecided under either.

    ``added`` are on under the candidate alone, ``removed`` under the active version alone; ``symbols`` counts both.
    A version without the chip is ``has_old`` or ``has_new`` false.
    """

    has_old: bool = True
    has_new: bool = True
    old: int = 0
    new: int = 0
    old_unknown: int = 0
    new_unknown: int = 0
    added: int = 0
    removed: int = 0
    added_ids: list[str] = field(default_factory=list)
    removed_ids: list[str] = field(default_factory=list)
    symbols: Counter[str] = field(default_factory=Counter)

    @property
    def both(self) -> int:
        """Rows on which it is on under both."""
        return self.old - self.removed


@dataclass(slots=True)
class Scores:
    """Rows with another score, known or not; ``sum`` and ``largest`` of the differences where both are known."""

    changed: int = 0
    compared: int = 0
    sum: int = 0
    largest: int = 0


@dataclass(slots=True)
class Taken:
    """Rows whose tagging was timed, and the nanoseconds of each version."""

    rows: int = 0
    old_ns: int = 0
    new_ns: int = 0


@dataclass(slots=True)
class Counts:
    """All that is counted; ``changed`` are rows with any chip added or removed.

    ``symbols`` and ``times`` (begin of the slice, ms of the New York day) hold rows and changed rows.
    """

    rows: int = 0
    changed: int = 0
    chips: dict[str, ChipCounts] = field(default_factory=dict)
    symbols: dict[str, list[int]] = field(default_factory=dict)
    times: dict[int, list[int]] = field(default_factory=dict)
    scores: Scores = field(default_factory=Scores)
    taken: Taken = field(default_factory=Taken)

    def chip(self, id_: str) -> ChipCounts:
        """The counts of a chip."""
        return self.chips.setdefault(id_, ChipCounts())

    def to_json(self) -> str:
        """As the store keeps it."""
        return json.dumps(_plain(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Counts:
        """As :meth:`to_json` wrote it. Raises ValueError for what it did not write."""
        try:
            told: dict[str, Any] = json.loads(text)
            chips = {
                id_: ChipCounts(**{**one, "symbols": Counter(one["symbols"])}) for id_, one in told["chips"].items()
            }
            times = {int(begin): line for begin, line in told["times"].items()}
            return cls(
                told["rows"], told["changed"], chips, told["symbols"], times, Scores(**told["scores"]),
                Taken(**told["taken"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the stored counts of a comparison cannot be read: {error!r}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, ChipCounts | Scores | Taken | Counts):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return value
