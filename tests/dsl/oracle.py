"""The language read once more, apart from the product: exact rationals, Kleene's tables, no shared code.

It reads an expression and a table of literals by itself and answers as language.md says. Numbers of
exact kinds are fractions; a ratio or percentage is a double, and what meets it becomes one. What it
does not know (a definition, say) raises :class:`Unreadable`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<ts>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?P<date>\d{4}-\d\d-\d\d)|(?P<time>\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)? ET)"
    r'|(?P<number>(?:\$\d{1,3}(?:,\d{3})+|\$?\d+)(?:\.\d+)?(?:bp|ms|[kMB%smhd])?(?![A-Za-z0-9]))|(?P<text>"(?:[^"\\]|\\.)*")'
    r'|(?P<chip>@(?:\w+|"[^"]*"))|(?P<word>[A-Za-z_]\w*(?:\.[A-Za-z])?)|(?P<op>\.\.<|\.\.|\?\?|!=|<=|>=|[=<>+\-*/(){},]))'
)
UNITS = {
    "": (1, ""), "k": (10**3, ""), "M": (10**6, ""), "B": (10**9, ""), "%": (1, "%"), "bp": (Fraction(1, 100), "%"),
    "ms": (1, "s"), "s": (1000, "s"), "m": (60_000, "s"), "h": (3_600_000, "s"), "d": (86_400_000, "s"),
}  # fmt: skip
DOUBLES = ("ratio", "percent")
MEMBER = "a member, before the field it is one of"


class Unreadable(Exception):  # noqa: N818 - it says what the text is
    """Not within what this reads."""


@dataclass(frozen=True)
class V:
    """A value: its kind ("" for a literal number with its unit), and None where unknown."""

    kind: str
    value: Any
    unit: str = ""

    @property
    def literal(self) -> bool:
        return self.kind == ""


Row = Mapping[str, V]


def number(text: str) -> V:
    match = re.fullmatch(r"(\$?)([\d,]+(?:\.\d+)?)([A-Za-z%]*)", text)
    if match is None or match[3] not in UNITS:
        raise Unreadable(text)
    scale, unit = UNITS[match[3]]
    return V("", Fraction(match[2].replace(",", "")) * scale, "$" if match[1] else unit)


def instant(text: str) -> int:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def clock(text: str) -> int:
    hours, minutes, *seconds = text.removesuffix(" ET").split(":")
    return int(hours) * 3_600_000 + int(minutes) * 60_000 + int(Fraction(seconds[0]) * 1000 if seconds else 0)


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def cell(text: str, kind: str) -> V:
    """A literal of a table as a value of a field's kind."""
    sign, bare = (-1, text[1:]) if text.startswith("-") else (1, text)
    if text in ("null", "unknown"):
        return V(kind, None)
    if kind == "bool":
        return V(kind, text == "true")
    if kind == "date":
        return V(kind, int(text.replace("-", "")))
    if kind in ("ts", "time"):
        return V(kind, instant(text) if kind == "ts" else clock(text))
    if kind in ("enum", "symbol", "text"):
        return V(kind, (unescaped(text) if text.startswith('"') else text).upper())
    read = number(bare)
    exact = sign * read.value
    return V(kind, float(exact) if kind in DOUBLES else exact)


def fit(literal: V, kind: str) -> Any:
    """A literal number in the form of what it meets."""
    value = literal.value
    if kind in DOUBLES:
        return float(value / 100 if kind == "ratio" and literal.unit == "%" else value)
    return value


def pair(a: V, b: V) -> tuple[str, Any, Any]:
    """Two values in one form: the kind of both."""
    if a.literal and b.literal:
        return "", a.value, b.value
    if a.literal:
        return b.kind, fit(a, b.kind), b.value
    if b.literal:
        return a.kind, a.value, fit(b, a.kind)
    if {a.kind, b.kind} == {"int", "ratio"}:
        return "ratio", *(None if v.value is None else float(v.value) for v in (a, b))
    return a.kind, a.value, b.value


def known(*values: Any) -> bool:
    return all(v is not None for v in values)


def add(a: V, b: V, sign: int) -> V:
    kind, x, y = pair(a, b)
    return V(kind, x + sign * y if known(x, y) else None, a.unit or b.unit)


def times(a: V, b: V) -> V:
    if a.literal and b.literal:
        if "%" in (a.unit, b.unit) and "" in (a.unit, b.unit):
            return V("", a.value * b.value, "%")
        x, y = (v.value / 100 if v.unit == "%" else v.value for v in (a, b))
        return V("", x * y, "".join({a.unit, b.unit} - {"%", ""}))
    if a.literal or b.literal:
        literal, other = (a, b) if a.literal else (b, a)
        factor = literal.value / 100 if literal.unit == "%" else literal.value
        if other.value is None:
            return other
        return V(other.kind, float(factor) * other.value if other.kind in DOUBLES else factor * other.value)
    kinds = {a.kind, b.kind}
    kind = next((k for k in ("money", "duration", "percent", "ratio") if k in kinds), "int")
    if not known(a.value, b.value):
        return V(kind, None)
    return V(kind, float(a.value) * float(b.value) if kind in DOUBLES else a.value * b.value)


