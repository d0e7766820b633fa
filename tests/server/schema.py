"""JSON Schema as far as our document uses it; a keyword it does not know is an error, so that none goes unheeded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

_TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip
_FORMATS = {"date": date.fromisoformat, "date-time": datetime.fromisoformat}
_SAYING = {"description", "examples"}


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "$") -> Iterator[str]:
    """What a value has against its schema, each with its place."""
    for keyword, wanted in schema.items():
        match keyword:
            case "$ref":
                names = wanted.removeprefix("#/").split("/")
                target = document
                for name in names:
                    target = target[name]
                yield from faults(value, target, document, at)
            case "type":
                kinds = wanted if isinstance(wanted, list) else [wanted]
                number = isinstance(value, bool) and "boolean" not in kinds
                if number or not any(isinstance(value, _TYPES[kind]) for kind in kinds):
                    yield f"{at} is {value!r}, no {wanted}"
                    return  # `type` stands before what is asked of values of that type
            case "enum":
                if value not in wanted:
                    yield f"{at} is {value!r}, none of {wanted}"
            case "const":
                if value != wanted:
                    yield f"{at} is {value!r}, not {wanted!r}"
            case "anyOf":
                if all([*faults(value, one, document, at)] for one in wanted):
                    yield f"{at} is {value!r}, none of {wanted}"
            case "minimum" | "maximum":
                if value is not None and (value < wanted if keyword == "minimum" else value > wanted):
                    yield f"{at} is {value}, {keyword} is {wanted}"
            case "format":
                try:
                    if value is not None:
                        _FORMATS[wanted](value)
                except ValueError:
                    yield f"{at} is {value!r}, no {wanted}"
            case "pattern":
                if isinstance(value, str) and not re.search(wanted, value):
                    yield f"{at} is {value!r}, not of {wanted}"
            case "maxLength":
                if isinstance(value, str) and len(value) > wanted:
                    yield f"{at} has {len(value)} characters"
            case "required":
                yield from (f"{at} has no {name}" for name in wanted if isinstance(value, dict) and name not in value)
            case "properties":
                for name, inner in wanted.items():
                    if isinstance(value, dict) and name in value:
                        yield from faults(value[name], inner, document, f"{at}.{name}")
            case "additionalProperties":
                others = [name for name in value or () if name not in schema.get("properties", {})]
                if wanted is False:
                    yield from (f"{at} has {name} too" for name in others)
                else:
                    for name in others:
                        yield from faults(value[name], wanted, document, f"{at}.{name}")
            case "items":
                for number, item in enumerate(value or ()):
                    yield from faults(item, wanted, document, f"{at}[{number}]")
            case _:
                assert keyword in _SAYING, keyword
