"""A search for a row on which a condition is true, over every row the catalog allows.

Every name is cut where a condition on it alone can turn (:mod:`phenix.dsl.cells`), the tree is
read with *sets* of answers, and names are tried cell by cell until the question is settled.
Conditions that relate several names are bounded by interval arithmetic and cut into cells of their
own. "No" is a proof; "yes" comes with a row that the reference interpreter has answered; what
neither proves nor shows within its bound is left open, and said so.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final, Literal, TypeGuard

from phenix.dsl import core as c
from phenix.dsl.cells import Cell, Number, Variable, after, before, bounds, cells_of, cuts, names_in
from phenix.dsl.dump import dump
from phenix.dsl.intervals import compared
from phenix.dsl.passes import FLIPPED
from phenix.dsl.types import REAL, UNORDERED, Value

__all__ = ["Answer", "Found", "Search"]

Answer = Callable[[c.Core, Mapping[str, Value]], Value]
"""The reference interpreter on a row that holds params as ``$name`` and chips as ``@name`` too."""

_TRUE, _FALSE, _UNKNOWN, _ANY = 1, 2, 4, 7
_KLEENE: Final = {True: _TRUE, False: _FALSE}
_STEPS: Final = 200_000  # nodes read in one search, over all its steps
_TRIES: Final = 1_000  # rows tried for a condition that relates several names


@dataclass(frozen=True, slots=True)
class Found:
    """Whether there is such a row, None where that is open; the row as far as it matters; what was tried."""

    exists: bool | None
    row: Mapping[str, Value] | None = None
    tried: str = ""
    work: int = field(default=0, compare=False)  # nodes read and conditions answered on the way


@dataclass(slots=True)
class _Atom:
    """A condition on names: its node, its variables, its answer by cell of the one name or relation it hangs on."""

    node: c.Core
    names: frozenset[str]
    by: str = ""
    answers: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Relation:
    """A value made of several names, cut at ``cuts``; ``answer`` reads the condition off a value, ``unknown`` off none.

    ``words`` names a question about words, which have no number: of these zero stands for yes, less for no.
    """

    node: c.Core
    names: frozenset[str]
    cuts: frozenset[Number]
    answer: Callable[[Any], int]
    unknown: int = _UNKNOWN
    words: str = ""

    @property
    def key(self) -> str:
        """What its cells are known by."""
        return f"{dump(self.node)} {self.words}"


class Search:
    """One search for a row on which a goal is true; ``variables`` are what its names can be, by name."""

    def __init__(self, goal: c.Core, variables: Iterable[Variable], answer: Answer) -> None:
        self.goal, self.answer = goal, answer
        self.atoms: list[_Atom] = []
        self._known_atoms: dict[c.Core, int] = {}
        self._known_nodes: dict[int, int] = {}
        self.program: list[tuple[str, Any]] = []
        self._add(goal)
        self.variables = {one.name: one for one in variables}
        self.box = {name: v.whole for name, v in self.variables.items()}
        self.cells: dict[str, tuple[Cell, ...]] = {}
        self.relations: dict[str, _Relation] = {}
        self.whole = True
        self.steps = self.answered = 0
        self._cut()
        self.left_open = ""

    # -- the goal as a list, each part after what it is made of

    def _add(self, node: c.Core) -> int:
        if id(node) in self._known_nodes:
            return self._known_nodes[id(node)]
        match node:
            case c.And(args=args) | c.Or(args=args):
                entry: tuple[str, Any] = ("and" if isinstance(node, c.And) else "or", [self._add(a) for a in args])
            case c.Not(operand=operand):
                entry = ("not", self._add(operand))
            case c.Is(operand=operand, value=value, negated=negated):
                holds = {True: _TRUE, False: _FALSE, None: _UNKNOWN}[value]
                entry = ("is", (self._add(operand), _ANY - holds if negated else holds))
            case _:
                if node not in self._known_atoms:
                    self._known_atoms[node] = len(self.atoms)
                    self.atoms.append(_Atom(node, names_in(node)))
                entry = ("atom", self._known_atoms[node])
        self.program.append(entry)
        self._known_nodes[id(node)] = len(self.program) - 1
        return len(self.program) - 1

    # -- cells

    def _cut(self) -> None:
        at: dict[str, set[Number]] = {name: set() for name in self.variables}
        alone: dict[str, list[_Atom]] = {name: [] for name in self.variables}
        related: dict[str, list[tuple[_Atom, _Relation]]] = {}
        for atom in self.atoms:
            own = self._own_cuts(atom) if len(atom.names) == 1 else None
            if own is not None:
                (atom.by,) = atom.names
                at[atom.by] |= own
                alone[atom.by].append(atom)
            elif atom.names:
                relation = _relation(atom)
                atom.by = relation.key
                related.setdefault(relation.key, []).append((atom, relation))
        tied = {name for atom in self.atoms if atom.by in related for name in atom.names}
        for name, variable in self.variables.items():
            cells, whole = cells_of(variable, [a.node for a in alone[name]], at[name])
            self.whole = self.whole and whole
            table = [tuple(self._answered(atom, {name: cell.value}) for atom in alone[name]) for cell in cells]
            kept = range(len(cells)) if name in tied else _distinct(cells, table, variable.samples)
            self.cells[name] = tuple(cells[i] for i in kept)
            for place, atom in enumerate(alone[name]):
                atom.answers = [table[i][place] for i in kept]
        for key, members in related.items():
            self.relations[key] = members[0][1]
            self.cells[key] = tuple(_pieces(set().union(*(relation.cuts for _, relation in members))))
            for atom, relation in members:
                atom.answers = [
                    relation.unknown if cell.value is None else relation.answer(cell.value) for cell in self.cells[key]
                ]

    def _own_cuts(self, atom: _Atom) -> set[Any] | None:
        match atom.node:
            case c.Compare(left=left, right=c.Const(value=int() | float() as k)) if not isinstance(k, bool):
                return cuts(left, (k, after(k)), self.box)
            case c.InSet(operand=operand, values=values) if _form(operand) != "word":
                return cuts(operand, _edges(values), self.box)
            case c.IsNull(operand=operand):
                return cuts(operand, set(), self.box)
            case c.Compare():
                return set() if isinstance(atom.node.right, c.Const) else None
            case _:
                return set()

    def _answered(self, atom: _Atom, row: Mapping[str, Value]) -> int:
        self.answered += 1
        return _mask(self.answer(atom.node, row))

    # -- reading the goal with sets of answers

    def _read(self, chosen: Mapping[str, int]) -> list[int]:
        self.steps += len(self.program)
        masks = [self._mask(atom, chosen) for atom in self.atoms]
        out: list[int] = []
        for kind, parts in self.program:
            if kind == "atom":
                out.append(masks[parts])
            elif kind == "is":
                inner, holds = out[parts[0]], parts[1]
                out.append((_TRUE if inner & holds else 0) | (_FALSE if inner & (_ANY - holds) else 0))
            elif kind == "not":
                inner = out[parts]
                out.append((inner & _UNKNOWN) | (inner & _TRUE) << 1 | (inner & _FALSE) >> 1)
            else:
                first, last = (_FALSE, _TRUE) if kind == "and" else (_TRUE, _FALSE)
                found = [out[p] for p in parts]
                mask = 0
                for m in found:
                    mask |= m & first
                if all(m & (last | _UNKNOWN) for m in found):
                    if any(m & _UNKNOWN for m in found):
                        mask |= _UNKNOWN
                    if all(m & last for m in found):
                        mask |= last
                out.append(mask)
        return out

    def _mask(self, atom: _Atom, chosen: Mapping[str, int]) -> int:
        if not atom.by:  # it reads no name
            return self._answered(atom, {})
        if atom.by in chosen:
            return atom.answers[chosen[atom.by]]
        mask = 0
        if atom.by not in self.relations:
            for answer in atom.answers:
                mask |= answer
            return mask
        return sum({atom.answers[i] for i in self._open_cells(atom.by, chosen)})

    def _open_cells(self, key: str, chosen: Mapping[str, int]) -> list[int]:
        """The cells of a relation that its names, as far as chosen, leave possible."""
        relation = self.relations[key]
        box = {n: self.cells[n][chosen[n]].range if n in chosen else self.box[n] for n in relation.names}
        whole = bounds(relation.node, box)
        return [
            i for i, cell in enumerate(self.cells[key])
            if (whole.null if cell.value is None else
                whole.known and (relation.words or (cell.lo <= whole.hi and whole.lo <= cell.hi)))
        ]  # fmt: skip

    # -- searching

    def run(self) -> Found:
        """True with a witness, False when proven, or None with why."""
        row = self._search({})
        if not self.whole and not self.left_open:
            self.left_open = "its patterns can be met in too many ways"
        exists, tried = (True, "") if row is not None else (None if self.left_open else False, self.left_open)
        return Found(exists, row, tried, self.steps + self.answered)

    def _search(self, chosen: dict[str, int]) -> dict[str, Value] | None:
        if self.steps > _STEPS:
            self.left_open = f"gave up after {self.steps // len(self.program):,} cases"
            return None
        masks = self._read(chosen)
        if not masks[-1] & _TRUE:
            return None
        name = None if masks[-1] == _TRUE else self._undecided(masks, chosen)
        if name is None:
            row = self._row(chosen)
            if row is None:
                self.left_open = self.left_open or f"tried {_TRIES} rows in a case that bounds alone do not exclude"
            return row
        open_ = self._open_cells(name, chosen) if name in self.relations else range(len(self.cells[name]))
        for cell in open_:
            row = self._search({**chosen, name: cell})
            if row is not None:
                return row
        return None

    def _undecided(self, masks: list[int], chosen: Mapping[str, int]) -> str | None:
        """A name whose cell the goal still waits for."""
        waiting = [len(self.program) - 1]
        while waiting:
            place = waiting.pop()
            kind, parts = self.program[place]
            if masks[place] in (_TRUE, _FALSE, _UNKNOWN):
                continue
            if kind == "atom":
                atom: _Atom = self.atoms[parts]
                if atom.by in self.relations:
                    return next((n for n in sorted(atom.names) if n not in chosen), atom.by)
                return atom.by
            waiting += reversed(parts) if kind in ("and", "or") else [parts[0] if kind == "is" else parts]
        return None

    def _row(self, chosen: Mapping[str, int]) -> dict[str, Value] | None:
        """A row in the chosen cells that the reference interpreter finds true; None if none of those tried is."""
        related = {n for key in self.relations for a in self.atoms if a.by == key for n in a.names}
        for values in self._rows(chosen, related & self.variables.keys()):
            if self.steps > _STEPS:
                break
            self.steps += len(self.program)
            if self.answer(self.goal, values):
                return {n: v for n, v in values.items() if n in chosen or n in related}
        return None

    def _rows(self, chosen: Mapping[str, int], related: set[str]) -> Iterator[dict[str, Value]]:
        fixed = {n: self.cells[n][chosen.get(n, 0)] for n in self.variables}
        row = {n: cell.value for n, cell in fixed.items()}
        yield row
        pools = {n: self._values(n, [fixed[n]] if n in chosen else list(self.cells[n])) for n in sorted(related)}
        # Names are compared with each other: what one can be, or next to it, another should be tried at.
        shared = sorted({v for pool in pools.values() for v in pool if _is_number(v)})
        for name, pool in pools.items():
            ranges = [fixed[name]] if name in chosen else self.cells[name]
            whole = isinstance(self.variables[name].lo, int)
            beside = (x for v in shared if not whole or v == int(v) for x in _beside(int(v) if whole else float(v)))
            near = (x for x in beside if any(_is_number(r.value) and r.lo <= x <= r.hi for r in ranges))
            pools[name] = list(dict.fromkeys((*pool, *near)))
        for key in self.relations.keys() & chosen.keys():
            yield from self._climb(self.relations[key], {**row, **{n: pools[n][0] for n in pools}}, pools)
        choices = list(pools.values())
        rng = random.Random(1)  # noqa: S311
        every = product(*choices) if math.prod(map(len, choices)) <= _TRIES else (
            [rng.choice(pool) for pool in choices] for _ in range(_TRIES))  # fmt: skip
        for values in every:
            yield {**row, **dict(zip(pools, values, strict=True))}

    def _climb(
        self, relation: _Relation, row: dict[str, Value], pools: Mapping[str, list[Value]]
    ) -> Iterator[dict[str, Value]]:
        """Rows on which a relation's value is as large, and as small, as one name at a time can make it."""
        for best in (max, min) if not relation.words else ():
            for name in sorted(relation.names) * 2:
                tried = [(self.answer(relation.node, {**row, name: v}), v) for v in pools[name]]
                known = [(found, v) for found, v in tried if _is_number(found) and _is_number(v)]
                if known:
                    row = {**row, name: best(known)[1]}
                    yield row

    def _values(self, name: str, cells: list[Cell]) -> list[Value]:
        """Values to try of a name in some of its cells."""
        out: list[Value] = []
        for cell in cells:
            out.append(cell.value)
            if _is_number(cell.value):
                middle = (cell.lo + cell.hi) / 2 if isinstance(cell.lo, float) else (cell.lo + cell.hi) // 2
                inside = (s for s in self.variables[name].samples if _is_number(s) and cell.lo <= s <= cell.hi)
                out += [*inside, cell.lo, cell.hi, middle]
        return out


