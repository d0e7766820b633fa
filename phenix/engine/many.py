"""Many saved conditions over a batch of rows, through what they share.

Conditions are cut into atoms and gates. An atom asks one thing of a row (``value >= 250k``); equal
atoms are one, whoever asks. Comparisons of one field are made together, tests of one text field
once a word. Each atom's answers become bits, sixty-four rows to a word, and the gates above them
(``and``, ``or``; ``not`` has gone into the atoms) are evaluated level by level, all gates of one
shape at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from phenix.dsl import core as c
from phenix.dsl.types import Value
from phenix.engine.targets.arrays import Block, Known, Mask
from phenix.engine.targets.columns import Unit, is_text, word_test
from phenix.engine.targets.reference import settle

__all__ = ["Layout", "Many", "Matches"]

Key = TypeVar("Key", bound=Hashable)
_Bits = NDArray[np.uint64]

_ORDERED: Final[Mapping[str, np.ufunc]] = {
    "=": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip
_GATES: Final = {c.And: np.bitwise_and, c.Or: np.bitwise_or}
_MEMORY: Final = 20_000
"""Most words whose answers are kept from batch to batch."""


class Matches(NamedTuple, Generic[Key]):
    """Which rows a batch's conditions are true on, as pairs ordered by condition and row."""

    keys: list[Key]
    """Keys of all conditions; ``conditions`` counts in it."""
    conditions: NDArray[np.intp]
    rows: NDArray[np.intp]

    def by_key(self) -> dict[Key, list[int]]:
        """Row numbers of each condition that is true on any."""
        found: dict[Key, list[int]] = {}
        for at, row in zip(self.conditions.tolist(), self.rows.tolist(), strict=True):
            found.setdefault(self.keys[at], []).append(row)
        return found


@dataclass(frozen=True, slots=True)
class _Atom:
    """Where a leaf is ``want``, for sure or maybe."""

    core: c.Core
    want: bool
    sure: bool


@dataclass(frozen=True, slots=True)
class _Gate:
    """An ``and`` or ``or`` of nodes by number."""

    kind: type[c.And | c.Or]
    parts: tuple[int, ...]


