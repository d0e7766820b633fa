"""What one rule version changes against another, statement by statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phenix.dsl import nodes as n
from phenix.dsl.printer import print_line
from phenix.engine.bundle import Bundle

__all__ = ["Change", "RuleDiff", "compare"]


@dataclass(frozen=True, slots=True)
class Change:
    """A statement that is in one of the versions alone, or another in each; texts are canonical, on one line.

    ``kind`` is its word (``chip``, ``param`` …), ``name`` what it defines; for a chip whose own text stayed as it was
    ``before`` and ``after`` are equal, and ``through`` names the params it reads that changed.
    """

    kind: str
    name: str
    before: str | None
    after: str | None
    through: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"kind": self.kind, "name": self.name, "before": self.before, "after": self.after,
                "through": list(self.through)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RuleDiff:
    """Two versions and what is changed; ``params_only`` says that nothing but values of params is."""

    before: str
    after: str
    changes: tuple[Change, ...]
    params_only: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"before": self.before, "after": self.after, "paramsOnly": self.params_only,
                "changes": [change.to_dict() for change in self.changes]}  # fmt: skip


def compare(before: Bundle, after: Bundle) -> RuleDiff:
    """What is changed from one version to the other, in the order of the rules."""
    old, new = _statements(before), _statements(after)
    changes = [Change(*key, old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)]
    changed = {change.name for change in changes if change.kind == "param"}
    values = all(change.kind == "param" and change.before and change.after for change in changes)
    for chip in after.chips:
        same = old.get(("chip", chip.id)) == new.get(("chip", chip.id))
        if same and (through := tuple(sorted(changed & chip.params.keys()))):
            changes.append(Change("chip", chip.id, chip.rule, chip.rule, through))
    return RuleDiff(before.version, after.version, tuple(changes), values and bool(changes))


def _statements(bundle: Bundle) -> Mapping[tuple[str, str], str]:
    """Each statement on one line by its word and name; what has no name goes by its text."""
    found = {}
    for one in bundle.program.statements:
        if not isinstance(one.node, n.Edition):
            text = print_line(one.node)
            found[text.partition(" ")[0], one.node.name or text] = text
    return found
