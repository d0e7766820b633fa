"""Syntax errors in words: what stood there, what could have, and the fix where one is likely."""

from __future__ import annotations

from typing import Any, Final

from phenix.dsl.diagnostics import Diagnostic, Fix, closest, diagnostic
from phenix.dsl.source import Source, Span

__all__ = ["WORDS", "syntax_error"]

WORDS: Final = ("and", "or", "not", "in", "is", "like", "null", "true", "false", "unknown")

_STATEMENTS: Final = ("edition", "param", "set", "let", "chip", "field", "query", "test")
_EXPECTED: Final = (
    ("EQUAL", {"EQUAL"}, "`=`"),
    ("operand", {"NUMBER", "NAME"}, "a field, a literal, `@chip` or `$param`"),
    ("operator", {"CMP"}, "a comparison such as `>= 5`"),
    ("logic", {"AND"}, "`and` or `or`"),
    ("string", {"STRING"}, "a text in double quotes"),
    ("name", {"NAME"}, "a name"),
    ("close", {"RPAR"}, "`)`"),
    ("brace", {"RBRACE"}, "`}`"),
    ("colon", {"COLON"}, "`:`"),
    ("arrow", {"_ARROW"}, "`=>`"),
)


def syntax_error(error: Any, text: str, offset: int, source: Source) -> Diagnostic:
    """The diagnostic for an UnexpectedInput of the parser, in a part of ``source`` that starts at ``offset``."""
    expected = set(
        getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", None) or ()
    )
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        at = len(text.rstrip())
        span = Span(offset + at, offset + at)
        message = "the text ends too early" if text.strip() else "nothing is written here"
        return diagnostic("PHX001", message, span, source, help=f"expected {_words(expected)}")
    if token is not None:
        span = Span(offset + token.start_pos, offset + token.end_pos)
        found = str(token)
    else:
        position = error.pos_in_stream
        span = Span(offset + position, offset + position + 1)
        found = text[position]
    lower = found.lower()
    if found != lower and lower in WORDS:
        return diagnostic("PHX002", f"`{found}` is written `{lower}` here", span, source, fix=Fix(span, lower))
    if found in ("“", "”", "„"):
        return diagnostic("PHX002", "text is written in plain double quotes", span, source, fix=Fix(span, '"'))
    if found.startswith('"'):
        end = text.find("\n", span.start - offset)
        end = offset + (len(text) if end < 0 else end)
        if token is None:
            return diagnostic("PHX001", "the text has no closing quote", Span(span.start, end), source,
                              help='end it with `"` on the same line, or write `"""…"""`')  # fmt: skip
    if "AND" in expected and found.isidentifier() and (near := closest(found, WORDS)) and near != found:
        return diagnostic("PHX001", f"`{found}` cannot stand here", span, source, fix=Fix(span, near, safe=False))
    if found == ")" and not expected:
        return diagnostic("PHX001", "`)` closes nothing", span, source, fix=Fix(span, "", safe=False), help="remove it")
    if not found.isprintable():
        found = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in found)
    if found in _STATEMENTS and span.start > offset and text.startswith(_STATEMENTS):
        return diagnostic("PHX001", f"`{found}` begins a statement, which cannot stand here", span, source,
                          help="begin it on a line of its own")  # fmt: skip
    shown = found if len(found) <= 40 else found[:40] + "…"
    return diagnostic("PHX001", f"`{shown}` cannot stand here", span, source, help=f"expected {_words(expected)}")


def _words(expected: set[str]) -> str:
    words: list[str] = []
    for _, needs, text in _EXPECTED:
        if needs <= expected and not (text == "a name" and words):
            words.append(text)
    if len(words) < 2:
        return words[0] if words else "the end, `and` or `or`"
    return " or ".join([", ".join(words[:-1]), words[-1]])
