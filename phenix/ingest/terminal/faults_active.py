"""Faults in force: which opportunities each takes, and how often it did."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from itertools import count
from typing import Any, Final

from phenix.ingest.terminal.faults import FAULTS, Setting, Span, Stage

__all__ = ["ActiveFault", "ActiveFaults"]


class ActiveFault:
    """A fault that was switched on; the same setting takes the same opportunities."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number, self.fault = number, setting.fault
        self._values = setting.values
        self.random: Final = random.Random(f"{self.fault.name}:{setting.values.get('seed', 0)}")  # noqa: S311
        self.seen = 0
        """Opportunities so far; of a periodic fault those since it last happened."""
        self.fired = 0
        """How often it happened."""
        self._begun = 0.0
        self._after, self._count = self.whole("after"), self.whole("count")
        self._share = self.number_of("share") if "share" in self._values else 1.0
        self._for = self.span("for")

    def whole(self, name: str) -> int:
        """A parameter that is a whole number; 0 where the fault has no such parameter."""
        value = self._values.get(name, 0)
        assert isinstance(value, int)
        return value

    def number_of(self, name: str) -> float:
        """A parameter that is a number."""
        value = self._values[name]
        assert isinstance(value, int | float)
        return float(value)

    def text(self, name: str) -> str:
        """A parameter that is text."""
        value = self._values[name]
        assert isinstance(value, str)
        return value

    def span(self, name: str) -> Span:
        """A parameter that is a span; without end where the fault has no such parameter."""
        value = self._values.get(name, Span())
        assert isinstance(value, Span)
        return value

    def fires(self) -> bool:
        """Take the next opportunity, or let it pass."""
        if self._count and self.fired >= self._count:
            return False
        self.seen += 1
        if self.seen <= self._after or not (self.fault.periodic or self._within()):
            return False
        if self._share < 1 and self.random.random() >= self._share:
            return False
        self.fired += 1
        if self.fault.periodic:
            self.seen = 0
        return True

    def _within(self) -> bool:
        if self._for.opportunities:
            return self.seen <= self._after + self._for.opportunities
        if self._for.seconds:
            now = time.monotonic()
            self._begun = self._begun or now
            return now - self._begun < self._for.seconds
        return True

    def told(self) -> dict[str, Any]:
        """Name, parameters and counts, ready for JSON."""
        values = {key: str(value) if isinstance(value, Span) else value for key, value in self._values.items()}
        return {"id": self.number, "name": self.fault.name, **values, "seen": self.seen, "fired": self.fired}


class ActiveFaults:
    """The faults that are switched on, in the order they were."""

    def __init__(self, settings: Iterable[Setting] = ()) -> None:
        self._numbers = count(1)
        self._active: list[ActiveFault] = []
        self._by_stage: dict[Stage, tuple[ActiveFault, ...]] = {}
        for setting in settings:
            self.add(setting)

    def add(self, setting: Setting) -> ActiveFault:
        """Switch a fault on."""
        active = ActiveFault(next(self._numbers), setting)
        self._active.append(active)
        self._sort()
        return active

    def clear(self, which: str = "") -> int:
        """Switch off all, those of a name, or the one with a number; how many there were."""
        kept = [it for it in self._active if which and which not in {it.fault.name, str(it.number)}]
        gone = len(self._active) - len(kept)
        self._active = kept
        self._sort()
        return gone

    def _sort(self) -> None:
        order = {name: place for place, name in enumerate(FAULTS)}
        ordered = sorted(self._active, key=lambda it: order[it.fault.name])
        self._by_stage = {stage: tuple(it for it in ordered if it.fault.stage is stage) for stage in Stage}

    def __contains__(self, active: object) -> bool:
        return active in self._active

    def at(self, stage: Stage) -> tuple[ActiveFault, ...]:
        """Those of a stage, in the order of the table."""
        return self._by_stage[stage] if self._active else ()

    def named(self, name: str) -> tuple[ActiveFault, ...]:
        """Those of a name."""
        return tuple(it for it in self.at(FAULTS[name].stage) if it.fault.name == name)

    def told(self) -> list[dict[str, Any]]:
        """Each with its parameters and counts."""
        return [active.told() for active in self._active]