def _is_number(value: Value) -> TypeGuard[Number]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _beside(value: Number) -> tuple[Number, ...]:
    return (before(value), value, after(value))


def _mask(answer: Value) -> int:
    return _UNKNOWN if answer is None else _TRUE if answer else _FALSE


def _distinct(cells: list[Cell], table: list[tuple[int, ...]], samples: tuple[Value, ...]) -> list[int]:
    """One cell of each that answer alike, a sample where there is one."""
    best: dict[tuple[int, ...], int] = {}
    for i, answers in enumerate(table):
        if answers not in best or (cells[i].value in samples and cells[best[answers]].value not in samples):
            best[answers] = i
    return sorted(best.values())


# -- relations


def _relation(atom: _Atom) -> _Relation:
    """What a condition on several names asks of one value they make: their difference, or the value it tests."""
    node = atom.node
    match node:
        case c.Compare(op=op, left=left, right=c.Const(value=k)) if _form(left) != "word":
            line = compared(op, k)
            return _Relation(left, atom.names, frozenset((k, after(k))), lambda v: _KLEENE[v in line])  # type: ignore[arg-type]
        case c.Compare(op=op, left=left, right=right) if (form := _form(left)) != "word":
            if dump(left) > dump(right):
                left, right, op = right, left, FLIPPED[op]
            # Of doubles too: a difference has the sign of their order, and is zero only of equals.
            gap, line = c.Arith("-", left, right), compared(op, 0)
            zero = 0 if form == "int" else 0.0
            return _Relation(gap, atom.names, frozenset((zero, after(zero))), lambda v: _KLEENE[v in line])
        case c.InSet(operand=operand, values=values, negated=negated) if _form(operand) != "word":
            return _Relation(operand, atom.names, _edges(values), lambda v: _KLEENE[(v in values) is not negated])
        case c.IsNull(operand=operand, negated=negated):
            return _Relation(operand, atom.names, frozenset(), lambda _: _KLEENE[negated], _KLEENE[not negated])
        case c.Compare(op=op, left=left, right=right):
            left, right = sorted((left, right), key=dump)
            pair = c.Extreme("max", (left, right))  # unknown where either is
            return _Relation(pair, atom.names, frozenset((0,)), lambda v: _KLEENE[(v >= 0) is (op == "=")], words="=")
        case c.InSet(operand=operand, negated=negated) | c.Like(operand=operand, negated=negated):
            asked = dump(replace(node, negated=False))
            return _Relation(
                operand, atom.names, frozenset((0,)), lambda v: _KLEENE[(v >= 0) is not negated], words=asked
            )
        case _:  # one truth value or another
            return _Relation(node, atom.names, frozenset((0,)), lambda v: _KLEENE[v >= 0], words="true")


def _edges(values: tuple[Value, ...]) -> frozenset[Number]:
    return frozenset(t for v in values if isinstance(v, int | float) for t in (v, after(v)))


def _form(node: c.Core) -> Literal["int", "real", "word"]:
    """What the values of an expression are."""
    match node:
        case c.Const(kind=kind) | c.Field(kind=kind) | c.Param(kind=kind):
            return "word" if kind in UNORDERED else "real" if kind in REAL else "int"
        case c.Real() | c.Divide():
            return "real"
        case _:
            return _form(c.children(node)[0])


def _pieces(edges: set[Number]) -> Iterator[Cell]:
    """The line cut at ``edges``, and the unknown."""
    inner = sorted(edges)
    starts: list[Number] = [-math.inf, *inner]
    ends: list[Number] = [*(before(x) for x in inner), math.inf]
    for lo, hi in zip(starts, ends, strict=True):
        yield Cell(lo if lo in inner else hi, lo, hi)
    yield Cell(None)
