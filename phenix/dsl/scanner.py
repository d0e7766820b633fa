"""Text cut apart before parsing: where statements begin, and the comments, which the grammar never sees.

One pass over the characters; an open quote, comment or bracket cannot hide what follows its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Final

from phenix.dsl.diagnostics import Diagnostic, Fix, closest, diagnostic
from phenix.dsl.nodes import STATEMENTS
from phenix.dsl.source import Source, Span

__all__ = ["MAX_BROKEN", "Scan", "scan"]

MAX_BROKEN: Final = 1_000
"""Most findings about comments and first words, and most broken statements: a file of more is no rule file."""

_CONTINUES: Final = (
    "and|or|not|in|is|like|between|contains|where|since|order|by|limit|cooldown|per|group|aliases|doc|owner|tags"
    "|severity|deprecated|provides|never|rate|implies|for|desc|asc|nulls"
)
_SCAN = re.compile(
    # Texts, so that nothing in them counts. An open one ends with its line.
    r'(?P<long>""")|"(?:[^"\\\n]|\\.)*"?|\'[^\'\n]*\'|[“”„＂][^“”„＂\n]*[“”„＂]'  # noqa: RUF001
    r"|(?P<comment>#[^\n]*)|(?P<line>//[^\n]*|(?<!-)-{2,}+(?![\d.$@(\w])[^\n]*)|(?P<block>/\*)"
    # A word that begins a statement stands first on its line, with something to define behind it ...
    rf"|^[ \t]*(?P<word>(?i:{'|'.join(STATEMENTS)})(?=[ \t]+[\w\"“'@$#(-])|(?:{'|'.join(STATEMENTS)})(?=[ \t]*$))"
    # ... and what only one misspelt can: at the margin, two words and a sign of definition.
    rf"|^(?P<odd>(?!(?i:{_CONTINUES})\b)[A-Za-z]\w*(?=[ \t]+[A-Za-z_]\w*(?:[ \t]+\"[^\"\n]*\")?[ \t]*[=:]))",
    re.MULTILINE,
)
_BLANK = re.compile(r"[^\S\n]*$", re.MULTILINE)
"""From the end of a comment to the end of its line, with nothing on it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A text with its comments blanked out, place for place, and what was found on the way."""

    text: str
    comments: tuple[Span, ...]
    statements: tuple[Span, ...]
    """From the word of one statement to the word of the next."""
    regions: tuple[Span, ...]
    """The same with what no statement begins with, so that nothing but comments lies before and between."""
    found: tuple[Diagnostic, ...]


def scan(source: Source, *, file: bool) -> Scan:
    """Find comments and, in a ``file``, statements; spellings of comments from elsewhere are findings."""
    text = source.text
    comments: list[Span] = []
    starts: list[int] = []
    odd: dict[int, Span] = {}
    foreign: list[Span] = []
    at = 0
    ends: dict[str, int] = {}
    while (match := _SCAN.search(text, at)) is not None:
        at = match.end()
        kind = match.lastgroup
        if kind == "long":
            end = _end(text, '"""', match.end(), ends)
            at = end if end >= 0 else _line_end(text, at)
        elif kind == "comment":
            comments.append(Span(*match.span()))
        elif kind in ("line", "block"):
            end = _end(text, "*/", match.end(), ends) if kind == "block" else match.end()
            span = Span(match.start(), end if end >= 0 else _line_end(text, at))
            at = span.end
            comments.append(span)
            foreign.append(span)
        elif kind is not None and file:
            span = Span(*match.span(kind))
            starts.append(span.start)
            if kind == "odd":
                odd[span.start] = span
    clean = _blank(text, comments)
    if not file:
        whole = (Span(0, len(text)),)
        return Scan(clean, tuple(comments), whole, whole, _found(source, foreign, ()))
    if before := clean[: starts[0] if starts else None].strip():
        first = clean.index(before)
        odd = {first: Span(first, first + len(before.split(None, 1)[0])), **odd}
    regions = tuple(Span(a, b) for a, b in pairwise([*starts, len(text)]))
    statements = tuple(span for span in regions if span.start not in odd)
    return Scan(clean, tuple(comments), statements, regions, _found(source, foreign, odd.values()))


def _end(text: str, mark: str, at: int, ends: dict[str, int]) -> int:
    """Where the text or comment closed by ``mark`` ends, -1 if nowhere; what was not found is not looked for again."""
    if ends.get(mark) == -1:
        return -1
    place = text.find(mark, at)
    ends[mark] = place
    return place + len(mark) if place >= 0 else -1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def _blank(text: str, spans: list[Span]) -> str:
    parts: list[str] = []
    at = 0
    for span in spans:
        parts += [text[at : span.start], re.sub(r"[^\n]", " ", text[span.start : span.end])]
        at = span.end
    return "".join([*parts, text[at:]])


def _found(source: Source, foreign: Iterable[Span], odd: Iterable[Span]) -> tuple[Diagnostic, ...]:
    """The findings from front to back, and how many more there are than :data:`MAX_BROKEN`."""
    places = sorted([*((span, _foreign) for span in foreign), *((span, _unknown) for span in odd)], key=itemgetter(0))
    found = [finding(source, span) for span, finding in places[:MAX_BROKEN]]
    if rest := places[MAX_BROKEN:]:
        what = "comment or first word" if len(rest) == 1 else "comments and first words"
        verb = "is" if len(rest) == 1 else "are"
        found.append(diagnostic("PHX004", f"{len(rest):,} more {what} from here on {verb} not reported", rest[0][0],
                                source, help="put those before right first"))  # fmt: skip
    return tuple(found)


def _foreign(source: Source, span: Span) -> Diagnostic:
    text = source.text[span.start : span.end]
    last = _BLANK.match(source.text, span.end) is not None
    alone = not source.text[source.text.rfind("\n", 0, span.start) + 1 : span.start].strip()
    mark = Span(span.start, min(span.end, _line_end(source.text, span.start)))
    if text.startswith("/*"):
        lines = text[2:].removesuffix("*/").strip().split("\n")
        ours = "\n".join(f"# {line.strip().removeprefix('*').strip()}".rstrip() for line in lines)
    else:
        ours = f"# {text.lstrip('/-').strip()}".rstrip()
    # `//` behind something may have been meant as a division.
    fix = Fix(span, ours, "safe" if alone or not text.startswith("//") else "unsafe") if last else None
    return diagnostic("PHX002", "a comment begins with `#` and ends with its line", mark, source, fix=fix,
                      help="" if fix and "\n" not in ours else "write it behind `#`")  # fmt: skip


def _unknown(source: Source, span: Span) -> Diagnostic:
    word = source.text[span.start : span.end]
    near = closest(word, STATEMENTS) if len(word) <= 40 else None
    return diagnostic(
        "PHX001", "expected a statement", span, source,
        help=f"a statement begins with {', '.join(STATEMENTS[:-1])} or {STATEMENTS[-1]}",
        fix=Fix(span, near, "unsafe") if near else None,
    )  # fmt: skip
