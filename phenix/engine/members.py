"""JSON that somebody wrote: read as it stands, and its members as places that findings underline."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, NoReturn

from phenix.dsl.diagnostics import Diagnostic, Fix, diagnostic
from phenix.dsl.source import Source, Span
from phenix.engine.targets.payload import Clause

__all__ = ["JsonError", "Placed", "at_member", "cut", "kind_of", "read_json", "scalar", "shown_value"]

_CODES: Final = {"field": "PHX502", "op": "PHX503", "value": "PHX505"}
_SHORT: Final = 60
_ENDLESS: Final = 10**40
_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (bool, "true or false"), (str, "a text"), (int | float, "a number"), (list, "a list"), (Mapping, "an object"),
)  # fmt: skip


class JsonError(ValueError):
    """Text that is no JSON of a saved filter; ``place`` is ``:line:column`` where that is known."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


def read_json(text: str) -> Any:
    """The value a JSON text holds. Raises JsonError, for a key that is given twice too."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = min(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise JsonError(f"the key `{cut(twice)}` is given twice: keep one of the two")
        return found

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=_constant, parse_float=_float)
    except JsonError:
        raise
    except json.JSONDecodeError as error:
        place = f":{error.lineno}:{error.colno}"
        raise JsonError(f"this is not JSON ({error.msg}): correct it", place) from None
    except ValueError as error:  # of a constant, or a number of too many digits
        raise JsonError(f"this is not JSON ({error}): correct it") from None
    except RecursionError:
        raise JsonError("it is nested too deeply for a saved filter") from None


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{cut(word)} is no number")


def _float(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _constant(text)


@dataclass(frozen=True, slots=True)
class Placed:
    """A clause, and the JSON it was read from: the clause itself, or one key of a legacy object."""

    clause: Clause
    name: str
    json: Mapping[str, Any]

    def finding(self, part: str, message: str, help: str = "", near: str = "", code: str = "") -> Diagnostic:
        """A finding at ``field``, ``op`` or ``value``; of a legacy key all are its value."""
        member = part if "op" in self.json else next(iter(self.json))
        return at_member(code or _CODES[part], message, self.name, self.json, member, help, near)


def at_member(
    code: str,
    message: str,
    name: str,
    members: Mapping[str, Any],
    part: str = "",
    help: str = "",
    near: str = "",
    *,
    of_name: bool = False,
) -> Diagnostic:
    """A finding at a member of a JSON object, at its key where ``of_name``; a member "" is the whole value."""
    bare = "" in members
    text = "" if bare else "{"
    place = None
    for key, value in members.items():
        text += ", " if len(text) > 1 else ""
        start = len(text)
        label = "" if bare else f"{_json(cut(key))}: "
        text += label + shown_value(value)
        if key == part:
            place = Span(start, start + len(label) - 2) if of_name else Span(start + len(label), len(text))
    text += "" if bare else "}"
    place = place or Span(0, len(text))
    fix = Fix(place, _json(near), "unsafe") if near else None
    hint = f"did you mean `{near}`?" if near else help
    return diagnostic(code, message, place, Source(name, text), help=hint, fix=fix)


def scalar(value: Any) -> bool:
    """Whether a value is one that a clause may hold alone: no text of half characters, no endless number."""
    if isinstance(value, str):
        return not any("\ud800" <= ch <= "\udfff" for ch in value)
    if isinstance(value, int):
        return abs(value) < _ENDLESS
    return isinstance(value, float) or value is None


def shown_value(value: Any) -> str:
    """JSON of a value, short enough to show: nothing nested, nothing long."""
    return cut(_json(_short(value)))


def cut(text: Any) -> str:
    """A text as messages show it."""
    whole = str(text).encode("utf-8", "replace").decode()
    return whole if len(whole) <= _SHORT else whole[:_SHORT] + "…"


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "nothing")


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, list):
        return ["…" if isinstance(item, list) else _short(item) for item in value[:5]] + ["…"] * (len(value) > 5)
    return value if scalar(value) else "…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
