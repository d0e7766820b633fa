"""The data-driven cases: messages verbatim with their place."""

from __future__ import annotations

import json
import re

import pytest

from phenix.dsl.codes import CODES, Form
from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.parser import parse_file
from phenix.dsl.printer import print_statement
from phenix.dsl.render import render_text
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.flow import CATALOG
from tests.dsl.corpus import CASES, Case, check, read


def _shown(parts: list[str]) -> str:
    return "\n".join(parts) or "nothing found"


@pytest.mark.parametrize("file", ["expressions.txt", "literals.txt", "operators.txt", "spellings.txt"])
def test_expressions(file: str, bundle: Bundle, rewriting: bool) -> None:
    def answer(case: Case) -> str:
        condition, found = compile_condition(Source("where", case.input), bundle.scope)
        text = [condition.text] if condition else []
        return _shown(text + [render_text(d) for d in found])

    check(file, answer, rewriting)


def test_files(rewriting: bool) -> None:
    def answer(case: Case) -> str:
        source = Source("a.phx", case.input)
        program, found = compile_program([source], CATALOG)
        if case.directive == "json":
            return _shown([json.dumps(d.to_dict(), ensure_ascii=False) for d in found])
        if case.directive == "statements":
            return _shown([*map(print_statement, parse_file(source)[0]), *map(render_text, found)])
        whole = [f"@{chip.id} = {chip.body.text}" for chip in program.chips]
        return _shown([*whole, *(render_text(d) for d in found)])

    check("files.txt", answer, rewriting)


def test_every_code_occurs_in_a_case_with_its_place() -> None:
    seen = set()
    for path in CASES.glob("*.txt"):
        for case in read(path.name):
            seen |= set(re.findall(r"(PHX\d{3}): .*\n +\S+:\d+:\d+\n", case.expected))
    # What a request gives stands in tests/server/cases, a failing test of rules in tests/cli.
    ours = {code.id for code in CODES.values() if code.form is not Form.PARAMETER}
    assert ours - seen == set()
