"""A new chip as text: its statement, and a test each of a row on which it is true, false and unknown.

The rows are witnesses that the analysis finds, so the tests hold as they are written; the author puts
the boundary cases beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from phenix.dsl.analysis import Analysis
from phenix.dsl.compiler import compile_program
from phenix.dsl.core import reads
from phenix.dsl.diagnostics import Diagnostic, has_errors
from phenix.dsl.formatter import format_text
from phenix.dsl.parser import parse_expression
from phenix.dsl.program import ChipRule, Program
from phenix.dsl.source import Source
from phenix.dsl.types import Value
from phenix.engine.check import answer
from phenix.engine.flow import BY_NAME, CATALOG
from phenix.engine.targets.english import say
from phenix.engine.targets.reference import evaluate
from phenix.engine.witness import SAMPLES, in_words, literal

__all__ = ["new_chip"]


def new_chip(
    name: str, rule: str, group: str, file: Source, others: Sequence[Source]
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of ``file`` with the chip behind what it holds; None with the errors when that does not compile.

    ``others`` are the rules it stands among. An answer for which no row was found gets no test.
    """
    node, found = parse_expression(Source("--rule", rule))
    if node is None or has_errors(found):
        return None, found
    label = name.replace("_", " ").title()
    head = f'chip {name} "{label}" group {group} =\n  {rule}\n'
    before = f"{file.text.rstrip()}\n\n" if file.text.strip() else ""
    program, found = compile_program((*others, Source(file.name, before + head)), CATALOG)
    found = tuple(one for one in found if one.code != "PHX203")  # it gets its doc below
    if has_errors(found):
        return None, found
    chip = next(one for one in program.chips if one.id == name)
    doc = say(chip.body.node, program.scope, {one.id: one.label for one in program.chips})
    tests = [
        f'test "{in_words(row)}" for @{name} {{ {_written(row)} }} => {word}'
        for expected, word in ((True, "true"), (False, "false"), (None, "unknown"))
        if (row := _row(chip, program, expected)) is not None
    ]
    quoted = doc.replace("\\", "\\\\").replace('"', '\\"')
    return format_text("\n".join([f'{before}{head}  doc "{quoted}"', "", *tests, ""])), found


def _written(row: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}: {'null' if v is None else literal(v, BY_NAME[name].type)}" for name, v in row.items())


def _row(chip: ChipRule, program: Program, expected: bool | None) -> dict[str, Value] | None:
    """A row of the fields the chip reads on which it gives the answer."""
    chips = {one.id: one.body.core for one in program.chips}
    analysis = Analysis(program.scope, chips, evaluate, SAMPLES)
    shown = analysis.can_be(chip.body.core, expected).witness
    if shown is not None:
        return dict(shown.row)
    true = analysis.can_be(chip.body.core, True).witness
    if expected is not None or true is None:
        return None
    # No field of it can be unknown; a test may leave one out all the same, and says what becomes of the chip then.
    for name in sorted(reads(analysis.whole(chip.body.core) or chip.body.core)):
        row = {**true.row, name: None}
        if answer(chip.body.core, row, program) is None:
            return row
    return None
