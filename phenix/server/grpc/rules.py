"""What editors ask, and rule versions, over gRPC."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, TypeVar

from google.protobuf.json_format import ParseDict

from phenix.dsl.source import Source
from phenix.engine.members import cut
from phenix.engine.query.request import Refusal
from phenix.server._pb import rules_pb2, rules_pb2_grpc
from phenix.server.editor_body import Question, question
from phenix.server.grpc.errors import abort
from phenix.server.rule_desk import CERTIFIED, CERTIFIED_MOST
from phenix.server.saved_body import MAX_BODY
from phenix.server.service import FlowService

__all__ = ["RuleGateway"]

_M = TypeVar("_M")

_MEMBERS: Final = ("text", "kind", "name", "sessions")
_KINDS: Final[dict[int, str]] = {
    rules_pb2.TEXT_KIND_UNSPECIFIED: "expression",
    rules_pb2.TEXT_KIND_EXPRESSION: "expression",
    rules_pb2.TEXT_KIND_FILE: "file",
}


class RuleGateway(rules_pb2_grpc.RuleServiceServicer):
    """Implements RuleService."""

    def __init__(self, service: FlowService) -> None:
        self._service = service
        self._editor = service.editor
        self._desk = service.desk

    async def Check(self, request: rules_pb2.CheckRequest, context: Any) -> rules_pb2.CheckResponse:  # noqa: N802
        asked = await _asked(context, text=request.text, kind=_kind(request.kind), name=request.name)
        found = await self._editor.check(asked, self._service.rules.bundle)
        answer = rules_pb2.CheckResponse()
        ParseDict(found.to_dict(), answer)
        return answer

    async def Format(self, request: rules_pb2.FormatRequest, context: Any) -> rules_pb2.FormatResponse:  # noqa: N802
        found = await self._editor.format(await _asked(context, text=request.text, kind=_kind(request.kind)))
        if isinstance(found, Refusal):
            return await abort(context, found)
        return rules_pb2.FormatResponse(text=found.text, changed=found.changed)

    async def Explain(self, request: rules_pb2.ExplainRequest, context: Any) -> rules_pb2.ExplainResponse:  # noqa: N802
        found = await self._editor.explain(await _asked(context, text=request.text), self._service.rules.bundle)
        if isinstance(found, Refusal):
            return await abort(context, found)
        answer = rules_pb2.ExplainResponse()
        ParseDict(found, answer)
        return answer

    async def Estimate(  # noqa: N802
        self, request: rules_pb2.EstimateRequest, context: Any
    ) -> rules_pb2.EstimateResponse:
        asked = await _asked(context, text=request.text, sessions=request.sessions or 1)
        found = await self._service.estimate(asked.text, asked.sessions, timeout_s=context.time_remaining())
        if isinstance(found, Refusal):
            return await abort(context, found)
        answer = rules_pb2.EstimateResponse()
        ParseDict(found.to_dict(), answer)
        return answer

    async def ListVersions(  # noqa: N802
        self,
        request: rules_pb2.ListVersionsRequest,  # noqa: ARG002 - it has no members
        context: Any,
    ) -> rules_pb2.ListVersionsResponse:
        return await _told(context, await self._desk.versions(), rules_pb2.ListVersionsResponse())

    async def Push(self, request: rules_pb2.PushRequest, context: Any) -> rules_pb2.PushResponse:  # noqa: N802
        if refusal := _unfit(request):
            return await abort(context, refusal)
        if request.files:
            sources = [Source(file.name, file.text) for file in sorted(request.files, key=lambda file: file.name)]
            found = await self._desk.push(sources)
        else:
            found = await self._desk.set_params(request.version, dict(request.params))
        return await _told(context, found, rules_pb2.PushResponse())

    async def Activate(self, request: rules_pb2.ActivateRequest, context: Any) -> rules_pb2.ActivateResponse:  # noqa: N802
        found = await self._desk.activate(request.version, request.reason, force=request.force)
        return await _told(context, found, rules_pb2.ActivateResponse(), "activation")

    async def Rollback(self, request: rules_pb2.RollbackRequest, context: Any) -> rules_pb2.RollbackResponse:  # noqa: N802
        return await _told(
            context, await self._desk.rollback(request.reason), rules_pb2.RollbackResponse(), "activation"
        )

    async def Diff(self, request: rules_pb2.DiffRequest, context: Any) -> rules_pb2.DiffResponse:  # noqa: N802
        return await _told(context, await self._desk.diff(request.before, request.after), rules_pb2.DiffResponse())

    async def Certify(self, request: rules_pb2.CertifyRequest, context: Any) -> rules_pb2.CertifyResponse:  # noqa: N802
        if not 0 <= request.pairs <= CERTIFIED_MOST or request.seed < 0:
            said = f"`pairs` is a whole number from 0 to {CERTIFIED_MOST:,}, and `seed` none below 0."
            return await abort(context, Refusal("invalid_query", said))
        found = await self._desk.certify(request.version, request.pairs or CERTIFIED, request.seed)
        return await _told(context, found, rules_pb2.CertifyResponse())


def _unfit(request: rules_pb2.PushRequest) -> Refusal | None:
    """Why a request to store a version cannot be taken up; what JSON would not hold is refused, too."""
    if request.ByteSize() > MAX_BODY:
        return Refusal("too_large", f"The request has more than {MAX_BODY:,} bytes, which is what is read.")
    if bool(request.files) == bool(request.params) or (request.files and request.version):
        said = "Send `files`, rule files with their names, or `params`, values by their names, and their `version`."
        return Refusal("invalid_query", said)
    if twice := [name for name, count in Counter(file.name for file in request.files).items() if count > 1]:
        return Refusal("invalid_query", f"The file `{cut(min(twice))}` is given twice: keep one of the two.")
    return None


async def _told(context: Any, found: dict[str, Any] | Refusal, answer: _M, member: str = "") -> _M:
    """What the desk says as a message, or in a member of it."""
    if isinstance(found, Refusal):
        await abort(context, found)
    ParseDict({member: found} if member else found, answer)
    return answer


def _kind(kind: int) -> str:
    return _KINDS.get(kind, str(kind))


async def _asked(context: Any, **values: object) -> Question:
    asked = question(values, _MEMBERS)
    return await abort(context, asked) if isinstance(asked, Refusal) else asked
