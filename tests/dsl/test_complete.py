"""Completion: the items of each place, and that whatever is offered can be taken."""

from __future__ import annotations

import random

import pytest

from phenix.dsl.compiler import compile_program
from phenix.dsl.parser import expected, parse_expression
from phenix.dsl.printer import print_expression
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.certify.rules import RandomRules
from phenix.engine.complete import complete
from phenix.engine.flow import CATALOG, FIELDS
from tests.dsl import corpus

CURSOR = "‸"


def test_what_is_offered(bundle: Bundle, rewriting: bool) -> None:
    def answer(case: corpus.Case) -> str:
        offset = case.input.index(CURSOR)
        text, file = case.input.replace(CURSOR, ""), case.directive == "file"
        scope = compile_program([Source("text", text)], CATALOG)[0].scope if file else bundle.scope
        found = complete(text, offset, bundle, scope, file=file)
        assert found.end == offset
        items = [f"{item.kind} {item.insert}" for item in found.items]
        more = [f"… {len(items)} in all"] if len(items) > 12 else []
        return "\n".join([f"from {found.start - offset}", *items[:12], *more])

    corpus.check("complete.txt", answer, rewriting)


def places(bundle: Bundle, count: int, seed: int) -> list[str]:
    """Beginnings of canonical conditions, cut between and within words."""
    rules = RandomRules(random.Random(seed), bundle.scope)
    found = []
    while len(found) < count:
        text = rules.condition(3)
        node, _ = parse_expression(Source("", text))
        if node is not None:
            canonical = print_expression(node)
            found.append(canonical[: rules.rng.randrange(len(canonical) + 1)])
    return found


def refused(text: str) -> bool:
    """Whether anything in a text is refused but that there is no more of it."""
    _, found = parse_expression(Source("", text))
    return any(d.span.start < len(text.rstrip()) for d in found)


def test_whatever_is_offered_can_stand_there(bundle: Bundle) -> None:
    taken = 0
    for text in places(bundle, 200, 8):
        completion = complete(text, len(text), bundle, bundle.scope)
        before = text[: completion.start]
        if refused(before):  # it was cut within a sign or a literal
            continue
        for item in completion.items:
            whole = f"{before}{item.insert} "
            assert not refused(whole), whole
            assert expected(whole, statement=False).accepts
            taken += 1
    assert taken > 3_000


def test_every_name_in_scope_is_offered_somewhere(bundle: Bundle) -> None:
    offered = {item.insert for item in complete("", 0, bundle, bundle.scope).items}
    assert {f.name for f in FIELDS if f.filterable} <= offered
    assert {f"@{chip.id}" for chip in bundle.chips} <= offered
    assert {f"${name}" for name in bundle.scope.params} <= offered
    for field in FIELDS:
        for member in field.type.members if field.filterable else ():
            text = f"{field.name} = {member[:1]}"
            assert member in {item.insert for item in complete(text, len(text), bundle, bundle.scope).items}


@pytest.mark.parametrize("text", ["(" * 64_000, "~ ) " * 16_000, '"' * 999, "@" * 999, "1 " * 9_000, "\0", "é " * 500])
@pytest.mark.parametrize("file", [False, True])
def test_whatever_is_written_has_an_answer(bundle: Bundle, text: str, file: bool) -> None:
    for offset in (0, len(text) // 2, len(text)):
        found = complete(text, offset, bundle, bundle.scope, file=file)
        assert 0 <= found.start <= found.end == offset
        assert len(found.items) <= 200
