"""Checks of rule files for their authors: everything the compiler finds, and the inline tests."""

from __future__ import annotations

from collections.abc import Sequence

from phenix.dsl import core as c
from phenix.dsl.compiler import Case, Program, compile_program
from phenix.dsl.diagnostics import Diagnostic, diagnostic
from phenix.dsl.source import Source
from phenix.dsl.types import Value
from phenix.engine.flow import CATALOG
from phenix.engine.targets.reference import evaluate

__all__ = ["answer", "check_rules", "run_cases"]


def check_rules(sources: Sequence[Source]) -> tuple[Diagnostic, ...]:
    """All findings of rule files compiled together, in file order."""
    return compile_program(sources, CATALOG)[1]


def run_cases(sources: Sequence[Source]) -> tuple[tuple[Diagnostic, ...], int]:
    """Run every ``test`` by the reference interpreter: the failing ones, and how many there are."""
    program, _ = compile_program(sources, CATALOG)
    failing = [found for case in program.cases if (found := _fails(case, program)) is not None]
    return tuple(failing), len(program.cases)


def answer(node: c.Core, row: dict[str, Value], program: Program) -> Value:
    """Value of a tree on a sparse row; fields the row does not name are unknown."""
    chips = {rule.id: rule.body.core for rule in program.chips}
    params = {name: info.value for name, info in program.scope.params.items()}

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
