"""The ClickHouse target: server-side parameters ``{p0:Int64}``, written out wherever the engine has a null of its own.

Kept from it: integer columns narrower than 64 bits would give narrower results, so every whole number is an Int64
(:func:`column_types`); ``/`` is real, but 1 / 0 is infinite; ``abs`` of an Int64 is a UInt64, which meets no Int64;
``least`` and ``greatest`` skip nulls or not by version; ``in`` takes -0.0 and 0.0 apart, and has its own mind about
null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final, Protocol

from phenix.dsl import core as c
from phenix.dsl.types import REAL, Kind, Type, Value
from phenix.engine.targets.sql import Bound, Lowered, Slot, SqlTarget

__all__ = ["SETTINGS", "ClickHouseTarget", "Column", "column_types", "server_parameters"]

SETTINGS: Final[Mapping[str, int]] = {
    # `null in (…)` is null: with 1 it would look null up in the set.
    "transform_null_in": 0,
    # Doubles of parameters are read to the nearest.
    "precise_float_parsing": 1,
    # `x = 0.0 or x = 1.0 or x = 2.0` stays what it is: as `x in (…)` it would take -0.0 and 0.0 apart.
    "optimize_min_equality_disjunction_chain_length": 1_000_000,
    "optimize_min_inequality_conjunction_chain_length": 1_000_000,
    # Conditions are not rewritten as if null and false were one: `x < 1 and x > 5` is unknown where x is.
    "optimize_redundant_comparisons": 0,
    "optimize_and_compare_chain": 0,
    # An expression computes alike on its first run and once it is compiled.
    "compile_expressions": 0,
    # `if` of two types that have no common one is an error, not a Variant.
    "use_variant_as_common_type": 0,
    # A rule of the depth and the nodes allowed is a deep and a long statement.
    "max_parser_depth": 10_000,
    "max_ast_depth": 10_000,
    "max_query_size": 16_777_216,
}
"""Settings of the session that runs the texts; all others are the server's business."""

_TYPES: Final[Mapping[Kind, str]] = {
    Kind.BOOL: "Bool",
    Kind.RATIO: "Float64",
    Kind.PERCENT: "Float64",
    Kind.ENUM: "String",
    Kind.SYMBOL: "String",
    Kind.TEXT: "String",
}
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "'": "\\'"})


class Column(Protocol):
    """What a table needs to know of a stored field."""

    @property
    def name(self) -> str: ...
    @property
    def column(self) -> str: ...
    @property
    def type(self) -> Type: ...
    @property
    def nullable(self) -> bool: ...


def column_types(fields: Iterable[Column]) -> dict[str, str]:
    """Column -> type of a table that holds stored fields."""
    out = {}
    for field in fields:
        plain = _TYPES.get(field.type.kind, "Int64")
        out[field.column or field.name] = f"Nullable({plain})" if field.nullable else plain
    return out


def server_parameters(lowered: Lowered, params: Mapping[str, Value], as_of: int) -> dict[str, str]:
    """Values of the slots as the server reads them: name -> text."""
    return {f"p{i}": _spelt(value) for i, value in enumerate(lowered.bind(params, as_of))}


