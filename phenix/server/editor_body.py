"""What an editor asks about: a text and how to take it, from JSON or a message, checked member by member."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from phenix.dsl.parser import MAX_BYTES
from phenix.engine.query.request import Refusal
from phenix.server.finding import ParameterFinding
from phenix.server.json_body import malformed, read_object, unknown, wrong

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
    value = read_object(data, "with the member `text`")
    return value if isinstance(value, Refusal) else question(value, members)


def question(values: Mapping[str, object], members: tuple[str, ...]) -> Question | Refusal:
    """A question from its members; a refusal has a finding for each that is wrong."""
    findings = unknown(values, members)
    text = values.get("text")
    if not isinstance(text, str):
        findings.append(malformed("text", text, "a text", given="text" in values))
    elif half := re.search("[\ud800-\udfff]", text):
        code = f"U+{ord(half[0]):04X}"
        findings.append(ParameterFinding("PHX402", "text", f"`text` holds {code}, which is half a character"))
    elif (size := len(text.encode())) > MAX_BYTES:
        message = f"`text` has {size:,} bytes; {MAX_BYTES:,} are read"
        return Refusal("too_complex", message, (ParameterFinding("PHX004", "text", message),))
    kind = values.get("kind", "expression")
    if kind not in KINDS:
        findings.append(malformed("kind", kind, " or ".join(KINDS)))
    name = values.get("name", "")
    if not isinstance(name, str) or len(name) > _NAME_LONGEST or not name.isprintable():
        findings.append(malformed("name", name, f"the name of a rule file, up to {_NAME_LONGEST} characters"))
    longest = len(text) if isinstance(text, str) else 0
    offset, sessions = values.get("offset", longest), values.get("sessions", 1)
    if not _whole(offset, 0, longest):
        findings.append(malformed("offset", offset, f"a number of characters, 0 to {longest:,} here"))
    if not _whole(sessions, 1, MOST_SESSIONS):
        findings.append(malformed("sessions", sessions, f"a whole number, 1 to {MOST_SESSIONS}"))
    if findings:
        return wrong(findings)
    assert isinstance(text, str) and isinstance(name, str) and isinstance(offset, int) and isinstance(sessions, int)
    return Question(text, kind == "file", name, offset, sessions)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
