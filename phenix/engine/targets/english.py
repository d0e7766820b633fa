"""The plain-English target: what a condition says, as one sentence a trader can read.

Macros are written out, params and literals stand with their values, chips with their labels, fields
with the words of the catalog. Two conditions that mean different things read differently: a group
inside another stands in parentheses, and a list whose parts hold a list of their own is parted by
semicolons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, cast

from phenix.dsl import nodes as n
from phenix.dsl.scope import Scope
from phenix.dsl.types import CatalogField, Kind
from phenix.engine.targets.words import clock, listed, number, quoted

__all__ = ["LONGEST", "UNSUPPORTED", "say"]

LONGEST: Final = 2_000
"""Characters of a sentence; what would be longer is summed up instead."""

_DEEPEST: Final = 100
_OPS: Final = {"=": "", "!=": "not ", "<": "below ", "<=": "at most ", ">": "above ", ">=": "at least "}
_AMOUNTS: Final = {**_OPS, "<": "less than ", ">": "more than "}
"""The same inside a pattern of the catalog that goes on behind them."""
_MOMENTS: Final = {**_OPS, "<": "before ", "<=": "at or before ", ">": "after ", ">=": "at or after "}
_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ARITH: Final = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
UNSUPPORTED: Final[Mapping[str, str]] = {}
"""Every kind of node and every function can be said."""

_CALLS: Final = {
    "clamp": "{0} kept from {1} to {2}",
    "tent": "the height of {0} in a tent from {1} over {2} to {3}",
    "coalesce": "{0} (or {1} where missing)",
}
_STATES: Final = {
    ("true", False): "it is certain that ({})", ("true", True): "it is not certain that ({})",
    ("false", False): "it is certainly not so that ({})", ("false", True): "it is not ruled out that ({})",
    ("unknown", False): "it cannot be told whether ({})", ("unknown", True): "it can be told whether ({})",
}  # fmt: skip
_WORD: Final = re.compile(r"[\w.+>/ -]+")
_NO_LABELS: Final[Mapping[str, str]] = {}


def say(node: n.Expr, scope: Scope, labels: Mapping[str, str] = _NO_LABELS) -> str:
    """The sentence, capitalised and ended; ``labels`` are the chips' by id, a chip without one goes by its id."""
    speaker = _Speaker(scope, labels)
    text = speaker.condition(node)
    if speaker.left < 0 or len(text) > LONGEST:
        text = _summary(node, scope)
    start = len(text) - len(text.lstrip("("))
    return text[:start] + text[start : start + 1].upper() + text[start + 1 :] + "."