class ClickHouseTarget(SqlTarget):
    """Lowers to text with a typed parameter for each slot, ``p0`` the first.

    The texts of one statement are lowered together, by :meth:`select`.
    """

    FUNCTIONS: ClassVar[Mapping[str, str]] = {
        **SqlTarget.FUNCTIONS,
        "divide": "({} / nullIf({}, 0))",
        "real": "toFloat64({})",
        "min": "least",
        "max": "greatest",
        "on": "bitAnd({on}, {}) != 0",
        "off": "bitAnd(bitAnd({known}, bitNot({on})), {}) != 0",
        "chip": "(CASE WHEN bitAnd({known}, {}) != 0 THEN bitAnd({on}, {}) {op} 0 END)",
        "is true": "ifNull({}, 0)",
        "is not true": "(NOT ifNull({}, 0))",
        "prefix": "startsWith({}, {})",
        "suffix": "endsWith({}, {})",
        "contains": "(position({}, {}) != 0)",
        "whole": "({} = {})",
    }
    OPERATORS: ClassVar[Mapping[str, str]] = {**SqlTarget.OPERATORS, "!=": "!="}

    def _slot(self, slot: Slot) -> str:
        super()._slot(slot)
        return f"{{p{len(self._slots) - 1}:{_parameter_type(slot)}}}"

    def _member(self, operand: c.Core, among: tuple[Value, ...], inside: bool, decided: bool) -> str:
        text = self._value(operand)
        if not _exact(operand):  # a set compares bytes
            text, among = f"({text} + 0.)", tuple(v + 0.0 for v in among)  # type: ignore[operator]
        test = f"{'IN' if inside else 'NOT IN'} {self._bind(among)}"
        if decided and inside:
            return f"{text} {test}"
        return self._known([operand], [text], lambda names: f"{names[0]} {test}")

    def _like(self, operand: c.Core, how: str, text: str, inside: bool) -> str:
        test = self.FUNCTIONS[how].format(self._value(operand), self._bind(text))
        return test if inside else f"(NOT {test})"

    def _magnitude(self, operand: c.Core) -> str:
        text = super()._magnitude(operand)
        return f"toInt64({text})" if _exact(operand) else text

    def _extreme(self, op: str, args: Sequence[c.Core]) -> str:
        texts = [self._value(a) for a in args]
        return self._known(args, texts, lambda names: f"{self.FUNCTIONS[op]}({', '.join(names)})")

    def _known(self, nodes: Sequence[c.Core], texts: Sequence[str], whole: Callable[[Sequence[str]], str]) -> str:
        """The ``whole`` of values where each of them is known, else NULL.

        No value is written twice, for texts that double with each nesting explode. Nor does ``AS`` help: the analyzer
        writes out a name wherever it stands. The argument of a lambda is computed once.
        """
        unsure = [_may_be_null(node) for node in nodes]
        if not any(unsure):
            return whole(texts)
        passed = {i: f"x{i}" for i, node in enumerate(nodes) if unsure[i] and not isinstance(node, c.Field)}
        names = [passed.get(i, text) for i, text in enumerate(texts)]
        nulls = " OR ".join(f"isNull({name})" for name, may in zip(names, unsure, strict=True) if may)
        text = f"if({nulls}, NULL, {whole(names)})"
        if not passed:
            return text
        arrays = ", ".join(f"[{texts[i]}]" for i in passed)
        return f"arrayMap(({', '.join(passed.values())}) -> {text}, {arrays})[1]"


def _parameter_type(slot: Slot) -> str:
    if slot.name:
        return _TYPES.get(slot.kind, "Int64") if slot.kind else "Int64"
    if isinstance(slot.value, tuple):
        return f"Array({_literal_type(slot.value[0])})"
    return _literal_type(slot.value)


def _literal_type(value: object) -> str:
    return "String" if isinstance(value, str) else "Float64" if isinstance(value, float) else "Int64"


def _spelt(value: Bound) -> str:
    if isinstance(value, tuple):
        return "[" + ",".join(f"'{_spelt(v)}'" if isinstance(v, str) else _spelt(v) for v in value) + "]"
    return value.translate(_ESCAPES) if isinstance(value, str) else repr(value)


def _exact(node: c.Core) -> bool:
    """Whether a value is no double."""
    match node:
        case c.Real() | c.Divide():
            return False
        case c.Const(kind=kind) | c.Field(kind=kind) | c.Param(kind=kind):
            return kind not in REAL
        case _:
            return _exact(next(iter(c.children(node))))


def _may_be_null(node: c.Core) -> bool:
    """As :func:`phenix.dsl.core.nullable`, whatever the literals: they never change the text."""
    return c.nullable(node) or any(isinstance(x, c.Divide) for x in c.walk(node))
