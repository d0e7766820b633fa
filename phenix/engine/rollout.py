"""How far the chips are rolled out: which of them are served, by one setting and, where wished, chip by chip.

A chip that is not served is tagged and stored like any other, so that rolling it out later, or back, changes no row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["CORE", "Mode", "Rollout", "State", "read_rollout"]

CORE: Final = ("calls", "puts", "bid", "ask", "premium_100k", "whales", "otm")
"""The chips that older clients know: Calls, Puts, Bid, Ask, 100k+, Whales, OTM."""


class Mode(StrEnum):
    """What ``FLOW_FILTERS_V2`` says."""

    OFF = "off"
    SHADOW = "shadow"
    CORE = "core"
    ON = "on"


class State(StrEnum):
    """How far a chip is: served, tagged beside to be looked at, or not to be seen at all."""

    ON = "on"
    SHADOW = "shadow"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Rollout:
    """A mode, and chips that are served whatever it says."""

    mode: Mode = Mode.ON
    also: frozenset[str] = frozenset()

    def state(self, chip: str) -> State:
        """How far a chip is, by its id."""
        if self.mode is Mode.ON or chip in CORE or chip in self.also:
            return State.ON
        return State.OFF if self.mode is Mode.OFF else State.SHADOW

    def missing(self, chips: Iterable[str]) -> list[str]:
        """The chips it names that are not among those there are."""
        return sorted(self.also - set(chips))


def read_rollout(text: str) -> Rollout:
    """``off``, ``shadow``, ``core`` or ``on``, and after commas chips that are served besides; raises ValueError."""
    mode, *also = (word.strip() for word in text.lower().split(","))
    expected = "off, shadow, core or on; after it, with commas, ids of chips that are served besides: core,sweeps"
    if mode not in [one.value for one in Mode] or not all(word.replace("_", "").isalnum() for word in also):
        raise ValueError(expected)
    return Rollout(Mode(mode), frozenset(also))
