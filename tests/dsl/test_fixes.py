"""Fixes put into a text: all that do not touch each other at once, each once."""

from __future__ import annotations

from phenix.dsl.compiler import compile_condition
from phenix.dsl.diagnostics import Diagnostic, Fix, Safety, diagnostic
from phenix.dsl.fixes import apply_fixes
from phenix.dsl.source import Source, Span
from phenix.engine.bundle import Bundle

HERE = Source("a.phx", "abcdef")
THERE = Source("b.phx", "abcdef")


def found(start: int, end: int, text: str, safety: Safety = "safe", source: Source = HERE) -> Diagnostic:
    span = Span(start, end)
    return diagnostic("PHX002", "x", span, source, fix=Fix(span, text, safety))


def fixed(*findings: Diagnostic, allowed: tuple[Safety, ...] = ("safe",)) -> tuple[str, int]:
    source, applied = apply_fixes(HERE, findings, allowed)
    return source.text, len(applied)


def test_what_does_not_touch_is_put_in_together_whatever_the_order() -> None:
    assert fixed(found(4, 6, "EF"), found(0, 1, "A"), found(1, 2, "B")) == ("ABcdEF", 3)


def test_the_order_is_that_of_what_is_replaced_not_of_what_is_shown() -> None:
    wide = diagnostic("PHX002", "x", Span(0, 1), HERE, fix=Fix(Span(3, 6), "."))
    narrow = diagnostic("PHX002", "x", Span(2, 3), HERE, fix=Fix(Span(0, 2), ":"))
    assert fixed(wide, narrow) == (":c.", 2)


def test_of_two_that_overlap_the_one_in_front_is_put_in() -> None:
    assert fixed(found(1, 3, "-"), found(2, 4, "+"), found(3, 4, "D")) == ("a-Def", 2)


def test_the_same_insertion_of_two_findings_is_put_in_once() -> None:
    assert fixed(found(2, 2, "!"), found(2, 2, "!"), found(3, 3, "?")) == ("ab!c?def", 2)


def test_what_is_not_allowed_elsewhere_or_no_fix_stays() -> None:
    without = diagnostic("PHX002", "x", Span(0, 1), HERE)
    assert fixed(without, found(0, 1, "A", "unsafe"), found(1, 2, "B", source=THERE)) == ("abcdef", 0)
    assert fixed(found(0, 1, "A", "unsafe"), allowed=("safe", "unsafe")) == ("Abcdef", 1)


def test_a_source_without_fixes_is_the_same_one() -> None:
    assert apply_fixes(HERE, (), ("safe",)) == (HERE, ())
    assert apply_fixes(HERE, (), ("safe",))[0] is HERE


def test_what_contains_is_written_as_means_the_same(bundle: Bundle) -> None:
    for text in ("root contains 'A\"B'", 'root starts with "A\\\\"', 'root ends with "\\"X"', "root like 'A\"%'"):
        where = Source("where", text)
        meant, found = compile_condition(where, bundle.scope)
        there, applied = apply_fixes(where, found, ("safe",))
        while applied:
            after, found = compile_condition(there, bundle.scope)
            there, applied = apply_fixes(there, found, ("safe",))
        assert (after.core if after else None, found) == (meant.core if meant else text, ()), there.text
