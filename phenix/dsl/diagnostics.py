"""Diagnostics are data: one record for text, JSON, problem+json and gRPC details."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from phenix.dsl.source import Source, Span

__all__ = ["CODES", "Diagnostic", "Fix", "Label", "Severity", "closest", "diagnostic", "has_errors"]


class Severity(StrEnum):
    """What follows: an error stops the rule, a warning never does."""

    ERROR = "error"
    WARNING = "warning"


CODES: Final[dict[str, tuple[str, Severity, str]]] = {
    "PHX001": ("syntax", Severity.ERROR, "The text does not follow the grammar."),
    "PHX002": ("foreign-spelling", Severity.ERROR, "A spelling of another language; the fix is safe."),
    "PHX003": ("missing-zone", Severity.ERROR, "A time of day without its zone: write `09:30 ET`."),
    "PHX004": ("too-large", Severity.ERROR, "A statement over 64 kB, deeper than 64 or of more than 2,000 nodes."),
    "PHX005": ("bad-literal", Severity.ERROR, "A literal that names no value, such as the 31st of June."),
    "PHX101": ("unknown-name", Severity.ERROR, "No field, `let` or derived field has this name."),
    "PHX102": ("unknown-chip", Severity.ERROR, "No chip has this id, label or alias."),
    "PHX103": ("unknown-param", Severity.ERROR, "No `param` has this name."),
    "PHX104": ("unit-mismatch", Severity.ERROR, "Two units that cannot meet, such as dollars and minutes."),
    "PHX105": ("unknown-member", Severity.ERROR, "The enum has no such member."),
    "PHX106": ("type-mismatch", Severity.ERROR, "An operator was given something it is not defined for."),
    "PHX107": ("null-in-set", Severity.ERROR, "`null` never equals anything; ask with `is null`."),
    "PHX108": ("not-a-condition", Severity.ERROR, "True or false was expected, a value was found, or the reverse."),
    "PHX109": ("wrong-arguments", Severity.ERROR, "Unknown function, wrong number of arguments, or not constants."),
    "PHX110": ("overflow", Severity.ERROR, "The declared ranges allow a result outside 64 bits."),
    "PHX111": ("duplicate", Severity.ERROR, "A name or alias is already taken."),
    "PHX112": ("cycle", Severity.ERROR, "Definitions refer to each other in a circle."),
    "PHX113": ("inexact-money", Severity.ERROR, "Money stays exact: it cannot be multiplied by a double."),
    "PHX114": ("out-of-range", Severity.ERROR, "A param's value lies outside the range it declares."),
    "PHX115": ("unknown-set", Severity.ERROR, "No `set` has this name."),
    "PHX201": ("mixed-and-or", Severity.WARNING, "`and` and `or` side by side without parentheses."),
    "PHX202": ("never-or-always", Severity.WARNING, "The literal lies outside what the field can hold."),
    "PHX203": ("missing-doc", Severity.WARNING, "A chip without `doc`: traders read it as the tooltip."),
    "PHX301": ("failing-test", Severity.ERROR, "A `test` in the rules does not give what it says."),
}
"""Code -> (name, severity, what it means)."""


_LONGEST: Final = 190
"""Characters of a message; a longer one quotes what stood there, which may be a name of 60 kB."""


@dataclass(frozen=True, slots=True)
class Label:
    """A second place in the text, with what to know about it."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Replace ``span`` by ``text``; ``safe`` when the meaning cannot change."""

    span: Span
    text: str
    safe: bool = True


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
        return CODES[self.code][0]

    @property
    def severity(self) -> Severity:
        """Error or warning."""
        return CODES[self.code][1]

    def to_dict(self) -> dict[str, Any]:
        """JSON object: code, name, severity, message, source, line, column, endLine, endColumn, help, suggestion."""
        line, column = self.source.position(self.span.start)
        end_line, end_column = self.source.position(self.span.end)
        out: dict[str, Any] = {
            "code": self.code,
            "name": self.name,
            "severity": self.severity.value,
            "message": self.message,
            "source": self.source.name,
            "line": line,
            "column": column,
            "endLine": end_line,
            "endColumn": end_column,
        }
        if self.labels:
            out["labels"] = [
                {"line": self.source.position(label.span.start)[0], "column": self.source.position(label.span.start)[1],
                 "text": label.text}
                for label in self.labels
            ]  # fmt: skip
        if self.help:
            out["help"] = self.help
        if self.fix:
            out["suggestion"] = {"text": self.fix.text, "safe": self.fix.safe}
        return out


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
        help = f"write `{fix.text}`"
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
