"""What editors ask, over REST: a text in a JSON body, an answer or what is wrong with the body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from phenix.engine.query.request import Refusal
from phenix.server.editor_body import MEMBERS, Question, read_question
from phenix.server.rest.answers import answered, refused
from phenix.server.rest.bodies import read_json
from phenix.server.rest.operations import JSON, Operation
from phenix.server.service import FlowService

__all__ = ["editor_routes"]


def editor_routes(service: FlowService) -> list[Operation]:
    """What is asked by POST, a text in the body."""
    editor = service.editor

    async def check(asked: Question) -> Any:
        return await editor.check(asked, service.rules.bundle)

    async def complete(asked: Question) -> Any:
        return await editor.complete(asked, service.rules.bundle)

    async def explain(asked: Question) -> Any:
        return await editor.explain(asked, service.rules.bundle)

    async def estimate(asked: Question) -> Any:
        return await service.estimate(asked.text, asked.sessions)

    def operation(name: str, answer: Callable[[Question], Awaitable[Any]], doc: str, *refuses: str) -> Operation:
        async def endpoint(request: Request) -> Response:
            asked = await _question(request, MEMBERS[name])
            found = asked if isinstance(asked, Refusal) else await answer(asked)
            if isinstance(found, Refusal):
                return refused(found)
            bundle = service.rules.bundle
            meta = {"ruleVersion": bundle.version, "ruleChecksum": bundle.checksum}
            return answered({"data": found if isinstance(found, dict) else found.to_dict(), "meta": meta})

        shape = f"Dsl{name.capitalize()}"
        codes = ("unsupported_media_type", *refuses)
        return Operation("POST", f"/dsl/{name}", endpoint, doc, shape, refuses=codes, body={JSON: f"{shape}Body"},
                         reads=True)  # fmt: skip

    return [
        operation("check", check, "What is wrong with an expression or a rule file, with places and fixes."),
        operation("complete", complete, "What may stand at a place of it."),
        operation("format", editor.format, "The same text in its one layout, comments kept."),
        operation("explain", explain, "What an expression or a chip means, reads and becomes."),
        operation("estimate", estimate, "How many rows of the latest sessions an expression hits.", "query_timeout"),
    ]


async def _question(request: Request, members: tuple[str, ...]) -> Question | Refusal:
    data = await read_json(request)
    return data if isinstance(data, Refusal) else read_question(data, members)
