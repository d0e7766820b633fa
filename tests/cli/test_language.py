"""The page of the rule language says what the compiler does: examples compiled, tables compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from phenix.cli.language import HABITS, OPERATORS, STATEMENTS, TRAPS, language_page
from phenix.dsl import nodes as n
from phenix.dsl.compiler import compile_condition
from phenix.dsl.parser import parse_expression, parse_file
from phenix.dsl.printer import print_expression
from phenix.dsl.source import Source
from phenix.dsl.statements import METADATA
from phenix.dsl.types import FORMS, Kind
from phenix.engine.bundle import Bundle, load_bundle
from phenix.engine.check import check_rules, run_assertions, run_cases
from phenix.engine.flow import FIELDS
from tests.dsl.corpus import read

PAGE = (Path(__file__).parents[2] / "docs/language.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def lines(kind: str) -> list[str]:
    return [line for found, text in BLOCKS if found == kind for line in text.splitlines()]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    loaded, found = load_bundle()
    assert loaded is not None, found
    return loaded


def codes(text: str, bundle: Bundle) -> set[str]:
    return {found.code for found in compile_condition(Source("where", text), bundle.scope)[1]}


def test_the_page_is_what_is_generated_and_every_block_is_of_a_kind_that_is_checked() -> None:
    assert language_page() == PAGE
    assert {kind for kind, _ in BLOCKS} == {"phx", "where", "refused"}


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "phx"])
def test_rule_files_compile_and_hold(text: str) -> None:
    sources = [Source("page.phx", text)]
    assert check_rules(sources) == ()
    failing, cases = run_cases(sources)
    unproven = run_assertions(sources)[0]
    assert (failing, unproven) == ((), ())
    assert cases > 0, "an example says what comes of it"


def test_every_statement_is_shown() -> None:
    sources = [Source("page.phx", text) for kind, text in BLOCKS if kind == "phx"]
    statements = [statement for source in sources for statement in parse_file(source)[0]]
    assert set(get_args(n.Statement)) - {type(statement) for statement in statements} == set()
    kinds = {statement.kind for statement in statements if isinstance(statement, n.AssertStatement)}
    assert kinds == {"never", "implies", "rate"}


@pytest.mark.parametrize("line", lines("where"))
def test_conditions_compile_without_a_finding(line: str, bundle: Bundle) -> None:
    assert codes(line, bundle) == set()


@pytest.mark.parametrize("line", lines("refused"))
def test_what_is_refused_is_refused_with_its_code(line: str, bundle: Bundle) -> None:
    text, code = re.fullmatch(r"(.*?) +# (PHX\d+)", line).groups()  # type: ignore[union-attr]
    assert code in codes(text, bundle)


def test_operators_bind_as_the_table_says() -> None:
    def tree(text: str) -> str:
        node, found = parse_expression(Source("x", text))
        assert node is not None, found
        assert found == ()
        return print_expression(node)

    for level, _, written, read_as in OPERATORS:
        assert written != read_as
        assert tree(written) == tree(read_as), level


@pytest.mark.parametrize(("ours", "theirs"), [(ours, theirs) for ours, many in HABITS.items() for theirs in many])
def test_habits_are_read_and_put_right(ours: str, theirs: str) -> None:
    node, found = parse_expression(Source("x", theirs))
    assert node is not None
    assert print_expression(node) == ours
    assert found
    assert all(one.fix is not None and one.fix.safety == "safe" for one in found)


def test_statements_have_their_row() -> None:
    assert list(STATEMENTS) == list(METADATA)
    for word, (form, _) in STATEMENTS.items():
        assert all(part.startswith(word) for part in form.split("; "))


def test_literals_are_of_their_type(bundle: Bundle) -> None:
    """Each literal of the table is read opposite a field of its type."""
    assert set(FORMS) == set(Kind)
    by_kind = {field.type.kind: field for field in reversed(FIELDS) if field.filterable}
    for kind, form in FORMS.items():
        for literal in form.literals:
            if kind is Kind.TEXT:  # no field a rule may name is one
                assert kind not in by_kind
                continue
            field = by_kind[kind]
            word = field.type.members[0] if kind is Kind.ENUM else literal
            assert not {code for code in codes(f"{field.name} = {word}", bundle) if code < "PHX2"}, (kind, literal)


def test_traps_are_those_that_are_tried() -> None:
    tried = []
    for case in read("traps.txt"):
        written, _, decision = case.directive.removeprefix("trap ").rpartition(": ")
        said = dict(line.split(maxsplit=1) for line in case.expected.splitlines())
        tried.append((written, said["sqlite"], said["clickhouse"], said["ours"], decision))
    assert [(*row[:3], row[4]) for row in TRAPS] == [(*row[:3], row[4]) for row in tried]
    for row, (written, _, _, ours, _) in zip(TRAPS, tried, strict=True):
        if ours.startswith("refused") or row[3] == "refused":
            assert (row[3], ours.partition(":")[0]) == ("refused", "refused"), written
        elif row[3] in ("true", "false", "unknown") and "=" not in ours:
            assert row[3] == ours, written
