"""Statements to a scope: which name means what, params with their values, definitions that end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.checker import Checker
from phenix.dsl.diagnostics import Diagnostic, Fix, closest, diagnostic
from phenix.dsl.hints import WORDS
from phenix.dsl.operand import NUMERIC, Operand, Refusal, amount, literal_as
from phenix.dsl.operand import WORDS as OF_WORDS
from phenix.dsl.scope import Defined, ParamInfo, Scope
from phenix.dsl.source import Source
from phenix.dsl.types import MONEY_SCALE, Catalog, Kind, Type, Value

__all__ = ["define", "in_order"]

_PARAM_KINDS: Final = {k.value: k for k in NUMERIC | {Kind.BOOL}}


def define(
    statements: Sequence[Defined[n.Statement]], catalog: Catalog
) -> tuple[Scope, tuple[str, ...], tuple[Diagnostic, ...]]:
    """The scope of statements taken together, and its macros in an order in which each follows what it names."""
    return _Definitions(catalog).run(statements)


def in_order(uses: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Names so that each follows those it uses, without any that lead into a circle, and the circles.

    Of circles that share a name one is told. Takes no more stack for three thousand in a row than for three.
    """
    ends: dict[str, bool] = {}
    out: list[str] = []
    circles: list[tuple[str, ...]] = []
    told: set[str] = set()
    for start in uses:
        if start in ends:
            continue
        path = {start: iter(uses[start])}
        whole = {start: True}
        while path:
            name = next(reversed(path))
            below = next((x for x in path[name] if x in uses), None)
            if below is None:
                del path[name]
                ends[name] = whole.pop(name)
                if ends[name]:
                    out.append(name)
                elif path:
                    whole[next(reversed(path))] = False
            elif below in path:
                whole[name] = False
                above = list(path) if below not in told else []
                circle = (*above[above.index(below) :], below) if above else ()
                if circle and told.isdisjoint(circle):
                    told.update(circle)
                    circles.append(circle)
            elif below not in ends:
                path[below], whole[below] = iter(uses[below]), True
            elif not ends[below]:
                whole[name] = False
    return tuple(out), tuple(circles)


