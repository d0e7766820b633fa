"""Inputs made to hurt: each is refused by a diagnostic, none by an exception."""

from __future__ import annotations

import sqlite3
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark

from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.diagnostics import has_errors
from phenix.dsl.parser import parse_expression
from phenix.dsl.scanner import MAX_BROKEN
from phenix.dsl.source import Source, packaged
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.check import check_rules, run_assertions, run_cases
from phenix.engine.flow import CATALOG
from phenix.engine.predicate import compile_predicate
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


def _or(terms: int) -> str:
    return " or ".join(["dte = 5"] * terms)


def _set(items: int) -> str:
    return "size in {" + ",".join(map(str, range(1, items + 1))) + "}"


EDGES: dict[str, tuple[str, str, str]] = {
    "bytes": ("iso" + " " * (65_536 - 3), "iso" + " " * (65_536 - 2), "65,537 characters; a statement may have 64 kB"),
    "bytes of UTF-8": (
        "iso #" + "\u00e9" * 32_765, "iso #" + "\u00e9" * 32_766, "32,771 characters; a statement may have 64 kB"
    ),
    "levels": (
        "(" * 63 + "iso" + ")" * 63, "(" * 64 + "iso" + ")" * 64,
        "the expression is 65 levels deep; 64 levels and 2,000 nodes are allowed",
    ),
    "nots": (
        "not " * 63 + "iso", "not " * 64 + "iso",
        "the expression is 65 levels deep; 64 levels and 2,000 nodes are allowed",
    ),
    "nodes": (_or(666), _or(667), "the expression is 2,002 nodes; 64 levels and 2,000 nodes are allowed"),
    "items": (_set(1_000), _set(1_001), "a set of 1,001 items; 1,000 are allowed"),
    "digits": (
        "sig_score < 0." + "1" * 39, "sig_score < 0." + "1" * 40, "a number of 41 digits"
    ),
}  # fmt: skip
"""The largest that is taken, one more, and what is said of it."""


@pytest.mark.parametrize("name", EDGES)
def test_each_limit_is_where_it_is_said_to_be(name: str, bundle: Bundle) -> None:
    within, beyond, message = EDGES[name]
    condition, found = compile_condition(Source("where", within), bundle.scope)
    assert condition is not None
    assert not has_errors(found)
    condition, found = compile_condition(Source("where", beyond), bundle.scope)
    assert (condition, [d.message for d in found]) == (None, [message])


def _row(kind: str, of: int, *, first: str = "") -> str:
    return first + "".join(kind.format(i, (i + 1) % of) for i in range(of))


