"""Inputs made to hurt: each is refused by a diagnostic, none by an exception."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark

from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.source import Source, packaged
from phenix.engine.bundle import Bundle
from phenix.engine.flow import CATALOG
from phenix.engine.targets.row import Names, false_rail, true_rail

HURTING = {
    "parentheses": "(" * 20_000 + "iso" + ")" * 20_000,
    "open parentheses": "(" * 20_000,
    "nots": "not " * 15_000 + "iso",
    "minuses": "-" * 20_000 + "5 < dte",
    "long literal": "value > " + "9" * 1_000_000,
    "long text": 'root = "' + "x" * 1_000_000 + '"',
    "wide or": " or ".join(["dte = 5"] * 5_000),
    "wide sum": "dte > " + " + ".join(["1"] * 5_000),
    "large set": "size in {" + ",".join(map(str, range(100_000))) + "}",
    "thousand and one items": "size in {" + ",".join(map(str, range(1_001))) + "}",
    "long name": "a" * 60_000 + " > 1",
    "long chip": "@" + "a" * 60_000,
    "ten megabytes": "value > 1 and " * 750_000 + "iso",
}


@pytest.mark.parametrize("name", HURTING)
def test_refused_with_a_diagnostic(name: str, bundle: Bundle) -> None:
    condition, found = compile_condition(Source("where", HURTING[name]), bundle.scope)
    assert condition is None
    assert {d.code for d in found} <= {"PHX004", "PHX001", "PHX005", "PHX101", "PHX102"}, [d.message for d in found][:3]
    assert all(len(d.message) < 200 for d in found)


def test_just_within_the_limits(bundle: Bundle) -> None:
    for text in ("(" * 60 + "iso" + ")" * 60, "size in {" + ",".join(map(str, range(1_000))) + "}",
                 " or ".join(["dte = 5"] * 600)):  # fmt: skip
        condition, found = compile_condition(Source("where", text), bundle.scope)
        assert condition is not None, found


@pytest.mark.parametrize(
    "form", ["({}) is unknown", "not ({} and @ask) is unknown", "((sig_score / {}) ?? sig_score)",
             "abs(sig_score / {} ?? sig_score)", "(value_pctile ?? max(1 / {}, sig_score))",
             "(sig_score ?? ({} ?? value_pctile))"],
)  # fmt: skip
def test_code_grows_with_the_text_alone(form: str, bundle: Bundle) -> None:
    """Nesting as deep as the limit allows: source that doubles with each level would not end."""
    deep = "@bid" if "unknown" in form else "sig_score"
    sizes = []
    for depth in range(1, 16):
        deep = form.format(deep)
        condition, found = compile_condition(
            Source("where", deep if "unknown" in form else f"{deep} > 0"), bundle.scope
        )
        if condition is None:  # too many quotients to stay finite
            assert {d.code for d in found} == {"PHX110"}
            assert depth > 4
            break
        names = Names(lambda name: f"row.{name}", lambda chip: f"on.{chip}", lambda chip: f"off.{chip}", bundle.params)
        sizes.append(len(true_rail(condition.core, names)) + len(false_rail(condition.core, names)))
    steps = [after - before for before, after in pairwise(sizes)]
    assert max(steps) <= 3 * max(steps[:3])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.text(
        alphabet=st.sampled_from(list("@$\"'(){}<>=!&|+-*/.,:;#_ \n\t\x00é“値0159akmMBx%and or not in is like null")),
        max_size=60,
    )
)
def test_any_text_gives_findings_or_a_condition(text: str) -> None:
    program, found = compile_program([Source("any.phx", text)], CATALOG)
    condition, more = compile_condition(Source("where", text), program.scope)
    assert condition is not None or more
    for d in (*found, *more):
        assert 0 <= d.span.start <= d.span.end <= len(text) + 1
        assert d.to_dict()["line"] >= 1


def test_macros_do_not_explode() -> None:
    lets = "".join(f"let m{i + 1} = m{i} or m{i}\n" for i in range(60))
    _, found = compile_program([Source("a.phx", "let m0 = iso\n" + lets + 'chip x = m60 doc "x"')], CATALOG)
    assert {d.code for d in found} == {"PHX004"}


def test_grammar_is_strict() -> None:
    # Strict needs `interegular` and half a second, so the product itself loads the grammar without it.
    text = packaged("grammar/phenix.lark").read_text("utf-8")
    Lark(text, parser="lalr", start=["statement", "expr"], strict=True)


@pytest.mark.parametrize(
    "text", ["chip a = iso doc 'x'", 'chip ä = iso doc "x"', "param", "test", "chip x = dte > 3\nchip x = dte > 4"]
)
def test_broken_files_never_raise(text: str) -> None:
    _, found = compile_program([Source("a.phx", text)], CATALOG)
    assert found
