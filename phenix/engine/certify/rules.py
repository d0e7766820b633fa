"""Random well-typed rule text: every operator, function and statement, every field of the catalog.

All choices come from one :class:`random.Random`, so that a seed names a run and Hypothesis can drive
it. Texts are typed by construction but for bounds: what could leave 64 bits or the doubles is
refused by the checker, which is right, and another text is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from phenix.dsl.operand import EXACT, NUMERIC
from phenix.dsl.scope import Scope
from phenix.dsl.types import REAL, Kind, Type
from phenix.engine.certify.literals import PATTERNS, literal, number

__all__ = ["REFUSALS", "RandomRules"]

_NUMBERS: Final = tuple(kind for kind in Kind if kind in NUMERIC)
"""In one order, whatever hashes are: a seed gives the same rules in every process."""
REFUSALS: Final = frozenset({"PHX004", "PHX104", "PHX110", "PHX113"})
"""Codes a text drawn here may be refused with: too large, literals of two units side by side, bounds, decimals."""

_OPS: Final = ("=", "!=", "<", "<=", ">", ">=")
_FACTORS: Final = ("2", "3", "-1", "0.5", "10%", "1%", "0.0001", "100", "0", "1.5", "33.3333%")
_DIVISORS: Final = ("2", "4", "-5", "0.5", "10%", "8")
_PLAIN: Final = ("1", "2", "3", "0.1", "0.2", "7", "100", "0.00005", "1k", "1.5M")
_SCALES: Final = ("2", "3", "7", "0.1", "100", "-3", "0.0001")
_FREE: Final = (Kind.INT, Kind.RATIO)
_PARAMS: Final = (Kind.MONEY, Kind.INT, Kind.RATIO, Kind.PERCENT, Kind.DURATION)
_SUM, _PRODUCT, _UNARY, _ATOM = range(4)
Piece = tuple[str, int]
"""A text and how tightly it binds."""


class RandomRules:
    """Draws conditions and statements over the names of a scope, and over those it has drawn before."""

    def __init__(self, rng: random.Random, scope: Scope) -> None:
        self.rng = rng
        self.types: Mapping[str, Type] = {f.name: f.type for f in scope.catalog.fields if f.filterable}
        self.values: dict[Kind, list[str]] = {}
        for name, type_ in self.types.items():
            self.values.setdefault(type_.kind, []).append(name)
        for info in scope.params.values():
            self.values.setdefault(info.kind, []).append(f"${info.name}")
        self.truths: list[str] = []
        """Names that are conditions."""
        for name, defined in scope.derived.items():
            truth = defined.node.type_name == Kind.BOOL
            (self.truths if truth else self.values.setdefault(Kind(defined.node.type_name), [])).append(name)
        self.enums = {name: type_ for name, type_ in self.types.items() if type_.kind is Kind.ENUM}
        self.flags = [name for name, type_ in self.types.items() if type_.kind is Kind.BOOL]
        self.chips = sorted(scope.chips)
        self.sets: dict[str, list[str]] = {}
        """Kind or enum field -> names of sets that fit it."""

    # -- statements

    def statements(self, count: int) -> list[str]:
        """That many definitions of each sort, each able to name those before it."""
        out: list[str] = []
        for i in range(count):
            out += [self._param(f"p{i}"), self._set(f"s{i}"), self._let(f"l{i}"), self._field(f"d{i}")]
            out.append(self._chip(f"c{i}"))
        return out

    def _param(self, name: str) -> str:
        if self.rng.random() < 0.15:
            self.values[Kind.BOOL].append(f"${name}")
            return f"param {name}: bool = {self.rng.choice(('true', 'false'))}"
        kind = self.rng.choice(_PARAMS)
        low, value, high = {
            Kind.MONEY: ("0", self.rng.choice(("0", "0.0001", "250k", "$2.05")), "5M"),
            Kind.INT: ("-3", self.rng.choice(("-3", "0", "14", "1k")), "10k"),
            Kind.RATIO: ("0", self.rng.choice(("0", "0.1", "65%", "1")), "1000"),
            Kind.PERCENT: ("-15%", self.rng.choice(("-15%", "0%", "10%", "50bp")), "1000%"),
            Kind.DURATION: ("0s", self.rng.choice(("0s", "1ms", "3m")), "1d"),
        }[kind]
        self.values.setdefault(kind, []).append(f"${name}")
        return f"param {name}: {kind} = {value} in {low}..{high}"

    def _set(self, name: str) -> str:
        of = self.rng.choice((*self.enums, *(k for k in Kind if k not in (Kind.BOOL, Kind.ENUM, Kind.TEXT))))
        type_ = self.enums.get(str(of))
        kind = type_.kind if type_ else Kind(of)
        items = [literal(self.rng, kind, type_) for _ in range(self.rng.choice((0, 1, 3, 20)))]
        self.sets.setdefault(str(of), []).append(name)
        return f"set {name} = {{{', '.join(items)}}}"

    def _let(self, name: str) -> str:
        if self.rng.random() < 0.5:
            text = self.condition(2)
            self.truths.append(name)
        else:
            kind = self.rng.choice(_NUMBERS)
            text = self.value(kind, 2, formed=True)
            self.values[kind].append(name)
        return f"let {name} = {text}"

    def _field(self, name: str) -> str:
        kind = self.rng.choice((Kind.RATIO, Kind.RATIO, Kind.PERCENT, Kind.INT, Kind.BOOL))
        text = self.condition(2) if kind is Kind.BOOL else self.value(kind, 2, formed=True)
        if kind is Kind.BOOL:
            self.truths.append(name)
        else:
            self.values[kind].append(name)
        return f'field {name} "{name}": {kind} = {text}'

    def _chip(self, name: str) -> str:
        text = self.condition(3)
        self.chips.append(name)
        return f'chip {name} "Chip {name}" = {text} doc "Drawn."'

    # -- conditions

    def rule(self) -> str:
        """A condition of ordinary size, or now and then a very deep or very wide one."""
        odd = self.rng.random()
        if odd > 0.02:
            return self.condition(self.rng.choice((1, 2, 2, 3, 3, 4)))
        if odd > 0.01:
            text = self.condition(1)
            for _ in range(self.rng.randrange(5, 20)):
                text = self.rng.choice(("not ({})", "({}) is unknown", "({}) is not true", "(({}) and iso)")).format(
                    text
                )
            return text
        joint = self.rng.choice((" and ", " or "))
        return joint.join(f"({self.condition(1)})" for _ in range(self.rng.randrange(17, 50)))

    def condition(self, depth: int) -> str:
        """A condition with at most ``depth`` connectives above its atoms."""
        if depth <= 0 or self.rng.random() < 0.3:
            return self.rng.choice(self._ATOMS)(self)
        shape = self.rng.choice(("and", "and", "or", "or", "not", "is"))
        if shape == "not":
            return f"not ({self.condition(depth - 1)})"
        if shape == "is":
            word = self.rng.choice(("", "not ")) + self.rng.choice(("true", "false", "unknown", "unknown"))
            return f"({self.condition(depth - 1)}) is {word}"
        count = self.rng.choice((2, 2, 2, 3, 5))
        return f" {shape} ".join(f"({self.condition(depth - 1)})" for _ in range(count))

    def _comparison(self) -> str:
        kind = self.rng.choice(_NUMBERS)
        count = self.rng.choice((2, 2, 2, 2, 3, 4))
        sides = [self.value(self._mixed(kind), 2, formed=i == 0) for i in range(count)]
        self.rng.shuffle(sides)
        text = sides[0]
        for side in sides[1:]:
            text += f" {self.rng.choice(_OPS)} {side}"
        return text

    def _against_literal(self) -> str:
        name = self.rng.choice([x for x, t in self.types.items() if t.kind in NUMERIC])
        sides = [name, number(self.rng, self.types[name].kind, self.types[name])]
        self.rng.shuffle(sides)
        return f"{sides[0]} {self.rng.choice(_OPS)} {sides[1]}"

    def _moment(self) -> str:
        kind = self.rng.choice((Kind.DATE, Kind.TIME, Kind.TS))
        sides = [self._moment_value(kind), self.rng.choice((self._moment_value, self._moment_literal))(kind)]
        self.rng.shuffle(sides)
        return f"{sides[0]} {self.rng.choice(_OPS)} {sides[1]}"

    def _moment_value(self, kind: Kind) -> str:
        name = self.rng.choice(self.values[kind])
        return name if self.rng.random() < 0.8 else f"({name} ?? {self.rng.choice(self.values[kind])})"

    def _moment_literal(self, kind: Kind) -> str:
        return literal(self.rng, kind)

    def _member(self) -> str:
        name = self.rng.choice(tuple(self.enums))
        sides = [name, literal(self.rng, Kind.ENUM, self.enums[name])]
        self.rng.shuffle(sides)
        return f"{sides[0]} {self.rng.choice(_OPS[:2])} {sides[1]}"

    def _symbol(self) -> str:
        name = self.rng.choice(self.values[Kind.SYMBOL])
        shape = self.rng.randrange(4)
        if shape == 0:
            other = self.rng.choice((self.rng.choice(self.values[Kind.SYMBOL]), literal(self.rng, Kind.TEXT)))
            return f"(({name}) ?? root) {self.rng.choice(_OPS[:2])} ({other})"
        if shape == 1:
            return f"{name} {self.rng.choice(_OPS[:2])} {literal(self.rng, Kind.SYMBOL)}"
        pattern = self.rng.choice(PATTERNS).replace("\\", "\\\\")
        return f'{name} {self.rng.choice(("like", "not like"))} "{pattern}"'

    def _in_set(self) -> str:
        kind = self.rng.choice(tuple(k for k in Kind if k not in (Kind.BOOL, Kind.TEXT)))
        word = self.rng.choice(("in", "not in"))
        if kind in NUMERIC and self.rng.random() < 0.3:
            operand, type_, key = f"({self.value(kind, 2, formed=True)})", None, str(kind)
        else:
            operand = self.rng.choice([x for x, t in self.types.items() if t.kind is kind])
            type_ = self.types[operand]
            key = operand if kind is Kind.ENUM else str(kind)
        if self.sets.get(key) and self.rng.random() < 0.4:
            return f"{operand} {word} {self.rng.choice(self.sets[key])}"
        items = [literal(self.rng, kind, type_) for _ in range(self.rng.choice((0, 1, 2, 3, 8)))]
        return f"{operand} {word} {{{', '.join(items)}}}"

    def _in_range(self) -> str:
        kind = self.rng.choice((*_NUMBERS, Kind.DATE, Kind.TIME, Kind.TS))
        bounds: list[Callable[[], str]]
        if kind in NUMERIC:
            operand = self.value(kind, 1, formed=True, least=_SUM)
            bounds = [lambda: number(self.rng, kind), lambda: self.value(self._mixed(kind), 1, least=_PRODUCT)]
        else:
            operand = self._moment_value(kind)
            bounds = [lambda: self._moment_literal(kind), lambda: self._moment_value(kind)]
        low, high = self.rng.choice(bounds)(), self.rng.choice(bounds)()
        shape = self.rng.choice((f"{low}..{high}", f"{low}..<{high}", f"{low}..", f"..{high}", f"..<{high}"))
        return f"{operand} {self.rng.choice(('in', 'not in'))} {shape}"

    def _flag(self) -> str:
        name = self.rng.choice(self.flags)
        shape = self.rng.randrange(5)
        if shape == 0:
            return f"{name} {self.rng.choice(_OPS[:2])} {self.rng.choice(('true', 'false'))}"
        if shape == 1:
            return f"{name} {self.rng.choice(_OPS[:2])} {self.rng.choice(self.values[Kind.BOOL])}"
        return name

    def _null(self) -> str:
        kind = self.rng.choice(tuple(k for k in Kind if self.values.get(k)))
        name = self.rng.choice(self.values[kind])
        if kind in NUMERIC and self.rng.random() < 0.5:
            name = f"({self.value(kind, 2, formed=True)})"
        return f"{name} is {self.rng.choice(('', 'not '))}null"

    def _chip_name(self) -> str:
        name = self.rng.choice(self.chips)
        shown = self.rng.choice((name, name.upper()))
        return f"@{shown}" if name.replace("_", "a").isalnum() else f'@"{shown}"'

    def _constant(self) -> str:
        return self.rng.choice(("true", "false", "true = iso", *self.truths))

    _ATOMS: Final[tuple[Callable[[RandomRules], str], ...]] = (
        _comparison, _comparison, _comparison, _comparison, _against_literal, _against_literal, _against_literal,
        _moment, _member, _symbol, _in_set, _in_set, _in_range, _in_range, _flag, _flag, _null, _chip_name, _chip_name,
        _constant,
    )  # fmt: skip

    # -- values

    def _mixed(self, kind: Kind) -> Kind:
        """The kind, or one that may stand beside it."""
        return self.rng.choice(_FREE) if kind is Kind.RATIO and self.rng.random() < 0.3 else kind

    def value(self, kind: Kind, depth: int, *, formed: bool = False, least: int = _SUM) -> str:
        """A numeric value; ``formed`` asks for one that reads a name, ``least`` for how tightly it binds."""
        text, level = self._value(kind, depth, formed)
        return f"({text})" if level < least or (level < _ATOM and self.rng.random() < 0.2) else text

    def _value(self, kind: Kind, depth: int, formed: bool) -> Piece:
        if depth <= 0 or self.rng.random() < 0.35:
            if formed or self.rng.random() < 0.6:
                return self.rng.choice(self.values[kind]), _ATOM
            text = number(self.rng, kind)
            return text, _UNARY if text.startswith("-") else _ATOM
        return self.rng.choice(self._VALUES + (self._REALS if kind in REAL else ()))(self, kind, depth - 1, formed)

    def _sum(self, kind: Kind, depth: int, _formed: bool) -> Piece:
        left = self.value(kind, depth, formed=True)
        right = self.value(self._mixed(kind), depth, least=_PRODUCT)
        return f"{left} {self.rng.choice('+-')} {right}", _SUM

    def _scaled(self, kind: Kind, depth: int, _formed: bool) -> Piece:
        inner = self.value(kind, depth, formed=True, least=_UNARY)
        if kind in EXACT and self.rng.random() < 0.2:
            # Divided by a literal that ends, money stays exact.
            divided = kind is Kind.MONEY
            factor = self.rng.choice(_DIVISORS if divided else ("repeat3m", "dte", "2"))
            return f"{inner} {'/' if divided else '*'} {factor}", _PRODUCT
        factor = self.rng.choice(("2", "-1", "3", "7") if kind is Kind.INT else _FACTORS)
        return (f"{factor} * {inner}" if self.rng.random() < 0.5 else f"{inner} * {factor}"), _PRODUCT

    def _negated(self, kind: Kind, depth: int, formed: bool) -> Piece:
        return f"-{self.value(kind, depth, formed=formed, least=_UNARY)}", _UNARY

    def _folded(self, kind: Kind, _depth: int, formed: bool) -> Piece:
        """Literals alone: exact until they meet something."""
        a, b, c = (self.rng.choice(_PLAIN) for _ in range(3))
        shape = self.rng.choice(
            ("({} + {} * {})", "({} - {} / {})", "max({}, {} - {})", "min({}, {}, -{})", "abs({} - {} - {})")
        )
        text = shape.format(a, b, c)
        if formed:
            return f"{text} * {self.rng.choice([x for x, t in self.types.items() if t.kind is kind])}", _PRODUCT
        return (f"{text} * 1s", _PRODUCT) if kind is Kind.DURATION else (text, _ATOM)

    def _call(self, kind: Kind, depth: int, _formed: bool) -> Piece:
        name = self.rng.choice(("min", "max", "min", "max", "abs", "clamp", "coalesce"))
        first = self.value(kind, depth, formed=True)
        count = {"abs": 0, "clamp": 2, "coalesce": 1}.get(name, self.rng.choice((1, 1, 2, 7)))
        args = [first, *(self.value(self._mixed(kind), depth - 1) for _ in range(count))]
        if name in ("min", "max"):
            self.rng.shuffle(args)
        return f"{name}({', '.join(args)})", _ATOM

    def _else(self, kind: Kind, depth: int, _formed: bool) -> Piece:
        text = f"{self.value(kind, depth, formed=True)} ?? {self.value(self._mixed(kind), depth)}"
        return f"({text})", _ATOM

    def _quotient(self, kind: Kind, depth: int, _formed: bool) -> Piece:
        of = self.rng.choice((Kind.MONEY, Kind.INT, Kind.RATIO, Kind.DURATION)) if kind is Kind.RATIO else kind
        top = self.value(of, depth, formed=True, least=_UNARY)
        if of is Kind.PERCENT or self.rng.random() < 0.2:
            over = self.rng.choice(_SCALES) if of is not Kind.MONEY else self.rng.choice(self.values[of])
        else:
            over = self.value(of, depth, formed=True, least=_ATOM)
        return f"{top} / {over}", _PRODUCT

    def _product(self, kind: Kind, depth: int, _formed: bool) -> Piece:
        left = self.value(kind, depth, formed=True, least=_UNARY)
        return f"{left} * {self.value(self.rng.choice(_FREE), depth, formed=True, least=_UNARY)}", _PRODUCT

    def _tent(self, kind: Kind, depth: int, _formed: bool) -> Piece:
        of = self.rng.choice((Kind.RATIO, Kind.PERCENT, Kind.INT))
        corners = self.rng.choice(("0, 10, 30", "-1, 0, 0.5", "0.1, 0.2, 0.3"))
        text = f"tent({self.value(of, depth - 1, formed=True)}, {corners})"
        return (text, _ATOM) if kind is Kind.RATIO else (f"{text} * otm_pct", _PRODUCT)

    _VALUES: Final[tuple[Callable[[RandomRules, Kind, int, bool], Piece], ...]] = (
        _sum, _sum, _sum, _scaled, _scaled, _scaled, _negated, _call, _call, _call, _else, _else, _folded,
    )  # fmt: skip
    _REALS: Final[tuple[Callable[[RandomRules, Kind, int, bool], Piece], ...]] = (_quotient, _quotient, _product, _tent)
