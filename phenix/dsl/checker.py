"""Syntax nodes to the core tree: names, types, units, exact scales, bounds.

Problems become diagnostics and checking goes on; a part that could not be checked is None and
silences what stands on it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Final, Literal, cast

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.arithmetic import Arithmetic
from phenix.dsl.diagnostics import CODES, Diagnostic, Fix, Label, closest, diagnostic
from phenix.dsl.functions import FUNCTIONS
from phenix.dsl.operand import EXACT, REAL, Operand, Refusal, describe, holds, is_plain, literal_as, shared_unit
from phenix.dsl.scope import Defined, Scope
from phenix.dsl.source import Source, Span
from phenix.dsl.types import Kind

__all__ = ["MAX_EXPANDED", "Checked", "Checker"]

Checked = Operand | c.Core
"""A value or a condition."""

MAX_EXPANDED: Final = 2_000
"""Most nodes a macro may stand for, other macros written out."""
_WORDS: Final = frozenset({Kind.ENUM, Kind.SYMBOL})


class Checker:
    """Checks expressions of one source in a scope; findings gather in ``found``."""

    def __init__(self, scope: Scope, source: Source, path: tuple[str, ...] = ()) -> None:
        self.scope, self.source, self.path = scope, source, path
        self.found: list[Diagnostic] = []

    # -- reporting

    def report(
        self,
        code: str,
        message: str,
        span: Span,
        *labels: Label,
        help: str = "",
        fix: Fix | None = None,
    ) -> None:
        """Add a finding."""
        assert code in CODES
        self.found.append(diagnostic(code, message, span, self.source, *labels, help=help, fix=fix))

    def refuse(self, refusal: Refusal, span: Span, other: Operand | None = None) -> None:
        """Add a finding for a refusal at ``span``, with the other side labelled."""
        labels = (Label(other.span, describe(other)),) if other is not None and other.span != span else ()
        fix = Fix(span, refusal.offer) if refusal.offer else None
        self.report(refusal.code, refusal.message, span, *labels, help=refusal.help, fix=fix)

    def unknown(self, code: str, what: str, name: str, span: Span, known: tuple[str, ...], sigil: str = "") -> None:
        """Add an unknown-name finding with the nearest known one."""
        near = closest(name, known)
        some = ", ".join(f"{sigil}{k}" for k in known[:12]) + (", …" if len(known) > 12 else "")
        self.report(code, f"there is no {what} `{sigil}{name}`", span,
                    help=f"did you mean `{sigil}{near}`?" if near else f"known: {some}" if some else "none is defined",
                    fix=Fix(span, f"{sigil}{near}", safe=False) if near else None)  # fmt: skip

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
                return self._membership(node)
            case n.Like():
                return self._like(node)
            case n.Is():
                return self._is(node)
            case n.ChipName(name=name, span=span):
                return self._chip(name, span)
            case n.Constant(value=bool(value)):
                return c.TRUE if value else c.FALSE
            case n.Name():
                checked = self.name(node)
                if isinstance(checked, Operand):
                    if checked.kind is Kind.BOOL:
                        return checked.node
                    self._expected_condition(checked.span, describe(checked))
                    return None
                return checked
            case _:
                operand_ = self.value(node)
                if operand_ is not None:
                    self._expected_condition(node.span, describe(operand_))
                return None

    def _expected_condition(self, span: Span, what: str) -> None:
        self.report("PHX108", f"a condition was expected, this is {what}", span, help="compare it: `… >= 5`")

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
            if checked.literal is not None:
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
                other = right if side is left else left
                shown = self.source.text[other.span.start : other.span.end]
                what = "is null" if op == "=" else "is not null"
                help_ = f"ask with `{shown} {what}`" if isinstance(other, n.Name) else "ask with `is null`"
                self.report("PHX107", "nothing equals `null`", side.span, help=help_)
                return None
        a, b = self._sides(left, right)
        if a is None or b is None:
            return None
        return self.compare(a, op, b)

    def _sides(self, left: n.Expr, right: n.Expr) -> tuple[Operand | None, Operand | None]:
        """Both sides; opposite an enum or a symbol a bare word is a member."""
        if isinstance(right, n.Name | n.Text) and (a := self._words_field(left)) is not None:
            return a, self._member(right, a)
        if isinstance(left, n.Name | n.Text) and (b := self._words_field(right)) is not None:
            return self._member(left, b), b
        return self.value(left), self.value(right)

    def _words_field(self, node: n.Expr) -> Operand | None:
        if not isinstance(node, n.Name):
            return None
        field = self.scope.catalog.by_name.get(node.name)
        if field is None or field.type.kind not in _WORDS:
            return None
        operand = self.name(node)
        return operand if isinstance(operand, Operand) else None

    def _member(self, node: n.Expr, of: Operand) -> Operand | None:
        if isinstance(node, n.Text):
            word = node.value
        elif isinstance(node, n.Name):
            word = node.name
        else:
            value = self.value(node)
            if value is not None:
                self.report("PHX106", f"`{of.text}` is {describe(of)}, this is {describe(value)}", node.span,
                            Label(of.span, describe(of)))  # fmt: skip
            return None
        if of.kind is Kind.SYMBOL:
            return Operand(node.span, Kind.SYMBOL, c.Const(Kind.SYMBOL, word.upper()), text=word)
        folded = {m.lower(): m for m in of.members}
        if word.lower() not in folded:
            near = closest(word, of.members)
            self.report("PHX105", f"`{of.text}` is never `{word}`", node.span,
                        Label(of.span, describe(of)),
                        help=f"did you mean `{near}`?" if near else f"it is {describe(of)}",
                        fix=Fix(node.span, near, safe=False) if near else None)  # fmt: skip
            return None
        return Operand(node.span, Kind.ENUM, c.Const(Kind.ENUM, folded[word.lower()]), members=of.members, text=word)

    def compare(self, a: Operand, op: str, b: Operand) -> c.Core | None:
        """A comparison of two checked values."""
        if a.literal is not None and b.literal is None:
            flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
            return self.compare(b, flipped, a)
        if a.literal is None and b.literal is not None:
            return self._against_literal(a, op, b)
        if a.literal is not None and b.literal is not None:
            if shared_unit(a, b) is None:
                self.refuse(Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}"), b.span, a)
                return None
            return c.TRUE if holds(a.literal, op, b.literal) else c.FALSE
        pair = self.arithmetic.unify(a, b)
        if pair is None:
            return None
        a, b = pair
        if a.kind in (_WORDS | {Kind.TEXT, Kind.BOOL}) and op not in ("=", "!="):
            self.report("PHX106", f"`{a.text}` has no order, `{op}` needs one", a.span, help="use `=`, `!=` or `in`")
            return None
        return c.Compare(op, a.node, b.node)  # type: ignore[arg-type]

    def _against_literal(self, a: Operand, op: str, b: Operand) -> c.Core | None:
        if a.kind in REAL and is_plain(a) and b.unit in ("", "%") and b.literal is not None and abs(b.literal) > 10**17:
            always = (op in ("<", "<=")) is (b.literal > 0) if op not in ("=", "!=") else op == "!="
            return self._never(a, b, always, "beyond any value of it")
        fitted = literal_as(b, a)
        if isinstance(fitted, Refusal):
            self.refuse(fitted, b.span, a)
            return None
        if not a.exact:
            return c.Compare(op, a.node, fitted.node)  # type: ignore[arg-type]
        # The literal follows the column: `dte <= 14.5` is `dte <= 14`, `price > 2.00005` is `price > 2.0000`.
        assert b.literal is not None
        exact = b.literal * 10**a.scale
        below = exact.numerator // exact.denominator
        whole = exact.denominator == 1
        if not whole:
            if op in ("=", "!="):
                return self._never(a, b, op == "!=", "a value it cannot hold")
            op = "<=" if op in ("<", "<=") else ">="
            below += op == ">="
        if not a.lo <= below <= a.hi or (below == a.lo and op == "<") or (below == a.hi and op == ">"):
            return self._out_of_range(a, op, below, b)
        return c.Compare(op, a.node, c.Const(a.kind or Kind.INT, below))  # type: ignore[arg-type]

    def _out_of_range(self, a: Operand, op: str, value: int, literal: Operand) -> c.Core:
        always = {
            "=": False, "!=": True, "<": value > a.hi, "<=": value >= a.hi, ">": value < a.lo, ">=": value <= a.lo,
        }[op]  # fmt: skip
        return self._never(a, literal, always, "a value outside its range")

    def _never(self, a: Operand, literal: Operand, always: bool, why: str) -> c.Core:
        if is_plain(a):
            self.report("PHX202", f"this is {'always' if always else 'never'} true where `{a.text}` is known: "
                        f"`{literal.text}` is {why}", literal.span, Label(a.span, describe(a)))  # fmt: skip
        return c.InSet(a.node, (), negated=always)

    # -- membership

    def _membership(self, node: n.In) -> c.Core | None:
        among = node.among
        operand = self.value(node.operand)
        if operand is None:
            return None
        if operand.literal is not None:
            self.report("PHX106", "a literal is in nothing", operand.span, help="put a field on the left of `in`")
            return None
        if isinstance(among, n.Range):
            return self._within(operand, among, node.negated)
        if isinstance(among, n.Name):
            found = self.scope.sets.get(among.name)
            if found is None:
                self.unknown("PHX115", "set", among.name, among.span, tuple(self.scope.sets))
                return None
            items, source = found.node.body.items, found.source
        else:
            items, source = among.items, self.source
        inner = self if source is self.source else Checker(self.scope, source)
        values = [inner.constant(item, operand) for item in items]
        if inner is not self:
            self.found.extend(inner.found)
        if any(v is False for v in values):
            return None
        kept = tuple(dict.fromkeys(v for v in values if v is not None and v is not False))
        return c.InSet(operand.node, kept, node.negated)

    def constant(self, item: n.Expr, like: Operand) -> int | float | str | Literal[False] | None:
        """A literal as a stored value of ``like``'s type; None if it can hold no such value, False if refused."""
        if isinstance(item, n.Constant):
            self.report("PHX107", "a set of known values cannot hold `null`, `true` or `false`", item.span,
                        help="ask with `is null`")  # fmt: skip
            return False
        if like.kind in _WORDS:
            member = self._member(item, like)
            return cast("str", member.node.value) if member is not None else False  # type: ignore[union-attr]
        value = self.value(item)
        if value is None:
            return False
        if value.literal is not None:
            fitted = literal_as(value, like)
            if isinstance(fitted, Refusal):
                self.refuse(fitted, item.span, like)
                return False
            if like.exact:
                exact = value.literal * 10**like.scale
                if exact.denominator != 1 or not like.lo <= exact <= like.hi:
                    if is_plain(like):
                        self.report("PHX202", f"`{like.text}` is never `{value.text}`", item.span)
                    return None
                return int(exact)
            value = fitted
        if value.kind is not like.kind or not isinstance(value.core, c.Const):
            self.report("PHX106", f"`{like.text}` is {describe(like)}, this is {describe(value)}", item.span,
                        Label(like.span, describe(like)))  # fmt: skip
            return False
        return cast("int | float | str", value.core.value)

    def _within(self, operand: Operand, among: n.Range, negated: bool) -> c.Core | None:
        parts: list[c.Core | None] = []
        for bound, op in ((among.low, ">="), (among.high, "<" if among.half_open else "<=")):
            if bound is not None:
                value = self.value(bound)
                parts.append(None if value is None else self.compare(operand, op, value))
        if any(p is None for p in parts):
            return None
        known = cast("tuple[c.Core, ...]", tuple(parts))
        inside = known[0] if len(known) == 1 else c.And(known)
        return c.Not(inside) if negated else inside

    def _like(self, node: n.Like) -> c.Core | None:
        operand = self.value(node.operand)
        if operand is None:
            return None
        if operand.kind not in (Kind.TEXT, Kind.SYMBOL):
            self.report("PHX106", f"`like` reads text, `{operand.text}` is {describe(operand)}", operand.span)
            return None
        pattern = node.pattern.value
        body = pattern.strip("*")
        if "*" in body or not body:
            self.report("PHX005", "a pattern is a prefix, a suffix or a part", node.pattern.span,
                        help='write "AA*", "*AA" or "*AA*"')  # fmt: skip
            return None
        how: Literal["prefix", "suffix", "contains", "whole"]
        how = {(False, True): "prefix", (True, False): "suffix", (True, True): "contains", (False, False): "whole"}[
            pattern.startswith("*"), pattern.endswith("*")
        ]  # type: ignore[assignment]
        return c.Like(operand.node, how, body, node.negated)

    # -- values

    @property
    def arithmetic(self) -> Arithmetic:
        """The numeric rules, reporting here."""
        return Arithmetic(self.refuse)

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
                self.report("PHX108", f"a value was expected, `{node.name}` is a condition", node.span)
                return None
            case n.ParamName(name=name, span=span):
                return self._param(name, span)
            case n.Negate(operand=inner):
                operand = self.value(inner)
                return self.arithmetic.negate(operand, node.span, text) if operand is not None else None
            case n.Arith(op=op, left=left, right=right):
                a, b = self.value(left), self.value(right)
                if a is None or b is None:
                    return None
                return self.arithmetic.apply(op, a, b, node.span, text)
            case n.Call(name=name, args=args, span=span):
                return self._call(name, args, span, text)
            case n.Constant(span=span):
                self.report("PHX108", f"a value was expected, this is `{text}`", span,
                            help="ask for missing values with `is null`")  # fmt: skip
                return None
            case n.ChipName(span=span):
                self.report("PHX108", f"a value was expected, `{text}` is a chip", span,
                            help="a chip is a condition of its own: `@x and …`")  # fmt: skip
                return None
            case _:
                self.report("PHX108", "a value was expected, this is a condition", node.span)
                return None

    def _call(self, name: str, args: tuple[n.Expr, ...], span: Span, text: str) -> Operand | None:
        function = FUNCTIONS.get(name)
        if function is None:
            self.unknown("PHX109", "function", name, Span(span.start, span.start + len(name)), tuple(FUNCTIONS))
            return None
        if not function.least <= len(args) <= function.most:
            count = f"{len(args)} argument{'' if len(args) == 1 else 's'}"
            self.report("PHX109", f"`{name}` was given {count}", span, help=f"write `{function.signature}`")
            return None
        values = [self.value(a) for a in args]
        if any(v is None for v in values):
            return None
        return self.arithmetic.call(name, cast("list[Operand]", values), span, text)

    def _param(self, name: str, span: Span) -> Operand | None:
        found = self.scope.params.get(name)
        if found is None:
            self.unknown("PHX103", "param", name, span, tuple(self.scope.params), "$")
            return None
        node = c.Param(name, found.kind)
        scale = 4 if found.kind is Kind.MONEY else 0
        lo, hi = found.type.lo, found.type.hi
        bounds = (int(lo), int(hi)) if found.kind in EXACT and lo is not None and hi is not None else None
        operand = Operand(span, found.kind, node, scale, members=found.type.members, text=f"${name}")
        return replace(operand, lo=bounds[0], hi=bounds[1]) if bounds else operand

    def name(self, node: n.Name) -> Checked | None:
        """A bare word: a field, a ``let``, or a derived field."""
        field = self.scope.catalog.by_name.get(node.name)
        if field is not None:
            core = c.Field(field.name, field.type.kind, field.nullable)
            kind = field.type.kind
            scale = 4 if kind is Kind.MONEY else 0
            operand = Operand(node.span, kind, core, scale, members=field.type.members, text=node.name)
            if kind in EXACT and field.type.lo is not None and field.type.hi is not None:
                operand = replace(operand, lo=int(field.type.lo), hi=int(field.type.hi))
            return operand
        macro: Defined[n.LetStatement] | Defined[n.FieldStatement] | None
        macro = self.scope.lets.get(node.name) or self.scope.derived.get(node.name)
        if macro is None:
            known = (*self.scope.catalog.names(), *self.scope.lets, *self.scope.derived)
            self.unknown("PHX101", "field", node.name, node.span, known)
            return None
        if node.name in self.scope.expanded:
            checked = cast("Checked | None", self.scope.expanded[node.name])
            return replace(checked, span=node.span, text=node.name) if isinstance(checked, Operand) else checked
        if node.name in self.path:
            self.report("PHX112", "definitions refer to each other: " + " -> ".join((*self.path, node.name)), node.span)
            return None
        inner = Checker(self.scope, macro.source, (*self.path, node.name))
        checked = inner.either(macro.node.body)
        cycle = [d for d in inner.found if d.code == "PHX112"]
        if cycle and not self.path:
            self.report("PHX112", cycle[0].message, node.span)
        elif cycle:
            self.found.extend(cycle)
        whole = checked.core if isinstance(checked, Operand) else checked
        if whole is not None and sum(1 for _ in islice(c.walk(whole), MAX_EXPANDED + 1)) > MAX_EXPANDED:
            self.report("PHX004", f"`{node.name}` stands for more than {MAX_EXPANDED:,} nodes", node.span,
                        help="a `let` is written out wherever it is named: make it a chip or a field")  # fmt: skip
            checked = None
        if not cycle:  # a circle looks different from each of its places
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
