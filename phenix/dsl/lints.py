"""What is legal in a program but cannot be meant: one function a lint, its docstring the documentation.

Each asks the analysis and speaks only of what is proven. A chip that merely implies another is no
finding: tiers such as Whales and Sizable are made to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.analysis import Analysis, Evaluate, Memory
from phenix.dsl.cells import names_in
from phenix.dsl.diagnostics import Diagnostic, Label, diagnostic
from phenix.dsl.dump import dump
from phenix.dsl.program import ChipRule, Condition, Program
from phenix.dsl.types import Value

__all__ = [
    "LINTS",
    "Subject",
    "always_true",
    "deprecated_chip",
    "lint",
    "never_matches",
    "never_true",
    "redundant_part",
    "same_as",
    "substitute",
    "unused_definition",
]

_SAID: Final = frozenset({"PHX202", "PHX204", "PHX205"})
"""What the checker says of one comparison; of the condition around it nothing more needs saying."""
_EFFORT: Final = 400_000
"""What the parts of one body may cost, as an analysis counts it: a second or so."""
_WORD: Final = re.compile(r"\w+")


@dataclass(slots=True)
class Subject:
    """A program under lint; ``stored`` gives chips as rows keep them, ``required`` are params the host reads.

    ``memory`` and ``go_on`` are as of :class:`~phenix.dsl.analysis.Analysis`.
    """

    program: Program
    evaluate: Evaluate
    stored: Callable[[c.Core], c.Core]
    required: frozenset[str]
    found: Sequence[Diagnostic]
    memory: Memory = field(default_factory=Memory)
    go_on: Callable[[], None] = lambda: None
    now: Analysis = field(init=False)
    """Chips written out, params at their present values."""
    ever: Analysis = field(init=False)
    """Chips written out, params anywhere in their ranges."""
    kept: Analysis = field(init=False)
    """Chips as rows keep them, params at their present values."""

    def __post_init__(self) -> None:
        provided = {field.meta.provides: field.core for field in self.program.fields if field.meta.provides}
        chips = {rule.id: substitute(rule.body.core, provided) for rule in self.program.chips}
        scope = self.program.scope
        kept = {id_: self.stored(core) for id_, core in chips.items()}
        self.now = Analysis(scope, chips, self.evaluate, memory=self.memory, go_on=self.go_on)
        self.ever = Analysis(scope, chips, self.evaluate, ranged=True, memory=self.memory, go_on=self.go_on)
        self.kept = Analysis(scope, kept, self.evaluate, memory=self.memory, go_on=self.go_on)

    def chips(self) -> Iterator[ChipRule]:
        """Chips whose body the checker found nothing doubtful in."""
        return (rule for rule in self.program.chips if self.unsaid(rule.body))

    def searches(self) -> Iterator[tuple[str, Condition]]:
        """Queries and alerts, named, of which the same holds."""
        for what, saved in (("query", self.program.queries), ("alert", self.program.alerts)):
            yield from ((f"the {what} `{one.id}`", one.where) for one in saved if self.unsaid(one.where))

    def unsaid(self, body: Condition) -> bool:
        """Whether the checker left a body in peace."""
        span = body.node.span
        return not any(
            d.code in _SAID and d.source is body.source and span.start <= d.span.start and d.span.end <= span.end
            for d in self.found
        )


def substitute(core: c.Core, provided: Mapping[str, c.Core]) -> c.Core:
    """The tree with fields that rules compute written out as what computes them."""

    def write(node: c.Core) -> c.Core:
        return provided.get(node.name, node) if isinstance(node, c.Field) else c.rebuild(node, write)

    return write(core)


Lint = Callable[[Subject], Iterable[Diagnostic]]


def never_true(subject: Subject) -> Iterator[Diagnostic]:
    """A chip that is true of no print, with its params as they are: two of its parts exclude each other, or the
    formula of the score never comes up to what it asks.
    """
    for rule in subject.chips():
        if subject.now.never(c.Chip(rule.id)).proven:
            yield _at(
                rule.body,
                "PHX210",
                f"`@{rule.id}` is never true",
                "two of its parts exclude each other, or the score never comes so far",
            )


def always_true(subject: Subject) -> Iterator[Diagnostic]:
    """A chip that is true of every print: it tells nothing of any."""
    for rule in subject.chips():
        whole = subject.now.whole(rule.body.core)
        # The first row at hand settles it of most.
        on = whole is not None and subject.now.answer(whole, subject.now.complete(names_in(whole), {}))
        if on and subject.now.always(rule.body.core).proven:
            yield _at(rule.body, "PHX211", f"`@{rule.id}` is true of every print", "it tells nothing of any")


def same_as(subject: Subject) -> Iterator[Diagnostic]:
    """A chip that answers as another does on every print, wherever their params are set: one of them is a copy."""
    groups: dict[frozenset[str], list[_Told]] = {}
    for rule in subject.chips():
        whole = subject.ever.whole(rule.body.core)
        if whole is not None:
            shown = subject.now.can_be(rule.body.core, True).witness
            names = names_in(whole)
            told = _Told(rule, whole, subject.now.complete(names, shown.row if shown else {}))
            groups.setdefault(names.union(_relations(whole)), []).append(told)
    for members in groups.values():
        for first, other in _copies(subject, members):
            here = Label(first.body.node.span, f"as `@{first.id}` does here", first.body.source)
            yield diagnostic("PHX212", f"`@{other.id}` gives the answer of `@{first.id}` on every print",
                             other.body.node.span, other.body.source, here,
                             help=f"write `@{first.id}`, or make it an alias")  # fmt: skip


def _relations(core: c.Core) -> Iterator[str]:
    """What a condition relates, comparison by comparison: chips that relate other things are taken to differ."""
    for node in c.walk(core):
        if isinstance(node, c.Compare) and len(names_in(node)) > 1:
            yield f"{dump(node.left)} ~ {dump(node.right)}"


@dataclass(frozen=True, slots=True)
class _Told:
    """A chip, its normal form wherever its params are set, and a row that it is true of."""

    rule: ChipRule
    whole: c.Core
    row: Mapping[str, Value]


def _copies(subject: Subject, members: list[_Told]) -> Iterator[tuple[ChipRule, ChipRule]]:
    """Chips and those that answer as they do; rows tell most apart, and a proof is tried of the others."""
    waiting = [members]
    while waiting:
        first, *others = waiting.pop()
        if not others:
            continue
        # Chips often form a chain, each wider than the next: a row from the middle halves it.
        middle = len(others) // 2
        rows = {tuple(one.row.items()): one.row for one in (*others[middle:], *others[:middle], first)}
        for row in rows.values():
            parts = _parted(subject, [first, *others], row)
            if len(parts) > 1:
                waiting += parts
                break
        else:
            while others:
                other, *others = others
                found = subject.ever.same(first.rule.body.core, other.rule.body.core)
                if found.proven:
                    yield first.rule, other.rule
                elif found.witness is not None:
                    params = {f"${name}": value for name, value in found.witness.params.items()}
                    row = subject.now.complete(first.row, {**found.witness.row, **params})
                    (_, *alike), *apart = _parted(subject, [first, other, *others], row)
                    others = [one for one in alike if one is not other]
                    waiting += apart


def _parted(subject: Subject, members: list[_Told], row: Mapping[str, Value]) -> list[list[_Told]]:
    """Chips that answer alike on a row, class by class, the class of the first one first."""
    by_answer: dict[Value, list[_Told]] = {}
    for one in members:
        by_answer.setdefault(subject.now.answer(one.whole, row), []).append(one)
    return list(by_answer.values())


def redundant_part(subject: Subject) -> Iterator[Diagnostic]:
    """A part of an `and` or `or` without which the answer is the same on every print.

    Of a body that takes too long nothing more is said: what was not looked at is not proven.
    """
    bodies = [rule.body for rule in subject.chips()] + [where for _, where in subject.searches()]
    for body in bodies:
        for node in _redundant(subject, body.node, body.core, subject.ever.spent + _EFFORT):
            text = body.source.text[node.span.start : node.span.end]
            message = f"without `{text}` the answer is the same on every print"
            yield diagnostic("PHX213", message, node.span, body.source, help="leave it out, or correct it")


def _redundant(subject: Subject, node: n.Expr, core: c.Core, until: int) -> Iterator[n.Expr]:
    if isinstance(node, n.And | n.Or) and isinstance(core, c.And | c.Or) and len(node.args) == len(core.args):
        names = [subject.ever.names(arg) for arg in core.args]
        kept = list(range(len(core.args)))
        for place in reversed(kept):
            if subject.ever.spent > until:
                return
            others = [i for i in kept if i != place]
            met = [core.args[i] for i in others if names[place] & names[i]]
            if met and _meet(subject, core.args[place], met):
                whole, rest = (replace(core, args=tuple(core.args[i] for i in some)) for some in (kept, others))
                if subject.ever.same(whole, rest).proven:
                    kept = others
                    yield node.args[place]
        for part, arg in zip(node.args, core.args, strict=True):
            yield from _redundant(subject, part, arg, until)
    elif isinstance(node, n.Not | n.Is) and isinstance(core, c.Not | c.Is):
        yield from _redundant(subject, node.operand, core.operand, until)


def _meet(subject: Subject, arg: c.Core, others: list[c.Core]) -> bool:
    """Whether a part and others read a name in common in normal form: parts that do not are never redundant."""
    own, *rest = (subject.ever.whole(x) for x in (arg, *others))
    return own is not None and any(x is not None and names_in(own) & names_in(x) for x in rest)


def deprecated_chip(subject: Subject) -> Iterator[Diagnostic]:
    """A chip, query or alert that builds on a chip marked `deprecated`."""
    program = subject.program
    old = {rule.id: rule.meta.deprecated for rule in program.chips if rule.meta.deprecated}
    bodies = [rule.body for rule in program.chips if rule.id not in old]
    bodies += [query.where for query in program.queries] + [alert.where for alert in program.alerts]
    for body in bodies if old else ():
        for node in _walk(body.node):
            if isinstance(node, n.ChipName) and (id_ := program.scope.chips[node.name.lower()]) in old:
                yield diagnostic("PHX214", f"`@{id_}` is deprecated", node.span, body.source, help=old[id_])


def _walk(node: n.Expr) -> Iterator[n.Expr]:
    yield node
    for child in n.children(node):
        yield from _walk(child)


def unused_definition(subject: Subject) -> Iterator[Diagnostic]:
    """A `let`, a `set` or a `param` that no rule names."""
    scope = subject.program.scope
    words = Counter(w for source in subject.program.sources for w in _WORD.findall(source.text))
    for what, names in (("let", scope.lets), ("set", scope.sets)):
        for name, defined in names.items():
            if words[name] < 2:
                span = defined.node.name_span
                yield diagnostic("PHX215", f"nothing uses the {what} `{name}`", span, defined.source, help="delete it")
    for name, info in scope.params.items():
        if words[name] < 2 and name not in subject.required and info.defined is not None:
            yield diagnostic("PHX215", f"nothing uses the param `{name}`", info.defined.node.name_span,
                             info.defined.source, help="delete it")  # fmt: skip


def never_matches(subject: Subject) -> Iterator[Diagnostic]:
    """A query or an alert that no stored print can match."""
    for what, where in subject.searches():
        if subject.kept.never(where.core).proven:
            yield _at(where, "PHX216", f"{what} never matches", "two of its parts exclude each other")


def _at(body: Condition, code: str, message: str, help: str) -> Diagnostic:
    return diagnostic(code, message, body.node.span, body.source, help=help)


LINTS: Final[tuple[Lint, ...]] = (
    never_true, always_true, same_as, redundant_part, deprecated_chip, unused_definition, never_matches,
)  # fmt: skip


def lint(subject: Subject) -> tuple[Diagnostic, ...]:
    """The findings of every lint, by place."""
    order = {id(source): i for i, source in enumerate(subject.program.sources)}
    found = [d for one in LINTS for d in one(subject)]
    return tuple(sorted(found, key=lambda d: (order[id(d.source)], d.span, d.code)))
