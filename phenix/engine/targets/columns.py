"""The Python columns target: core trees as one generated function over arrays, a statement a node.

A condition has four masks: where it is true or false, each *for sure* or *maybe* (unknown is maybe
both). Kleene's tables then are plain ``&`` and ``|``: an ``and`` is surely true where all parts
surely are, and maybe false where any part maybe is. ``not`` swaps true and false, and reaches the
leaves before any code is written. A leaf computes its hits once; its masks are those hits joined
with where its operands are known.

Statements are hash-consed by their text: what a unit of several conditions says twice is computed
once. Each is dropped after its last use, so that a block needs few arrays at a time.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import CodeType
from typing import Any, Final, NamedTuple

import numpy as np

from phenix.dsl import core as c
from phenix.dsl.types import REAL, TEXTUAL, Kind, Value
from phenix.engine.targets.arrays import OPERATIONS, Array, Block, Known, Mask, PerWord
from phenix.engine.targets.reference import settle

__all__ = [
    "UNSUPPORTED",
    "Answer",
    "Unit",
    "compile_conditions",
    "compile_filter",
    "compile_value",
    "is_text",
    "word_test",
]

UNSUPPORTED: Final[Mapping[str, str]] = {}
"""Kinds of node and functions this target lacks, each with its reason."""
_OPS: Final = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ALWAYS: Final = "None"
"""Source of the mask of what is always known."""


class Answer(NamedTuple):
    """Masks of a condition over a block; they may share memory with it."""

    true: Mask
    false: Mask


def compile_conditions(
    cores: Sequence[c.Core], params: Mapping[str, Value], bits: Mapping[str, int]
) -> Callable[[Block, int], list[Answer]]:
    """Conditions as one function of ``(block, as_of)``; ``bits`` gives each chip's bit in stored rows."""
    unit = Unit(params, bits)
    masks = [unit.mask(core, want) for core in cores for want in (True, False)]
    run = unit.function(masks)

    def answers(block: Block, as_of: int) -> list[Answer]:
        found = run(block, as_of)
        return [Answer(*pair) for pair in zip(found[::2], found[1::2], strict=True)]

    return answers


def compile_filter(core: c.Core, params: Mapping[str, Value], bits: Mapping[str, int]) -> Callable[[Block, int], Mask]:
    """A condition as a function of ``(block, as_of)`` that gives where it is true."""
    unit = Unit(params, bits)
    run = unit.function([unit.mask(core, True)])

    def matches(block: Block, as_of: int) -> Mask:
        mask: Mask = run(block, as_of)[0]
        return mask

    return matches


def compile_value(
    core: c.Core, params: Mapping[str, Value], bits: Mapping[str, int]
) -> Callable[[Block, int], tuple[Array, Known]]:
    """A number as a function of ``(block, as_of)`` that gives its values and where they are known."""
    unit = Unit(params, bits)
    return partial(_values, unit.function(unit.value(core)))


def _values(run: Callable[[Block, int], Any], block: Block, as_of: int) -> tuple[Array, Known]:
    found, known = run(block, as_of)
    return np.broadcast_to(found, block.rows), known


class _Generated:
    """A function of generated source; it travels to another process of the same installation, as code."""

    __slots__ = ("_code", "_constants", "_run")

    def __init__(self, code: CodeType, constants: Mapping[str, Any]) -> None:
        space = {**OPERATIONS, **constants}
        # Generated from checked trees: names of the catalog, literals as constants.
        exec(code, space)  # noqa: S102
        self._code, self._constants = code, constants
        self._run: Callable[[Block, int], Any] = space["run"]

    def __call__(self, block: Block, as_of: int) -> Any:
        return self._run(block, as_of)

    def __reduce__(self) -> tuple[Callable[..., _Generated], tuple[bytes, Mapping[str, Any]]]:
        return _arrived, (marshal.dumps(self._code), self._constants)


def _arrived(code: bytes, constants: Mapping[str, Any]) -> _Generated:
    return _Generated(marshal.loads(code), constants)  # noqa: S302 - what this module wrote


