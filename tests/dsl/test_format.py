"""Printing and formatting: the text means the same, twice is once, no comment is lost."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenix.dsl import nodes as n
from phenix.dsl.formatter import format_text
from phenix.dsl.layout import WIDTH
from phenix.dsl.parser import parse_expression, parse_file
from phenix.dsl.printer import print_expression, print_line, print_statement
from phenix.dsl.scanner import scan
from phenix.dsl.source import Source, Span, packaged
from tests.dsl.corpus import Case, check

RULES = sorted(packaged("rules").glob("*.phx"))
AT = {"span": Span(0, 0)}

NAMES = st.sampled_from(["value", "dte", "iso", "BRK.B", "x_1", "valé", "order", "cooldown", "first"])
WORDS = st.sampled_from(["NOW", "or", "not", "in", "ALL", "spy", "test"])
TEXTS = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.builds(
    lambda text, value, unit: n.Number(**AT, text=text, value=value, unit=unit),
    st.just("250k"), st.just(Fraction(250_000)), st.just(""),
) | st.sampled_from(
    [n.Number(**AT, text=t, value=v, unit=u) for t, v, u in [
        ("$2.11", Fraction("2.11"), "$"), ("5%", Fraction(5), "%"), ("3m", Fraction(180_000), "s"),
        ("$250,000", Fraction(250_000), "$"), ("50bp", Fraction(1, 2), "%")]]
)  # fmt: skip
ATOMS = st.one_of(
    NUMBERS,
    st.builds(lambda v: n.Text(**AT, value=v), TEXTS),
    st.builds(lambda v: n.DateLit(**AT, value=v), st.sampled_from([20260116, 20280229])),
    st.builds(lambda v: n.TimeLit(**AT, value=v), st.integers(0, 86_399_999)),
    st.builds(lambda v: n.TsLit(**AT, value=v), st.integers(0, 4_000_000_000_000)),
    st.builds(lambda v: n.Constant(**AT, value=v), st.sampled_from([True, False, None])),
    st.builds(lambda v: n.Name(**AT, name=v), NAMES),
    st.builds(lambda v: n.ChipName(**AT, name=v), st.sampled_from(["urgent", "100k+", 'a "b" \\', ""])),
    st.builds(lambda v: n.ParamName(**AT, name=v), st.sampled_from(["p", "urgent_value"])),
)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    ends = st.tuples(inner, st.none(), st.just(False)) | st.tuples(inner | st.none(), inner, st.booleans())
    ranges = ends.map(lambda r: n.Range(**AT, low=r[0], high=r[1], half_open=r[2]))
    words = st.builds(lambda v: n.Name(**AT, name=v), WORDS)
    sets = st.lists(inner | words, max_size=4).map(lambda items: n.SetLit(**AT, items=tuple(items)))
    among = sets | ranges | st.builds(lambda v: n.Name(**AT, name=v), NAMES)
    what = st.sampled_from(["null", "true", "false", "unknown"])
    text = st.builds(lambda v: n.Text(**AT, value=v), st.sampled_from(["AA*", "*b", '"']))
    return st.one_of(
        st.builds(lambda a: n.Negate(**AT, operand=a), inner),
        st.builds(lambda op, a, b: n.Arith(**AT, op=op, left=a, right=b), st.sampled_from(["+", "-", "*", "/", "??"]),
                  inner, inner),
        st.builds(lambda args: n.Call(**AT, name="max", args=args), st.lists(inner, max_size=3).map(tuple)),
        several.flatmap(lambda xs: st.lists(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), min_size=len(xs) - 1,
                                            max_size=len(xs) - 1).map(lambda ops: n.Compare(**AT, operands=xs,
                                                                                            ops=tuple(ops)))),
        st.builds(lambda a, w: n.Compare(**AT, operands=(a, w), ops=("=",)), inner, words),
        st.builds(lambda a, m, no: n.In(**AT, operand=a, among=m, negated=no), inner, among, st.booleans()),
        st.builds(lambda a, p, no: n.Like(**AT, operand=a, pattern=p, negated=no), inner, text, st.booleans()),
        st.builds(lambda a, w, no: n.Is(**AT, operand=a, what=w, negated=no), inner, what, st.booleans()),
        st.builds(lambda a: n.Not(**AT, operand=a), inner),
        st.builds(lambda args: n.And(**AT, args=args), several),
        st.builds(lambda args: n.Or(**AT, args=args), several),
    )  # fmt: skip


EXPRESSIONS = st.recursive(ATOMS, _compound, max_leaves=12)
LABELS = TEXTS.filter(bool)
METAS = {
    "doc": TEXTS.map(lambda t: re.sub(r"\s+", " ", t).strip()),
    "owner": TEXTS, "deprecated": TEXTS,
    "tags": st.lists(NAMES, max_size=3, unique=True).map(tuple),
    "severity": st.sampled_from(["", "low", "critical"]),
    "provides": st.sampled_from(["", "sig_score"]),
}  # fmt: skip
GROUPS = st.sampled_from(["", "size"])


def _metas(*keys: str) -> st.SearchStrategy[n.Meta]:
    return st.fixed_dictionaries({k: METAS[k] for k in keys}).map(lambda m: n.Meta(**m))


ABOUT = ("doc", "owner", "deprecated", "tags")
NUMERIC = st.recursive(NUMBERS, lambda s: st.builds(lambda a: n.Negate(**AT, operand=a), s), max_leaves=2)
SETS = st.lists(ATOMS, max_size=40).map(lambda items: n.SetLit(**AT, items=tuple(items)))
RANGES = st.builds(lambda a, b: n.Range(**AT, low=a, high=b, half_open=False), NUMBERS, NUMBERS)
STATEMENTS = st.one_of(
    st.just(n.Edition(**AT, number=1)),
    st.builds(lambda v, r, m: n.ParamStatement(**AT, name="p", type_name="money", value=v, range=r, meta=m),
              NUMERIC, st.none() | RANGES, _metas(*ABOUT)),
    st.builds(lambda b, m: n.SetStatement(**AT, name="s", body=b, meta=m), SETS, _metas(*ABOUT)),
    st.builds(lambda b, m: n.LetStatement(**AT, name="l", body=b, meta=m), EXPRESSIONS, _metas(*ABOUT)),
    st.builds(lambda la, al, g, b, m: n.ChipStatement(**AT, name="c", label=la, aliases=al, group=g, body=b, meta=m),
              LABELS, st.lists(LABELS, max_size=3).map(tuple), GROUPS, EXPRESSIONS, _metas(*ABOUT, "severity")),
    st.builds(lambda la, g, b, m: n.FieldStatement(**AT, name="f", label=la, type_name="int", group=g, body=b, meta=m),
              LABELS, GROUPS, EXPRESSIONS, _metas(*ABOUT, "provides")),
    st.builds(lambda la, g, w, s, o, li, m: n.QueryStatement(**AT, name="q", label=la, group=g, where=w, since=s,
                                                             order=o, limit=li, meta=m),
              LABELS, GROUPS, EXPRESSIONS, st.none() | st.just(n.DateLit(**AT, value=20260918)),
              st.none() | st.tuples(st.just(n.Name(**AT, name="value")), st.booleans(), st.booleans()),
              st.none() | st.integers(1, 10_000), _metas(*ABOUT)),
    st.builds(lambda la, g, w, c, m: n.AlertStatement(**AT, name="a", label=la, group=g, where=w, cooldown=c[0],
                                                      per=c[1], meta=m),
              LABELS, GROUPS, EXPRESSIONS,
              st.sampled_from([(None, "contract"), *((n.Number(**AT, text="3m", value=Fraction(180_000), unit="s"), p)
                                                     for p in ("contract", "symbol"))]), _metas(*ABOUT, "severity")),
    st.builds(lambda a, m: n.AssertStatement(**AT, kind="never", left=a, meta=m), EXPRESSIONS, _metas("doc", "tags")),
    st.builds(lambda a, b, m: n.AssertStatement(**AT, kind="implies", left=a, right=b, meta=m), EXPRESSIONS,
              EXPRESSIONS, _metas("doc", "severity")),
    st.builds(lambda a, r: n.AssertStatement(**AT, kind="rate", left=a, range=r), EXPRESSIONS, RANGES),
    st.builds(lambda la, t, row, e: n.TestStatement(**AT, name=la, label=la, target=t, row=row, expected=e), LABELS,
              ATOMS, st.lists(st.tuples(NAMES.map(lambda v: n.Name(**AT, name=v)), ATOMS), max_size=12).map(tuple),
              st.none() | NUMBERS),
)  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equal but for places, sizes and depths."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if not is_dataclass(a):
        return bool(a == b) and type(a) is type(b)
    skipped = {"span", "depth", "size", "name_span", "places", *(["text"] if isinstance(a, n.TsLit) else [])}
    return type(a) is type(b) and all(
        same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.name not in skipped
    )


@settings(max_examples=600)
@given(EXPRESSIONS)
def test_an_expression_printed_and_parsed_is_the_same(node: n.Expr) -> None:
    text = print_expression(node)
    parsed, found = parse_expression(Source("x", text))
    assert found == ()
    assert same(parsed, node), text


def test_a_sign_before_a_sign_is_no_comment() -> None:
    node = n.Negate(**AT, operand=n.Negate(**AT, operand=n.Text(**AT, value="x")))
    assert print_expression(node) == '-(-"x")'


@settings(max_examples=600)
@given(STATEMENTS)
def test_a_statement_printed_and_parsed_is_the_same(node: n.Statement) -> None:
    text = print_statement(node)
    parsed, found = parse_file(Source("x", text))
    assert [d.message for d in found] == [], text
    assert len(parsed) == 1
    assert same(parsed[0], node), text
    assert print_statement(parsed[0]) == text
    line = print_line(node)
    (again,), found = parse_file(Source("x", line))
    assert found == ()
    assert same(again, node), line
    assert print_line(again) == line


_TOKENS = re.compile(r'@?"""[\s\S]*?"""|@?"(?:[^"\\\n]|\\.)*"|[^\s"]+|\s+')


@st.composite
def files(draw: st.DrawFn) -> str:
    """Whole statements with comments thrown in between any two words."""
    out: list[str] = []
    count = 0
    for node in draw(st.lists(STATEMENTS, min_size=1, max_size=4)):
        for token in _TOKENS.findall(print_statement(node)):
            if not token.isspace():
                out.append(token)
                continue
            kind = draw(st.integers(0, 11))
            if kind < 2:
                count += 1
                out.append(f"  # c{count}\n" if kind else f"\n  # c{count}\n\n")
                out.append(" ")
            else:
                out.append(token)
        out.append(draw(st.sampled_from(["\n", "\n\n\n", f"# e{count}\n", f"\n# f{count}\n\n# g{count}\n"])))
    text = "".join(out).rstrip("\n") if draw(st.booleans()) else "".join(out)
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def comments(text: str) -> list[str]:
    return sorted(text[s.start : s.end].strip() for s in scan(Source("", text), file=True).comments)


@settings(max_examples=500)
@given(files())
def test_formatting_keeps_meaning_and_comments_and_is_done_at_once(text: str) -> None:
    formatted = format_text(text)
    before, found = parse_file(Source("x", text.replace("\r\n", "\n")))
    after, more = parse_file(Source("x", formatted))
    assert [d.message for d in found] == [d.message for d in more]
    assert len(before) == len(after)
    assert all(map(same, before, after)), formatted
    assert comments(formatted) == comments(text.replace("\r\n", "\n"))
    assert format_text(formatted) == formatted
    assert formatted.endswith("\n")
    assert "\r" not in formatted


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*"@$\"'(){}<>=#/*-;, \n\tab5%", "chip a = ", "\nset b = ", "\ntest ", '"""', "doc"]),
                max_size=60).map("".join))  # fmt: skip
