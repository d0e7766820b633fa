"""Sets of values on one line: unions of intervals, exact under and, or and not.

A *cut* stands just before (0) or just after (1) a value, so ``x >= 5`` begins at ``(5, 0)`` and
``x > 5`` at ``(5, 1)``. A set is whether it holds the far left, and the cuts at which that turns.
Words have an order too, so a set of symbols is a set of points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["EVERYTHING", "NOTHING", "Cut", "Intervals", "compared", "one_of"]

Cut = tuple[Any, int]
"""A value and a side: 0 just before it, 1 just after."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """``begins``: whether it holds the far left; each of ``cuts`` (ascending) leaves or enters it."""

    begins: bool
    cuts: tuple[Cut, ...] = ()

    def __and__(self, other: Intervals) -> Intervals:
        return self._with(other, lambda a, b: a and b)

    def __or__(self, other: Intervals) -> Intervals:
        return self._with(other, lambda a, b: a or b)

    def __invert__(self) -> Intervals:
        return Intervals(not self.begins, self.cuts)

    def __contains__(self, value: object) -> bool:
        return self.begins is (bisect_right(self.cuts, (value, 0)) % 2 == 0)

    def _with(self, other: Intervals, joined: Callable[[bool, bool], bool]) -> Intervals:
        a, b = self.begins, other.begins
        begins = now = joined(a, b)
        mine, theirs = frozenset(self.cuts), frozenset(other.cuts)
        out = []
        for cut in sorted(mine | theirs):
            a ^= cut in mine
            b ^= cut in theirs
            if joined(a, b) is not now:
                now = not now
                out.append(cut)
        return Intervals(begins, tuple(out))

    def pieces(self) -> Iterator[tuple[Cut | None, Cut | None]]:
        """The intervals from left to right, each from cut to cut; None is without end."""
        cuts: list[Cut | None] = [*((None,) if self.begins else ()), *self.cuts]
        if len(cuts) % 2:
            cuts.append(None)
        return iter(zip(cuts[::2], cuts[1::2], strict=True))

    def points(self) -> list[Any] | None:
        """The values, when it is a finite set of single ones."""
        if self.begins or len(self.cuts) % 2:
            return None
        pairs = list(zip(self.cuts[::2], self.cuts[1::2], strict=True))
        return [lo[0] for lo, _ in pairs] if all(lo[0] == hi[0] for lo, hi in pairs) else None


NOTHING: Final = Intervals(False)
EVERYTHING: Final = Intervals(True)


def compared(op: str, value: Any) -> Intervals:
    """The values ``x`` for which ``x op value`` holds."""
    before, after = (value, 0), (value, 1)
    match op:
        case "<":
            return Intervals(True, (before,))
        case "<=":
            return Intervals(True, (after,))
        case ">":
            return Intervals(False, (after,))
        case ">=":
            return Intervals(False, (before,))
        case "=":
            return Intervals(False, (before, after))
        case _:
            return Intervals(True, (before, after))


def one_of(values: Iterable[Any], negated: bool = False) -> Intervals:
    """A finite set of values, or all but those."""
    return Intervals(negated, tuple((v, side) for v in sorted(set(values)) for side in (0, 1)))
