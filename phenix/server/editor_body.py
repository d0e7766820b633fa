"""What an editor asks about: a text and how to take it, from JSON or a message, checked member by member."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from phenix.dsl.diagnostics import closest
from phenix.dsl.parser import MAX_BYTES
from phenix.engine.members import JsonError, cut, kind_of, read_json
from phenix.engine.query.request import Refusal
from phenix.server.finding import ParameterFinding
from phenix.server.saved_body import decode

__all__ = ["KINDS", "MEMBERS", "MOST_SESSIONS", "Question", "question", "read_question"]

MOST_SESSIONS: Final = 30
"""Sessions that are counted at most."""
KINDS: Final = ("expression", "file")
"""What a text is."""
MEMBERS: Final = {
    "check": ("text", "kind", "name"),
    "complete": ("text", "kind", "name", "offset"),
    "format": ("text", "kind"),
    "explain": ("text",),
    "estimate": ("text", "sessions"),
}
"""What a body has, by what is asked; all but the text may be left out."""
_NAME_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Question:
    """A text, an expression or a rule ``file``; ``name`` is the file among the active rules whose place it takes."""

    text: str
    file: bool = False
    name: str = ""
    offset: int = 0
    sessions: int = 1


def read_question(data: bytes, members: tuple[str, ...]) -> Question | Refusal:
    """A question from a JSON body that may have the members named."""
    text = decode(data)
    if isinstance(text, Refusal):
        return text
    try:
        value = read_json(text)
    except JsonError as error:
        place = f" at {error.place[1:]}" if error.place else ""
        return Refusal("invalid_json", f"The body cannot be read{place}: {error}.")
    if not isinstance(value, Mapping):
        return Refusal("invalid_json", f"The body is {kind_of(value)}; an object with the member `text` is expected.")
    return question(value, members)


def question(values: Mapping[str, object], members: tuple[str, ...]) -> Question | Refusal:
    """A question from its members; a refusal has a finding for each that is wrong."""
    findings = []
    for member in values:
        if member not in members:
            near = closest(cut(member), members) or ""
            hint = "" if near else f"there are {', '.join(members)}"
            message = f"there is no member `{cut(member)}`"
            findings.append(ParameterFinding("PHX401", cut(member), message, None, hint, near))
    text = values.get("text")
    if not isinstance(text, str):
        findings.append(_malformed("text", text, "a text", given="text" in values))
    elif half := re.search("[\ud800-\udfff]", text):
        code = f"U+{ord(half[0]):04X}"
        findings.append(ParameterFinding("PHX402", "text", f"`text` holds {code}, which is half a character"))
    elif (size := len(text.encode())) > MAX_BYTES:
        message = f"`text` has {size:,} bytes; {MAX_BYTES:,} are read"
        return Refusal("too_complex", message, (ParameterFinding("PHX004", "text", message),))
    kind = values.get("kind", "expression")
    if kind not in KINDS:
        findings.append(_malformed("kind", kind, " or ".join(KINDS)))
    name = values.get("name", "")
    if not isinstance(name, str) or len(name) > _NAME_LONGEST or not name.isprintable():
        findings.append(_malformed("name", name, f"the name of a rule file, up to {_NAME_LONGEST} characters"))
    longest = len(text) if isinstance(text, str) else 0
    offset, sessions = values.get("offset", longest), values.get("sessions", 1)
    if not _whole(offset, 0, longest):
        findings.append(_malformed("offset", offset, f"a number of characters, 0 to {longest:,} here"))
    if not _whole(sessions, 1, MOST_SESSIONS):
        findings.append(_malformed("sessions", sessions, f"a whole number, 1 to {MOST_SESSIONS}"))
    if findings:
        count, first = len(findings), findings[0].message
        detail = first if count == 1 else f"{count} things are wrong with the body; the first: {first}"
        return Refusal("invalid_query", detail, tuple(findings[:100]))
    assert isinstance(text, str) and isinstance(name, str) and isinstance(offset, int) and isinstance(sessions, int)
    return Question(text, kind == "file", name, offset, sessions)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _malformed(name: str, value: object, expected: str, *, given: bool = True) -> ParameterFinding:
    if not given:
        return ParameterFinding("PHX402", name, f"`{name}` is missing; expected {expected}")
    shown = repr(cut(value)) if isinstance(value, str) else value if isinstance(value, int) else kind_of(value)
    return ParameterFinding("PHX402", name, f"`{name}` is {shown}; expected {expected}")
