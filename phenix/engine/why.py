"""Why a row has the chips it has: each chip's tree of conditions with answers, values read, and the nearest miss.

The tree follows the rule as it is written; every answer in it is the reference interpreter's. A miss is
found by looking for the nearest values of the fields that a false condition reads, and is only told
where the reference says that the chip would be on with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.checker import Checker
from phenix.dsl.compiler import compile_condition
from phenix.dsl.operand import Operand
from phenix.dsl.printer import print_expression
from phenix.dsl.scope import Scope
from phenix.dsl.source import Source
from phenix.dsl.types import Kind, Type
from phenix.engine.bundle import Bundle, Chip, display
from phenix.engine.check import SUPPRESSED
from phenix.engine.encode import json_value, row_id
from phenix.engine.flow import BY_NAME, FIELDS, INDEX, Row
from phenix.engine.misses import Change, Misses
from phenix.engine.reading import Extents, Reading
from phenix.engine.store.base import Reader
from phenix.engine.tagger import BEFORE, by_reference
from phenix.engine.targets.words import number
from phenix.engine.witness import literal

__all__ = ["Because", "Part", "Reasons", "Told", "Why", "Whys", "said"]

_logger = logging.getLogger(__name__)
_VERSIONS: Final = 8
"""Rule versions whose trees are kept."""
_DEEPEST: Final = 32
"""Levels of a tree that are told apart; messages of gRPC nest a hundred."""
_READ: Final[Mapping[str, Callable[[Row, int], Any]]] = {
    # Expressions of the catalog, over the values of a row.
    f.name: eval(f"lambda row, as_of: {f.source}")  # noqa: S307
    for f in FIELDS
}
_SUPPRESSED: Final = tuple((name, test) for test in SUPPRESSED for name in c.reads(test))
_CERTAIN: Final = 15
"""Significant digits of which every decimal is told apart as a double."""
_UNITS: Final = {Kind.MONEY: "$", Kind.DURATION: "s"}
_JOINING: Final = {n.And: "and", n.Or: "or", n.Not: "not", n.Is: "is"}


def said(answer: bool | None) -> str:
    """An answer of three."""
    return "unknown" if answer is None else "true" if answer else "false"


@dataclass(frozen=True, slots=True)
class Told:
    """A value that a condition read: of a field, ``$param``, ``@chip`` or computation, in API units and as written."""

    name: str
    label: str
    value: Any
    text: str

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {"name": self.name, "label": self.label, "value": self.value, "text": self.text}


@dataclass(frozen=True, slots=True)
class Part:
    """A condition and its answer. Of kind ``and``, ``or``, ``not``, ``is`` or ``let`` it has parts; a ``chip`` is told
    apart, a ``condition`` has the values it read.
    """

    kind: str
    text: str
    answer: bool | None
    values: tuple[Told, ...] = ()
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "kind": self.kind,
            "text": self.text,
            "answer": said(self.answer),
            "values": [value.to_dict() for value in self.values],
            "parts": [part.to_dict() for part in self.parts],
        }


@dataclass(frozen=True, slots=True)
class Because:
    """A chip's answer on a row and why; where it is false what would make it true, where it is unknown which unknown
    fields decide.
    """

    chip: Chip
    tree: Part
    miss: tuple[Change, ...]
    undecided: tuple[str, ...]

    @property
    def answer(self) -> bool | None:
        """What the reference says of the chip."""
        return self.tree.answer

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        chip = self.chip
        miss = {"text": "; ".join(map(str, self.miss)), "changes": [change.to_dict() for change in self.miss]}
        return {
            "id": chip.id,
            "label": chip.label,
            "group": chip.group,
            "rule": chip.rule,
            "english": chip.english,
            "answer": said(self.answer),
            "tree": self.tree.to_dict(),
            "nearestMiss": miss if self.miss else None,
            "undecided": [{"name": name, "label": BY_NAME[name].label} for name in self.undecided],
        }


@dataclass(frozen=True, slots=True)
class _Asked:
    """A condition of a rule as it is compiled once: what is asked of each row."""

    kind: str
    text: str
    core: c.Core
    computed: tuple[tuple[str, Operand], ...] = ()
    parts: tuple[_Asked, ...] = ()


class Why:
    """The trees of a bundle's chips, laid out once; :meth:`of` answers for a stored row."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._chips = tuple(cast("Chip", chip) for chip in by_reference(bundle.chips))
        self._trees = {chip.id: _laid_out(chip, bundle.scope) for chip in self._chips}
        self._whole = {chip.id: c.And((*SUPPRESSED, chip.core)) for chip in self._chips}
        self._extents = Extents({chip.id: chip.core for chip in self._chips})

    def of(self, row: Row) -> tuple[Because, ...]:
        """Every chip, in the bundle's order, on a row as it was when it was tagged."""
        misses = Misses(Reading(lambda name: _READ[name](row, BEFORE), self.bundle.params, self._extents))
        found = {chip.id: self._because(chip, row, misses) for chip in self._chips}
        return tuple(found[chip.id] for chip in self.bundle.chips)

    def _because(self, chip: Chip, row: Row, misses: Misses) -> Because:
        reading, whole = misses.reading, self._whole[chip.id]
        tree = self._answered(self._trees[chip.id], reading)
        if row[INDEX["cancel_record"]] or row[INDEX["compression"]]:  # the tagger switches every chip off
            off = tuple(self._answered(_Asked("condition", f"not {name}", test), reading) for name, test in _SUPPRESSED)
            text = " and ".join((*(part.text for part in off), f"({chip.rule})"))
            tree = Part("and", text, reading.truth(whole), (), (*off, tree))
        reading.answers[chip.id] = tree.answer
        miss = misses.nearest(whole) if tree.answer is False else ()
        return Because(chip, tree, miss, reading.undecided(chip.core) if tree.answer is None else ())

    def _answered(self, asked: _Asked, reading: Reading) -> Part:
        parts = tuple(self._answered(part, reading) for part in asked.parts)
        values: tuple[Told, ...] = ()
        if not parts and asked.kind != "chip":
            leaves = dict.fromkeys(x for x in c.walk(asked.core) if isinstance(x, c.Field | c.Param | c.Chip))
            values = tuple(self._told(leaf, reading) for leaf in leaves)
            values += tuple(_computed(text, operand, asked.core, reading) for text, operand in asked.computed)
        return Part(asked.kind, asked.text, reading.truth(asked.core), values, parts)

    def _told(self, leaf: c.Core, reading: Reading) -> Told:
        match leaf:
            case c.Param(name=name):
                info = self.bundle.scope.params[name]
                return Told(f"${name}", info.doc, display(info), literal(info.value, info.type))
            case c.Chip(id=name):
                answer = reading.truth(leaf)
                return Told(f"@{name}", "", answer, said(answer))
            case c.Field(name=name):
                field, value = BY_NAME[name], reading.field(name)
                value = bool(value) if field.type.kind is Kind.BOOL and value is not None else value
                text = "unknown" if value is None else literal(value, field.type)
                return Told(name, field.label, json_value(name, value), text)
        raise AssertionError(leaf)