@dataclass(slots=True)
class _Speaker:
    scope: Scope
    labels: Mapping[str, str]
    left: int = LONGEST
    """Nodes that may still be said: none of them takes less than a character."""
    depth: int = 0
    kinds: dict[str, Kind | None] = field(default_factory=dict)
    """Of macros, by name."""

    # -- conditions

    def condition(self, node: n.Expr) -> str:
        """A clause, without full stop; nonsense once ``left`` is below zero."""
        return self._within(lambda: self._condition(node))

    def _within(self, speak: Callable[[], str]) -> str:
        """What ``speak`` says, as long as there is room."""
        self.left -= 1
        self.depth += 1
        if self.depth > _DEEPEST:
            self.left = -1
        text = speak() if self.left >= 0 else ""
        self.depth -= 1
        return text

    def _condition(self, node: n.Expr) -> str:
        match node:
            case n.And():
                return listed([self._part(a, n.Or) for a in _flat(node)], "and")
            case n.Or():
                return listed([self._part(a, n.And) for a in _flat(node)], "or")
            case n.Not(operand=operand):
                return self._not(operand)
            case n.Compare(operands=(left, n.Constant(value=bool(value))), ops=(op,)):
                return self.condition(left) if (op == "=") is value else self._not(left)
            case n.Compare(operands=(n.Constant(value=bool(value)), right), ops=(op,)):
                return self.condition(right) if (op == "=") is value else self._not(right)
            case n.Compare(operands=operands, ops=ops):
                return self._chain(operands, ops)
            case n.In(operand=operand, among=among, negated=negated):
                return self._about(operand, ("not " if negated else "") + self._among(among, operand))
            case n.Like(operand=operand, pattern=pattern, negated=negated):
                return f"{self.value(operand)} {'does not match' if negated else 'matches'} {quoted(pattern.value)}"
            case n.Is(operand=operand, what="null", negated=negated):
                return f"{self.value(operand)} is {'not ' if negated else ''}missing"
            case n.Is(operand=operand, what=what, negated=negated):
                return _STATES[what, negated].format(self.condition(operand))
            case n.ChipName(name=name):
                return f"the chip {self._label(name)} is on"
            case n.Constant(value=value):
                return "everything matches" if value else "nothing matches"
            case n.Name():
                return self._named(node, "")
            case _:  # no other value is true or false
                return f"the param {cast('n.ParamName', node).name.replace('_', ' ')} is on"

    def _part(self, node: n.Expr, split: type) -> str:
        """One of a list; a list of the other kind stands in parentheses."""
        text = self.condition(node)
        return f"({text})" if isinstance(self._written_out(node), split) else text

    def _not(self, operand: n.Expr) -> str:
        match operand:
            case n.Name():
                return self._named(operand, "not ")
            case n.ChipName(name=name):
                return f"the chip {self._label(name)} is off"
            case n.ParamName(name=name):
                return f"the param {name.replace('_', ' ')} is off"
            case _:
                return f"it is not so that ({self.condition(operand)})"

    def _named(self, node: n.Name, negation: str) -> str:
        field = self.scope.catalog.by_name.get(node.name)
        if field is not None:
            return field.says.format(negation)
        return self._not(self._body(node)) if negation else self.condition(self._body(node))

    def _chain(self, operands: tuple[n.Expr, ...], ops: tuple[str, ...]) -> str:
        """``a <= x < b`` says both of x; any other chain is a list of comparisons."""
        if len(ops) == 2 and not _fixed(operands[1]) and _fixed(operands[0]) and _fixed(operands[2]):
            low, middle, high = operands
            first, second = _FLIPPED.get(ops[0], ops[0]), ops[1]
            both = [self._against(first, low, middle), self._against(second, high, middle)]
            return self._about(middle, " and ".join(both))
        pairs = zip(operands, ops, operands[1:], strict=False)
        said = [self._comparison(left, op, right) for left, op, right in pairs]
        return said[0] if len(said) == 1 else f"({listed(said, 'and')})"

    def _comparison(self, left: n.Expr, op: str, right: n.Expr) -> str:
        if self._member_of(left, right) or (_fixed(left) and not _fixed(right)):
            left, op, right = right, _FLIPPED.get(op, op), left
        return self._about(left, self._against(op, right, left), plain=not _fixed(right))

    def _against(self, op: str, right: n.Expr, left: n.Expr) -> str:
        known = self._field(left)
        ops = _MOMENTS if self._kind(left) in (Kind.DATE, Kind.TIME, Kind.TS) else _OPS
        if known is not None and not known.says.endswith("{}") and _fixed(right):
            ops = _AMOUNTS
        return ops[op] + self.value(right, left)

    def _about(self, node: n.Expr, said: str, plain: bool = False) -> str:
        """``said`` of a value, in the catalog's words where it is a field; a ``plain`` one may name other fields."""
        field = self._field(node)
        if field is None or field.type.kind is Kind.BOOL or (plain and not field.says.endswith("{}")):
            return f"{self.value(node)} is {said}"
        return field.says.format(said)

    def _among(self, among: n.SetLit | n.Range | n.Name, operand: n.Expr) -> str:
        match among:
            case n.Name(name=name):
                return self._among(self.scope.sets[name].node.body, operand)
            case n.SetLit(items=items):
                return listed([self.value(i, operand) for i in items], "or") or "one of none"
            case n.Range(low=None, high=high, half_open=half_open):
                return self._against("<" if half_open else "<=", cast("n.Expr", high), operand)
            case n.Range(low=low, high=None):
                return self._against(">=", cast("n.Expr", low), operand)
            case _:
                start, end = (self.value(cast("n.Expr", x), operand) for x in (among.low, among.high))
                return f"from {start} to {'below ' if among.half_open else ''}{end}"

    # -- values

    def value(self, node: n.Expr, beside: n.Expr | None = None) -> str:
        """A noun; ``beside`` is what a literal takes its unit from, and a word its meaning."""
        return self._within(lambda: self._value(node, beside))

    def _value(self, node: n.Expr, beside: n.Expr | None) -> str:
        match node:
            case n.Number(value=value, unit=unit):
                return number(value, unit, self._kind(beside))
            case n.ParamName(name=name):
                info = self.scope.params[name]
                sign = {Kind.MONEY: "$", Kind.PERCENT: "%"}.get(info.kind, "")
                return number(info.exact, sign) if info.exact is not None else str(info.value).lower()
            case n.Name(name=name) if beside is not None and (words := self._words(beside)) is not None:
                return _member(name, words)
            case n.Text(value=text):
                words = self._words(beside) if beside is not None else None
                return _member(text, words) if words is not None else quoted(text)
            case n.Name(name=name):
                field = self.scope.catalog.by_name.get(name)
                return field.noun if field is not None else self.value(self._body(node), beside)
            case n.DateLit(value=day):
                return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"
            case n.TimeLit(value=ms):
                return f"{clock(ms)} ET"
            case n.TsLit(value=ms):
                return f"{date.fromordinal(ms // 86_400_000 + 719_163)} {clock(ms % 86_400_000)} UTC"
            case n.Negate(operand=operand):
                return f"minus {self._grouped(operand, beside)}"
            case n.Arith(op="??", left=left, right=right):
                return self._call("coalesce", (left, right), beside)
            case n.Arith(op="*", left=n.Number(unit="%") as share, right=right):
                return f"{self.value(share)} of {self._grouped(right, beside)}"
            case n.Arith(op=op, left=left, right=right):
                like = (None, None) if op in "*/" else (beside, beside) if _fixed(node) else (right, left)
                first = self._grouped(left, like[0], op if op in "+*" else "")
                return f"{first} {_ARITH[op]} {self._grouped(right, like[1])}"
            case _:
                call = cast("n.Call", node)
                return self._call(call.name, call.args, beside)

    def _call(self, name: str, args: tuple[n.Expr, ...], beside: n.Expr | None) -> str:
        like = next((a for a in args if not _fixed(a)), beside)
        said = [self._grouped(a, None if a is like else like) for a in args]
        if name == "abs":
            field = self._field(args[0])
            noun = said[0] if field is None else field.noun.removeprefix("the ")
            return f"the absolute {'value of ' if field is None else ''}{noun}"
        if name in ("min", "max"):
            ending = "er" if len(said) == 2 else "est"
            return f"the {'small' if name == 'min' else 'larg'}{ending} of {listed(said, 'and')}"
        return _CALLS[name].format(*said)

    def _grouped(self, node: n.Expr, beside: n.Expr | None = None, op: str = "") -> str:
        """A value inside another: in parentheses when it is a computation that could be read apart."""
        if beside is None or self._words(beside) is None:
            node = self._written_out(node)
        text = self.value(node, beside)
        match node:
            case n.Arith(op="*", left=n.Number(unit="%")):
                return text
            case n.Arith(op=inner) if inner == op:
                return text
            case n.Negate() | n.Arith() | n.Call():
                return f"({text})"
            case _:
                return text

    # -- names

    def _written_out(self, node: n.Expr) -> n.Expr:
        """The node, a macro replaced by what it stands for."""
        while self._is_macro(node):
            node = self._body(cast("n.Name", node))
        return node

    def _is_macro(self, node: n.Expr) -> bool:
        """Whether it is the name of a ``let`` or derived field; other words are fields, or members."""
        name = node.name if isinstance(node, n.Name) and node.name not in self.scope.catalog.by_name else ""
        return name in self.scope.lets or name in self.scope.derived

    def _body(self, node: n.Name) -> n.Expr:
        macro = self.scope.lets.get(node.name) or self.scope.derived[node.name]
        return macro.node.body

    def _label(self, name: str) -> str:
        chip = self.scope.chips[name.lower()]
        label = self.labels.get(chip) or chip
        return label if _WORD.fullmatch(label) else quoted(label)

    def _field(self, node: n.Expr) -> CatalogField | None:
        return self.scope.catalog.by_name.get(node.name) if isinstance(node, n.Name) else None

    def _words(self, node: n.Expr) -> CatalogField | None:
        """The enum or symbol field opposite which a bare word is a member; ``x ?? word`` and macros are as it."""
        while True:
            match self._written_out(node):
                case n.Arith(op="??", left=first) | n.Call(name="coalesce", args=(first, _)):
                    node = first
                case body:
                    field = self._field(body)
                    break
        return field if field is not None and field.type.kind in (Kind.ENUM, Kind.SYMBOL) else None

    def _member_of(self, node: n.Expr, of: n.Expr) -> bool:
        return isinstance(node, n.Name | n.Text) and self._words(of) is not None and self._words(node) is None

    def _kind(self, node: n.Expr | None) -> Kind | None:
        """The kind whose unit a plain number beside the node takes."""
        match node:
            case n.Name(name=name) if name in self.scope.catalog.by_name:
                return self.scope.catalog.by_name[name].type.kind
            case n.Name() if not self._is_macro(node):
                return None
            case n.Name(name=name):
                if name not in self.kinds:  # once, however often it is named
                    self.kinds[name] = self._kind(self._body(node))
                return self.kinds[name]
            case n.ParamName(name=name):
                return self.scope.params[name].kind
            case n.Arith(op=op, left=left, right=right):
                kinds = (self._kind(left), self._kind(right))
                if op == "/":
                    return Kind.RATIO if kinds[0] is kinds[1] else kinds[0]
                return next((k for k in (Kind.MONEY, Kind.PERCENT) if k in kinds), None)
            case n.Negate(operand=operand):
                return self._kind(operand)
            case n.Call(name="tent"):
                return Kind.RATIO
            case n.Call(args=args):
                return next((kind for a in args if (kind := self._kind(a))), None)
            case _:
                return None


