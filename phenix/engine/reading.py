"""A row under question: its fields, changed or not, and what chips say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from phenix.dsl import core as c
from phenix.dsl.types import Value
from phenix.engine.targets.reference import evaluate

__all__ = ["Extent", "Extents", "Reading"]


@dataclass(frozen=True, slots=True)
class Extent:
    """What it takes to answer a condition: ``own`` parts of it, ``parts`` with those of the chips that it names."""

    chips: tuple[str, ...]
    """Those it names and those that they name, each behind its own."""
    own: int
    parts: int


class Extents:
    """Extents of the conditions of a bundle, each worked out once; ``chips`` stand behind those they refer to."""

    def __init__(self, chips: Mapping[str, c.Core]) -> None:
        self.chips = chips
        self._known: dict[int, tuple[c.Core, Extent]] = {}
        for core in chips.values():  # in their order, so that none waits on the stack for those it names
            self.of(core)

    def of(self, core: c.Core) -> Extent:
        """The extent of a condition, which is kept with it."""
        known = self._known.get(id(core))
        if known is None:
            known = self._known[id(core)] = (core, self._extent(core))
        return known[1]

    def _extent(self, core: c.Core) -> Extent:
        nodes = list(c.walk(core))
        wanted = set[str]()
        for name in {node.id for node in nodes if isinstance(node, c.Chip)}:
            wanted |= {name, *self.of(self.chips[name]).chips}
        chips = tuple(name for name in self.chips if name in wanted)
        return Extent(chips, len(nodes), len(nodes) + sum(self.of(self.chips[name]).own for name in chips))


@dataclass(slots=True)
class Reading:
    """A row under question: its fields, the params and chips of its rules, what chips answered on it."""

    read: Callable[[str], Value]
    params: Mapping[str, Value]
    extents: Extents
    answers: dict[str, bool | None] = field(default_factory=dict)
    changed: Mapping[str, Value] = field(default_factory=dict)

    @property
    def chips(self) -> Mapping[str, c.Core]:
        """Each behind those it refers to."""
        return self.extents.chips

    def field(self, name: str) -> Value:
        """A field's stored value, changed or not."""
        return self.changed[name] if name in self.changed else self.read(name)

    def value(self, core: c.Core) -> Value:
        """What the reference says of a tree."""
        return evaluate(core, self.field, self.params, self.answers.__getitem__)

    def truth(self, core: c.Core) -> bool | None:
        """The same of a condition."""
        found = self.value(core)
        return None if found is None else bool(found)

    def with_changes(self, changed: Mapping[str, Value], core: c.Core) -> Reading:
        """The row with other values of fields, and what the chips that a condition names say of it then."""
        other = Reading(self.read, self.params, self.extents, {}, {**self.changed, **changed})
        for name in self.extents.of(core).chips:
            other.answers[name] = other.truth(self.chips[name])
        return other

    def undecided(self, core: c.Core) -> tuple[str, ...]:
        """The unknown fields because of which a condition is unknown."""
        found: dict[str, None] = {}
        waiting = [core]
        while waiting:
            node = waiting.pop(0)
            match node:
                case c.Chip(id=name) if self.truth(node) is None:
                    waiting.append(self.chips[name])
                case c.Field(name=name) if self.field(name) is None:
                    found[name] = None
                case c.Is() | c.IsNull():
                    continue  # known, whatever is in it
                case _ if self.value(node) is None:
                    waiting += c.children(node)
        return tuple(found)
