"""Syntax nodes to the core tree: names, types, units, exact scales, bounds.

Problems become diagnostics and checking goes on; a part that could not be checked is None and
silences what stands on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, cast

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.arithmetic import Arithmetic
from phenix.dsl.calls import Calls
from phenix.dsl.comparison import Comparison
from phenix.dsl.diagnostics import Fix, closest
from phenix.dsl.functions import FUNCTIONS
from phenix.dsl.membership import Membership
from phenix.dsl.operand import EXACT, WORDS, Operand, Refusal, describe
from phenix.dsl.reporter import Reporter
from phenix.dsl.scope import Defined
from phenix.dsl.source import Source, Span
from phenix.dsl.types import MONEY_SCALE, Kind, Type

__all__ = ["MAX_EXPANDED", "MAX_LEVELS", "Checked", "Checker"]

Checked = Operand | c.Core
"""A value or a condition."""

MAX_EXPANDED: Final = 2_000
"""Most nodes a macro may stand for, other macros written out."""
MAX_LEVELS: Final = 250
"""Most levels of them: each macro has its own 64, and macros of macros would add up beyond what SQLite reads."""


class Checker(Reporter):
    """Checks expressions of one source in a scope; findings gather in ``found``."""

    def beside(self, source: Source) -> Checker:
        """One that reads another source, such as a named set's, for operands that stand here; it reports with this."""
        if source is self.source:
            return self
        other = Checker(self.scope, source)
        other.found, other.home = self.found, self.source
        return other

    # -- conditions

    def condition(self, node: n.Expr) -> c.Core | None:
        """A three-valued condition, or None with findings."""
        match node:
            case n.And(args=args) | n.Or(args=args):
                self._mixed(node)
                parts = [self.condition(a) for a in args]
                if any(p is None for p in parts):
                    return None
                known = cast("tuple[c.Core, ...]", tuple(parts))
                return c.And(known) if isinstance(node, n.And) else c.Or(known)
            case n.Not(operand=operand):
                inner = self.condition(operand)
                return c.Not(inner) if inner is not None else None
            case n.Compare():
                return self._chain(node)
            case n.In():
                return Membership(self).among(node)
            case n.Like():
                return Membership(self).like(node)
            case n.Is():
                return self._is(node)
            case n.ChipName(name=name, span=span):
                return self._chip(name, span)
            case n.Constant(value=bool(value)):
                return c.TRUE if value else c.FALSE
            case _:
                checked = self.name(node) if isinstance(node, n.Name) else self.value(node)
                if not isinstance(checked, Operand):
                    return checked
                if checked.kind is not Kind.BOOL:
                    self._expected_condition(node.span, checked)
                    return None
                # A bare bool is a condition of a field; of a param it is a comparison, which every target has.
                return c.Compare("=", checked.node, c.TRUE) if isinstance(checked.node, c.Param) else checked.node

    def _expected_condition(self, span: Span, found: Operand) -> None:
        text = self.source.text[span.start : span.end]
        compared = f"{text} = …" if found.kind in WORDS | {Kind.TEXT} else f"{text} >= …"
        fix = None if found.literal is not None else Fix(span, compared, "placeholder")
        self.report("PHX108", f"`{text}` is {describe(found)}, a condition was expected", span,
                    help=f"compare it: `{compared}`" if fix else "compare a field with it", fix=fix)  # fmt: skip

    def _mixed(self, node: n.And | n.Or) -> None:
        if isinstance(node, n.Or):
            for arg in node.args:
                # A parenthesised group stands one level deeper than its own parts require.
                if isinstance(arg, n.And) and arg.depth == 1 + max(p.depth for p in arg.args):
                    text = self.source.text[arg.span.start : arg.span.end]
                    self.report("PHX201", "`and` and `or` side by side: `and` binds tighter", arg.span,
                                fix=Fix(arg.span, f"({text})"))  # fmt: skip
                    return

    def _chip(self, name: str, span: Span) -> c.Core | None:
        found = self.scope.chips.get(name.lower())
        if found is None:
            self.unknown("PHX102", "chip", name, span, tuple(self.scope.chips), "@")
            return None
        return c.Chip(found)

    def _is(self, node: n.Is) -> c.Core | None:
        if node.what == "null":
            checked = self.value(node.operand)
            if checked is None:
                return None
            literal = checked.literal is not None
            if literal or not c.nullable(checked.node):
                always = "always" if node.negated else "never"
                message = f"`{checked.text}` is always known, so this is {always} true"
                self.report("PHX202", message, node.span)
            if literal:
                return c.TRUE if node.negated else c.FALSE
            return c.IsNull(checked.node, node.negated)
        inner = self.condition(node.operand)
        if inner is None:
            return None
        return c.Is(inner, {"true": True, "false": False, "unknown": None}[node.what], node.negated)

    # -- comparisons

    def _chain(self, node: n.Compare) -> c.Core | None:
        if len(node.ops) == 1 and node.ops[0] in ("=", "!="):
            boolean = self._boolean(node)
            if boolean is not False:
                return boolean
        parts: list[c.Core] = []
        whole = True
        for left, op, right in zip(node.operands, node.ops, node.operands[1:], strict=False):
            part = self._comparison(left, op, right)
            if part is None:
                whole = False
            else:
                parts.append(part)
        if not whole:
            return None
        return parts[0] if len(parts) == 1 else c.And(tuple(parts))

    def _boolean(self, node: n.Compare) -> c.Core | Literal[False] | None:
        """``monthly = true``; False when neither side is a truth value."""
        sides = [o for o in node.operands if not (isinstance(o, n.Constant) and o.value is not None)]
        if len(sides) != 1:
            return False
        constant = next(o for o in node.operands if o is not sides[0])
        assert isinstance(constant, n.Constant)
        inner = self.condition(sides[0])
        if inner is None:
            return None
        return inner if (node.ops[0] == "=") == constant.value else c.Not(inner)

    def _comparison(self, left: n.Expr, op: str, right: n.Expr) -> c.Core | None:
        for side in (left, right):
            if isinstance(side, n.Constant) and side.value is None:
                self._null(left, op, right, side)
                return None
        a, b = self._sides(left, right)
        return self.comparison.compare(a, op, b) if a is not None and b is not None else None

    def _null(self, left: n.Expr, op: str, right: n.Expr, side: n.Constant) -> None:
        other = right if side is left else left
        shown = self.source.text[other.span.start : other.span.end]
        asked = f"{shown} is null" if op == "=" else f"{shown} is not null"
        plain = isinstance(other, n.Name) and op in ("=", "!=")
        over = Span(min(left.span.start, right.span.start), max(left.span.end, right.span.end))
        self.report("PHX107", "nothing compares with `null`: this is unknown on every row", side.span,
                    help=f"ask with `{asked}`" if plain else "ask with `is null` or `is not null`",
                    fix=Fix(over, asked) if plain else None)  # fmt: skip

    def _sides(self, left: n.Expr, right: n.Expr) -> tuple[Operand | None, Operand | None]:
        """Both sides; opposite an enum or a symbol a bare word is a member."""
        for one, other, turned in ((left, right, False), (right, left, True)):
            if isinstance(other, n.Name | n.Text) and self._has_words(one):
                a = self.value(one)
                b = self.member(other, a) if a is not None else None
                return (b, a) if turned else (a, b)
        return self.value(left), self.value(right)

    def _has_words(self, node: n.Expr) -> bool:
        """Whether it is an enum or symbol: a field, a macro of one, or ``x ?? word``."""
        while not isinstance(node, n.Name):
            if isinstance(node, n.Arith) and node.op == "??":
                node = node.left
            elif isinstance(node, n.Call) and node.name == "coalesce" and node.args:
                node = node.args[0]
            else:
                return False
        field = self.scope.catalog.by_name.get(node.name)
        if field is not None:
            return field.type.kind in WORDS
        macro = node.name in self.scope.lets or node.name in self.scope.derived
        checked = self.name(node) if macro else None
        return isinstance(checked, Operand) and checked.kind in WORDS

    def member(self, node: n.Expr, of: Operand) -> Operand | None:
        """A word opposite an enum or a symbol."""
        match node:
            case n.Text(value=word) | n.Name(name=word):
                pass
            case _:
                value = self.value(node)
                if value is not None:
                    message = f"`{of.text}` is {describe(of)}, `{value.text}` is {describe(value)}"
                    self.refuse(Refusal("PHX106", message, "write a word"), node.span, of)
                return None
        field = isinstance(node, n.Name) and word in self.scope.catalog.by_name
        if of.kind is Kind.SYMBOL:
            if field:
                message = f"opposite `{of.text}` the word `{word}` is the ticker {word.upper()}, not the field"
                self.refuse(Refusal("PHX207", message, offer=word.upper(), safety="safe"), node.span)
            return Operand(node.span, Kind.SYMBOL, c.Const(Kind.SYMBOL, word.upper()), text=word)
        folded = {m.lower(): m for m in of.members}
        if word.lower() in folded:
            const = c.Const(Kind.ENUM, folded[word.lower()])
            return Operand(node.span, Kind.ENUM, const, members=of.members, text=word)
        near = closest(word, of.members)
        values = ", ".join(of.members)
        help_ = f"did you mean `{near}`?" if near else f"its values: {values}"
        if field and near is None:
            help_ = f"opposite `{of.text}` a bare word is one of its values, never a field: {values}"
        self.refuse(Refusal("PHX105", f"`{of.text}` is never `{word}`", help_, near), node.span, of)
        return None

    def constant(self, item: n.Expr, like: Operand) -> int | float | str | Literal[False] | None:
        """A literal as a stored value of ``like``'s type; None if it can hold no such value, False if refused."""
        return Membership(self).constant(item, like)

    # -- values

    @property
    def arithmetic(self) -> Arithmetic:
        """The numeric rules, reporting here."""
        return Arithmetic(self.refuse)

    @property
    def comparison(self) -> Comparison:
        """The rules of comparing, reporting here."""
        return Comparison(self.arithmetic)

    def value(self, node: n.Expr) -> Operand | None:
        """A checked value, or None with findings."""
        text = self.source.text[node.span.start : node.span.end]
        match node:
            case n.Number(value=value, unit=unit, span=span):
                return Operand(span, None, literal=value, unit=unit, text=text)
            case n.Text(value=value, span=span):
                return Operand(span, Kind.TEXT, c.Const(Kind.TEXT, value), text=text)
            case n.DateLit(value=value, span=span):
                return Operand(span, Kind.DATE, c.Const(Kind.DATE, value), text=text)
            case n.TimeLit(value=value, span=span):
                return Operand(span, Kind.TIME, c.Const(Kind.TIME, value), text=text)
            case n.TsLit(value=value, span=span):
                return Operand(span, Kind.TS, c.Const(Kind.TS, value), text=text)
            case n.Name():
                checked = self.name(node)
                if checked is None or isinstance(checked, Operand):
                    return checked
                self._expected_value(f"`{node.name}` is a condition", node.span)
                return None
            case n.ParamName(name=name, span=span):
                return self._param(name, span)
            case n.Negate(operand=inner):
                operand = self.value(inner)
                return self.arithmetic.negate(operand, node.span, text) if operand is not None else None
            case n.Arith(op="??", left=left, right=n.Constant(value=bool(default))):
                filled = self.either(left)
                if isinstance(filled, Operand) and filled.kind is not Kind.BOOL:
                    return self.value(node.right)
                if filled is not None:
                    self._filled(node, left, default)
                return None
            case n.Arith(op=op, left=left, right=right):
                a, b = self._sides(left, right) if op == "??" else (self.value(left), self.value(right))
                if a is None or b is None:
                    return None
                return self.arithmetic.apply(op, a, b, node.span, text)
            case n.Call(name=name, args=args, span=span):
                return self._call(name, args, span, text)
            case n.Constant(value=None, span=span):
                self._expected_value("this is `null`", span, "ask for missing values with `is null`")
                return None
            case n.Constant(span=span):
                self._expected_value(
                    f"this is `{text}`", span, "ask a condition by itself, or with `= true`, `= false`"
                )
                return None
            case n.ChipName(span=span):
                self._expected_value(f"`{text}` is a chip", span, f"a chip is a condition of its own: `{text} and …`")
                return None
            case _:
                help_ = "join conditions with `and`, `or` and `not`"
                self._expected_value(f"`{text}` is a condition", node.span, help_)
                return None

    def _expected_value(self, what: str, span: Span, help: str = "") -> None:
        self.report("PHX108", f"a value was expected, {what}", span, help=help)

    def _filled(self, node: n.Arith, left: n.Expr, default: bool) -> None:
        """``x ?? false``: what it asks has words of its own."""
        asked = self.source.text[left.span.start : left.span.end]
        message = f"`??` fills in values, `{asked}` is true or false"
        words = "is not false" if default else "is true"
        self.report("PHX108", message, node.span, fix=Fix(node.span, f"{asked} {words}"))

    def _call(self, name: str, args: tuple[n.Expr, ...], span: Span, text: str) -> Operand | None:
        function = FUNCTIONS.get(name)
        if function is None:
            self.unknown("PHX109", "function", name, Span(span.start, span.start + len(name)), tuple(FUNCTIONS))
            return None
        if not function.least <= len(args) <= function.most:
            takes = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
            message = f"`{name}` takes {takes} argument{'' if takes == '1' else 's'}, {len(args)} given"
            self.report("PHX109", message, span, help=f"write `{function.signature}`")
            return None
        values = list(self._sides(*args)) if name == "coalesce" else [self.value(a) for a in args]
        if any(v is None for v in values):
            return None
        return Calls(self.arithmetic).call(name, cast("list[Operand]", values), span, text)

    def _param(self, name: str, span: Span) -> Operand | None:
        found = self.scope.params.get(name)
        if found is None:
            self.unknown("PHX103", "param", name, span, tuple(self.scope.params), "$")
            return None
        return _typed(Operand(span, None, c.Param(name, found.kind), text=f"${name}"), found.type)

    def name(self, node: n.Name) -> Checked | None:
        """A bare word: a field, a ``let``, or a derived field."""
        field = self.scope.catalog.by_name.get(node.name)
        if field is not None:
            core = c.Field(field.name, field.type.kind, field.nullable)
            return _typed(Operand(node.span, None, core, text=node.name), field.type)
        macro: Defined[n.LetStatement] | Defined[n.FieldStatement] | None
        macro = self.scope.lets.get(node.name) or self.scope.derived.get(node.name)
        if macro is None:
            known = (*self.scope.catalog.names(), *self.scope.lets, *self.scope.derived, "true", "false")
            self.unknown("PHX101", "field", node.name, node.span, known)
            return None
        if node.name in self.scope.expanded:
            checked = cast("Checked | None", self.scope.expanded[node.name])
            return replace(checked, span=node.span, text=node.name) if isinstance(checked, Operand) else checked
        # What is wrong inside was said where it is defined. It names nothing that leads back here: names on a
        # circle stand in ``expanded``, as nothing.
        checked = Checker(self.scope, macro.source).either(macro.node.body)
        whole = checked.core if isinstance(checked, Operand) else checked
        if whole is not None and (much := _too_much(whole)):
            self.report("PHX004", f"`{node.name}` stands for more than {much}", node.span,
                        help="a `let` is written out wherever it is named: make it a chip or a field")  # fmt: skip
            checked = None
        self.scope.expanded[node.name] = checked
        return replace(checked, span=node.span, text=node.name) if isinstance(checked, Operand) else checked

    def either(self, node: n.Expr) -> Checked | None:
        """A value or a condition, whichever the expression is."""
        if isinstance(node, n.And | n.Or | n.Not | n.Compare | n.In | n.Like | n.Is | n.ChipName):
            return self.condition(node)
        if isinstance(node, n.Constant) and node.value is not None:
            return self.condition(node)
        if isinstance(node, n.Name):
            return self.name(node)
        return self.value(node)


def _too_much(core: c.Core) -> str:
    """Which limit a macro's tree goes beyond, empty where none; no recursion, which a deep tree would not survive."""
    rest, nodes = [(core, 1)], 0
    while rest:
        node, level = rest.pop()
        nodes += 1
        if nodes > MAX_EXPANDED:
            return f"{MAX_EXPANDED:,} nodes"
        if level > MAX_LEVELS:
            return f"{MAX_LEVELS:,} levels"
        rest += [(child, level + 1) for child in c.children(node)]
    return ""


def _typed(operand: Operand, type_: Type) -> Operand:
    """A field or param with the kind, scale and range it declares."""
    kind, lo, hi = type_.kind, type_.lo, type_.hi
    operand = replace(operand, kind=kind, scale=MONEY_SCALE if kind is Kind.MONEY else 0, members=type_.members)
    if lo is None or hi is None:
        return operand
    return replace(operand, lo=int(lo), hi=int(hi)) if kind in EXACT else replace(operand, limits=(lo, hi))
