"""Repeats: how many prints of a contract fell on the same side in the minutes up to a print.

Only ASK and AA part differently under other rules. So of prints at the ask or above it is kept how far above it they
were, and which of them are AA is told apart for each contract when it is first asked under some constants: whatever
rules come, nothing is read again. A print may come hours late, so all of a session stay: in four bytes, at the ask or
above in sixteen.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from phenix.engine.enrich.formulas import AA, ASK, SIDES, Constants, Ints, beyond
from phenix.engine.targets.arrays import Column, Mask

__all__ = ["REPEAT_MS", "Reading", "Repeats"]

REPEAT_MS: Final = 180_000
"""Length of the repeat window; both ends count."""
_WORD: Final = 32
_LOW: Final = 2**_WORD - 1


class Reading(NamedTuple):
    """How rows are read under a rule version's constants: which of those at the ask are ``far`` beyond it."""

    constants: Constants
    far: Mask

    def part(self, rows: slice) -> Reading:
        """Some of the rows."""
        return Reading(self.constants, self.far[rows])


class Repeats:
    """Times of a session's prints, in milliseconds from where the session counts, by contract and side."""

    def __init__(self) -> None:
        self._lines = _Lines()
        """Of the sides that are the same under any rules."""
        self._asks: dict[int, _Asks] = {}
        self._apart: list[_Apart] = []
        """By each reading."""

    def enter(
        self, numbers: Ints, touch: Column, times: Ints, above: Ints, spread: Ints, readings: Sequence[Reading]
    ) -> list[Column]:
        """Enter prints of contracts by number; by each reading a print's repeats, unknown where its side is."""
        asks = touch.values == ASK
        others = ~asks
        if touch.known is not None:
            asks, others = asks & touch.known, others & touch.known
        alike = self._lines.enter(numbers[others], touch.values[others], times[others])
        numbers, times = numbers[asks], times[asks]
        named, found = numbers.tolist(), []
        constants = [reading.constants for reading in readings]
        if [apart.constants for apart in self._apart] != constants:
            self._apart = [next((it for it in self._apart if it.constants == one), _Apart(one)) for one in constants]
        for (_, far), apart in zip(readings, self._apart, strict=True):
            apart.tell(named, self._asks)
            counts = np.zeros(len(asks), np.int64)
            counts[others] = alike
            counts[asks] = apart.lines.enter(numbers, np.where(far[asks], AA, ASK), times)
            found.append(Column(counts, touch.known))
        quotes = above[asks] << _WORD | spread[asks]
        for number, at, quote in zip(named, times.tolist(), quotes.tolist(), strict=True):
            line = self._asks.get(number)
            if line is None:
                line = self._asks[number] = _Asks(array("I"), array("Q"))
            line.times.append(at)
            line.quotes.append(quote)
        return found

    def remove(self, number: int, touch: int, at: int, above: int, spread: int) -> None:
        """Take a print out again."""
        if touch != ASK:
            self._lines.remove(number, touch, at)
            return
        line, quote = self._asks[number], above << _WORD | spread
        place = np.flatnonzero((np.frombuffer(line.times, "I") == at) & (np.frombuffer(line.quotes, "q") == quote))[-1]
        del line.times[place], line.quotes[place]
        for apart in self._apart:
            apart.remove(number, at, above, spread)


class _Lines:
    """Times in order, by contract and side."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[int, array[int]] = {}

    def enter(self, numbers: Ints, sides: Ints, times: Ints) -> list[int]:
        """Enter prints one after the other; of each how many there are in the window up to its time, with itself."""
        lines, found = self._times, []
        for which, at in zip((numbers * len(SIDES) + sides).tolist(), times.tolist(), strict=True):
            line = lines.get(which)
            if line is None:
                lines[which] = array("I", (at,))
                found.append(1)
            elif at >= line[-1]:
                line.append(at)
                found.append(len(line) - bisect_left(line, at - REPEAT_MS))
            else:
                insort(line, at)
                found.append(bisect_right(line, at) - bisect_left(line, at - REPEAT_MS))
        return found

    def put(self, number: int, side: int, times: Ints) -> None:
        """Have these times for a line that there is none of; at least one."""
        self._times[number * len(SIDES) + side] = array("I", np.sort(times).tobytes())

    def remove(self, number: int, side: int, at: int) -> None:
        """Take a print out again."""
        which = number * len(SIDES) + side
        line = self._times[which]
        del line[bisect_left(line, at)]
        if not line:
            del self._times[which]


class _Asks(NamedTuple):
    """Prints of a contract at the ask or above, as they came; ``quotes`` say how far above, of what spread."""

    times: array[int]
    quotes: array[int]


class _Apart:
    """Prints at the ask and those far beyond it under some constants, for the contracts that were asked for."""

    def __init__(self, constants: Constants) -> None:
        self.lines = _Lines()
        self.constants = constants
        self._told: set[int] = set()

    def tell(self, numbers: Iterable[int], asks: dict[int, _Asks]) -> None:
        """Tell the prints of contracts apart where that is not done."""
        for number in set(numbers) - self._told:
            self._told.add(number)
            if number in asks:
                times, quotes = (np.frombuffer(column, kind) for column, kind in zip(asks[number], "Iq", strict=True))
                far = beyond(quotes >> _WORD, quotes & _LOW, self.constants)
                for side, mask in ((AA, far), (ASK, ~far)):
                    if mask.any():
                        self.lines.put(number, side, times[mask])

    def remove(self, number: int, at: int, above: int, spread: int) -> None:
        """Take a print out again."""
        if number in self._told:
            far = beyond(np.array([above]), np.array([spread]), self.constants)[0]
            self.lines.remove(number, AA if far else ASK, at)