def over(a: V, b: V) -> V:
    if a.literal and b.literal:
        x, y = (v.value / 100 if v.unit == "%" else v.value for v in (a, b))
        return V("", x / y, a.unit.replace("%", ""))
    if a.kind == "money" and b.literal and b.unit != "$":
        divisor = b.value / 100 if b.unit == "%" else b.value
        return V("money", None if a.value is None else a.value / divisor)
    kind = "percent" if a.kind == "percent" and b.kind != "percent" and not (b.literal and b.unit == "%") else "ratio"
    x, y = (
        v.value / 100 if v.literal and v.unit == "%" and "percent" not in (a.kind, b.kind) else v.value for v in (a, b)
    )
    # The quotient of two integers is the double nearest to it: so is that of their units.
    if not known(x, y) or y == 0:
        return V(kind, None)
    return V(kind, float(x) / float(y) if "money" not in (a.kind, b.kind) else float(Fraction(x) / Fraction(y)))


def extreme(choose: Callable[..., Any], values: list[V]) -> V:
    formed = next((v for v in values if not v.literal), values[0])
    kinds = {v.kind for v in values if not v.literal}
    kind = "ratio" if kinds == {"int", "ratio"} else formed.kind
    fitted = [fit(v, kind) if v.literal and kind else v.value for v in values]
    if not known(*fitted):
        return V(kind, None)
    return V(kind, choose(float(x) for x in fitted) if kind in DOUBLES else choose(fitted), formed.unit)


def tent(x: V, a: V, b: V, c: V) -> V:
    if x.value is None:
        return V("ratio", None)
    v, lo, top, hi = float(x.value), a.value, b.value, c.value
    up, down = (v - float(lo)) / float(top - lo), (float(hi) - v) / float(hi - top)
    return V("ratio", max(0.0, min(up, down)))


