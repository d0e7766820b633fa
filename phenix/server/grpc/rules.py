"""What editors ask, over gRPC."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.json_format import ParseDict

from phenix.engine.query.request import Refusal
from phenix.server._pb import rules_pb2, rules_pb2_grpc
from phenix.server.editor_body import Question, question
from phenix.server.grpc.errors import abort
from phenix.server.service import FlowService

__all__ = ["RuleGateway"]

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


def _kind(kind: int) -> str:
    return _KINDS.get(kind, str(kind))


async def _asked(context: Any, **values: object) -> Question:
    asked = question(values, _MEMBERS)
    return await abort(context, asked) if isinstance(asked, Refusal) else asked