def _computed(text: str, operand: Operand, core: c.Core, reading: Reading) -> Told:
    """A side of a comparison that is computed, with its unit."""
    value = reading.value(operand.node)
    if value is None:
        return Told(text, "", None, "unknown")
    kind = operand.kind or Kind.RATIO
    if operand.exact:
        exact = Fraction(int(value)) / 10**operand.scale
        shown = int(exact) if exact.denominator == 1 else float(exact)
        return Told(text, "", shown, number(exact, _UNITS.get(kind, "")))
    rounded = _rounded(value, operand.node, core, reading) if isinstance(value, float) else value
    return Told(text, "", value, literal(rounded, Type(kind)))


def _rounded(value: float, side: c.Core, core: c.Core, reading: Reading) -> float:
    """A double without the digits that its computation made up, where the comparison answers the same without them."""
    short = float(f"{value:.{_CERTAIN}g}")

    def put(node: c.Core) -> c.Core:
        return c.Const(Kind.RATIO, short) if node == side else c.rebuild(node, put)

    changed = put(core)
    return short if changed != core and reading.truth(changed) is reading.truth(core) else value


def _laid_out(chip: Chip, scope: Scope) -> _Asked:
    condition, _ = compile_condition(Source(chip.id, chip.rule), scope)
    assert condition is not None, "a rule's own text compiles"
    return _Layout(scope).lay(condition.node, condition.source)