FILES: dict[str, tuple[str, int, set[str]]] = {
    "chips in a row": (_row('chip c{} = @c{} doc "x"\n', 2_999).replace("@c0", "iso"), 2_999, set()),
    "chips in a circle": (_row('chip c{} = @c{} doc "x"\n', 3_000), 0, {"PHX112"}),
    "a short circle": ('chip a = @b doc "x"\nchip b = @a doc "x"\nchip c = iso doc "x"', 1, {"PHX112"}),
    "lets in a row": (
        "let c0 = iso\n" + "".join(f"let c{i + 1} = not c{i}\n" for i in range(3_000)) + 'chip x = c3000 doc "x"',
        0, {"PHX004"},
    ),
    "lets in a circle": (_row("let c{} = c{}\n", 3_000) + 'chip x = iso doc "x"', 1, {"PHX112"}),
    "fields in a row": ("field c0: ratio = oi / 2\n" + "".join(f"field c{i + 1}: ratio = c{i}\n" for i in range(1_000)),
                        0, set()),
    "ten thousand statements": (_row("chip c{} = dte > {}\n", 10_000), 10_000, {"PHX203"}),
    "more statements than are read": ("let a = iso\n" * 20_001, 0, {"PHX111", "PHX004"}),
    "broken statements": ("chip x =\n" * 1_002, 0, {"PHX001", "PHX004"}),
    "five megabytes": (
        "\x00\ud800 \u00e9\u5024 ((( \"\"\" /* {{{ @ $ \n" * 200_000, 0, {"PHX001", "PHX002", "PHX004"}
    ),
    "tiny tokens": ("chip a = " + "+ " * 1_000_000, 0, {"PHX004"}),
    "tiny tokens within the limit": ("chip a = " + "- " * 30_000, 0, {"PHX001"}),
    "open texts": ('chip a = iso doc "x\n' * 2_000, 0, {"PHX001", "PHX004"}),
    "open documentation": ('chip a = iso doc "x"\nchip b = iso doc \"\"\"\nchip c = iso doc "x"', 2, {"PHX001"}),
    # On one line, so that each must not read all of it again.
    "comments of other languages": ("/**/" * 100_000 + 'chip a = iso doc "x"', 0, {"PHX002", "PHX004"}),
    "as many as are reported": ("// x\n" * 1_000 + 'chip a = iso doc "x"', 1, {"PHX002"}),
    "one more": ("// x\n" * 1_000 + 'chip a = iso /* y */ doc "x"', 1, {"PHX002", "PHX004"}),
    "first words": ("clip a = iso\n" * 3_000, 0, {"PHX001", "PHX004"}),
    "open comments": ('chip a = iso doc "x" /*\nchip b = iso doc "x" /*', 2, {"PHX002"}),
    "quotes": ('"' * 100_000, 0, {"PHX001"}),
    "slashes and stars": ("/*" * 100_000, 0, {"PHX001", "PHX002", "PHX004"}),
    "zero bytes": ('chip a = iso doc "x"\nchip b = \x00 doc "x"', 1, {"PHX001"}),
    "half a character": ('chip a = iso doc "x"\nchip b = root = "\ud800" doc "x"', 1, {"PHX005"}),
    # What reads files takes the mark away.
    "a byte order mark": ('\ufeffchip a = iso doc "x"\nchip b = iso doc "x"', 1, {"PHX001"}),
    "lines that end as on Windows": ('chip a = iso\r\n  doc "x" # y\r\n\r\nchip b = iso doc "x"\r\n', 2, set()),
    "other scripts": (
        'chip \u043f = iso doc "x"\nchip b = \u5024 > 5 doc "x"\nchip c = iso doc "\u5024 \u202e"', 1, {"PHX001"}
    ),
}  # fmt: skip
"""A file, how many of its chips are whole, and the codes of what is wrong with it."""


@pytest.mark.parametrize("name", FILES)
def test_files_made_to_hurt(name: str) -> None:
    text, chips, codes = FILES[name]
    program, found = compile_program([Source("a.phx", text)], CATALOG)
    assert (len(program.chips), {d.code for d in found}) == (chips, codes)
    assert all(len(d.message) < 200 for d in found)
    assert all(0 <= d.span.start <= d.span.end <= len(text) for d in found)
    assert sum(d.code in ("PHX001", "PHX002") for d in found) <= MAX_BROKEN


def test_what_is_not_reported_is_counted() -> None:
    _, found = compile_program([Source("a.phx", "iso\n" + "// x\n" * 1_002)], CATALOG)
    assert len(found) == 1_001
    last = found[-1]
    assert (last.code, last.message) == ("PHX004", "3 more comments and first words from here on are not reported")
    assert last.source.position(last.span.start) == (1_001, 1)
    _, found = compile_program([Source("a.phx", "iso\n" + "// x\n" * 1_000)], CATALOG)
    assert found[-1].message == "1 more comment or first word from here on is not reported"


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


@settings(max_examples=300)
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


def _macros(*bodies: str) -> str:
    lets = "".join(f"let m{i} = {body.format(f'm{i - 1}')}\n" for i, body in enumerate(bodies))
    return f'{lets}chip x = m{len(bodies) - 1} doc "x"'


MACROS: dict[str, tuple[str, str, str]] = {
    "nodes": (
        _macros(" or ".join(["iso"] * 1_998), "not {}"), _macros(" or ".join(["iso"] * 1_998), "not {}", "not {}"),
        "`m2` stands for more than 2,000 nodes",
    ),
    "levels": (
        _macros("iso", *["not {}"] * 249), _macros("iso", *["not {}"] * 250), "`m250` stands for more than 250 levels"
    ),
}  # fmt: skip
"""The largest macro that is taken, one more, and what is said of it."""


