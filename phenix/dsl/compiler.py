"""Texts to a checked program: definitions gathered, names resolved, every part checked.

The one way from text to meaning. :func:`compile_program` takes rule files, :func:`compile_condition`
one expression in the scope of a program. Both return what is whole and all findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.checker import Checker
from phenix.dsl.diagnostics import Diagnostic, closest, diagnostic
from phenix.dsl.operand import NUMERIC, Operand, Refusal, as_real, literal_as
from phenix.dsl.parser import parse_expression, parse_file
from phenix.dsl.printer import print_expression
from phenix.dsl.scope import Defined, ParamInfo, Scope
from phenix.dsl.source import Source, Span
from phenix.dsl.types import MONEY_SCALE, Catalog, Kind, Type, Value

__all__ = [
    "Case",
    "ChipRule",
    "Condition",
    "DerivedField",
    "Program",
    "SavedQuery",
    "compile_condition",
    "compile_program",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked condition: its syntax, its canonical text, its core tree."""

    node: n.Expr
    text: str
    core: c.Core


@dataclass(frozen=True, slots=True)
class ChipRule:
    """A chip as its statement defines it."""

    id: str
    label: str
    aliases: tuple[str, ...]
    group: str
    meta: n.Meta
    body: Condition


@dataclass(frozen=True, slots=True)
class DerivedField:
    """A ``field`` statement; ``provides`` in its metadata names the catalog field it computes."""

    id: str
    label: str
    kind: Kind
    meta: n.Meta
    text: str
    core: c.Core


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A ``query`` statement."""

    id: str
    label: str
    where: Condition
    since: int | None
    order: tuple[str, bool, bool] | None
    limit: int | None


@dataclass(frozen=True, slots=True)
class Case:
    """A ``test`` statement: a sparse row (the rest unknown) and the answer expected."""

    label: str
    target: c.Core
    row: Mapping[str, Value]
    expected: Value
    span: Span
    source: Source


@dataclass(frozen=True, slots=True)
class Program:
    """Everything the rule files define, checked."""

    sources: tuple[Source, ...]
    scope: Scope
    chips: tuple[ChipRule, ...]
    fields: tuple[DerivedField, ...]
    queries: tuple[SavedQuery, ...]
    cases: tuple[Case, ...]


_PARAM_KINDS: Final = {k.value: k for k in NUMERIC | {Kind.BOOL}}


def compile_condition(source: Source, scope: Scope) -> tuple[Condition | None, tuple[Diagnostic, ...]]:
    """Compile one expression, such as a ``where``."""
    node, found = parse_expression(source)
    if node is None:
        return None, found
    checker = Checker(scope, source)
    core = checker.condition(node)
    found = (*found, *checker.found)
    return (Condition(node, print_expression(node), core) if core is not None else None), found


def compile_program(sources: Sequence[Source], catalog: Catalog) -> tuple[Program, tuple[Diagnostic, ...]]:
    """Compile rule files together, in the order given."""
    return _Compiler(tuple(sources), catalog).run()


class _Compiler:
    def __init__(self, sources: tuple[Source, ...], catalog: Catalog) -> None:
        self.sources, self.catalog = sources, catalog
        self.found: list[Diagnostic] = []
        self.statements: list[Defined[n.Statement]] = []

    def run(self) -> tuple[Program, tuple[Diagnostic, ...]]:
        for source in self.sources:
            statements, found = parse_file(source)
            self.found.extend(found)
            self.statements.extend(Defined(s, source) for s in statements)
        scope = self._scope()
        self._check_lets(scope)
        fields = self._fields(scope)
        chips = self._chips(scope)
        queries = self._queries(scope)
        cases = self._cases(scope)
        self.found.sort(key=lambda d: (self.sources.index(d.source), d.span))
        return Program(self.sources, scope, chips, fields, queries, cases), tuple(self.found)

    def _report(self, code: str, message: str, defined: Defined[n.Statement], help: str = "") -> None:
        node = defined.node
        span = node.name_span if node.name_span.end else node.span
        self.found.append(diagnostic(code, message, span, defined.source, help=help))

    # -- names

    def _scope(self) -> Scope:
        scope = Scope(self.catalog)
        params: dict[str, ParamInfo] = {}
        sets: dict[str, Defined[n.SetStatement]] = {}
        lets: dict[str, Defined[n.LetStatement]] = {}
        derived: dict[str, Defined[n.FieldStatement]] = {}
        chips: dict[str, str] = {}
        for defined in self.statements:
            node, source = defined.node, defined.source
            match node:
                case n.ParamStatement():
                    if self._fresh(defined, params, "param") and (info := self._param(node, source)) is not None:
                        params[node.name] = info
                case n.SetStatement():
                    if self._fresh(defined, sets, "set"):
                        sets[node.name] = Defined(node, source)
                case n.LetStatement():
                    if self._fresh(defined, (*self.catalog.names(), *lets, *derived), "name"):
                        lets[node.name] = Defined(node, source)
                case n.FieldStatement():
                    if self._fresh(defined, (*self.catalog.names(), *lets, *derived), "name"):
                        derived[node.name] = Defined(node, source)
                case n.ChipStatement():
                    self._chip_names(defined, node, chips)
        return replace(scope, params=params, sets=sets, lets=lets, derived=derived, chips=chips)

    def _fresh(self, defined: Defined[n.Statement], taken: Iterable[str], what: str) -> bool:
        if defined.node.name in taken:
            self._report("PHX111", f"the {what} `{defined.node.name}` is taken", defined, "choose another name")
            return False
        return True

    def _chip_names(self, defined: Defined[n.Statement], node: n.ChipStatement, chips: dict[str, str]) -> None:
        for name in dict.fromkeys(x.lower() for x in (node.name, node.label, *node.aliases)):
            if name in chips:
                self._report("PHX111", f"`{name}` already names the chip `{chips[name]}`", defined,
                             "ids, labels and aliases are one list of names")  # fmt: skip
            else:
                chips[name] = node.name

    def _param(self, node: n.ParamStatement, source: Source) -> ParamInfo | None:
        kind = _PARAM_KINDS.get(node.type_name)
        if kind is None:
            near = closest(node.type_name, _PARAM_KINDS)
            self._report(
                "PHX106",
                f"a param cannot be `{node.type_name}`",
                Defined(node, source),
                f"did you mean `{near}`?" if near else "types: " + ", ".join(sorted(_PARAM_KINDS)),
            )
            return None
        if kind is Kind.BOOL:
            if not (isinstance(node.value, n.Constant) and node.value.value is not None):
                self._report("PHX106", f"`{node.name}` is true or false", Defined(node, source))
                return None
            return ParamInfo(node.name, Type(kind), node.value.value, None, node.meta.doc)
        low, high = (node.range.low, node.range.high) if node.range else (None, None)
        value, lo, hi = (self._number(x, kind, source) if x is not None else None for x in (node.value, low, high))
        if value is None:
            return None
        if (lo and value[1] < lo[1]) or (hi and value[1] > hi[1]):
            self.found.append(diagnostic("PHX114", f"`{node.name}` lies outside the range it declares",
                                         node.value.span, source))  # fmt: skip
            return None
        lo, hi = lo or value, hi or value
        bounded = Type(kind, lo[0], hi[0])  # type: ignore[arg-type]
        return ParamInfo(node.name, bounded, value[0], value[1], node.meta.doc)

    def _number(self, node: n.Expr, kind: Kind, source: Source) -> tuple[Value, Fraction] | None:
        checker = Checker(Scope(self.catalog), source)
        operand = checker.value(node)
        self.found.extend(checker.found)
        if operand is None:
            return None
        scale = MONEY_SCALE if kind is Kind.MONEY else 0
        like = Operand(node.span, kind, c.TRUE, scale, text=f"a param of type {kind}")
        if operand.literal is None:
            self.found.append(diagnostic("PHX106", "a param's value is a literal", node.span, source))
            return None
        fitted = literal_as(operand, like)
        if isinstance(fitted, Refusal):
            self.found.append(diagnostic(fitted.code, fitted.message, node.span, source, help=fitted.help))
            return None
        if fitted.scale != scale:
            self.found.append(diagnostic("PHX113", f"`{operand.text}` has more decimals than {kind} keeps", node.span,
                                         source, help=f"{kind} keeps {scale}"))  # fmt: skip
            return None
        assert isinstance(fitted.node, c.Const)
        exact = operand.literal / 100 if kind is Kind.RATIO and operand.unit == "%" else operand.literal
        return fitted.node.value, exact

    # -- bodies

    def _check_lets(self, scope: Scope) -> None:
        for name, defined in scope.lets.items():
            checker = Checker(scope, defined.source, (name,))
            checker.either(defined.node.body)
            self.found.extend(checker.found)

    def _condition(self, node: n.Expr, source: Source, scope: Scope) -> Condition | None:
        checker = Checker(scope, source)
        core = checker.condition(node)
        self.found.extend(checker.found)
        return Condition(node, print_expression(node), core) if core is not None else None

    def _fields(self, scope: Scope) -> tuple[DerivedField, ...]:
        out: list[DerivedField] = []
        provided: dict[str, str] = {}
        for name, defined in scope.derived.items():
            node, source = defined.node, defined.source
            checker = Checker(scope, source, (name,))
            checked = checker.either(node.body)
            self.found.extend(checker.found)
            if checked is None:
                continue
            kind = checked.kind if isinstance(checked, Operand) else Kind.BOOL
            if isinstance(checked, Operand) and checked.kind is Kind.INT and node.type_name == Kind.RATIO.value:
                checked, kind = as_real(checked), Kind.RATIO
            if isinstance(checked, Operand) and (checked.literal is not None or checked.scale not in (0, MONEY_SCALE)):
                self._report("PHX106", f"`{name}` is no value a field can keep", Defined(node, source))
                continue
            if kind is None or kind.value != node.type_name:
                self._report("PHX106", f"`{name}` is declared {node.type_name}, its body is {kind}",
                             Defined(node, source))  # fmt: skip
                continue
            target = node.meta.provides
            if target and target not in scope.catalog.by_name:
                self._report("PHX101", f"there is no field `{target}` to provide", Defined(node, source))
                continue
            if target and target in provided:
                self._report("PHX111", f"`{target}` is already provided by `{provided[target]}`", Defined(node, source))
                continue
            if target:
                provided[target] = name
            core = checked.node if isinstance(checked, Operand) else checked
            out.append(DerivedField(name, node.label, kind, node.meta, print_expression(node.body), core))
        return tuple(out)

    def _chips(self, scope: Scope) -> tuple[ChipRule, ...]:
        out: dict[str, ChipRule] = {}
        places: dict[str, Defined[n.Statement]] = {}
        for defined in self.statements:
            node = defined.node
            if not isinstance(node, n.ChipStatement) or node.name in out:
                continue
            body = self._condition(node.body, defined.source, scope)
            if not node.meta.doc:
                self._report("PHX203", f"the chip `{node.name}` has no `doc`", defined, 'add `doc "One sentence."`')
            if body is not None:
                out[node.name] = ChipRule(node.name, node.label, node.aliases, node.group, node.meta, body)
                places[node.name] = defined
        return self._without_cycles(out, places)

    def _without_cycles(
        self, chips: dict[str, ChipRule], places: dict[str, Defined[n.Statement]]
    ) -> tuple[ChipRule, ...]:
        """Chips whose references end; those on a circle are reported with their path."""
        uses = {
            id_: sorted({x.id for x in c.walk(rule.body.core) if isinstance(x, c.Chip)}) for id_, rule in chips.items()
        }
        state: dict[str, bool] = {}

        def ends(id_: str, path: tuple[str, ...]) -> bool:
            if id_ in path:
                circle = (*path[path.index(id_) :], id_)
                self._report(
                    "PHX112", "chips refer to each other: " + " -> ".join(f"@{x}" for x in circle), places[id_]
                )
                return False
            if id_ not in state:
                state[id_] = all(ends(u, (*path, id_)) for u in uses.get(id_, ()) if u in chips)
            return state[id_]

        return tuple(rule for id_, rule in chips.items() if ends(id_, ()))

    def _queries(self, scope: Scope) -> tuple[SavedQuery, ...]:
        out: list[SavedQuery] = []
        names: set[str] = set()
        for defined in self.statements:
            node = defined.node
            if not isinstance(node, n.QueryStatement) or not self._fresh(defined, names, "query"):
                continue
            names.add(node.name)
            where = self._condition(node.where, defined.source, scope)
            if node.order and node.order[0] not in scope.catalog.by_name:
                near = closest(node.order[0], scope.catalog.names())
                self.found.append(diagnostic("PHX101", f"there is no field `{node.order[0]}`",
                                             node.order_span or node.span, defined.source,
                                             help=f"did you mean `{near}`?" if near else ""))  # fmt: skip
                continue
            if where is not None:
                since = node.since.value if isinstance(node.since, n.DateLit) else None
                out.append(SavedQuery(node.name, node.label, where, since, node.order, node.limit))
        return tuple(out)

    # -- tests

    def _cases(self, scope: Scope) -> tuple[Case, ...]:
        out: list[Case] = []
        for defined in self.statements:
            if isinstance(defined.node, n.TestStatement):
                case = self._case(defined.node, defined.source, scope)
                if case is not None:
                    out.append(case)
        return tuple(out)

    def _case(self, node: n.TestStatement, source: Source, scope: Scope) -> Case | None:
        checker = Checker(scope, source)
        checked = checker.either(node.target)
        row: dict[str, Value] = {}
        for name, expression in node.row:
            operand = checker.name(name)
            if not isinstance(operand, Operand) or not isinstance(operand.core, c.Field):
                if operand is not None:
                    checker.report("PHX101", f"`{name.name}` is no field of a row", name.span)
                continue
            value = _stored(checker, expression, operand)
            if value is not False or isinstance(expression, n.Constant):
                row[name.name] = value
        expected: Value = None
        if node.expected is not None:
            if isinstance(node.expected, n.Constant):
                expected = node.expected.value
            elif isinstance(checked, Operand):
                expected = _stored(checker, node.expected, checked)
            elif checked is not None:
                checker.report("PHX106", "a condition is true, false or unknown", node.expected.span)
        self.found.extend(checker.found)
        if checked is None or any(d.severity == "error" for d in checker.found):
            return None
        target = checked.node if isinstance(checked, Operand) else checked
        return Case(node.label, target, row, expected, node.span, source)


def _stored(checker: Checker, node: n.Expr, like: Operand) -> Value:
    """A literal of a test as a stored value; False with findings when it is none."""
    if isinstance(node, n.Constant):
        if node.value is not None and like.kind is not Kind.BOOL:
            checker.report("PHX106", f"`{like.text}` is not true or false", node.span)
        return node.value
    if like.kind is Kind.BOOL:
        checker.report("PHX106", f"`{like.text}` is true, false or null", node.span)
        return False
    return checker.constant(node, like)
