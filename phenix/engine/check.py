"""Checks of rule files for their authors: what the compiler and the lints find, inline tests, assertions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from phenix.dsl import core as c
from phenix.dsl.analysis import Analysis, Memory
from phenix.dsl.compiler import compile_program
from phenix.dsl.diagnostics import Diagnostic, diagnostic, has_errors
from phenix.dsl.lints import Subject, lint
from phenix.dsl.parser import Parsed, parse_file
from phenix.dsl.program import Assertion, Case, Program
from phenix.dsl.source import Source
from phenix.dsl.types import Kind, Value
from phenix.engine.bundle import REQUIRED
from phenix.engine.flow import CATALOG
from phenix.engine.targets.reference import evaluate
from phenix.engine.witness import SAMPLES, in_words

__all__ = [
    "SUPPRESSED",
    "TOO_DEEP",
    "Checks",
    "UnfinishedError",
    "answer",
    "check_rules",
    "failing_cases",
    "run_assertions",
    "run_cases",
]

SUPPRESSED: Final = tuple(c.Not(c.Field(name, Kind.BOOL, False)) for name in ("compression", "cancel_record"))
"""Where either is false the tagger switches every chip off."""
TOO_DEEP: Final = "chips that name each other in a row are nested too deeply; write some of them out flatter"
"""What is said of rules that this program's stack cannot follow."""
_MOST_ANSWERS: Final = 20_000


@dataclass(slots=True)
class Checks:
    """What earlier checks of nearly the same files worked out; an editor, or whoever else checks again, owns one."""

    answers: Memory = field(default_factory=Memory)
    files: dict[int, tuple[Source, Parsed]] = field(default_factory=dict)
    """Files as parsed, by the identity of their source: a file that did not change is the same object."""

    def parse(self, source: Source) -> Parsed:
        """The statements of a file and its findings; read once."""
        kept = self.files.get(id(source))
        if kept is None:
            kept = self.files[id(source)] = (source, parse_file(source))
        return kept[1]

    def forget(self, sources: Sequence[Source]) -> None:
        """Drop files that are none of these, and all answers when they have become many."""
        self.files = {id(source): self.files[id(source)] for source in sources}
        if len(self.answers.normal) + len(self.answers.found) > _MOST_ANSWERS:
            self.answers = Memory()


class UnfinishedError(Exception):
    """Lints that were ended before they were through; ``found`` is what the compiler had found."""

    def __init__(self, found: tuple[Diagnostic, ...]) -> None:
        super().__init__("the lints were ended")
        self.found = found


class _EndedError(Exception):
    """Nobody wants the lints any more."""


def check_rules(
    sources: Sequence[Source], earlier: Checks | None = None, wanted: Callable[[], bool] = lambda: True
) -> tuple[Diagnostic, ...]:
    """All findings of rule files compiled together, in file order; the lints speak where nothing is in error.

    What has not changed since ``earlier`` checks is not analysed again; the findings are the same without it.
    Raises UnfinishedError once the lints are no longer ``wanted``, which is asked some thousand times a second.
    """

    def go_on() -> None:
        if not wanted():
            raise _EndedError

    earlier = earlier or Checks()
    program, found = compile_program(sources, CATALOG, earlier.parse)
    earlier.forget(sources)
    if has_errors(found):
        return found
    subject = Subject(program, evaluate, lambda core: c.And((*SUPPRESSED, core)), frozenset(REQUIRED), found,
                      earlier.answers, go_on)  # fmt: skip
    try:
        more = lint(subject)
    except _EndedError:
        raise UnfinishedError(found) from None
    order = {id(source): i for i, source in enumerate(sources)}
    return tuple(sorted((*found, *more), key=lambda d: (order[id(d.source)], d.span, d.code)))


def run_assertions(sources: Sequence[Source]) -> tuple[tuple[Diagnostic, ...], int, int]:
    """Prove every ``assert never`` and ``assert … implies``: those that fail or stay open, how many were asked,
    and how many rates were not, which need rows.
    """
    program, _ = compile_program(sources, CATALOG)
    chips = {rule.id: rule.body.core for rule in program.chips}
    analysis = Analysis(program.scope, chips, evaluate, SAMPLES)
    asked = [one for one in program.assertions if one.kind != "rate"]
    failing = [found for one in asked if (found := _refuted(one, analysis)) is not None]
    return tuple(failing), len(asked), len(program.assertions) - len(asked)


def _refuted(one: Assertion, analysis: Analysis) -> Diagnostic | None:
    if one.right is None:
        found, meant = analysis.never(one.left.core), f"makes `{one.left.text}` true"
    else:
        found = analysis.implies(one.left.core, one.right.core)
        meant = f"triggers `{one.left.text}` but not `{one.right.text}`"
    if found.proven:
        return None
    if found.witness is None:
        return diagnostic("PHX303", f'"{one.label}" could not be proven: {found.tried}', one.span, one.source,
                          help="relate fewer fields, or test it with rows")  # fmt: skip
    return diagnostic("PHX302", f"{in_words(found.witness.row)} {meant}", one.span, one.source,
                      help="correct the rule, or the assertion")  # fmt: skip


def run_cases(sources: Sequence[Source]) -> tuple[tuple[Diagnostic, ...], int]:
    """Run every ``test`` by the reference interpreter: the failing ones, and how many there are."""
    program, _ = compile_program(sources, CATALOG)
    judged = (_judged(case, program) for case in program.cases)
    return tuple(found for found in judged if found is not None), len(program.cases)


def _judged(case: Case, program: Program) -> Diagnostic | None:
    try:
        return _fails(case, program)
    except RecursionError:
        message = f'"{case.label}" asks chips that name each other in a row and are nested too deeply'
        return diagnostic("PHX004", message, case.span, case.source, help="write some of them out flatter")


def failing_cases(program: Program) -> tuple[Diagnostic, ...]:
    """Every ``test`` of a program that fails. Raises RecursionError where chips are nested too deeply for it."""
    return tuple(found for case in program.cases if (found := _fails(case, program)) is not None)


def answer(node: c.Core, row: dict[str, Value], program: Program) -> Value:
    """Value of a tree on a sparse row; fields the row does not name are unknown."""
    chips = {rule.id: rule.body.core for rule in program.chips}
    params = {name: info.value for name, info in program.scope.params.items()}

    @cache  # chips that each name the one before twice would double the work with every one
    def chip(name: str) -> Value:
        return evaluate(chips[name], row.get, params, chip)

    return evaluate(node, row.get, params, chip)


def _fails(case: Case, program: Program) -> Diagnostic | None:
    got = answer(case.target, dict(case.row), program)
    if isinstance(got, int) and isinstance(case.expected, bool):
        got = bool(got)
    if got == case.expected and (got is None) == (case.expected is None):
        return None
    message = f'"{case.label}" gives {_shown(got)}, not {_shown(case.expected)}'
    return diagnostic("PHX301", message, case.span, case.source, help="correct the rule, or the test")


def _shown(value: Value) -> str:
    if value is None:
        return "unknown"
    return str(value).lower() if isinstance(value, bool) else repr(value)
