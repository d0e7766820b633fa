"""Findings about the expressions of one source, with the places that explain them."""

from __future__ import annotations

from typing import Final

from phenix.dsl import nodes as n
from phenix.dsl.codes import CODES
from phenix.dsl.diagnostics import Diagnostic, Fix, Label, closest, diagnostic
from phenix.dsl.operand import WORDS, Operand, Refusal, is_plain, reach, unit
from phenix.dsl.scope import Defined, Scope
from phenix.dsl.source import Source, Span

__all__ = ["Reporter"]

_LISTED: Final = {"field": "docs/fields.md lists the fields", "chip": "docs/chips.md lists the chips"}


class Reporter:
    """Gathers findings in ``found``."""

    def __init__(self, scope: Scope, source: Source) -> None:
        self.scope, self.source = scope, source
        self.found: list[Diagnostic] = []
        self.home: Source | None = None
        """Where the operands stand, when it is another source than the one read."""

    def report(
        self,
        code: str,
        message: str,
        span: Span,
        *labels: Label,
        help: str = "",
        fix: Fix | None = None,
    ) -> None:
        """Add a finding, once."""
        assert code in CODES
        made = diagnostic(code, message, span, self.source, *labels, help=help, fix=fix)
        # The middle of a chain is looked at with both of its neighbours.
        if not any(d.code == code and d.span == span and d.message == made.message for d in self.found):
            self.found.append(made)

    def refuse(self, refusal: Refusal, span: Span, other: Operand | None = None) -> None:
        """Add a finding for a refusal at ``span``; the other side and the declarations of both are labelled."""
        labels = [Label(span, refusal.note)] if refusal.note else []
        if other is not None:
            ranged = refusal.code in ("PHX114", "PHX202") and is_plain(other)
            labels.append(Label(other.span, reach(other) if ranged else unit(other), self.home))
            labels += self._declared(other.span, self.home or self.source)
        labels += self._declared(span, self.source)
        fix = None if refusal.offer is None else Fix(refusal.over or span, refusal.offer, refusal.safety)
        self.report(refusal.code, refusal.message, span, *labels, help=refusal.help, fix=fix)

    def _declared(self, span: Span, source: Source) -> list[Label]:
        """Where the param, macro or field that stands at a place is declared."""
        name = source.text[span.start : span.end]
        found: Defined[n.ParamStatement] | Defined[n.LetStatement] | Defined[n.FieldStatement] | None
        if name.startswith("$"):
            info = self.scope.params.get(name[1:])
            found = info.defined if info else None
        else:
            found = self.scope.lets.get(name) or self.scope.derived.get(name)
        return [Label(found.node.name_span, f"`{name}` is declared here", found.source)] if found else []

    def unknown(
        self, code: str, what: str, name: str, span: Span, known: tuple[str, ...], sigil: str = "", hint: str = ""
    ) -> None:
        """Add an unknown-name finding with the nearest known one."""
        near = closest(name, known)
        listed = _LISTED.get(what) or "known: " + ", ".join(f"{sigil}{k}" for k in known)
        help_ = f"did you mean `{sigil}{near}`?" if near else hint or (listed if known else f"no {what} is defined")
        fix = Fix(span, f"{sigil}{near}", "unsafe") if near else None
        self.report(code, f"there is no {what} `{sigil}{name}`", span, help=help_, fix=fix)

    def unknown_set(self, name: n.Name, operand: Operand) -> None:
        """Add the finding of a set that is not there; opposite words it may be a member."""
        wrapped = f"{{{name.name}}}"
        if operand.kind in WORDS and closest(name.name, self.scope.sets) is None:
            self.report("PHX115", f"there is no set `{name.name}`", name.span, help=f"write `{wrapped}` for one value",
                        fix=Fix(name.span, wrapped, "unsafe"))  # fmt: skip
            return
        hint = "a set is `{…}`, or the name of a `set` statement"
        self.unknown(
            "PHX115", "set", name.name, name.span, tuple(self.scope.sets), hint="" if self.scope.sets else hint
        )