class Many(Generic[Key]):
    """Conditions by key. They are laid out anew before the first batch after a change."""

    def __init__(self, params: Mapping[str, Value], bits: Mapping[str, int]) -> None:
        """``bits`` gives each chip's bit in stored rows."""
        self._params, self._chips = params, bits
        self._nodes: list[_Atom | _Gate] = []
        self._numbers: dict[_Atom | _Gate, int] = {}
        self._roots: dict[Key, int] = {}
        self._cores: dict[Key, c.Core] = {}
        self._plan: _Plan | None = None

    def __len__(self) -> int:
        return len(self._roots)

    def keys(self) -> KeysView[Key]:
        """Keys of all conditions."""
        return self._roots.keys()

    def add(self, key: Key, core: c.Core) -> None:
        """Add a condition, or put it in the place of one of that key."""
        self._cores[key] = core
        self._roots[key] = self._lower(settle(core, self._params), True, True)
        self._plan = None

    def remove(self, key: Key) -> None:
        """Take a condition out; KeyError when there is none."""
        del self._cores[key], self._roots[key]
        self._plan = None

    def matches(self, block: Block, as_of: int) -> Matches[Key]:
        """Rows of a block on which each condition is true; ``as_of`` is the reader's seq."""
        return self.layout().matches(block, as_of)

    def layout(self) -> Layout[Key]:
        """The conditions as they are now; a later change makes another one. It is for one thread at a time."""
        if self._plan is None:
            self._plan = self._laid_out()
        return Layout(list(self._roots), self._plan)

    # -- conditions to atoms and gates

    def _lower(self, node: c.Core, want: bool, sure: bool) -> int:
        sure = sure or not c.nullable(node)
        match node:
            case c.Not(operand=operand):
                return self._lower(operand, not want, sure)
            case c.And(args=args) | c.Or(args=args) if args:
                kind = c.And if isinstance(node, c.And) is want else c.Or
                return self._joined(kind, [self._lower(a, want, sure) for a in args])
            case c.Is(operand=operand, value=bool(expected), negated=negated):
                inside = want is not negated
                return self._lower(operand, expected is inside, inside)
            case c.Is(operand=operand, negated=negated):
                unknown = want is not negated  # neither surely true nor surely false, or either
                rails = [self._lower(operand, side, not unknown) for side in (True, False)]
                return self._joined(c.And if unknown else c.Or, rails)
            case c.Compare(op=op) if not want:
                return self._number(_Atom(replace(node, op=c.NEGATED[op]), True, sure))
            case c.InSet(negated=negated) | c.Like(negated=negated) | c.IsNull(negated=negated) if not want:
                return self._number(_Atom(replace(node, negated=not negated), True, sure))
            case _:
                return self._number(_Atom(node, want, sure))

    def _joined(self, kind: type[c.And | c.Or], parts: Iterable[int]) -> int:
        different = tuple(sorted(set(parts)))
        return different[0] if len(different) == 1 else self._number(_Gate(kind, different))

    def _number(self, node: _Atom | _Gate) -> int:
        number = self._numbers.setdefault(node, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
        return number

    def _laid_out(self) -> _Plan:
        used: set[int] = set()
        waiting = list(self._roots.values())
        while waiting:
            number = waiting.pop()
            if number not in used:
                used.add(number)
                node = self._nodes[number]
                waiting += node.parts if isinstance(node, _Gate) else ()
        if len(used) < len(self._nodes) // 2:  # most of what is known was removed: start again from what is left
            cores, self._nodes, self._numbers = self._cores, [], {}
            for key, core in cores.items():
                self.add(key, core)
            return self._laid_out()
        nodes = {number: self._nodes[number] for number in sorted(used)}
        return _Plan(nodes, list(self._roots.values()), self._params, self._chips)


class Layout(Generic[Key]):
    """Conditions as they were when they were laid out."""

    def __init__(self, keys: list[Key], plan: _Plan) -> None:
        self._keys, self._plan = keys, plan

    def matches(self, block: Block, as_of: int) -> Matches[Key]:
        """Rows of a block on which each condition is true; ``as_of`` is the reader's seq."""
        return Matches(self._keys, *self._plan.run(block, as_of))


# -- the layout: atoms by what computes them, then gates by level and shape


@dataclass(frozen=True, slots=True)
class _Compared:
    """Comparisons of one value by one operator with a column of literals."""

    compare: np.ufunc
    literals: NDArray[Any]
    sure: bool

    def fill(self, hits: Mask, found: Sequence[Any]) -> None:
        """Answer from the values and where they are known."""
        values, known = found
        self.compare(values, self.literals, out=hits)
        _settled(hits, known, self.sure)


class _Worded:
    """Tests of one text field: each word is asked once, and each row takes the answers of its word."""

    def __init__(self, tests: list[tuple[Callable[[str], bool], bool]], sure: bool) -> None:
        self._tests = [test for test, _ in tests]
        self._inverted = np.flatnonzero([not want for _, want in tests])
        self._sure = sure
        self._forget()

    def _forget(self) -> None:
        self._numbers: dict[str, int] = {}
        self._passed = np.empty(0, np.intp)
        """Atoms that words pass, word after word."""
        self._counts = np.empty(0, np.intp)

    def fill(self, hits: Mask, found: Sequence[Any]) -> None:
        """Answer from the field's column and where it is known."""
        column, known = found
        word = self._asked(column.words.words).take(column.values)
        counts = self._counts.take(word)
        ends = counts.cumsum()
        # Of each row the atoms its word passes: runs of ``_passed``, one after the other.
        shift = (self._counts.cumsum() - self._counts).take(word) - ends + counts
        passed = self._passed.take(np.arange(ends[-1]) + shift.repeat(counts))
        hits[passed, np.arange(len(word)).repeat(counts)] = True
        if len(self._inverted):
            hits[self._inverted] = ~hits[self._inverted]
        _settled(hits, known, self._sure)

    def _asked(self, words: Sequence[str]) -> NDArray[np.intp]:
        """Numbers of words, new ones asked."""
        if len(self._numbers) > _MEMORY:
            self._forget()
        if new := [word for word in words if word not in self._numbers]:
            passed = [[at for at, test in enumerate(self._tests) if test(word)] for word in new]
            self._passed = np.concatenate((self._passed, *(np.array(atoms, np.intp) for atoms in passed)))
            self._counts = np.concatenate((self._counts, np.array([len(atoms) for atoms in passed], np.intp)))
            self._numbers |= {word: number for number, word in enumerate(new, len(self._numbers))}
        return np.array([self._numbers[word] for word in words], np.intp)


class _Chips:
    """Chips, all at once."""

    def __init__(self, atoms: list[_Atom], bits: Mapping[str, int]) -> None:
        places = [bits[atom.core.id] for atom in atoms if isinstance(atom.core, c.Chip)]
        different = sorted(set(places))
        self._masks = np.array([1 << place for place in different], np.int64)[:, None]
        kinds = [(True, True), (True, False), (False, True), (False, False)]  # as ``fill`` orders them
        self._picked = np.array(
            [
                kinds.index((a.want, a.sure)) * len(different) + different.index(p)
                for a, p in zip(atoms, places, strict=True)
            ]
        )

    def fill(self, hits: Mask, found: Sequence[Any]) -> None:
        """Answer from the stored bits: which are set, which known."""
        on, known = (column.values & self._masks != 0 for column in found)
        on &= known
        np.concatenate((on, on >= known, known > on, ~on)).take(self._picked, axis=0, out=hits)


class _Computed:
    """All other atoms: masks of the compiled unit."""

    def fill(self, hits: Mask, found: Sequence[Any]) -> None:
        """Take the masks as they are."""
        np.stack(found, out=hits)


def _settled(hits: Mask, known: Known, sure: bool) -> None:
    """Join hits with where they are known."""
    if known is None:
        return
    if sure:
        hits &= known
    else:
        hits |= ~known


class _Plan:
    """Nodes in the order they are computed, each group in one place."""

    def __init__(
        self,
        nodes: Mapping[int, _Atom | _Gate],
        roots: list[int],
        params: Mapping[str, Value],
        chips: Mapping[str, int],
    ) -> None:
        groups: dict[Any, list[int]] = {}
        level: dict[int, int] = {}
        for number, node in nodes.items():  # parts have smaller numbers than the gates above them
            if isinstance(node, _Gate):
                level[number] = 1 + max(level.get(part, 0) for part in node.parts)
                groups.setdefault((level[number], len(node.parts), node.kind.__name__), []).append(number)
            else:
                groups.setdefault((0, 0, *_family(node)), []).append(number)
        unit = Unit(params, chips)
        names: list[str] = []
        place: dict[int, int] = {}
        self._atoms: list[tuple[_Compared | _Worded | _Chips | _Computed, slice, slice]] = []
        """Groups of atoms: where each stands, and what it needs of what the unit computes."""
        self._gates: list[tuple[np.ufunc, NDArray[np.intp], int, int]] = []
        for key, members in sorted(groups.items(), key=lambda item: item[0][:3] + tuple(map(str, item[0][3:]))):
            first, last = len(place), len(place) + len(members)
            some = nodes[members[0]]
            if isinstance(some, _Gate):
                parts = [[place[p] for p in nodes[m].parts] for m in members]  # type: ignore[union-attr]
                self._gates.append((_GATES[some.kind], np.array(parts, np.intp).T.copy(), first, last))
            else:
                atoms = [node for m in members if isinstance(node := nodes[m], _Atom)]
                group, needs = _group(key[2:], atoms, unit, chips)
                self._atoms.append((group, slice(first, last), slice(len(names), len(names) + len(needs))))
                names += needs
            place |= {member: first + i for i, member in enumerate(members)}
        self._compute = unit.function(names)
        self._nodes = len(place)
        self._leaves = sum(not isinstance(node, _Gate) for node in nodes.values())
        self._roots = np.array([place[root] for root in roots], np.intp)

    def run(self, block: Block, as_of: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of condition and row, in that order."""
        if not block.rows:
            return np.empty(0, np.intp), np.empty(0, np.intp)
        width = -(-block.rows // 64)
        found = self._compute(block, as_of)
        hits = np.zeros((self._leaves, width * 64), np.bool_)
        for group, atoms, needs in self._atoms:
            group.fill(hits[atoms, : block.rows], found[needs])
        bits: _Bits = np.empty((self._nodes, width), np.uint64)
        bits[: self._leaves] = _packed(hits)
        for join, parts, first, last in self._gates:
            join.reduce(bits.take(parts, axis=0), axis=0, out=bits[first:last])
        return _pairs(bits.take(self._roots, axis=0) & _padded(np.ones(block.rows, np.bool_), width))


def _family(atom: _Atom) -> tuple[Any, ...]:
    """What computes an atom, and together with which others."""
    match atom.core:
        case c.Chip():
            return ("chips",)
        case c.Compare(op=op, left=left, right=c.Const(value=value)) if not isinstance(value, bool):
            if not is_text(left):
                return "compared", left, atom.sure, op
            if isinstance(left, c.Field):
                return "words", left, atom.sure
        case c.InSet(operand=c.Field() as field) | c.Like(operand=c.Field() as field) if is_text(field):
            return "words", field, atom.sure
    return ("computed",)


def _group(
    key: tuple[Any, ...], atoms: list[_Atom], unit: Unit, chips: Mapping[str, int]
) -> tuple[_Compared | _Worded | _Chips | _Computed, tuple[str, ...]]:
    """What answers a group, and the names of what it needs."""
    match key:
        case ("compared", left, sure, op):
            literals = np.array([a.core.right.value for a in atoms])[:, None]  # type: ignore[union-attr]
            return _Compared(_ORDERED[op], literals, sure), unit.value(left)
        case ("words", field, sure):
            return _Worded([_test(a.core) for a in atoms], sure), unit.text(field)
        case ("chips",):
            return _Chips(atoms, chips), (unit.column("chips_set"), unit.column("chips_known"))
        case _:
            return _Computed(), tuple(unit.mask(a.core, a.want, a.sure) for a in atoms)


def _test(core: c.Core) -> tuple[Callable[[str], bool], bool]:
    """A test of text as it is asked, and whether to pass it is a hit."""
    match core:
        case c.Compare(op=op, right=c.Const(value=word)):
            return word_test(("in", (word,)), True), op == "="
        case c.InSet(values=words, negated=negated):
            return word_test(("in", words), True), not negated
        case _:
            assert isinstance(core, c.Like)
            return word_test((core.how, core.text), True), not core.negated


# -- bits


def _packed(masks: NDArray[np.bool_]) -> _Bits:
    """Bits of masks whose length is a multiple of 64."""
    return np.packbits(masks, axis=-1, bitorder="little").view(np.uint64)


def _padded(mask: NDArray[np.bool_], width: int) -> _Bits:
    whole = np.zeros(width * 64, np.bool_)
    whole[: len(mask)] = mask
    return _packed(whole)


def _pairs(bits: _Bits) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each bit set; words of zeros, most of them, are passed over whole."""
    used = np.flatnonzero(bits != 0)
    single = np.unpackbits(bits.ravel()[used].view(np.uint8), bitorder="little").view(np.bool_)
    found = np.flatnonzero(single)
    lines, words = np.divmod(used, bits.shape[1])
    at = found >> 6
    return lines[at], (words[at] << 6) + (found & 63)
