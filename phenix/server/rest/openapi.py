"""The API as one OpenAPI 3.1 document, made from the routes that answer, the parameters they read and the errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from phenix import __version__
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME
from phenix.server.auth import role_of_request
from phenix.server.errors import ERRORS
from phenix.server.reading import Parameter
from phenix.server.rest.operations import Operation
from phenix.server.rest.schemas import csv_of, parameter_schema, ref, schemas

__all__ = ["document"]

_ALWAYS: Final = (
    "invalid_query", "unauthorized", "forbidden", "request_timeout", "too_complex", "rate_limited", "internal",
)  # fmt: skip
"""Codes any operation can be refused with."""
_HEADERS: Final = {
    "ETag": "Which state of the entry this is.",
    "If-Match": "The `ETag`, or several, of which the entry's must be one; or `*`.",
    "If-None-Match": "The `ETag`, or several, of which the entry's must be none; or `*`.",
    "Last-Event-ID": "As `watermark`, which it comes before: an event stream sends it when it connects again.",
    "Location": "Where the entry is. Only one has it, not the entries of a text.",
}
"""What headers mean, those of requests and those of answers."""
_PLACE: Final = re.compile(r"\{(\w+)\}")


def document(operations: Iterable[Operation], bundle: Bundle, *, secured: bool) -> dict[str, Any]:
    """The document of these operations; ``secured`` says that they need a token."""
    chips = tuple(chip.id for chip in bundle.served)
    paths: dict[str, dict[str, Any]] = {}
    parameters: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, chips, parameters, secured=secured)
    schemes = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if secured else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Phenix",
            "version": __version__,
            "description": "Options flow: prints tagged by rules, as pages, sums and streams."
            f" Rule version {bundle.version}. An answer bears `X-Request-Id`: its request's, or one made here.",
        },
        "paths": paths,
        "components": {"parameters": parameters, "schemas": schemas(chips), **schemes},
    }


def _operation(one: Operation, chips: tuple[str, ...], parameters: dict[str, Any], *, secured: bool) -> dict[str, Any]:
    named = _PLACE.findall(one.path)
    looks = {"pattern": f"^{one.id_pattern}$"} if one.id_pattern else {}
    taken: list[Any] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", **looks}} for name in named
    ]
    for parameter in one.takes.values():
        shown = _parameter(parameter, chips)
        # Two tables may give one name to different things: the second is described where it stands.
        if parameters.setdefault(parameter.name, shown) == shown:
            taken.append({"$ref": f"#/components/parameters/{parameter.name}"})
        else:
            taken.append(shown)
    taken += [{"name": name, "in": "header", **_header(name)} for name in one.hears]
    role = role_of_request(one.method, one.path)
    body = {media: {"schema": ref(name) if name else {"type": "string"}} for media, name in one.body.items()}
    found: dict[str, Any] = {"summary": one.summary, "operationId": _id(one), "responses": _responses(one)}
    if taken:
        found["parameters"] = taken
    if body:
        found["requestBody"] = {"required": True, "content": body}
    if secured and role is not None:
        found |= {"security": [{"token": []}], "x-role": role.name.lower()}
    return found


def _id(one: Operation) -> str:
    words: list[str] = re.findall(r"\w+", f"{one.method.lower()}/{one.path}")
    return words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])


def _parameter(parameter: Parameter, chips: tuple[str, ...]) -> dict[str, Any]:
    members = parameter.options or (BY_NAME[parameter.field].type.members if parameter.kind == "enum" else ())
    schema = parameter_schema(parameter.kind, members, chips, parameter.low)
    found = {"name": parameter.name, "in": "query", "description": parameter.doc, "schema": schema}
    return {**found, "schema": csv_of(schema), "style": "form", "explode": False} if parameter.csv else found


def _header(name: str) -> dict[str, Any]:
    return {"description": _HEADERS[name], "schema": {"type": "string"}}


def _answer(one: Operation, media: str) -> dict[str, Any]:
    if media == "text/event-stream":
        return ref("Frame")
    return ref(one.answer) if one.answer else {"type": "string"}


def _responses(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in one.statuses:
        content = {media: {"schema": _answer(one, media)} for media in one.media}
        empty = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        headers = {"headers": {name: _header(name) for name in one.tells}} if one.tells else {}
        shown = {"description": HTTPStatus(status).phrase, **headers}
        found[str(status)] = shown if empty else {**shown, "content": content}
    codes = [*_ALWAYS, *one.refuses]
    codes += ["not_found"] if "{" in one.path else []
    codes += ["invalid_json", "invalid_payload", "too_large", "unavailable"] if one.body else []
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(ERRORS[code].status, []).append(code)
    for refused, names in sorted(by_status.items()):
        about = "; ".join(f"{ERRORS[name].title} (`{name}`)" for name in names)
        content = {"application/problem+json": {"schema": ref("Problem")}}
        if str(refused) in found:  # not being ready is an answer too
            found[str(refused)]["content"] |= content
        else:
            found[str(refused)] = {"description": f"{about}.", "content": content}
    return found
