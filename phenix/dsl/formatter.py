"""Rule files in their one layout: statements in the author's order, comments and groups of lines kept.

What cannot be read, is written in the spelling of another language, or could not be read any more when it is
laid out, stays as it is: the formatter lays out, it corrects nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from textwrap import dedent
from typing import Final

from phenix.dsl.diagnostics import Diagnostic
from phenix.dsl.nodes import Statement
from phenix.dsl.parser import parse_expression, parse_parts
from phenix.dsl.printer import StatementText, lay_out, print_expression
from phenix.dsl.scanner import scan
from phenix.dsl.source import Source, Span

__all__ = ["format_expression", "format_text"]


_BODY: Final = "let it = "


def format_text(text: str) -> str:
    """The canonical text of a rule file; giving it back gives the same."""
    source = Source("", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    scanned = scan(source, file=True)
    parts, _ = parse_parts(source, scanned)
    statements = {part.span.start: part.node for part in parts if part.node is not None and not part.found}
    foreign = [span.start for span in scanned.comments if source.text[span.start] != "#"]
    out = _Blocks(source.text)
    at = 0
    for region in scanned.regions:
        out.between(at, region.start)
        node = statements.get(region.start)
        end = node.span.end if node is not None else 0
        if node is None or bisect_left(foreign, region.start) != bisect_left(foreign, end):
            at = region.start + len(source.text[region.start : region.end].rstrip())
            out.add(Span(region.start, at), source.text[region.start : at].rstrip())
            continue
        inside, at = _comments(source.text, node, scanned.comments)
        laid = _laid_out(source.text, node, inside)
        # A word that begins a statement, on a line of its own, would be cut off there.
        whole = len(scan(Source("", laid), file=True).regions) == 1
        out.add(Span(region.start, at), laid if whole else source.text[region.start : at].rstrip())
    out.between(at, len(source.text))
    return str(out)


def format_expression(source: Source) -> str | tuple[Diagnostic, ...]:
    """The canonical text of one expression, laid out as the body of a rule is; findings where it cannot be read.

    A spelling from elsewhere is written as it is here, unless that would lose a comment: then all stays as it is.
    """
    node, found = parse_expression(source)
    if node is None:
        return found
    if found:
        return source.text if scan(source, file=False).comments else print_expression(node)
    return dedent(format_text(_BODY + source.text).removeprefix(_BODY.rstrip())).strip()


def _comments(text: str, node: Statement, comments: Sequence[Span]) -> tuple[list[Span], int]:
    """The comments within a statement and behind it on its last line, and where they end."""
    first = bisect_left(comments, node.span)
    inside: list[Span] = []
    at = node.span.end
    for span in comments[first:]:
        if span.start > node.span.end and text[node.span.end : span.start].strip(" \t"):
            break
        inside.append(span)
        at = max(at, span.end)
    return inside, at


def _laid_out(text: str, node: Statement, comments: Sequence[Span]) -> str:
    statement = StatementText(node)
    leaves = statement.leaves()
    starts = [leaf.span.start for leaf in leaves if leaf.span is not None]
    ends = sorted((leaf.span.end, i) for i, leaf in enumerate(leaves) if leaf.span is not None)
    for span in comments:
        words = text[span.start : span.end].rstrip()
        place = bisect_right(ends, (span.start, len(leaves))) - 1
        previous = leaves[ends[place][1]] if place >= 0 else None
        if previous is not None and "\n" not in text[ends[place][0] : span.start]:
            previous.after.append(words)
            continue
        following = bisect_left(starts, span.end)
        if following < len(leaves):
            leaves[following].before.append(words)
        else:
            leaves[-1].after.append(words)
    return lay_out(statement)


class _Blocks:
    """Statements and comments one below the other, an empty line where the author left some."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._out: list[str] = []
        self._end = 0

    def __str__(self) -> str:
        return "".join(self._out)

    def add(self, span: Span, text: str) -> None:
        """Add what stood at ``span``."""
        if self._out and self._text.count("\n", self._end, span.start) > 1:
            self._out.append("\n")
        self._out.append(f"{text}\n")
        self._end = span.end

    def between(self, start: int, end: int) -> None:
        """Add the comments and whatever else stands between two statements."""
        gap = self._text[start:end]
        if not gap.strip():
            return
        for line_start, line in _lines(gap):
            if line.strip():
                first = start + line_start + len(line) - len(line.lstrip())
                self.add(Span(first, start + line_start + len(line.rstrip())), line.strip())


def _lines(text: str) -> list[tuple[int, str]]:
    out: list[tuple[int, str]] = []
    at = 0
    for line in text.split("\n"):
        out.append((at, line))
        at += len(line) + 1
    return out
