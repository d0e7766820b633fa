"""Diagnostics are data: one record for text, JSON, problem+json and gRPC details."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from phenix.dsl.codes import CODES, Severity
from phenix.dsl.source import Source, Span

__all__ = ["Diagnostic", "Fix", "Label", "Safety", "closest", "diagnostic", "has_errors"]

Safety = Literal["safe", "unsafe", "placeholder"]
"""Safe: what was meant can be nothing else. Unsafe: a guess to be looked at. Placeholder: its ``…`` is to be filled."""


_LONGEST: Final = 190
"""Characters of a message; a longer one quotes what stood there, which may be a name of 60 kB."""


@dataclass(frozen=True, slots=True)
class Label:
    """What to know about a place: the finding's own, another one, or one in another source."""

    span: Span
    text: str
    source: Source | None = None
    """None for the source of the finding."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Replace ``span`` by ``text``."""

    span: Span
    text: str
    safety: Safety = "safe"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what, where and what to do."""

    code: str
    message: str
    span: Span
    source: Source
    labels: tuple[Label, ...] = ()
    help: str = ""
    fix: Fix | None = None

    @property
    def name(self) -> str:
        """The finding's readable name, such as ``unit-mismatch``."""
        return CODES[self.code].name

    @property
    def severity(self) -> Severity:
        """Error or warning."""
        return CODES[self.code].severity

    def to_dict(self) -> dict[str, Any]:
        """JSON object: code, name, severity, message, source, place, labels, help, suggestion; lines count from 1."""
        out: dict[str, Any] = {
            "code": self.code,
            "name": self.name,
            "severity": self.severity.value,
            "message": self.message,
            "source": self.source.name,
            **_place(self.source, self.span),
        }
        if self.labels:
            out["labels"] = [
                {"source": source.name, **_place(source, label.span), "text": label.text}
                for label in self.labels
                for source in (label.source or self.source,)
            ]
        if self.help:
            out["help"] = self.help
        if self.fix:
            safety = self.fix.safety
            out["suggestion"] = {
                "text": self.fix.text, "safe": safety == "safe", "safety": safety, **_place(self.source, self.fix.span),
            }  # fmt: skip
        return out


def _place(source: Source, span: Span) -> dict[str, int]:
    line, column = source.position(span.start)
    end_line, end_column = source.position(span.end)
    return {"line": line, "column": column, "endLine": end_line, "endColumn": end_column}


def diagnostic(
    code: str,
    message: str,
    span: Span,
    source: Source,
    *labels: Label,
    help: str = "",
    fix: Fix | None = None,
) -> Diagnostic:
    """Build a diagnostic; a fix without help explains itself."""
    if fix and not help:
        help = f"write `{fix.text.strip()}`" if fix.text else "remove it"
    if len(message) > _LONGEST:
        message = message[:_LONGEST] + "…"
    return Diagnostic(code, message, span, source, labels, help, fix)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any of them stops the rule."""
    return any(d.severity is Severity.ERROR for d in diagnostics)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like a misspelt one, or None when nothing is near."""
    lowered = {k.lower(): k for k in known}
    found = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None
