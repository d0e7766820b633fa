"""The known traps of two SQL engines: what each does by itself, and that every target of ours does what was decided."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from phenix.dsl.compiler import compile_condition
from phenix.dsl.diagnostics import has_errors
from phenix.dsl.passes import normalize
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.certify.engines import Engine, open_engines
from phenix.engine.flow import BY_NAME
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.plan import Scope, page_statement
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.server.params import read
from tests.dsl.corpus import Case, check
from tests.dsl.rows import plain

AS_OF = 100


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Any]]:
    with open_engines() as (made, skipped):
        assert not skipped
        yield {engine.name: engine for engine in made}


def test_traps(bundle: Bundle, engines: dict[str, Any], rewriting: bool) -> None:
    def answer(case: Case) -> str:
        given = dict(line.split(" ", 1) for line in case.input.splitlines())
        row = plain(
            seq=1, **{name: _value(name, text) for name, text in re.findall(r"(\w+)=(\S+)", given.get("row", ""))}
        )
        for engine in engines.values():
            engine.load([row], AS_OF, bundle)
        shown = []
        if "parameter" in given:
            refused = read([tuple(given["parameter"].split("="))], bundle)
            shown.append(f"parameter   {refused.detail if isinstance(refused, Refusal) else refused}")
        if "rule" in given:
            shown.append(f"ours        {_ours(given['rule'], bundle, engines)}")
        if "order" in given:
            shown.append(f"ours        {_order(*given['order'].split(), bundle)}")
        shown.append(f"sqlite      {_shown(engines['sqlite']._reads.execute(given['sqlite']))}")
        shown.append(f"clickhouse  {_shown(engines['clickhouse']._ask(given['clickhouse']))}")
        return "\n".join(shown)

    check("traps.txt", answer, rewriting)


def _ours(rule: str, bundle: Bundle, engines: dict[str, Engine]) -> str:
    condition, found = compile_condition(Source("where", rule), bundle.scope)
    if condition is None or has_errors(found):
        return "refused: " + "; ".join(f"{d.code} {d.message}" for d in found)
    cores = [condition.core, normalize(condition.core)]
    # Every target, of the tree as it was written and of its normal form.
    answers = {name: [answer for (answer,) in engine.answers(cores)] for name, engine in engines.items()}
    first = answers["reference"][0]
    if any(both != [first, first] for both in answers.values()):
        return f"they differ: {answers}"
    for name, engine in engines.items():
        assert engine.matches(cores) == [[first is True]] * 2, name
    return {True: "true", False: "false", None: "unknown"}[first]


def _order(name: str, direction: str, bundle: Bundle) -> str:
    everything = compile_predicate((), bundle)
    assert isinstance(everything, Predicate)
    request = FlowRequest(sort=BY_NAME[name], descending=direction == "desc")
    return page_statement(request, everything, Scope(AS_OF), None).sql.partition("ORDER BY ")[2].partition(" LIMIT")[0]


def _shown(rows: list[Any]) -> str:
    return ", ".join("null" if cell in (None, "\\N") else str(cell) for (*cells,) in rows for cell in cells)


def _value(name: str, text: str) -> Any:
    kind = BY_NAME[name].type.kind
    return None if text == "null" else text if kind in ("enum", "symbol") else float(text) if "." in text else int(text)


def test_clickhouse_would_be_wrong_unpinned(engines: dict[str, Any]) -> None:
    """A chain of ``=`` becomes an ``in``, which takes the two zeros apart: the settings keep the chain."""
    chain = "SELECT x = 0.0 OR x = 1.0 OR x = 2.0 FROM (SELECT -0.0 AS x)"
    assert engines["clickhouse"]._ask(chain) == [["1"]]
    unpinned = f"{chain} SETTINGS optimize_min_equality_disjunction_chain_length = 3"
    assert engines["clickhouse"]._ask(unpinned) == [["0"]]
