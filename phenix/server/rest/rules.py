"""Rule versions over REST."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from phenix.dsl.source import Source
from phenix.engine.query.request import Refusal
from phenix.server.json_body import Members, read_members
from phenix.server.params import read_settings
from phenix.server.reading import Parameter, read_text
from phenix.server.rest.answers import answered, refused
from phenix.server.rest.bodies import read_json
from phenix.server.rest.operations import JSON, Operation
from phenix.server.rest.query import read_pairs
from phenix.server.service import FlowService

__all__ = ["rule_routes"]

_BETWEEN: Final = {
    "from": Parameter("from", "text", "The version before, or how its id begins; the active one when not said.",
                      read_text("from")),
    "to": Parameter("to", "text", "The version after; the active one when not said.", read_text("to")),
}  # fmt: skip


def rule_routes(service: FlowService) -> list[Operation]:
    """What is asked of rule versions."""
    gateway = _Rules(service)
    return [
        Operation("GET", "/rules/versions", gateway.versions, "The stored versions, and what was asked of them.",
                  "RuleVersions", refuses=("unavailable",)),
        Operation("POST", "/rules/versions", gateway.push, "Stores rule files as a version (201), or another version "
                  "with other values of params. It is not active yet.", "RulesStored",
                  refuses=("unsupported_media_type", "invalid_rules", "not_found", "conflict", "unavailable"),
                  body={JSON: "RulesBody"}, statuses=(200, 201)),
        Operation("POST", "/rules/activate", gateway.activate, "Makes a version the active one, from the next row on; "
                  "202 while what writes the rows has not answered.", "RuleActivation",
                  refuses=("unsupported_media_type", "not_found", "conflict", "unavailable"),
                  body={JSON: "ActivateBody"}, statuses=(200, 202)),
        Operation("POST", "/rules/rollback", gateway.rollback, "Goes back to the version that was active before; asked "
                  "again, to the one before that.", "RuleActivation",
                  refuses=("unsupported_media_type", "conflict", "not_found", "unavailable"),
                  body={JSON: "RollbackBody"}, statuses=(200, 202)),
        Operation("GET", "/rules/diff", partial(gateway.diff, _BETWEEN), "What a version changes against another.",
                  "RuleDiff", _BETWEEN, ("not_found", "unavailable")),
        Operation("POST", "/rules/diff", gateway.diff_body, "The same, asked by a body.", "RuleDiff",
                  refuses=("unsupported_media_type", "not_found", "unavailable"), body={JSON: "DiffBody"}, reads=True),
    ]  # fmt: skip


class _Rules:
    """One endpoint a method."""

    def __init__(self, service: FlowService) -> None:
        self._service = service
        self._desk = service.desk

    async def versions(self, request: Request) -> Response:
        if (refusal := self._settings(request, {})) and isinstance(refusal, Refusal):
            return refused(refusal)
        return _told(await self._desk.versions())

    async def push(self, request: Request) -> Response:
        body = await self._body(request, Members(texts=("version",), maps=("sources", "params")))
        if isinstance(body, Refusal):
            return refused(body)
        sources, params = body.get("sources"), body.get("params")
        if (sources is None) == (params is None) or (sources is not None and "version" in body):
            said = "Send `sources`, rule files by their names, or `params`, values by their names, and their `version`."
            return refused(Refusal("invalid_query", said))
        if sources is not None:
            found = await self._desk.push([Source(name, text) for name, text in sorted(sources.items())])
        else:
            assert params is not None
            found = await self._desk.set_params(body.get("version", ""), params)
        return _told(found, 201 if isinstance(found, dict) and found["new"] else 200)

    async def activate(self, request: Request) -> Response:
        body = await self._body(request, Members(texts=("version", "reason"), flags=("force",), needs=("version",)))
        if isinstance(body, Refusal):
            return refused(body)
        found = await self._desk.activate(body["version"], body.get("reason", ""), force=body.get("force", False))
        return _entered(found)

    async def rollback(self, request: Request) -> Response:
        body = await self._body(request, Members(texts=("reason",)))
        if isinstance(body, Refusal):
            return refused(body)
        return _entered(await self._desk.rollback(body.get("reason", "")))

    async def diff(self, table: Mapping[str, Parameter], request: Request) -> Response:
        asked = self._settings(request, table)
        if isinstance(asked, Refusal):
            return refused(asked)
        return _told(await self._desk.diff(asked.get("from", ""), asked.get("to", "")))

    async def diff_body(self, request: Request) -> Response:
        body = await self._body(request, Members(texts=("from", "to")))
        if isinstance(body, Refusal):
            return refused(body)
        return _told(await self._desk.diff(body.get("from", ""), body.get("to", "")))

    def _settings(self, request: Request, table: Mapping[str, Parameter]) -> dict[str, Any] | Refusal:
        pairs = read_pairs(request)
        return pairs if isinstance(pairs, Refusal) else read_settings(pairs, self._service.rules.bundle, table)

    async def _body(self, request: Request, members: Members) -> dict[str, Any] | Refusal:
        data = await read_json(request)
        return data if isinstance(data, Refusal) else read_members(data, members)


def _told(found: dict[str, Any] | Refusal, status: int = 200) -> Response:
    return refused(found) if isinstance(found, Refusal) else answered({"data": found}, status)


def _entered(found: dict[str, Any] | Refusal) -> Response:
    return _told(found, 202 if isinstance(found, dict) and found["waiting"] else 200)