def _flat(node: n.And | n.Or) -> Iterator[n.Expr]:
    """The parts, lists of the same kind opened."""
    for arg in node.args:
        if isinstance(arg, type(node)):
            yield from _flat(arg)
        else:
            yield arg


def _fixed(node: n.Expr) -> bool:
    """Whether a value is the same on every row."""
    match node:
        case n.Number() | n.ParamName() | n.DateLit() | n.TimeLit() | n.TsLit() | n.Text():
            return True
        case n.Negate(operand=operand):
            return _fixed(operand)
        case n.Arith(left=left, right=right):
            return _fixed(left) and _fixed(right)
        case _:
            return False


def _summary(node: n.Expr, scope: Scope) -> str:
    """What a condition looks at, when it is too long to say."""
    names: set[str] = set()
    chips: set[str] = set()
    waiting: list[object] = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, tuple):
            waiting += found
        elif isinstance(found, n.Name) and found.name in scope.catalog.by_name:
            names.add(found.name)
        elif isinstance(found, n.Name):
            macro = scope.lets.get(found.name) or scope.derived.get(found.name)
            if macro is not None and found.name not in names:
                names.add(found.name)
                waiting.append(macro.node.body)
        elif isinstance(found, n.ChipName):
            chips.add(scope.chips[found.name.lower()])
        else:
            waiting += [getattr(found, slot) for slot in getattr(found, "__dataclass_fields__", ())]
    fields = [f.noun for f in scope.catalog.fields if f.name in names and f.filterable]
    fields += [f"{len(chips)} chip{'' if len(chips) == 1 else 's'}"] if chips else []
    return "it is too long to be said in one sentence; it looks at " + (listed(fields, "and") or "nothing")


def _member(word: str, of: CatalogField) -> str:
    if of.type.kind is Kind.ENUM:
        return next(m for m in of.type.members if m.lower() == word.lower())
    return word.upper() if re.fullmatch(r"[\w./]+", word) else quoted(word.upper())
