"""What conditions can and cannot answer: never true, always true, same as, implied by, disjoint.

Each question becomes a search for a row that would show the opposite (:mod:`phenix.dsl.search`),
over the ranges, members and nulls the catalog declares. An answer is proven, or refuted by such a
row, or open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from phenix.dsl import core as c
from phenix.dsl.cells import Variable, cells_of, names_in
from phenix.dsl.passes import inline, normalize
from phenix.dsl.scope import Scope
from phenix.dsl.search import Found, Search
from phenix.dsl.types import INT64_MAX, CatalogField, Kind, Value

__all__ = ["Analysis", "Evaluate", "Finding", "Memory", "Witness", "variable"]

_LARGEST: Final = 2_000
"""Most nodes of a tree, chips written out, that is looked into."""
_NORMAL: Final = 20
"""What it costs to bring a node to its normal form, in nodes read by a search."""
_DEEPEST: Final = 200
"""Most levels of it: each takes up to four frames of the stack, of which there are a thousand."""


class Evaluate(Protocol):
    """The reference interpreter: a tree, a field's value by name, params, a chip's answer by id."""

    def __call__(
        self,
        node: c.Core,
        field: Callable[[str], Value],
        params: Mapping[str, Value],
        chip: Callable[[str], Value],
    ) -> Value: ...


@dataclass(frozen=True, slots=True)
class Witness:
    """A row, as far as it matters, and the params where they were free."""

    row: Mapping[str, Value]
    params: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer: ``proven`` True or False, None where it is open; a witness where one shows it; what was tried."""

    proven: bool | None
    witness: Witness | None = None
    tried: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """What analyses worked out, by what alone it follows from: nothing in it grows old when rules change.

    The catalog and the interpreter are the same throughout. Whoever asks about the same rules again and again
    owns one, and drops it when it has grown.
    """

    normal: dict[c.Core, c.Core] = field(default_factory=dict)
    """A tree, chips written out -> its normal form."""
    found: dict[tuple[c.Core, tuple[Variable, ...]], Found] = field(default_factory=dict)
    """A goal and what each name in it can be -> what the search found."""


