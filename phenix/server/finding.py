"""What is wrong with a parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from phenix.dsl.codes import CODES
from phenix.dsl.source import Span

__all__ = ["ParameterFinding"]


@dataclass(frozen=True, slots=True)
class ParameterFinding:
    """What is wrong with a parameter, shaped like a diagnostic of the rule language.

    ``span`` is the part of the parameter's text that ``suggestion`` would replace; None where the
    parameter as a whole is meant.
    """

    code: str
    source: str
    message: str
    span: Span | None = None
    help: str = ""
    suggestion: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON object as of a diagnostic; ``source`` is the parameter."""
        start, end = (self.span.start + 1, self.span.end + 1) if self.span else (None, None)
        line = 1 if self.span else None
        code = CODES[self.code]
        found = {"code": code.id, "name": code.name, "severity": code.severity.value, "message": self.message}
        place = {"line": line, "column": start, "endLine": line, "endColumn": end}
        hint = self.help or (f"write `{self.suggestion}`" if self.suggestion else "")
        more = {"help": hint} if hint else {}
        # A near name is a guess: only its reader knows.
        guess = {"text": self.suggestion, "safe": False, "safety": "unsafe", **(place if self.span else {})}
        return {**found, "source": self.source, **place, **more, **({"suggestion": guess} if self.suggestion else {})}