def test_any_text_stays_what_it_is(text: str) -> None:
    formatted = format_text(text)
    assert format_text(formatted) == formatted
    assert comments(formatted) == comments(text)


@pytest.mark.parametrize("path", RULES, ids=lambda p: p.name)
def test_the_packaged_rules_mean_the_same_formatted(path: Any) -> None:
    text = path.read_text("utf-8")
    formatted = format_text(text)
    before, _ = parse_file(Source("x", text))
    after, found = parse_file(Source("x", formatted))
    assert found == ()
    assert len(before) == len(after)
    assert all(map(same, before, after))
    assert formatted == text, "rules are kept in the formatter's layout"
    assert max(len(line) for line in formatted.split("\n") if not line.lstrip().startswith(("doc", "chip"))) <= WIDTH


def test_layouts(rewriting: bool) -> None:
    # A line of an input or output that is empty is written as `~`.
    def answer(case: Case) -> str:
        text = format_text(case.input.replace("~\n", "\n"))
        return re.sub(r"^$", "~", text.rstrip("\n"), flags=re.MULTILINE)

    check("format.txt", answer, rewriting)


@pytest.mark.parametrize("name", ["test", "Set", "alert"])
def test_no_word_that_begins_a_statement_is_put_first_on_a_line(name: str) -> None:
    # The compiler refuses such names; a text that holds one stays readable all the same.
    text = f'let {name} = iso\nchip a  # c\n  = {name}   and value >= 3\n  doc "x"\nchip   b = iso doc "x"\n'
    done = format_text(text)
    assert len(parse_file(Source("", done))[0]) == len(parse_file(Source("", text))[0]) == 3
    assert done == text.replace('chip   b = iso doc "x"', 'chip b = iso\n  doc "x"')
    assert format_text(done) == done