class _Definitions:
    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.found: list[Diagnostic] = []

    def run(self, statements: Sequence[Defined[n.Statement]]) -> tuple[Scope, tuple[str, ...], tuple[Diagnostic, ...]]:
        params: dict[str, ParamInfo] = {}
        sets: dict[str, Defined[n.SetStatement]] = {}
        lets: dict[str, Defined[n.LetStatement]] = {}
        derived: dict[str, Defined[n.FieldStatement]] = {}
        chips: dict[str, str] = {}
        fields = frozenset(self.catalog.names())
        editions: set[int] = set()
        for defined in statements:
            node, source = defined.node, defined.source
            match node:
                case n.Edition():
                    self._edition(defined, editions)
                case n.ParamStatement():
                    if self._fresh(defined, "param", params) and (info := self._param(node, source)) is not None:
                        params[node.name] = info
                case n.SetStatement():
                    if self._fresh(defined, "set", sets, words=True):
                        sets[node.name] = Defined(node, source)
                case n.LetStatement():
                    if self._fresh(defined, "name", fields, lets, derived, words=True):
                        lets[node.name] = Defined(node, source)
                case n.FieldStatement():
                    if self._fresh(defined, "name", fields, lets, derived, words=True):
                        derived[node.name] = Defined(node, source)
                case n.ChipStatement():
                    self._chip_names(defined, node, chips)
        scope = Scope(self.catalog, params, sets, lets, derived, chips)
        macros = self._macros(scope)
        return scope, macros, tuple(self.found)

    def _report(self, code: str, message: str, defined: Defined[n.Statement], help: str = "") -> None:
        span = defined.node.name_span if defined.node.name else defined.node.span
        self.found.append(diagnostic(code, message, span, defined.source, help=help))

    # -- names

    def _edition(self, defined: Defined[n.Statement], seen: set[int]) -> None:
        if id(defined.source) in seen:
            self._report("PHX111", "the edition is given twice", defined, "a file has one")
        seen.add(id(defined.source))

    def _fresh(self, defined: Defined[n.Statement], what: str, *taken: Iterable[str], words: bool = False) -> bool:
        name = defined.node.name
        if any(name in names for names in taken):
            self._report("PHX111", f"the {what} `{name}` is taken", defined, "choose another name")
            return False
        if words and name in WORDS:
            self._report("PHX111", f"`{name}` is a word of the language", defined, "choose another name")
            return False
        if words and name.lower() in n.STATEMENTS:
            message = f"`{name}` begins a statement: on a line of its own it would be read as one"
            self._report("PHX111", message, defined, "choose another name")
            return False
        return True

    def _chip_names(self, defined: Defined[n.Statement], node: n.ChipStatement, chips: dict[str, str]) -> None:
        for name in dict.fromkeys(x.lower() for x in (node.name, node.label, *node.aliases)):
            if name in chips:
                self._report("PHX111", f"`{name}` already names the chip `{chips[name]}`", defined,
                             "ids, labels and aliases are one list of names")  # fmt: skip
            else:
                chips[name] = node.name

    # -- macros

    def _macros(self, scope: Scope) -> tuple[str, ...]:
        bodies: dict[str, Defined[n.LetStatement | n.FieldStatement]] = {**scope.lets, **scope.derived}
        order, circles = in_order({name: tuple(self._names(d.node.body)) for name, d in bodies.items()})
        for circle in circles:
            self._report("PHX112", f"definitions refer to each other: {' -> '.join(circle)}", bodies[circle[0]])
        for name in bodies.keys() - set(order):
            scope.expanded[name] = None
        return order

    def _names(self, body: n.Expr) -> Iterator[str]:
        """The names an expression refers to; opposite an enum or a symbol a word is a member."""
        todo: list[n.Expr] = [body]
        while todo:
            node = todo.pop()
            if isinstance(node, n.Name):
                yield node.name
            elif isinstance(node, n.Compare):
                words = [self._of_words(o) for o in node.operands]
                todo += [
                    o
                    for i, o in enumerate(node.operands)
                    if not (isinstance(o, n.Name) and any(words[j] for j in (i - 1, i + 1) if 0 <= j < len(words)))
                ]
            elif isinstance(node, n.In) and self._of_words(node.operand):
                continue
            else:
                todo += n.children(node)

    def _of_words(self, node: n.Expr) -> bool:
        field = self.catalog.by_name.get(node.name) if isinstance(node, n.Name) else None
        return field is not None and field.type.kind in OF_WORDS

    # -- params

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
            return ParamInfo(node.name, Type(kind), node.value.value, None, node.meta.doc, Defined(node, source))
        low, high = (node.range.low, node.range.high) if node.range else (None, None)
        if node.range is not None and node.range.half_open:
            span = node.range.span
            closed = source.text[span.start : span.end].replace("..<", "..", 1)
            message = "the range of a param is closed: its upper end is a value it may have"
            self.found.append(diagnostic("PHX114", message, span, source, fix=Fix(span, closed, "unsafe")))
            return None
        value, lo, hi = (self._number(x, kind, source) if x is not None else None for x in (node.value, low, high))
        if value is None:
            return None
        if (lo and value[1] < lo[1]) or (hi and value[1] > hi[1]):
            self.found.append(diagnostic("PHX114", f"`{node.name}` lies outside the range it declares",
                                         node.value.span, source))  # fmt: skip
            return None
        lo, hi = lo or value, hi or value
        bounded = Type(kind, lo[0], hi[0])  # type: ignore[arg-type]
        return ParamInfo(node.name, bounded, value[0], value[1], node.meta.doc, Defined(node, source))

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
        return fitted.node.value, amount(operand, like)