@pytest.mark.parametrize("name", MACROS)
def test_each_limit_of_macros_is_where_it_is_said_to_be(name: str) -> None:
    within, beyond, message = MACROS[name]
    program, found = compile_program([Source("a.phx", within)], CATALOG)
    assert (len(program.chips), has_errors(found)) == (1, False)
    program, found = compile_program([Source("a.phx", beyond)], CATALOG)
    assert (len(program.chips), [d.message for d in found if d.code == "PHX004"]) == (0, [message])


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


def test_macros_do_not_stack_their_depth() -> None:
    step = "let a{} = " + "max(" * 55 + "a{}" + ", 1)" * 55
    lets = "\n".join(["let a0 = oi + 1", *(step.format(i + 1, i) for i in range(30))])
    _, found = compile_program([Source("a.phx", f'{lets}\nchip x = a30 > 5 doc "x"')], CATALOG)
    assert {d.message.split("`")[2] for d in found if d.code == "PHX004"} == {" stands for more than 250 levels"}


def test_long_lists_are_read_in_proportion() -> None:
    def seconds(items: int) -> float:
        source = Source("where", "dte in {" + "1," * items + "1}")
        took = []
        for _ in range(2):
            begun = time.process_time()
            parse_expression(source)
            took.append(time.process_time() - begun)
        return min(took)

    assert seconds(30_000) < 20 * seconds(3_000)  # ten times as many; copied at each item they took forty times as long


def test_a_condition_holds_as_many_values_as_sqlite_binds(bundle: Bundle) -> None:
    numbers = ", ".join(map(str, range(1, 1_001)))
    lets = f"set many = {{{numbers}}}\nlet near = size in many\nlet nearer = oi not in many and near\n"

    def refused(text: str) -> list[str]:
        program, found = compile_program([Source("a.phx", lets + text)], CATALOG)
        assert not program.chips or not has_errors(found)
        return [d.message for d in found if d.severity == "error"]

    within = " or ".join(["nearer"] * 15)
    said = "sets of 31,000 values, counted wherever they are named; 30,000 are allowed"
    assert refused(f'chip x = {within} doc "x"') == []
    assert refused(f'chip x = {within} or near doc "x"') == [said]
    assert refused(f"query x where {within} or near") == [said]
    larger, _ = compile_bundle([*read_rules(), Source("a.phx", lets)], bundle.bits)
    assert larger is not None
    part = " or ".join(["nearer"] * 8)
    whole = compile_predicate([("where", part), ("and", part)], larger)
    assert isinstance(whole, tuple)
    assert [d.message for d in whole] == [said.replace("31", "32")]
    most = compile_predicate([("where", within)], larger)
    assert not isinstance(most, tuple)
    connection = sqlite3.connect(":memory:")
    assert 30_000 <= len(most.sql(0)[1]) <= connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    connection.close()


def _nested(chips: int, levels: int) -> str:
    out = []
    for i in range(chips):
        body = f"@c{i - 1}" if i else "repeat3m >= 3"
        for level in range(levels):
            body = f"({body} {'and' if level % 2 else 'or'} dte != {(i * 7 + level) % 60})"
        out.append(f'chip c{i} = {body} doc "x"\n')
    return "".join(out)


def test_chips_nested_too_deeply_are_no_crash() -> None:
    files = [Source("a.phx", _nested(20, 30) + 'test "deep" for @c19 { dte: 3 } => true\nassert never @c19')]
    assert not has_errors(compile_program(files, CATALOG)[1])
    assert not has_errors(check_rules(files))
    failing, count = run_cases(files)
    assert count == 1
    assert [(d.code, d.message) for d in failing] == [
        ("PHX004", '"deep" asks chips that name each other in a row and are nested too deeply')
    ]
    assert [d.code for d in run_assertions(files)[0]] == ["PHX303"]
    row = "".join(f'chip c{i + 1} = @c{i} doc "x"\n' for i in range(600))
    found = check_rules([Source("a.phx", 'chip c0 = iso doc "x"\n' + row)])
    assert {d.code for d in found} == {"PHX212"}
