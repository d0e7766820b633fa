"""JSON bodies of a few named members, each of a simple kind, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phenix.dsl.diagnostics import closest
from phenix.engine.members import JsonError, cut, kind_of, read_json
from phenix.engine.query.request import Finding, Refusal
from phenix.server.finding import ParameterFinding
from phenix.server.saved_body import decode

__all__ = ["Members", "malformed", "read_members", "read_object", "unknown", "wrong"]


@dataclass(frozen=True, slots=True)
class Members:
    """Names of the members a body may have: texts, flags, and objects of texts; all but ``needs`` may be left out."""

    texts: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def read_object(data: bytes, members: str) -> Mapping[str, object] | Refusal:
    """The object that a body is; ``members`` says what is expected of it."""
    text = decode(data)
    if isinstance(text, Refusal):
        return text
    try:
        value = read_json(text)
    except JsonError as error:
        place = f" at {error.place[1:]}" if error.place else ""
        return Refusal("invalid_json", f"The body cannot be read{place}: {error}.")
    if not isinstance(value, Mapping):
        return Refusal("invalid_json", f"The body is {kind_of(value)}; an object {members} is expected.")
    return value


def read_members(data: bytes, members: Members) -> dict[str, Any] | Refusal:
    """The members of a body; a refusal has a finding for each that is wrong."""
    names = (*members.texts, *members.flags, *members.maps)
    values = read_object(data, f"of {', '.join(names)}")
    if isinstance(values, Refusal):
        return values
    findings = unknown(values, names)
    for name in members.needs:
        if name not in values:
            findings.append(malformed(name, None, "a text", given=False))
    for name, value in values.items():
        if name in members.texts and not isinstance(value, str):
            findings.append(malformed(name, value, "a text"))
        elif name in members.flags and not isinstance(value, bool):
            findings.append(malformed(name, value, "true or false"))
        elif name in members.maps and not _is_map(value):
            findings.append(malformed(name, value, "an object whose members are texts"))
    return wrong(findings) if findings else dict(values)


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(one, str) for one in value.values())


def unknown(values: Mapping[str, object], members: tuple[str, ...]) -> list[Finding]:
    """A finding for each member that means nothing."""
    findings: list[Finding] = []
    for member in values:
        if member not in members:
            near = closest(cut(member), members) or ""
            hint = "" if near else f"there are {', '.join(members)}"
            message = f"there is no member `{cut(member)}`"
            findings.append(ParameterFinding("PHX401", cut(member), message, None, hint, near))
    return findings


def malformed(name: str, value: object, expected: str, *, given: bool = True) -> ParameterFinding:
    """A finding for a member that is of another kind than expected, or missing."""
    if not given:
        return ParameterFinding("PHX402", name, f"`{name}` is missing; expected {expected}")
    shown = repr(cut(value)) if isinstance(value, str) else value if isinstance(value, int) else kind_of(value)
    return ParameterFinding("PHX402", name, f"`{name}` is {shown}; expected {expected}")


def wrong(findings: list[Finding]) -> Refusal:
    """The refusal of a body by all that is wrong with it."""
    count, first = len(findings), findings[0].message
    detail = first if count == 1 else f"{count} things are wrong with the body; the first: {first}"
    return Refusal("invalid_query", detail, tuple(findings[:100]))
