"""What somebody sends to be saved: bytes to a name and a payload, which the engine then judges."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from phenix.dsl.diagnostics import Diagnostic, closest
from phenix.engine.members import JsonError, at_member, cut, kind_of, read_json
from phenix.engine.query.request import DEFAULT_LIMIT, MAX_LIMIT, Finding, Refusal
from phenix.server.reading import Parameter, read_choice, read_text, read_whole

__all__ = [
    "LONGEST_NAME",
    "MAX_BODY",
    "OPTIONS",
    "PAYLOADS",
    "SHOWN",
    "Body",
    "decode",
    "invalid",
    "read_body",
    "read_name",
    "read_value",
]

MAX_BODY: Final = 1024 * 1024
"""Bytes of a body that are read."""
LONGEST_NAME: Final = 200
"""Characters of a name."""

OPTIONS: Final = {
    "payloadVersion": Parameter("payloadVersion", "enum", "How a payload is written: v2 or legacy.",
                                read_choice("legacy", {"v2": False, "legacy": True})),
    "limit": Parameter("limit", "integer", f"Entries of a page, 1 to {MAX_LIMIT}; {DEFAULT_LIMIT} by default.",
                       read_whole("limit", 1, MAX_LIMIT)),
    "cursor": Parameter("cursor", "text", "`page.nextCursor` of the page before.", read_text("cursor")),
}  # fmt: skip
"""Parameters of lists and of single entries."""

PAYLOADS: Final = ("payload", "query", "dsl")
"""Members that hold the filter; of several the first that is not null counts."""
SHOWN: Final = (
    "id", "payloadVersion", "queryDslV2", "where", "fidelity", "reasons", "ruleVersion", "createdAt", "updatedAt",
)  # fmt: skip
"""Members of an answer beside those: so that it can be sent back as it came, they are read over."""
_UNSEEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Kinds of characters that no name holds: control characters, halves of characters, line ends."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is to be saved; ``name`` is None where none was sent, ``given`` false where no filter was."""

    name: str | None
    payload: object
    given: bool = True


def invalid(findings: tuple[Finding, ...]) -> Refusal:
    """A refusal of what was to be saved, with all that is wrong with it."""
    first, count = findings[0].message, len(findings)
    detail = first if count == 1 else f"{count} things are wrong with it; the first: {first}"
    return Refusal("invalid_payload", f"{detail}. Nothing was stored.", findings)


def decode(data: bytes) -> str | Refusal:
    """The text of a body."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Refusal("invalid_json", f"Byte {error.start + 1} of the body is not UTF-8.")


def read_value(text: str, what: str) -> Any:
    """The value of a JSON text, or a Refusal that names ``what`` it is."""
    try:
        return read_json(text)
    except JsonError as error:
        place = f" at {error.place[1:]}" if error.place else ""
        return Refusal("invalid_json", f"{what} cannot be read{place}: {error}.")


def read_body(data: bytes) -> Body | Refusal:
    """A JSON body: an object that holds the filter, or is it; a text is rule text."""
    text = decode(data)
    value = text if isinstance(text, Refusal) else read_value(text, "The body")
    if isinstance(value, Refusal):
        return value
    if not isinstance(value, Mapping):
        return Body(None, value)
    findings = []
    name: str | None = None
    if value.get("name") is not None:
        read = read_name(value["name"])
        if isinstance(read, str):
            name = read
        else:
            findings.append(read)
    held = [key for key in PAYLOADS if key in value]
    rest = {key: item for key, item in value.items() if key != "name"}
    if held:
        known = ("name", *PAYLOADS, *SHOWN)
        findings += [_unknown(key, item, known) for key, item in rest.items() if key not in known]
    if findings:
        return invalid(tuple(findings[:100]))
    if held:
        chosen = next((value[key] for key in held if value[key] is not None), None)
        return Body(name, chosen, given=chosen is not None)
    return Body(name, rest, given=bool(rest) or "name" not in value)


def read_name(value: object) -> str | Diagnostic:
    """A name without spaces around it, "" for a blank one; or what is wrong with it."""
    if not isinstance(value, str):
        message = f"a name is a text, this is {kind_of(value)}"
    elif len(value) > LONGEST_NAME:
        message = f"a name has up to {LONGEST_NAME} characters, this has {len(value):,}"
    elif any(unicodedata.category(ch) in _UNSEEN for ch in value.strip()):
        message = "a name has no control characters and no line ends"
    else:
        return value.strip()
    return at_member("PHX501", message, "name", {"name": value}, "name")


def _unknown(key: str, item: object, known: tuple[str, ...]) -> Diagnostic:
    near = closest(cut(key), known) or ""
    hint = "" if near else "what filters belongs into `payload`"
    message = f"there is no member `{cut(key)}` beside the filter"
    return at_member("PHX501", message, cut(key), {key: item}, key, hint, near, of_name=True)
