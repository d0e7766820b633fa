"""The data-driven cases: messages verbatim with their place, meaning on every target."""

from __future__ import annotations

import re
from typing import Any

from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.diagnostics import CODES
from phenix.dsl.render import render_text
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, CATALOG
from phenix.engine.predicate import Predicate, compile_predicate
from tests.dsl.corpus import CASES, Case, check, read
from tests.dsl.rows import plain
from tests.dsl.test_targets import AS_OF, database, reference, sql, target


def _shown(parts: list[str]) -> str:
    return "\n".join(parts) or "nothing found"


def test_expressions(bundle: Bundle, rewriting: bool) -> None:
    def answer(case: Case) -> str:
        condition, found = compile_condition(Source("where", case.input), bundle.scope)
        text = [condition.text] if condition else []
        return _shown(text + [render_text(d) for d in found])

    check("expressions.txt", answer, rewriting)


def test_files(rewriting: bool) -> None:
    def answer(case: Case) -> str:
        program, found = compile_program([Source("a.phx", case.input)], CATALOG)
        whole = [f"@{chip.id} = {chip.body.text}" for chip in program.chips]
        return _shown([*whole, *(render_text(d) for d in found)])

    check("files.txt", answer, rewriting)


def test_eval(bundle: Bundle, rewriting: bool) -> None:
    def answer(case: Case) -> str:
        row = plain(**{name: _value(name, text) for name, text in re.findall(r"(\w+)=(\S+)", case.directive)})
        condition, found = compile_condition(Source("where", case.input), bundle.scope)
        assert condition is not None, found
        answers = {
            "reference": reference(condition.core, row, bundle),
            "sqlite": sql(database([row]), target(bundle).three_valued(condition.core))[0],
        }
        predicate = compile_predicate([("where", case.input)], bundle)
        assert isinstance(predicate, Predicate)
        assert predicate.matches(row, AS_OF) is (answers["reference"] is True), case.input
        if len(set(answers.values())) > 1:
            return str(answers)
        return {True: "true", False: "false", None: "unknown"}[answers["reference"]]

    check("eval.txt", answer, rewriting)


def _value(name: str, text: str) -> Any:
    if text == "null":
        return None
    kind = BY_NAME[name].type.kind
    if kind in ("enum", "symbol", "text"):
        return text
    return float(text) if kind in ("ratio", "percent") else int(text)


def test_every_code_occurs_in_a_case() -> None:
    seen = set()
    for path in CASES.glob("*.txt"):
        for case in read(path.name):
            seen |= set(re.findall(r"PHX\d{3}", case.expected))
    assert set(CODES) - seen == {"PHX004", "PHX301"}  # test_limits.py and tests/cli show those
