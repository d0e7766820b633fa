"""Fixes put into a text: those that do not touch each other, from front to back."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from phenix.dsl.diagnostics import Diagnostic, Fix, Safety
from phenix.dsl.source import Source

__all__ = ["apply_fixes"]


def apply_fixes(
    source: Source, found: Iterable[Diagnostic], allowed: Collection[Safety]
) -> tuple[Source, tuple[Diagnostic, ...]]:
    """The source with the fixes of its findings put in, and the findings whose fixes those were.

    Of two fixes that overlap the one further in front is taken; the other's turn comes when the result is read again.
    """
    mine = [(d.fix, d) for d in found if d.source is source and d.fix is not None and d.fix.safety in allowed]
    text, end = source.text, 0
    parts: list[str] = []
    applied: list[Diagnostic] = []
    taken: Fix | None = None
    for fix, finding in sorted(mine, key=lambda pair: pair[0].span):
        if fix.span.start < end or (taken is not None and fix.span == taken.span):
            continue
        parts += [text[end : fix.span.start], fix.text]
        end, taken = fix.span.end, fix
        applied.append(finding)
    return Source(source.name, "".join((*parts, text[end:]))) if applied else source, tuple(applied)
