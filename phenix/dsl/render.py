"""Diagnostics as text, with the line and the place underlined."""

from __future__ import annotations

from phenix.dsl.diagnostics import Diagnostic
from phenix.dsl.source import Span

__all__ = ["render_text"]

_WIDTH = 160


def render_text(diagnostic: Diagnostic) -> str:
    """Several lines: the finding, its position, the line underlined, labels, help."""
    d = diagnostic
    line, column = d.source.position(d.span.start)
    out = [f"{d.severity}[{d.name}] {d.code}: {d.message}", f"  {d.source.name}:{line}:{column}"]
    number = str(line)
    gutter = " " * len(number)
    whole = d.source.line(line)
    # Long lines (a query pasted on one line) are shown around the place.
    offset = max(0, column - 1 - _WIDTH // 2) if len(whole) > _WIDTH else 0
    shown = whole[offset : offset + _WIDTH].replace("\t", " ")
    out.append(f"   {number} | {shown}")
    here = [label for label in d.labels if d.source.position(label.span.start)[0] == line]
    marks = [(d.span, "^", "")] + [(label.span, "-", label.text) for label in here]
    under = [" "] * (len(shown) + 1)
    for span, mark, _ in reversed(marks):
        start, length = _columns(d, span, line, offset)
        for i in range(max(start, 0), min(start + length, len(under))):
            under[i] = mark
    out.append(f"   {gutter} | {''.join(under).rstrip()}")
    for span, _, text in marks[1:]:
        start, _length = _columns(d, span, line, offset)
        if 0 <= start < len(shown):
            out.append(f"   {gutter} | {' ' * start}{text}")
    for label in d.labels:
        if label not in here:
            row, col = d.source.position(label.span.start)
            out.append(f"   {gutter} = {d.source.name}:{row}:{col}: {label.text}")
    if d.help:
        safety = "" if d.fix is None else ("   [safe fix]" if d.fix.safe else "   [fix]")
        out.append(f"   help: {d.help}{safety}")
    return "\n".join(out)


def _columns(d: Diagnostic, span: Span, line: int, offset: int) -> tuple[int, int]:
    row, column = d.source.position(span.start)
    end_row, end_column = d.source.position(span.end)
    start = column - 1 - offset if row == line else 0
    end = end_column - 1 - offset if end_row == line else len(d.source.line(line)) - offset
    return start, max(1, end - start)
