"""A new chip as text: its statement, and a test each of a row on which it is true, false and unknown.

The rows are witnesses that the analysis finds. Each test is compiled and run before it is kept, so the tests hold
as they are written; the author puts the boundary cases beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.analysis import Analysis
from phenix.dsl.compiler import compile_program
from phenix.dsl.diagnostics import Diagnostic, has_errors
from phenix.dsl.formatter import format_text
from phenix.dsl.parser import parse_expression
from phenix.dsl.printer import print_expression
from phenix.dsl.program import Program
from phenix.dsl.source import Source, Span
from phenix.dsl.types import REAL, TEXTUAL, Kind, Type, Value
from phenix.engine.check import Checks, answer, failing_cases
from phenix.engine.flow import BY_NAME, CATALOG
from phenix.engine.targets.english import say
from phenix.engine.targets.reference import evaluate
from phenix.engine.witness import SAMPLES, in_words, literal

__all__ = ["new_chip"]

_ANSWERS: Final = ((True, "true"), (False, "false"), (None, "unknown"))


def new_chip(
    name: str, rule: str, group: str, file: Source, others: Sequence[Source]
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of ``file`` with the chip behind what it holds, and what the chip is warned of; None with what is wrong
    when that does not compile.

    ``others`` are the rules it stands among. An answer gets no test where no row was found that gives it, or that a
    test can be written with.
    """
    node, found = parse_expression(Source("--rule", rule))
    if node is None or has_errors(found):
        return None, found
    own = _File(file.name, tuple(others))
    before = f"{file.text.rstrip()}\n\n" if file.text.strip() else ""
    head = f"{before}chip {name} {_quoted(name.replace('_', ' ').title())} group {group} =\n  {rule}\n"
    program, found = own.compile(head)
    if has_errors(found):
        return None, tuple(one for one in found if one.code != "PHX203")  # it gets its doc below
    chip = next(one for one in program.chips if one.id == name)
    doc = say(chip.body.node, program.scope, {one.id: one.label for one in program.chips})
    head += f"  doc {_quoted(doc)}\n\n"
    rows = ((_row(chip.body.core, program, expected), word) for expected, word in _ANSWERS)
    tests = [test for row, word in rows if row is not None and (test := _test(name, row, word)) is not None]
    if own.wrong("\n".join((head, *tests)), len(head), len(tests)):
        tests = [test for test in tests if not own.wrong(head + test, len(head), 1)]
    text = format_text("\n".join((head, *tests, "")))
    begins = text.rindex(f"chip {name} ")
    wrong = own.wrong(text, begins, len(tests))
    return (None if has_errors(wrong) else text), wrong


@dataclass(slots=True)
class _File:
    """A file that is written, compiled again and again among rules that stay."""

    name: str
    others: tuple[Source, ...]
    earlier: Checks = field(default_factory=Checks)

    def compile(self, text: str) -> tuple[Program, tuple[Diagnostic, ...]]:
        return compile_program((*self.others, Source(self.name, text)), CATALOG, self.earlier.parse)

    def wrong(self, text: str, start: int, tests: int) -> tuple[Diagnostic, ...]:
        """Errors, warnings from an offset of the text, and of its last tests those that fail."""
        program, found = self.compile(text)
        own = program.sources[-1]
        if has_errors(found):
            return found
        cases = [case for case in program.cases if case.source is own]
        failing = failing_cases(replace(program, cases=tuple(cases[len(cases) - tests :])))
        return (*(one for one in found if one.source is own and one.span.start >= start), *failing)


def _quoted(text: str) -> str:
    return print_expression(n.Text(span=Span(0, 0), value=text))


def _test(name: str, row: Mapping[str, Value], word: str) -> str | None:
    """A test of the row; None where a value of it cannot be written."""
    values = {of: _written(value, BY_NAME[of].type) for of, value in row.items()}
    if None in values.values():
        return None
    pairs = ", ".join(f"{of}: {value}" for of, value in values.items())
    return f"test {_quoted(in_words(row))} for @{name} {{ {pairs} }} => {word}"


def _written(value: Value, type_: Type) -> str | None:
    """A stored value as a literal; None of a double that takes more digits than a literal has."""
    if value is None:
        return "null"
    text = literal(value, type_)
    if type_.kind in TEXTUAL:
        return text if type_.kind is not Kind.TEXT and _plain(text) else _quoted(text)
    return None if type_.kind in REAL and "e" in text else text


def _plain(word: str) -> bool:
    """Whether a word is a name where it stands alone."""
    node, found = parse_expression(Source("", word))
    return isinstance(node, n.Name) and node.name == word and not found


def _row(core: c.Core, program: Program, expected: bool | None) -> dict[str, Value] | None:
    """A row of the fields that a chip reads on which it gives the answer."""
    chips = {one.id: one.body.core for one in program.chips}
    analysis = Analysis(program.scope, chips, evaluate, SAMPLES)
    # The analysis leaves out what makes no difference, such as a field that is compared but never unknown: in a test
    # what is left out is unknown.
    needed = sorted(name for name in _reads(core, chips) if not BY_NAME[name].nullable)

    def whole(answers: bool | None) -> dict[str, Value] | None:
        shown = analysis.can_be(core, answers).witness
        if shown is None:
            return None
        rows = (analysis.complete(dict.fromkeys((*shown.row, *more)), shown.row) for more in ((), needed))
        return next((row for row in rows if gives(row) is answers), None)

    def gives(row: dict[str, Value]) -> bool | None:
        found = answer(core, row, program)
        return None if found is None else bool(found)

    row, true = whole(expected), whole(True)
    if row is not None or expected is not None or true is None:
        return row
    # No field of it can be unknown; a test may leave one out all the same, and says what becomes of the chip then.
    return next((row for name in sorted(true) if gives(row := {**true, name: None}) is None), None)


def _reads(core: c.Core, chips: Mapping[str, c.Core]) -> set[str]:
    """The fields that a condition reads, and the chips that it names, and theirs."""
    found, named, waiting = set[str](), set[str](), [core]
    while waiting:
        for node in c.walk(waiting.pop()):
            if isinstance(node, c.Field):
                found.add(node.name)
            elif isinstance(node, c.Chip) and node.id not in named:
                named.add(node.id)
                waiting.append(chips[node.id])
    return found
