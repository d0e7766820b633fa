"""Texts to a checked program: definitions gathered, names resolved, every part checked.

The one way from text to meaning. :func:`compile_program` takes rule files, :func:`compile_condition` one
expression and :func:`compile_saved` queries and alerts in the scope of a program. All return what is whole and every
finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.analysis import variable
from phenix.dsl.cells import bounds, names_in
from phenix.dsl.checker import Checker
from phenix.dsl.definitions import define, in_order
from phenix.dsl.diagnostics import Diagnostic, closest, diagnostic
from phenix.dsl.operand import Operand, Refusal, as_real
from phenix.dsl.parser import Parsed, parse_expression, parse_file
from phenix.dsl.printer import print_expression, print_statement
from phenix.dsl.program import (
    Assertion,
    Case,
    ChipRule,
    Condition,
    DerivedField,
    Program,
    SavedAlert,
    SavedQuery,
)
from phenix.dsl.scope import Defined, Scope
from phenix.dsl.source import Source, Span
from phenix.dsl.types import MONEY_SCALE, Catalog, Kind, Value

__all__ = ["MOST_VALUES", "compile_condition", "compile_program", "compile_saved", "held", "too_many"]

MOST_VALUES: Final = 30_000
"""Most values of sets in a condition: each is bound by itself, and SQLite binds 32,766."""


def compile_condition(source: Source, scope: Scope) -> tuple[Condition | None, tuple[Diagnostic, ...]]:
    """Compile one expression, such as a ``where``."""
    node, found = parse_expression(source)
    if node is None:
        return None, found
    checker = Checker(scope, source)
    core = _bindable(checker.condition(node), node, checker)
    found = (*found, *checker.found)
    return (Condition(node, print_expression(node), core, source) if core is not None else None), found


def compile_program(
    sources: Sequence[Source], catalog: Catalog, parse: Callable[[Source], Parsed] = parse_file
) -> tuple[Program, tuple[Diagnostic, ...]]:
    """Compile rule files together, in the order given; ``parse`` may remember files that it has read before."""
    return _Compiler(tuple(sources), catalog).run(parse)


def compile_saved(
    source: Source, scope: Scope
) -> tuple[tuple[n.Statement, ...], tuple[SavedQuery | SavedAlert, ...], tuple[Diagnostic, ...]]:
    """Compile the queries and alerts of a text against rules that are there; its other statements are only parsed.

    Returns every statement, those compiled, and the findings.
    """
    compiler = _Compiler((source,), scope.catalog)
    statements, found = parse_file(source)
    compiler.statements = [Defined(statement, source) for statement in statements]
    compiled: tuple[SavedQuery | SavedAlert, ...] = (*compiler._queries(scope), *compiler._alerts(scope))
    compiler._check_deprecated(scope)
    return statements, compiled, (*found, *sorted(compiler.found, key=lambda d: d.span))


def held(core: c.Core) -> int:
    """How many values of sets a condition holds; a named set counts wherever it is named."""
    return sum(len(x.values) for x in c.walk(core) if isinstance(x, c.InSet))


def too_many(values: int, span: Span, source: Source) -> Diagnostic:
    """The finding of more than :data:`MOST_VALUES`."""
    span = Span(span.start, min(span.end, span.start + 40))
    message = f"sets of {values:,} values, counted wherever they are named; {MOST_VALUES:,} are allowed"
    return diagnostic("PHX004", message, span, source, help="name each set once, or make parts of it chips")


def _bindable(core: c.Core | None, node: n.Expr, checker: Checker) -> c.Core | None:
    if core is None or (values := held(core)) <= MOST_VALUES:
        return core
    checker.found.append(too_many(values, node.span, checker.source))
    return None


class _Compiler:
    def __init__(self, sources: tuple[Source, ...], catalog: Catalog) -> None:
        self.sources, self.catalog = sources, catalog
        self.found: list[Diagnostic] = []
        self.statements: list[Defined[n.Statement]] = []

    def run(self, parse: Callable[[Source], Parsed]) -> tuple[Program, tuple[Diagnostic, ...]]:
        for source in self.sources:
            statements, found = parse(source)
            self.found.extend(found)
            self.statements.extend(Defined(s, source) for s in statements)
        scope, macros, found = define(self.statements, self.catalog)
        self.found.extend(found)
        fields = self._macros(scope, macros)
        chips = self._chips(scope)
        queries = self._queries(scope)
        alerts = self._alerts(scope)
        assertions = self._assertions(scope)
        cases = self._cases(scope)
        self._check_deprecated(scope)
        place = {id(source): i for i, source in enumerate(self.sources)}
        self.found.sort(key=lambda d: (place[id(d.source)], d.span))
        whole = tuple(self.statements)
        program = Program(self.sources, whole, scope, chips, fields, queries, alerts, assertions, cases)
        return program, tuple(self.found)

    def _report(self, code: str, message: str, defined: Defined[n.Statement], help: str = "") -> None:
        node = defined.node
        span = node.name_span if node.name_span.end else node.span
        self.found.append(diagnostic(code, message, span, defined.source, help=help))

    # -- bodies

    def _macros(self, scope: Scope, order: Sequence[str]) -> tuple[DerivedField, ...]:
        """Check macros in an order in which each follows those it names, so that none waits on the stack."""
        fields: dict[str, DerivedField] = {}
        for name in order:
            if name in scope.derived:
                field = self._field(name, scope.derived[name], scope)
                if field is not None:
                    fields[name] = field
            else:
                checker = Checker(scope, scope.lets[name].source)
                checker.either(scope.lets[name].node.body)
                self.found.extend(checker.found)
        provided: dict[str, str] = {}
        for name in [name for name in scope.derived if name in fields]:
            target = fields[name].meta.provides
            if target and target in provided:
                self._report("PHX111", f"`{target}` is already provided by `{provided[target]}`", scope.derived[name])
            elif not target or self._provides(fields[name], target, scope):
                provided[target] = name
                continue
            del fields[name]
        return tuple(fields[name] for name in scope.derived if name in fields)

    def _provides(self, field: DerivedField, target: str, scope: Scope) -> bool:
        """Whether a formula can stand for the field that it provides: what is proven of that holds of it as well."""
        known, defined = scope.catalog.by_name.get(target), scope.derived[field.id]
        if known is None:
            self._report("PHX101", f"there is no field `{target}` to provide", defined)
            return False
        if target not in scope.catalog.provided:
            ours = ", ".join(f"`{name}`" for name in sorted(scope.catalog.provided)) or "none"
            self._report("PHX106", f"`{target}` comes from the print, no rule computes it", defined,
                         f"fields that a rule may provide: {ours}")  # fmt: skip
            return False
        if field.kind is not known.type.kind:
            self._report("PHX106", f"`{field.id}` is {field.kind}, `{target}` is {known.type.kind}", defined,
                         f"declare it {known.type.kind}")  # fmt: skip
            return False
        if target in c.reads(field.core):
            self._report("PHX112", f"`{field.id}` provides `{target}` and reads it", defined)
            return False
        can = bounds(field.core, {name: variable(name, scope).whole for name in names_in(field.core)})
        lo, hi = known.type.lo, known.type.hi
        if lo is not None and hi is not None and can.known and not lo <= can.lo <= can.hi <= hi:
            self._report("PHX114", f"`{field.id}` can be anything from {can.lo:.6g} to {can.hi:.6g}, `{target}` lies in"
                         f" {lo:g}..{hi:g}", defined, f"write `clamp(…, {lo:g}, {hi:g})`")  # fmt: skip
            return False
        return True

    def _condition(self, node: n.Expr, source: Source, scope: Scope) -> Condition | None:
        checker = Checker(scope, source)
        core = _bindable(checker.condition(node), node, checker)
        self.found.extend(checker.found)
        return Condition(node, print_expression(node), core, source) if core is not None else None

    def _field(self, name: str, defined: Defined[n.FieldStatement], scope: Scope) -> DerivedField | None:
        node = defined.node
        checker = Checker(scope, defined.source)
        checked = checker.either(node.body)
        self.found.extend(checker.found)
        if checked is None:
            return None
        kind = checked.kind if isinstance(checked, Operand) else Kind.BOOL
        if isinstance(checked, Operand) and checked.kind is Kind.INT and node.type_name == Kind.RATIO.value:
            checked, kind = as_real(checked), Kind.RATIO
        if isinstance(checked, Operand) and (checked.literal is not None or checked.scale not in (0, MONEY_SCALE)):
            self._report("PHX106", f"`{name}` is no value a field can keep", Defined(node, defined.source))
            return None
        if kind is None or kind.value != node.type_name:
            self._report("PHX106", f"`{name}` is declared {node.type_name}, its body is {kind}",
                         Defined(node, defined.source))  # fmt: skip
            return None
        core = checked.node if isinstance(checked, Operand) else checked
        return DerivedField(name, node.label, kind, node.meta, print_expression(node.body), core)

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
        order, circles = in_order(uses)
        for circle in circles:
            path = " -> ".join(f"@{x}" for x in circle)
            self._report("PHX112", f"chips refer to each other: {path}", places[circle[0]])
        whole = frozenset(order)
        return tuple(rule for id_, rule in chips.items() if id_ in whole)

    def _fresh(self, defined: Defined[n.Statement], taken: set[str], what: str) -> bool:
        if defined.node.name in taken:
            self._report("PHX111", f"the {what} `{defined.node.name}` is taken", defined, "choose another name")
            return False
        taken.add(defined.node.name)
        return True

    def _queries(self, scope: Scope) -> tuple[SavedQuery, ...]:
        out: list[SavedQuery] = []
        names: set[str] = set()
        for defined in self.statements:
            node = defined.node
            if not isinstance(node, n.QueryStatement) or not self._fresh(defined, names, "query"):
                continue
            where = self._condition(node.where, defined.source, scope)
            order = (node.order[0].name, *node.order[1:]) if node.order else None
            if node.order and node.order[0].name not in scope.catalog.by_name:
                near = closest(node.order[0].name, scope.catalog.names())
                self.found.append(diagnostic("PHX101", f"there is no field `{node.order[0].name}`",
                                             node.order[0].span, defined.source,
                                             help=f"did you mean `{near}`?" if near else ""))  # fmt: skip
                continue
            if where is not None:
                since = node.since.value if node.since else None
                out.append(SavedQuery(node.name, node.label, where, since, order, node.limit, node.group, node.meta))
        return tuple(out)

    def _alerts(self, scope: Scope) -> tuple[SavedAlert, ...]:
        out: list[SavedAlert] = []
        names: set[str] = set()
        for defined in self.statements:
            node = defined.node
            if not isinstance(node, n.AlertStatement) or not self._fresh(defined, names, "alert"):
                continue
            where = self._condition(node.where, defined.source, scope)
            if where is not None:
                cooldown = int(node.cooldown.value) if node.cooldown else 0
                out.append(SavedAlert(node.name, node.label, where, cooldown, node.per, node.meta, node.group))
        return tuple(out)

    def _assertions(self, scope: Scope) -> tuple[Assertion, ...]:
        out: list[Assertion] = []
        for defined in self.statements:
            node, source = defined.node, defined.source
            if not isinstance(node, n.AssertStatement):
                continue
            left = self._condition(node.left, source, scope)
            right = self._condition(node.right, source, scope) if node.right is not None else None
            low, high = self._shares(node.range, source) if node.range is not None else (None, None)
            if left is None or (node.right is not None and right is None):
                continue
            if node.range is not None and low is None and high is None:
                continue
            label = node.meta.doc or print_statement(replace(node, meta=n.NO_META)).removeprefix("assert ")
            out.append(Assertion(node.kind, left, right, low, high, node.span, source, label, node.meta))
        return tuple(out)

    def _shares(self, node: n.Range, source: Source) -> tuple[Fraction | None, Fraction | None]:
        """The ends of an asserted range as shares from 0 to 1; neither when they are none."""
        ends: list[Fraction | None] = []
        for bound in (node.low, node.high):
            share = None
            if isinstance(bound, n.Number) and bound.unit in ("", "%"):
                share = bound.value / 100 if bound.unit else bound.value
            if bound is not None and (share is None or not 0 <= share <= 1):
                self.found.append(diagnostic("PHX114", "a share of the rows lies in 0%..100%", bound.span, source,
                                             help="write `assert rate @chip in 0%..5%`"))  # fmt: skip
                return None, None
            ends.append(share)
        low, high = ends
        if node.half_open or (low is not None and high is not None and low > high):
            self.found.append(diagnostic("PHX114", "an asserted range is closed, its lower end first", node.span,
                                         source, help="write `0%..5%`"))  # fmt: skip
            return None, None
        return low, high

    def _check_deprecated(self, scope: Scope) -> None:
        """`deprecated "use @x"` names a chip that exists."""
        for defined in self.statements:
            for name in re.findall(r'@(\w+|"[^"]*")', defined.node.meta.deprecated):
                if name.strip('"').lower() not in scope.chips:
                    near = closest(name, scope.chips)
                    self._report("PHX102", f"there is no chip `@{name}` to use instead", defined,
                                 f"did you mean `@{near}`?" if near else "")  # fmt: skip

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
            if name.name in row:
                checker.report("PHX116", f"`{name.name}` is given twice", name.span, help="keep one of the two")
            row[name.name] = _stored(checker, expression, operand)
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
    said = len(checker.found)
    value = checker.constant(node, like)
    if value is None:  # a doubtful comparison elsewhere, but here the row would be another one
        del checker.found[said:]
        text = checker.source.text[node.span.start : node.span.end]
        checker.refuse(Refusal("PHX114", f"`{like.text}` never holds `{text}`"), node.span, like)
    return value
