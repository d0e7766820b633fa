"""Diagnostics as text: the lines they lie in, every place underlined and said."""

from __future__ import annotations

from typing import Final, NamedTuple

from phenix.dsl.diagnostics import Diagnostic
from phenix.dsl.source import Source, Span

__all__ = ["render_text"]

_WIDTH: Final = 160
_SAFETY: Final = {"safe": "safe fix", "unsafe": "unsafe fix", "placeholder": "fix to fill in"}


class _Mark(NamedTuple):
    start: int
    length: int
    sign: str
    text: str


def render_text(diagnostic: Diagnostic) -> str:
    """Several lines: the finding, its position, each line it speaks of with its places underlined, the help.

    A label at the finding's own place stands behind the carets, others under their dashes.
    """
    d = diagnostic
    out = [f"{d.severity}[{d.name}] {d.code}: {d.message}"]
    own = "; ".join(x.text for x in d.labels if x.source is None and x.span == d.span)
    others = [x for x in d.labels if x.source is not None or x.span != d.span]
    places: dict[tuple[str, int], tuple[Source, list[tuple[Span, str, str]]]] = {}
    for source, span, sign, text in (
        (d.source, d.span, "^", own), *((x.source or d.source, x.span, "-", x.text) for x in others)
    ):  # fmt: skip
        line, _ = source.position(span.start)
        places.setdefault((source.name, line), (source, []))[1].append((span, sign, text))
    width = max(len(str(line)) for _, line in places)
    before = None
    for (name, line), (source, marks) in places.items():
        if before != name:
            _, column = source.position(marks[0][0].start)
            out.append(f"  {name}:{line}:{column}")
        out += _excerpt(source, line, marks, width)
        before = name
    if d.help:
        out.append(f"   help: {d.help}" + (f"   [{_SAFETY[d.fix.safety]}]" if d.fix else ""))
    return "\n".join(out)


def _excerpt(source: Source, line: int, places: list[tuple[Span, str, str]], width: int) -> list[str]:
    whole = source.line(line)
    _, column = source.position(places[0][0].start)
    # Long lines (a query pasted on one line) are shown around the place.
    offset = max(0, column - 1 - _WIDTH // 2) if len(whole) > _WIDTH else 0
    shown = whole[offset : offset + _WIDTH].replace("\t", " ")
    marks = [_mark(source, span, line, offset, len(shown), sign, text) for span, sign, text in places]
    under = [" "] * (len(shown) + 1)
    for start, length, sign, _ in reversed(marks):
        for i in range(max(start, 0), min(start + length, len(under))):
            under[i] = sign
    beside = marks[0].text if marks[0].start >= max(m.start for m in marks) else ""
    gutter = f"   {' ' * width} | "
    out = [f"   {line:>{width}} | {shown}", f"{gutter}{''.join(under).rstrip()} {beside}".rstrip()]
    hanging = sorted({m.start: m for m in marks if m.text and m.text != beside and 0 <= m.start < len(under)}.values())
    while hanging:
        last = hanging.pop()
        bars = [" "] * last.start
        for mark in hanging:
            bars[mark.start] = "|"
        out.append(f"{gutter}{''.join(bars)}{last.text}")
    return out


def _mark(source: Source, span: Span, line: int, offset: int, width: int, sign: str, text: str) -> _Mark:
    _, column = source.position(span.start)
    end_row, end_column = source.position(span.end)
    start = column - 1 - offset
    end = end_column - 1 - offset if end_row == line else width
    return _Mark(start, max(1, end - start), sign, text)
