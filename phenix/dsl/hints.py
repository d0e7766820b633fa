"""Syntax errors in words: what stood there, what could have, and the fix where one is likely."""

from __future__ import annotations

from typing import Any, Final

from phenix.dsl.diagnostics import Diagnostic, Fix, closest, diagnostic
from phenix.dsl.nodes import STATEMENTS
from phenix.dsl.source import Source, Span

__all__ = ["WORDS", "syntax_error"]

WORDS: Final = ("and", "or", "not", "in", "is", "like", "null", "true", "false", "unknown")

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
    ("implies", {"_IMPLIES"}, "`implies`"),
    ("range", {"DOTS"}, "`..`, as in `1..5`"),
)

_ALONE: Final = ("name", "range")
"""What is worth saying only where nothing else fits."""


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
    if found != lower and lower in (*WORDS, *STATEMENTS):
        return diagnostic("PHX002", f"`{found}` is written `{lower}` here", span, source, fix=Fix(span, lower))
    if found in ("“", "”", "„"):
        return diagnostic("PHX002", "text is written in plain double quotes", span, source, fix=Fix(span, '"'))
    if found.startswith('"'):
        end = text.find("\n", span.start - offset)
        end = offset + (len(text) if end < 0 else end)
        if token is None:
            return diagnostic("PHX001", "the text has no closing quote", Span(span.start, end), source,
                              help='end it with `"` on the same line, or write `"""…"""`')  # fmt: skip
    if ".." in found and text.count("{", 0, span.start - offset) > text.count("}", 0, span.start - offset):
        return diagnostic("PHX001", f"`{found}` cannot stand in a set", span, source,
                          help="a range stands without braces: `in 1..5`")  # fmt: skip
    if found == ",":
        help_ = "several values stand in braces, `{1, 2}`; thousands part after `$`: `$100,000`"
        return diagnostic("PHX001", "`,` cannot stand here", span, source, help=help_)
    if "AND" in expected and found.isidentifier() and (near := _slip(found)) is not None:
        return diagnostic("PHX001", f"`{found}` cannot stand here", span, source, fix=Fix(span, near, "unsafe"))
    if found == ")" and not expected:
        return diagnostic("PHX001", "`)` closes nothing", span, source, fix=Fix(span, "", "unsafe"))
    if not found.isprintable():
        found = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in found)
    if found in STATEMENTS and span.start > offset and text.startswith(STATEMENTS):
        return diagnostic("PHX001", f"`{found}` begins a statement, which cannot stand here", span, source,
                          help="begin it on a line of its own")  # fmt: skip
    shown = found if len(found) <= 40 else found[:40] + "…"
    return diagnostic("PHX001", f"`{shown}` cannot stand here", span, source, help=f"expected {_words(expected)}")


def _slip(word: str) -> str | None:
    """The word of the language that one slip makes this of; a longer word (`iso`, `value`) is more likely a name."""
    near = closest(word, WORDS)
    if near is None or near == word or len(word) > len(near):
        return None
    return near if word[0] == near[0] or sorted(word) == sorted(near) else None


def _words(expected: set[str]) -> str:
    words: list[str] = []
    for name, needs, text in _EXPECTED:
        if needs <= expected and not (name in _ALONE and words):
            words.append(text)
    if len(words) < 2:
        return words[0] if words else "the end, `and` or `or`"
    return " or ".join([", ".join(words[:-1]), words[-1]])
