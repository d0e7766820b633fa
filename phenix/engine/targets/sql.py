"""Generic SQL: core trees as text with a slot for each value, so that a value never is part of the text.

SQL's own three-valued logic is Kleene's, and comparisons, arithmetic and ``in`` of an unknown are NULL; what a
dialect does otherwise is a row of its tables or a method of its own. Two forms are lowered. In a ``where`` only true
matters, NULL and false are one; negation is pushed to the leaves and a comparison reads ``column op slot`` with
nothing wrapped around the column, so that an index can serve it. A three-valued form gives 1, 0 or NULL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from phenix.dsl import core as c
from phenix.dsl.passes import shape
from phenix.dsl.types import Kind, Value

__all__ = ["AS_OF", "Bound", "Lowered", "Slot", "SqlTarget"]

AS_OF: Final = ":as_of"
"""How a derived column names the reader's seq; no rule param can be called that."""

Bound = int | float | str | bytes | tuple[Value, ...] | None
"""What a driver is given for a slot: stored units, truth as 1 and 0; a tuple where a dialect binds whole sets."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One placeholder: the value of a literal or, where ``name`` is set, of that rule param or of :data:`AS_OF`."""

    value: Bound = None
    name: str = ""
    kind: Kind | None = None
    """Of a rule param; a literal shows what it is."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """SQL with one slot for each placeholder, in the order of the text where placeholders have no names."""

    text: str
    slots: tuple[Slot, ...]

    def bind(self, params: Mapping[str, Value], as_of: int) -> tuple[Bound, ...]:
        """Values for the slots, read as of a seq."""
        known = {**params, AS_OF: as_of}
        found = (known[slot.name] if slot.name else slot.value for slot in self.slots)
        return tuple(int(value) if isinstance(value, bool) else value for value in found)


class SqlTarget(ABC):
    """Lowers conditions and values; ``column`` spells a field as SQL, ``bit`` gives the bit that stores a chip.

    A derived column may hold :data:`AS_OF`, which becomes a slot.
    """

    UNSUPPORTED: ClassVar[Mapping[str, str]] = {}
    """Kinds of core nodes and functions that this target refuses -> why. None: the language is total."""
    OPERATORS: ClassVar[Mapping[str, str]] = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
    FUNCTIONS: ClassVar[Mapping[str, str]] = {
        "negate": "(-{})",
        "abs": "abs({})",
        "divide": "({} / NULLIF({}, 0.0))",
        "coalesce": "coalesce({}, {})",
    }
    """Templates over the lowered arguments; each dialect adds those that have no common spelling."""

    def __init__(self, column: Callable[[str], str], bit: Callable[[str], int]) -> None:
        self._column = column
        self._bit = bit
        self._slots: list[Slot] = []

    # -- what is lowered

    def where(self, node: c.Core) -> Lowered:
        """SQL that holds exactly where the condition is true, for a WHERE clause."""
        return self._lowered(lambda: self._condition(shape(node), want=True, decided=True))

    def three_valued(self, node: c.Core) -> Lowered:
        """SQL that gives 1, 0 or NULL."""
        return self.select((node,))

    def select(self, nodes: Sequence[c.Core], decided: bool = False) -> Lowered:
        """Conditions as the columns of one SELECT, in order: three-valued, or ``decided`` as in a WHERE clause."""
        return self._lowered(lambda: ", ".join(self._condition(shape(n), want=True, decided=decided) for n in nodes))

    def value(self, node: c.Core) -> Lowered:
        """SQL that gives a value in stored units, or NULL."""
        return self._lowered(lambda: self._value(node))

    def _lowered(self, text: Callable[[], str]) -> Lowered:
        self._slots = []
        return Lowered(text(), tuple(self._slots))

    # -- slots: bound in the order in which the text is written

    def _slot(self, slot: Slot) -> str:
        self._slots.append(slot)
        return "?"

    def _bind(self, value: Bound) -> str:
        return self._slot(Slot(value))

    def _field(self, name: str) -> str:
        first, *rest = self._column(name).split(AS_OF)
        return first + "".join(self._slot(Slot(name=AS_OF)) + text for text in rest)

    # -- conditions

    def _condition(self, node: c.Core, want: bool, decided: bool) -> str:
        """``want`` False lowers the negation; ``decided``: NULL may stand for false and false for NULL."""
        match node:
            case c.Const(value=known):
                return "NULL" if known is None else str(int(bool(known) is want))
            case c.Field(name=name):
                text = self._field(name)
                if text.startswith("("):  # a derived column: a condition in itself
                    return text if want else f"(NOT {text})"
                return f"{text} = {int(want)}"
            case c.Chip(id=name):
                return self._chip(1 << self._bit(name), want, decided)
            case c.Not(operand=operand):
                return self._condition(operand, not want, decided)
            case c.And(args=args) | c.Or(args=args):
                every = isinstance(node, c.And) is want
                parts = [self._condition(a, want, decided) for a in args]
                if len(parts) < 2:
                    return parts[0] if parts else str(int(every))
                return f"({(' AND ' if every else ' OR ').join(parts)})"
            case c.Compare(op=op, left=left, right=right):
                return f"{self._value(left)} {self.OPERATORS[op if want else c.NEGATED[op]]} {self._value(right)}"
            case c.InSet(operand=operand, values=among, negated=negated):
                if among:
                    return self._member(operand, among, want is not negated, decided)
                return self._nothing(operand, want is not negated, decided)
            case c.Like(operand=operand, how=how, text=text, negated=negated):
                return self._like(operand, how, text, want is not negated)
            case c.IsNull(operand=operand, negated=negated):
                return f"{self._value(operand)} IS {'NOT ' if want is negated else ''}NULL"
            case c.Is(operand=operand, value=expected, negated=negated):
                return self._is(operand, expected, want is not negated, decided)
            case _:  # a truth value that is computed: a param, `opening ?? monthly`
                return f"{self._value(node)} = {int(want)}"

    def _chip(self, mask: int, want: bool, decided: bool) -> str:
        on, known = self._column("chips_set"), self._column("chips_known")
        if decided:
            return self.FUNCTIONS["on" if want else "off"].format(self._bind(mask), on=on, known=known)
        shown, held = self._bind(mask), self._bind(mask)
        return self.FUNCTIONS["chip"].format(shown, held, on=on, known=known, op=self.OPERATORS["!=" if want else "="])

    def _member(self, operand: c.Core, among: tuple[Value, ...], inside: bool, decided: bool) -> str:  # noqa: ARG002 - the target's protocol
        """Membership in a set of one or more; NULL ``in`` it is NULL, whether or not that has to be ``decided``."""
        text = self._value(operand)
        return f"{text} {'' if inside else 'NOT '}IN ({', '.join(self._bind(v) for v in among)})"

    def _nothing(self, operand: c.Core, inside: bool, decided: bool) -> str:
        """Membership in the empty set: decided wherever the operand is known, whatever an engine makes of ``in ()``."""
        if not decided:
            return f"(CASE WHEN {self._value(operand)} IS NOT NULL THEN {int(not inside)} END)"
        return "0" if inside else f"{self._value(operand)} IS NOT NULL"

    @abstractmethod
    def _like(self, operand: c.Core, how: str, text: str, inside: bool) -> str:
        """A prefix, suffix, part or whole, byte for byte."""

    def _is(self, operand: c.Core, expected: bool | None, inside: bool, decided: bool) -> str:
        """``is true`` in a WHERE is the condition itself: wrapped it would lose the index."""
        if expected is None:
            whole = self._condition(operand, want=True, decided=False)
            return f"(({whole}) IS {'' if inside else 'NOT '}NULL)"
        whole = self._condition(operand, want=expected, decided=True)
        if inside and decided:
            return whole
        return self.FUNCTIONS["is true" if inside else "is not true"].format(whole)

    # -- values

    def _value(self, node: c.Core) -> str:
        match node:
            case c.Const(value=known):
                return "NULL" if known is None else self._bind(known)
            case c.Field(name=name):
                return self._field(name)
            case c.Param(name=name, kind=kind):
                return self._slot(Slot(name=name, kind=kind))
            case c.Arith(op=op, left=left, right=right):
                return f"({self._value(left)} {op} {self._value(right)})"
            case c.Divide(left=left, right=right):
                return self.FUNCTIONS["divide"].format(self._value(left), self._value(right))
            case c.Real(operand=operand, scale=scale):
                text = self.FUNCTIONS["real"].format(self._value(operand))
                return f"({text} / {self._bind(float(10**scale))})" if scale else text
            case c.Negate(operand=operand):
                return self.FUNCTIONS["negate"].format(self._value(operand))
            case c.Abs(operand=operand):
                return self._magnitude(operand)
            case c.Extreme(op=op, args=args):
                return self._extreme(op, args)
            case c.Coalesce(first=first, second=second):
                return self.FUNCTIONS["coalesce"].format(self._value(first), self._value(second))
            case _:
                raise TypeError(f"not a value: {node!r}")

    def _magnitude(self, operand: c.Core) -> str:
        return self.FUNCTIONS["abs"].format(self._value(operand))

    def _extreme(self, op: str, args: Sequence[c.Core]) -> str:
        return f"{self.FUNCTIONS[op]}({', '.join(self._value(a) for a in args)})"
