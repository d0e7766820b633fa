"""The API's description, as a document for programs and as a page for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from phenix.engine.query.request import Refusal
from phenix.server.rest.answers import answered, refused
from phenix.server.rest.openapi import document
from phenix.server.rest.operations import Operation
from phenix.server.rest.query import refuse_any
from phenix.server.rest.schemas import BLANK
from phenix.server.rules import Rules
from phenix.server.service import FlowService

__all__ = ["Documents", "page"]

_CSS: Final = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1d21 }
h2 { border-top: 1px solid #d5d9de; padding-top: 1rem; font-size: 1.1rem }
code { font-family: ui-monospace, monospace; background: #f1f3f5; padding: 0 .25em }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .2rem .6rem }
th { border-bottom: 1px solid #d5d9de } tr:nth-child(even) td { background: #f8f9fa }
@media (prefers-color-scheme: dark) {
  body { background: #14171a; color: #e3e6e9 }
  code { background: #262b30 } tr:nth-child(even) td { background: #1b1f23 }
  a { color: #8ab4f8 }
}
"""


_CODE: Final = re.compile("`([^`]+)`")


class Documents:
    """Describes a table of routes; ``table`` may still grow until the first request."""

    def __init__(self, service: FlowService, table: Sequence[Operation], *, secured: bool) -> None:
        self._service = service
        self._table = table
        self._secured = secured
        self._made: tuple[Rules | None, bytes, str] = (None, b"", "")

    def operations(self) -> list[Operation]:
        """The page and its style."""
        return [
            Operation("GET", "/docs", self.docs, "This document as a page.", "", media=("text/html",)),
            Operation("GET", "/docs.css", self.style, "How that page looks.", "", media=("text/css",)),
        ]

    async def openapi(self, request: Request) -> Response:
        """The document."""
        made = refuse_any(request, self._service.rules.bundle) or await self._current()
        return refused(made) if isinstance(made, Refusal) else answered(orjson.Fragment(made[0]))

    async def docs(self, _request: Request) -> Response:
        """The page."""
        made = await self._current()
        return refused(made) if isinstance(made, Refusal) else HTMLResponse(made[1])

    async def style(self, _request: Request) -> Response:
        """Its style, in a file of its own: the page may hold none."""
        return Response(_CSS, media_type="text/css")

    async def _current(self) -> tuple[bytes, str] | Refusal:
        status = await self._service.status()  # also sees to it that the store can be read
        if isinstance(status, Refusal):
            return status
        rules = await self._service.current_rules()
        if self._made[0] is not rules:
            made = document(self._table, rules.bundle, secured=self._secured)
            self._made = (rules, orjson.dumps(made), page(made))
        return self._made[1:]


def page(document: dict[str, Any]) -> str:
    """The document as HTML without a script."""
    info, paths = document["info"], document["paths"]
    shown = {path: one for path, one in paths.items() if not path.startswith("/api/v1/")}
    operations = [(path, method, one) for path, methods in shown.items() for method, one in methods.items()]
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f'<title>{_text(info["title"])} API</title><link rel="stylesheet" href="/docs.css">',
        f"<h1>{_text(info['title'])} API</h1>",
        f"<p>{_said(info['description'])} Everything under <code>/api</code> is under <code>/api/v1</code> too.",
        'For programs: <a href="/api/openapi.json">openapi.json</a>.</p>',
        _table(("Route", ""), ((_link(path, method), _said(one["summary"])) for path, method, one in operations)),
    ]
    shared = document["components"]["parameters"]
    for path, method, one in operations:
        parts.append(f'<h2 id="{_anchor(path, method)}"><code>{method.upper()} {_text(path)}</code></h2>')
        parts.append(f"<p>{_said(one['summary'])}</p>")
        given = [shared[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in one.get("parameters", ())]
        if given:
            parts.append(_table(("Parameter", "Type", ""), (_parameter(p) for p in given)))
        answers = ((f"<code>{status}</code>", _answer(found)) for status, found in one["responses"].items())
        parts.append(_table(("Status", "Answer"), answers))
    for name, schema in document["components"]["schemas"].items():
        parts.append(f'<h2 id="schema-{_text(name)}">{_text(name)}</h2><p>{_said(schema.get("description", ""))}</p>')
        members = schema.get("properties", {}).items()
        parts.append(
            _table(
                ("Member", "Type", ""),
                ((f"<code>{_text(key)}</code>", _type(one), _said(one.get("description", ""))) for key, one in members),
            )
        )
    return "\n".join([*parts, "</html>"])


def _text(value: object) -> str:
    return escape(str(value))


def _said(text: str) -> str:
    """A sentence with what stands in backticks as code."""
    return _CODE.sub(r"<code>\1</code>", _text(text))


def _anchor(path: str, method: str) -> str:
    return _text(f"{method}{path}")


def _link(path: str, method: str) -> str:
    return f'<a href="#{_anchor(path, method)}"><code>{method.upper()} {_text(path)}</code></a>'


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str]:
    about = _said(parameter.get("description", "In the path."))
    about += " A header." if parameter["in"] == "header" else ""
    return f"<code>{_text(parameter['name'])}</code>", _type(parameter["schema"]), about


def _answer(found: dict[str, Any]) -> str:
    held = ", ".join(_type(content["schema"]) for content in found.get("content", {}).values())
    return f"{_said(found['description'])} {held}"


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = _text(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "enum" in schema:
        return " ".join(f"<code>{_text('null' if one is None else one)}</code>" for one in schema["enum"])
    if schema == BLANK or schema.get("const") == "":
        return "empty"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    kinds = schema.get("type", "anything")
    said = " or ".join(kinds) if isinstance(kinds, list) else kinds
    return f"list of {_type(schema['items'])}" if said == "array" else _text(schema.get("format", said))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>" if body else ""