def truth(op: str, a: V, b: V) -> bool | None:
    _, x, y = pair(a, b)
    if not known(x, y):
        return None
    return {"=": x == y, "!=": x != y, "<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[op]


def negation(a: bool | None) -> bool | None:
    return None if a is None else not a


def both(parts: list[bool | None]) -> bool | None:
    return False if False in parts else None if None in parts else True


def either(parts: list[bool | None]) -> bool | None:
    return negation(both([negation(p) for p in parts]))


class Reader:
    """Reads one expression on one row; a value is V, a condition True, False or None."""

    def __init__(self, text: str, row: Row) -> None:
        self.row, self.at, self.tokens = row, 0, []
        end = 0
        while text[end:].strip():
            match = TOKEN.match(text, end)
            if match is None:
                raise Unreadable(text[end:])
            self.tokens.append((match.lastgroup, match[match.lastgroup or 0]))
            end = match.end()

    def answer(self) -> bool | None:
        found = self.disjunction()
        if self.at < len(self.tokens):
            raise Unreadable(f"{self.tokens[self.at]}")
        return self.condition(found)

    def condition(self, found: Any) -> bool | None:
        if isinstance(found, V) and found.kind == "bool":
            return None if found.value is None else bool(found.value)
        if isinstance(found, V):
            raise Unreadable("a value for a condition")
        return None if found is None else bool(found)

    def peek(self, *words: str) -> bool:
        return (
            self.at < len(self.tokens)
            and self.tokens[self.at][1] in words
            and self.tokens[self.at][0] in ("op", "word")
        )

    def take(self, *words: str) -> str | None:
        if self.peek(*words):
            self.at += 1
            return str(self.tokens[self.at - 1][1])
        return None

    def need(self, word: str) -> None:
        if not self.take(word):
            raise Unreadable(f"no {word}")

    def disjunction(self) -> Any:
        parts = [self.conjunction()]
        while self.take("or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else either([self.condition(p) for p in parts])

    def conjunction(self) -> Any:
        parts = [self.opposite()]
        while self.take("and"):
            parts.append(self.opposite())
        return parts[0] if len(parts) == 1 else both([self.condition(p) for p in parts])

    def opposite(self) -> Any:
        if self.take("not"):
            return negation(self.condition(self.opposite()))
        return self.state()

    def state(self) -> Any:
        found = self.comparison()
        while self.take("is"):
            no = bool(self.take("not"))
            what = self.take("null", "true", "false", "unknown")
            if what == "null":
                found = (found.value is None) is not no
            else:
                found = (self.condition(found) is {"true": True, "false": False, "unknown": None}[what or ""]) is not no
        return found

    def comparison(self) -> Any:
        left = self.otherwise(None)
        if self.peek("=", "!=", "<", "<=", ">", ">="):
            parts, operand = [], left
            while op := self.take("=", "!=", "<", "<=", ">", ">="):
                following = self.otherwise(None if operand.__class__ is V and operand.unit == MEMBER else operand)
                parts.append(self.compared(op, operand, following))
                operand = following
            return both(parts)
        no = bool(self.take("not"))
        if self.take("in"):
            inside = self.among(left)
        elif self.take("like"):
            inside = self.pattern(left)
        elif no:
            raise Unreadable("not")
        else:
            return left
        return negation(inside) if no else inside

    def compared(self, op: str, a: Any, b: Any) -> bool | None:
        sides = [V("bool", side) if not isinstance(side, V) else side for side in (a, b)]
        return truth(op, *sides)

    def among(self, left: V) -> bool | None:
        if self.take("{"):
            items = []
            while not self.take("}"):
                items.append(self.sum(left))
                self.take(",")
            return None if left.value is None else any(truth("=", left, i) for i in items)
        bounds = []
        following = [text for _, text in self.tokens[self.at + 1 : self.at + 2]]
        if self.tokens[self.at][0] == "word" and following not in (["..<"], [".."]):
            raise Unreadable("a set by its name")
        if not self.peek("..", "..<"):
            bounds.append((">=", self.sum(left)))
        dots = self.take("..", "..<")
        if self.at < len(self.tokens) and not self.peek("and", "or", ")", "is"):
            bounds.append(("<" if dots == "..<" else "<=", self.sum(left)))
        return both([truth(op, left, bound) for op, bound in bounds])

    def pattern(self, left: V) -> bool | None:
        text = unescaped(self.tokens[self.at][1])
        self.at += 1
        if left.value is None:
            return None
        form = "".join(".*" if ch == "*" else re.escape(ch) for ch in text)
        return re.fullmatch(form, left.value, re.DOTALL) is not None

    def otherwise(self, beside: Any) -> Any:
        found = self.sum(beside)
        while self.take("??"):
            found = self.coalesced(found, self.sum(found))
        return found

    def coalesced(self, a: V, b: V) -> V:
        kind, x, y = pair(a, b)
        return V(kind, y if x is None else x)

    def sum(self, beside: Any) -> Any:
        found = self.product(beside)
        while op := self.take("+", "-"):
            found = add(found, self.product(None), 1 if op == "+" else -1)
        return found

    def product(self, beside: Any) -> Any:
        found = self.unary(beside)
        while op := self.take("*", "/"):
            found = (times if op == "*" else over)(found, self.unary(None))
        return found

    def unary(self, beside: Any) -> Any:
        if self.take("-"):
            found = self.unary(None)
            return V(found.kind, None if found.value is None else -found.value, found.unit)
        return self.atom(beside)

    def atom(self, beside: Any) -> Any:
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return number(text)
        if kind == "date":
            return V("date", int(text.replace("-", "")))
        if kind == "ts":
            return V("ts", instant(text))
        if kind == "time":
            return V("time", clock(text))
        if kind == "text":
            return V("symbol", unescaped(text).upper() if isinstance(beside, V) else unescaped(text))
        if kind == "chip" and text in self.row:
            return self.row[text].value
        if text == "(":
            found = self.disjunction()
            self.need(")")
            return found
        if kind != "word":
            raise Unreadable(text)
        if isinstance(beside, V) and beside.kind in ("enum", "symbol") and not self.peek("("):
            return V(beside.kind, text.upper())
        if text in ("true", "false"):
            return text == "true"
        if self.take("("):
            return self.call(text)
        following = self.tokens[self.at + 1][1] if self.peek("=", "!=") and self.at + 1 < len(self.tokens) else ""
        if following in self.row and self.row[following].kind in ("enum", "symbol") and text not in self.row:
            return V(self.row[following].kind, text.upper(), MEMBER)
        if text not in self.row:
            raise Unreadable(text)
        return self.row[text]

    def call(self, name: str) -> V:
        args = []
        while not self.take(")"):
            args.append(self.disjunction())
            self.take(",")
        match name:
            case "abs":
                return V(args[0].kind, None if args[0].value is None else abs(args[0].value), args[0].unit)
            case "min":
                return extreme(min, args)
            case "max":
                return extreme(max, args)
            case "clamp":
                return extreme(max, [args[1], extreme(min, [args[0], args[2]])])
            case "tent":
                return tent(*args)
            case "coalesce":
                return self.coalesced(*args)
        raise Unreadable(name)


def answer(text: str, row: Row) -> bool | None:
    """The answer of an expression on a row of values."""
    return Reader(text, row).answer()
