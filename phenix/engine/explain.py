"""What a rule means and becomes: its English, what it reads, its normal form, its SQL and Python."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.diagnostics import Diagnostic, has_errors
from phenix.dsl.dump import dump
from phenix.dsl.passes import normalize
from phenix.dsl.printer import print_line
from phenix.dsl.program import Condition
from phenix.dsl.scope import ParamInfo
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, Chip, display
from phenix.engine.flow import BY_NAME, Field
from phenix.engine.targets.english import say
from phenix.engine.targets.row import Names, true_rail
from phenix.engine.targets.sql import AS_OF, Bound, Lowered, SqlTarget
from phenix.engine.targets.sqlite import SqliteTarget

__all__ = ["Explained", "bound", "declared", "explain"]


def explain(text: str, bundle: Bundle, name: str = "RULE") -> Explained | tuple[Diagnostic, ...]:
    """A chip by any of its names, else an expression; what is wrong with it where that does not compile."""
    chip = bundle.chip(text.strip().removeprefix("@").strip('"'))
    if chip is not None:
        return Explained(next(one.body for one in bundle.program.chips if one.id == chip.id), bundle, chip)
    condition, found = compile_condition(Source(name, text), bundle.scope)
    if condition is None or has_errors(found):
        return found
    return Explained(condition, bundle, None, found)


@dataclass(frozen=True)
class Explained:
    """What is explained: a condition, the chip it defines if it is one's body, and what an expression is warned of."""

    condition: Condition
    bundle: Bundle
    chip: Chip | None
    found: tuple[Diagnostic, ...] = ()

    @cached_property
    def core(self) -> c.Core:
        """The normal form."""
        return normalize(self.condition.core)

    @property
    def english(self) -> str:
        """One sentence."""
        labels = {chip.id: chip.label for chip in self.bundle.chips}
        return say(self.condition.node, self.bundle.scope, labels)

    @property
    def normal(self) -> str:
        """The normal form on one line."""
        return dump(self.core)

    # -- what it reads

    @property
    def fields(self) -> list[Field]:
        """Fields it reads, by name."""
        return [BY_NAME[name] for name in sorted(c.reads(self.condition.core))]

    @property
    def chips(self) -> list[Chip]:
        """Chips it names, by id."""
        named = {x.id for x in c.walk(self.condition.core) if isinstance(x, c.Chip)}
        return sorted((chip for chip in self.bundle.chips if chip.id in named), key=lambda chip: chip.id)

    @property
    def params(self) -> list[ParamInfo]:
        """Params it uses, by name."""
        names = sorted({x.name for x in c.walk(self.condition.core) if isinstance(x, c.Param)})
        return [self.bundle.scope.params[name] for name in names]

    @property
    def can_be_unknown(self) -> bool:
        """Whether it is unknown on some row."""
        return c.nullable(self.condition.core)

    @property
    def unknown_without(self) -> list[str]:
        """The fields and chips that may be unknown, and it with them."""
        core = self.condition.core
        names = {x.name for x in c.walk(core) if isinstance(x, c.Field) and x.nullable}
        names |= {f"@{x.id}" for x in c.walk(core) if isinstance(x, c.Chip)}
        return sorted(names) if self.can_be_unknown else []

    # -- what it becomes

    def where(self, target: type[SqlTarget]) -> Lowered:
        """The WHERE clause of a target."""
        return self._target(target).where(self.condition.core)

    def stored(self, target: type[SqlTarget]) -> Lowered | None:
        """What a query that names the chip reads of a row instead; None for an expression."""
        return self._target(target).where(c.Chip(self.chip.id)) if self.chip is not None else None

    def _target(self, target: type[SqlTarget]) -> SqlTarget:
        return target(lambda field: BY_NAME[field].sql, self.bundle.bits.__getitem__)

    def python(self) -> str:
        """A function of the fields that is true where the rule is, behind the constants and functions it uses."""
        names = _Printed(str, lambda chip: f"on[{chip!r}]", lambda chip: f"off[{chip!r}]", self.bundle.params)
        source = true_rail(self.core, names)
        reads = sorted(c.reads(self.core))
        if any(isinstance(node, c.Chip) for node in c.walk(self.core)):
            reads += ["on", "off"]
        functions = [f"{inspect.getsource(value)}\n" for value in names.constants.values() if callable(value)]
        constants = [f"{name} = {_set(value)}" for name, value in names.constants.items() if not callable(value)]
        own = self.chip.id if self.chip else "rule"
        own += "_" * (keyword.iskeyword(own) or own in names.constants)
        return "\n".join((*functions, *constants, f"def {own}({', '.join(reads)}):", f"    return {source}"))

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        where = self.where(SqliteTarget)
        return {
            "rule": self.condition.text,
            "chip": self.chip.id if self.chip is not None else None,
            "english": self.english,
            "fields": [
                {"name": f.name, "label": f.label, "type": f.type.kind.value, "nullable": f.nullable, "doc": f.doc}
                for f in self.fields
            ],
            "chips": [{"id": chip.id, "label": chip.label, "rule": chip.rule} for chip in self.chips],
            "params": [
                {"name": info.name, "value": display(info), "text": declared(info), "doc": info.doc}
                for info in self.params
            ],
            "canBeUnknown": self.can_be_unknown,
            "unknownWithout": self.unknown_without,
            "normal": self.normal,
            "sql": {
                "text": where.text,
                "parameters": [{"value": value, "name": name} for name, value in bound(where, self.bundle)],
            },
        }


class _Printed(Names):
    """Constants of code that is printed: functions keep their names."""

    def constant(self, value: Any) -> str:
        if not callable(value):
            return super().constant(value)
        name: str = value.__name__
        self.constants[name] = value
        return name


def declared(info: ParamInfo) -> str:
    """A param as its statement declares it, without the word; empty for one that no text declares."""
    return print_line(info.defined.node).removeprefix("param ") if info.defined is not None else ""


def bound(lowered: Lowered, bundle: Bundle) -> Iterator[tuple[str, Bound]]:
    """The parameters of a statement in stored units, each with the param it is, ``as_of``, or "" for a literal."""
    for slot, value in zip(lowered.slots, lowered.bind(bundle.params, 0), strict=True):
        yield ("as_of" if slot.name == AS_OF else slot.name or ""), value


def _set(value: object) -> str:
    """A constant as source, the items of a set in one order."""
    return f"frozenset({{{', '.join(sorted(map(repr, value)))}}})" if isinstance(value, frozenset) else repr(value)