@dataclass(slots=True)
class Unit:
    """Statements of one generated function; what is asked of it is named, and named again when asked again.

    ``chips`` are written out where they are referred to; others are read from the stored row.
    """

    params: Mapping[str, Value]
    bits: Mapping[str, int]
    chips: Mapping[str, c.Core] = field(default_factory=dict)
    _statements: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Text -> the name it defines and the names it reads, in order."""
    _constants: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _values: dict[str, Any] = field(default_factory=dict)
    """Of each constant by its name."""
    _masks: dict[tuple[c.Core, bool, bool], str] = field(default_factory=dict)
    _polarity: dict[c.Core, bool] = field(default_factory=dict)

    def function(self, results: Sequence[str]) -> Callable[[Block, int], Any]:
        """The function that gives the named results as a tuple."""
        return _Generated(compile(self.source(results), "<columns>", "exec"), self._values)

    def source(self, results: Sequence[str]) -> str:
        """The text of that function."""
        last: dict[str, str] = {}
        for name, names in self._statements.values():
            last.update(dict.fromkeys((name, *(n for n in names if n.startswith("x"))), name))
        kept = set(results)
        lines = ["def run(block, as_of):"]
        for text, (name, _) in self._statements.items():
            done = [n for n, at in last.items() if at == name and n not in kept]
            lines.append(f"    {name} = {text}")
            if done:
                lines.append(f"    del {', '.join(done)}")
        lines.append(f"    return ({''.join(f'{r}, ' for r in results)})")
        return "\n".join(lines)

    # -- statements

    def _say(self, form: str, *names: str) -> str:
        """Name of a statement: a new one, or that of the same text."""
        text = form.format(*names)
        if text not in self._statements:
            self._statements[text] = f"x{len(self._statements)}", names
        return self._statements[text][0]

    # -- conditions

    def mask(self, core: c.Core, want: bool, sure: bool = True) -> str:
        """Name of the mask of where a condition is ``want``, for sure or maybe."""
        return self._mask(settle(core, self.params), want, sure)

    def _mask(self, node: c.Core, want: bool, sure: bool) -> str:
        key = (node, want, sure or not c.nullable(node))
        if key not in self._masks:
            self._masks[key] = self._lowered(*key)
        return self._masks[key]

    def _lowered(self, node: c.Core, want: bool, sure: bool) -> str:
        match node:
            case c.Const(value=known):
                return self._say(
                    "zeros(block.rows)" if (sure and known is None) or known is (not want) else "ones(block.rows)"
                )
            case c.Not(operand=operand):
                return self._mask(operand, not want, sure)
            case c.And(args=()) | c.Or(args=()):
                return self._say("ones(block.rows)" if isinstance(node, c.And) is want else "zeros(block.rows)")
            case c.And(args=args) | c.Or(args=args):
                joint = " & " if isinstance(node, c.And) is want else " | "
                names = [self._mask(a, want, sure) for a in args]
                return self._say(joint.join("{}" for _ in names), *names)
            case c.Chip(id=name) if name in self.chips:
                return self.mask(self.chips[name], want, sure)
            case c.Compare(op="!=" | ">" | ">=" as op):
                return self._mask(replace(node, op=c.NEGATED[op]), not want, sure)
            case c.InSet(negated=True) | c.Like(negated=True) | c.IsNull(negated=True) | c.Is(negated=True):
                return self._mask(replace(node, negated=False), not want, sure)
            case c.IsNull(operand=operand):
                return self._say(f"{'missing' if want else 'present'}({{}}, block.rows)", self._known(operand))
            case c.Is(operand=operand, value=bool(expected)):
                return self._mask(operand, expected, True) if want else self._mask(operand, not expected, False)
            case c.Is(operand=operand):
                return self._say(
                    "{} < {}" if want else "{} >= {}", self._mask(operand, True, True), self._mask(operand, True, False)
                )
            case _:
                return self._leaf(node, want, sure)

    def _leaf(self, node: c.Core, want: bool, sure: bool) -> str:
        if self._polarity.setdefault(node, want) is not want:
            return self._say("~{}", self._mask(node, not want, not sure))
        hits, known = self._hits(node, want)
        return hits if known == _ALWAYS else self._say(f"{'sure' if sure else 'maybe'}({{}}, {{}})", hits, known)

    def _hits(self, node: c.Core, want: bool) -> tuple[str, str]:
        """Names of where a leaf is ``want`` if it is known, and of where it is known."""
        match node:
            case c.Compare(op=op, left=left, right=right) if is_text(left):
                if isinstance(left, c.Const):
                    left, right = right, left
                if isinstance(right, c.Const):
                    return self._word_hits(left, ("in", (right.value,)), want)
                a, b = self._text(left), self._text(right)
                known = self._meet(self._known(left), self._known(right))
                return self._say("same_word({}, {})" if want else "~same_word({}, {})", a, b), known
            case c.Compare(op=op, left=left, right=right):
                (a, ka), (b, kb) = self._value(left), self._value(right)
                return self._say(f"{{}} {_OPS[op if want else c.NEGATED[op]]} {{}}", a, b), self._meet(ka, kb)
            case c.InSet(operand=operand, values=()):
                return self._say("zeros(block.rows)" if want else "ones(block.rows)"), self._known(operand)
            case c.InSet(operand=operand, values=among) if is_text(operand):
                return self._word_hits(operand, ("in", among), want)
            case c.InSet(operand=operand, values=among):
                a, known = self._value(operand)
                items = self._constant(("items", among), lambda: np.unique(np.array(among)))
                return self._say("among({}, {})" if want else "~among({}, {})", a, items), known
            case c.Like(operand=operand, how=how, text=text):
                return self._word_hits(operand, (how, text), want)
            case c.Chip(id=name):
                column = self._say(f"block.chip({self.bits[name]})")
                hits, known = self._say("{}.values", column), self._say("{}.known", column)
                return hits if want else self._say("~{}", hits), known
            case _:
                hits, known = self._value(node)
                return hits if want else self._say("~{}", hits), known

    def _word_hits(self, operand: c.Core, test: tuple[str, Any], want: bool) -> tuple[str, str]:
        column = self._text(operand)
        hits = self._say("{}({})", self._constant((test, want), lambda: PerWord(word_test(test, want))), column)
        return hits, self._known(operand)

    # -- values

    def value(self, core: c.Core) -> tuple[str, str]:
        """Names of a number's values and of where they are known."""
        return self._value(settle(core, self.params))

    def text(self, core: c.Core) -> tuple[str, str]:
        """Names of a text's column and of where it is known."""
        return self._text(core), self._known(core)

    def column(self, name: str) -> str:
        """Name of a field's column."""
        return self._say(f"block.column({name!r}, as_of)")

    def _known(self, node: c.Core) -> str:
        if not c.nullable(node):
            return _ALWAYS
        return self._say("{}.known", self._text(node)) if is_text(node) else self._value(node)[1]

    def _meet(self, *names: str) -> str:
        first, *others = dict.fromkeys(n for n in names if n != _ALWAYS) or (_ALWAYS,)
        for other in others:
            first = self._say("meet({}, {})", first, other)
        return first

    def _value(self, node: c.Core) -> tuple[str, str]:
        match node:
            case c.Const(value=None):
                return "0", self._say("zeros(block.rows)")
            case c.Const(value=known):
                return f"({known!r})", _ALWAYS
            case c.Field(name=name, nullable=may):
                column = self.column(name)
                return self._say("{}.values", column), self._say("{}.known", column) if may else _ALWAYS
            case c.Arith(op=op, left=left, right=right):
                (a, ka), (b, kb) = self._wide(left), self._wide(right)
                return self._say(f"{{}} {op} {{}}", a, b), self._meet(ka, kb)
            case c.Divide(left=left, right=c.Const(value=float() as divisor)) if divisor:
                a, known = self._value(left)
                return self._say("{} / {}", a, f"({divisor!r})"), known
            case c.Divide(left=left, right=right):
                (a, ka), (b, kb) = self._value(left), self._value(right)
                both = self._say("quotient({}, {}, {})", a, b, self._meet(ka, kb))
                return self._say("{}[0]", both), self._say("{}[1]", both)
            case c.Real(operand=operand, scale=scale):
                a, known = self._value(operand)
                text = self._say("{}.astype(float64)", a)
                return self._say("{} / {}", text, repr(float(10**scale))) if scale else text, known
            case c.Negate(operand=operand):
                a, known = self._wide(operand)
                return self._say("-{}", a), known
            case c.Abs(operand=operand):
                a, known = self._wide(operand)
                return self._say("absolute({})", a), known
            case c.Extreme(op=op, args=args):
                parts = [self._wide(a) for a in args]
                text = parts[0][0]
                for other, _ in parts[1:]:
                    text = self._say(f"{'least' if op == 'min' else 'greatest'}({{}}, {{}})", text, other)
                return text, self._meet(*(k for _, k in parts))
            case c.Coalesce(first=first, second=second):
                (a, ka), (b, kb) = self._wide(first), self._wide(second)
                if ka == _ALWAYS:
                    return a, ka
                both = self._say("first({}, {}, {}, {})", a, ka, b, kb)
                return self._say("{}[0]", both), _ALWAYS if kb == _ALWAYS else self._say("{}[1]", both)
            case _:
                raise TypeError(f"not a value: {node!r}")

    def _wide(self, node: c.Core) -> tuple[str, str]:
        """A value with room for what is done with it: columns of small numbers are kept narrow."""
        name, known = self._value(node)
        if isinstance(node, c.Field) and node.kind not in REAL | {Kind.BOOL}:
            return self._say("{}.astype(int64, copy=False)", name), known
        return name, known

    def _text(self, node: c.Core) -> str:
        """Name of the column of a text value."""
        match node:
            case c.Field(name=name):
                return self.column(name)
            case c.Const(value=str() as word):
                return self._say(f"every_row({word!r}, block.rows)".replace("{", "{{").replace("}", "}}"))
            case c.Coalesce(first=first, second=second):
                return self._say("first_word({}, {})", self._text(first), self._text(second))
            case _:
                raise TypeError(f"not a text: {node!r}")

    def _constant(self, key: tuple[Any, ...], make: Callable[[], Any]) -> str:
        if key not in self._constants:
            name = self._constants[key] = f"k{len(self._constants)}"
            self._values[name] = make()
        return self._constants[key]


def is_text(node: c.Core) -> bool:
    """Whether a value is text, so that its tests are asked once a word."""
    match node:
        case c.Const(value=value):
            return isinstance(value, str)
        case c.Field(kind=kind):
            return kind in TEXTUAL
        case c.Coalesce(first=first):
            return is_text(first)
        case _:
            return False


def word_test(test: tuple[str, Any], want: bool) -> Callable[[str], bool]:
    """The test ``("in", words)`` or ``(how, text)`` of a :class:`~phenix.dsl.core.Like`, of a word."""
    return partial(_is_among if test[0] == "in" else _is_like, test, want)


def _is_among(test: tuple[str, Any], want: bool, word: str) -> bool:
    return (word in test[1]) is want


def _is_like(test: tuple[str, Any], want: bool, word: str) -> bool:
    return c.matches(word, *test) is want