@dataclass(slots=True)
class _Layout:
    scope: Scope
    depth: int = 0

    def lay(self, node: n.Expr, source: Source) -> _Asked:
        """A condition with what stands below it, each checked as the whole was."""
        checker = Checker(self.scope, source)
        core = checker.condition(node)
        assert core is not None, "a part of a checked rule is whole"
        text = print_expression(node)
        self.depth += 1
        parts = tuple(self.lay(below, there) for below, there in self._below(node, source))
        self.depth -= 1
        if isinstance(node, n.ChipName):
            return _Asked("chip", text, core)
        if parts:
            return _Asked(_JOINING.get(type(node), "let"), text, core, (), parts)
        computed = []
        for side in node.operands if isinstance(node, n.Compare) else ():
            if isinstance(side, n.Arith | n.Call | n.Negate):
                operand = checker.value(side)
                if operand is not None and operand.literal is None and c.reads(operand.node):
                    computed.append((print_expression(side), operand))
        return _Asked("condition", text, core, tuple(computed))

    def _below(self, node: n.Expr, source: Source) -> tuple[tuple[n.Expr, Source], ...]:
        if self.depth > _DEEPEST:
            return ()
        match node:
            case n.And(args=args) | n.Or(args=args):
                return tuple((arg, source) for arg in args)
            case n.Not(operand=operand):
                return ((operand, source),)
            case n.Is(operand=operand, what=what) if what != "null":
                return ((operand, source),)
            case n.Name(name=name) if name not in self.scope.catalog.by_name:
                macro = self.scope.lets.get(name) or self.scope.derived[name]
                return ((macro.node.body, macro.source),)
            case _:
                return ()


@dataclass(frozen=True, slots=True)
class Reasons:
    """A stored row's chips, by the rules that tagged it."""

    row: Row
    bundle: Bundle
    chips: tuple[Because, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "id": row_id(self.row[INDEX["trade_ts_utc"]], self.row[INDEX["trade_id"]]),
            "ruleVersion": self.bundle.version,
            "ruleChecksum": self.bundle.checksum,
            "chips": [because.to_dict() for because in self.chips],
        }


class Whys:
    """Answers for the rows of a store, whichever of its rule versions tagged them."""

    def __init__(self) -> None:
        self._known: dict[str, Why] = {}

    def of(self, reader: Reader, row: Row, near: Iterable[Bundle] = ()) -> Reasons | None:
        """Why a row has its chips; None where its rules are gone, or compile no more. ``near`` are bundles at hand.

        Raises StoreError.
        """
        version = row[INDEX["rule_version"]]
        why = self._known.get(version)
        if why is None:
            bundle = next((one for one in near if one.version == version), None) or _stored(reader, version)
            if bundle is None:
                return None
            if len(self._known) >= _VERSIONS:
                self._known = {}
            why = self._known[version] = Why(bundle)
        return Reasons(row, why.bundle, why.of(row))


def _stored(reader: Reader, version: str) -> Bundle | None:
    stored = reader.rule_version(version)
    try:
        return Bundle.from_config(stored.config_json, stored.checksum) if stored else None
    except ValueError as error:
        _logger.error("rule version %s does not load: %s", version, error)  # noqa: TRY400
        return None