class Analysis:
    """Questions about conditions in a scope; ``chips`` are written out, ``samples`` make witnesses read well.

    ``ranged``: params may have any value they declare, not only the present one. ``memory`` may be shared
    with analyses of other scopes. ``go_on`` is called again and again: what it raises ends the work, and leaves the
    memory as good as it was.
    """

    def __init__(
        self,
        scope: Scope,
        chips: Mapping[str, c.Core],
        evaluate: Evaluate,
        samples: Mapping[str, tuple[Value, ...]] | None = None,
        ranged: bool = False,
        memory: Memory | None = None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self.scope, self.chips, self.evaluate = scope, chips, evaluate
        self.samples, self.ranged = samples or {}, ranged
        self.memory = memory or Memory()
        self.go_on = go_on
        self.spent = 0
        """What the questions so far cost, whether or not the memory knew the answers: about as many nodes read."""
        self._ready: dict[int, tuple[c.Core, c.Core | None]] = {}
        self._deep: dict[str, int] = {}
        """Levels of chips, theirs written out, by id."""

    # -- questions

    def can_be(self, node: c.Core, *answers: bool | None) -> Finding:
        """Whether some row gives one of the answers; the witness is such a row."""
        core = self.whole(node)
        return self._find(None if core is None else _one_of(core, answers))

    def never(self, node: c.Core) -> Finding:
        """Never true; the witness makes it true."""
        return _denied(self.can_be(node, True))

    def always(self, node: c.Core) -> Finding:
        """True on every row; the witness makes it anything else."""
        return _denied(self.can_be(node, False, None))

    def decided(self, node: c.Core) -> Finding:
        """Cannot be unknown; the witness makes it unknown."""
        return _denied(self.can_be(node, None))

    def implies(self, left: c.Core, right: c.Core) -> Finding:
        """Wherever the left is true so is the right; the witness makes only the left true."""
        return self._never_both(left, (True,), right, (False, None))

    def disjoint(self, left: c.Core, right: c.Core) -> Finding:
        """Never true together; the witness makes both true."""
        return self._never_both(left, (True,), right, (True,))

    def same(self, left: c.Core, right: c.Core) -> Finding:
        """One answer on every row, unknown included; the witness tells them apart."""
        open_ = None
        for answer, others in ((True, (False, None)), (False, (True, None)), (None, (True, False))):
            found = self._never_both(left, (answer,), right, others)
            if found.proven is False:
                return found
            open_ = open_ or (found if found.proven is None else None)
        return open_ or Finding(True)

    def _never_both(
        self, left: c.Core, these: tuple[bool | None, ...], right: c.Core, those: tuple[bool | None, ...]
    ) -> Finding:
        a, b = self.whole(left), self.whole(right)
        both = None if a is None or b is None else c.And((_one_of(a, these), _one_of(b, those)))
        return _denied(self._find(both))

    # -- trees

    def whole(self, node: c.Core) -> c.Core | None:
        """The normal form with chips written out and, unless they range, params as their values."""
        kept = self._ready.get(id(node))
        if kept is None or kept[0] is not node:
            self.go_on()
            core = inline(node, self.chips) if self._levels(node) <= _DEEPEST else None
            if core is None or _size(core, {}) > _LARGEST:
                kept = (node, None)
            else:
                self.spent += _NORMAL * _size(core, {})
                kept = (node, self._normal(core if self.ranged else self._bound(core)))
            self._ready[id(node)] = kept
        return kept[1]

    def _levels(self, node: c.Core) -> int:
        """Levels of a tree with its chips written out, each measured before those that name it."""
        waiting = [("", node)]
        while True:
            name, core = waiting[-1]
            levels, missing, below = 0, [], [(core, 1)]
            while below:
                part, level = below.pop()
                if isinstance(part, c.Chip) and part.id in self.chips:
                    if part.id not in self._deep:
                        missing.append((part.id, self.chips[part.id]))
                    level += self._deep.get(part.id, 1) - 1
                levels = max(levels, level)
                below += [(child, level + 1) for child in c.children(part)]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if not waiting:
                return levels
            self._deep[name] = levels

    def _normal(self, core: c.Core) -> c.Core:
        found = self.memory.normal.get(core)
        if found is None:
            found = self.memory.normal[core] = normalize(core)
        return found

    def _bound(self, node: c.Core) -> c.Core:
        if isinstance(node, c.Param):
            return c.Const(node.kind, self.scope.params[node.name].value)
        return c.rebuild(node, self._bound)

    def names(self, node: c.Core) -> frozenset[str]:
        """Names of the variables below a node, chips looked into, each of them once."""
        out: set[str] = set()
        seen: set[str] = set()
        waiting = [node]
        while waiting:
            for name in names_in(waiting.pop()):
                if not name.startswith("@") or name[1:] not in self.chips:
                    out.add(name)
                elif name not in seen:
                    seen.add(name)
                    waiting.append(self.chips[name[1:]])
        return frozenset(out)

    def variable(self, name: str) -> Variable:
        """What a name can be."""
        return variable(name, self.scope, self.samples.get(name, ()))

    def _find(self, goal: c.Core | None) -> Finding:
        """A row on which ``goal`` is true: False proven when there is none."""
        if goal is None:
            return Finding(None, tried=f"written out it has more than {_LARGEST:,} parts, or {_DEEPEST} levels")
        variables = tuple(map(self.variable, sorted(names_in(goal))))
        found = self.memory.found.get((goal, variables))
        if found is None:
            self.go_on()  # then at every answer of the search, between which it has a bound of its own
            found = self.memory.found[goal, variables] = Search(goal, variables, self.answer).run()
        self.spent += found.work
        if found.row is None:
            return Finding(found.exists, tried=found.tried)
        row = {n: v for n, v in found.row.items() if not n.startswith("$")}
        return Finding(True, Witness(row, {n[1:]: v for n, v in found.row.items() if n.startswith("$")}))

    def complete(self, names: Iterable[str], row: Mapping[str, Value]) -> dict[str, Value]:
        """A row of those names: as given, params as they are, and something for each other."""
        return {name: row[name] if name in row else self._usual(name) for name in names}

    def _usual(self, name: str) -> Value:
        if name.startswith("$"):
            return self.scope.params[name[1:]].value
        return cells_of(self.variable(name), (), ())[0][0].value

    def answer(self, node: c.Core, row: Mapping[str, Value]) -> Value:
        """What the reference interpreter says on a row whose params and chips stand under ``$`` and ``@``."""
        self.go_on()
        params = {name[1:]: value for name, value in row.items() if name.startswith("$")}
        return self.evaluate(node, row.__getitem__, params, lambda chip: row[f"@{chip}"])


def variable(name: str, scope: Scope, samples: tuple[Value, ...] = ()) -> Variable:
    """What a field, a param as ``$name`` or a chip as ``@name`` can be."""
    if name.startswith("@"):
        return Variable(name, Kind.BOOL, nullable=True)
    if name.startswith("$"):
        info = scope.params[name[1:]]
        return Variable(name, info.kind, info.type.lo or 0, info.type.hi or 0, samples=(info.value,))
    known: CatalogField = scope.catalog.by_name[name]
    kind = known.type.kind
    widest: float | int = 1e308 if kind in (Kind.RATIO, Kind.PERCENT) else INT64_MAX
    lo, hi = known.type.lo, known.type.hi
    return Variable(name, kind, -widest if lo is None else lo, widest if hi is None else hi, known.type.members,
                    known.nullable, samples)  # fmt: skip


def _one_of(core: c.Core, answers: tuple[bool | None, ...]) -> c.Core:
    asked = tuple(c.Is(core, a) for a in answers)
    return asked[0] if len(asked) == 1 else c.Or(asked)


def _denied(found: Finding) -> Finding:
    return Finding(None if found.proven is None else not found.proven, found.witness, found.tried)


def _size(node: c.Core, known: dict[int, int]) -> int:
    """Nodes of a tree in which shared parts count each time."""
    if id(node) not in known:
        known[id(node)] = 1 + sum(_size(x, known) for x in c.children(node))
    return known[id(node)]
