"""Answers as JSON, and refusals as problem+json."""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.responses import Response

from phenix.engine.query.request import Refusal
from phenix.server.errors import ERRORS, problem

__all__ = ["answered", "refused"]

_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"


def answered(
    content: Any, status: int = 200, media_type: str = _JSON, headers: dict[str, str] | None = None
) -> Response:
    """An answer that nobody keeps."""
    return Response(orjson.dumps(content), status, {"cache-control": "no-store", **(headers or {})}, media_type)


def refused(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    """A refusal with its status; what may be tried again says when."""
    status = ERRORS[refusal.code].status
    if status in (429, 503):
        headers = {"retry-after": "1", **(headers or {})}
    return answered(problem(refusal), status, _PROBLEM, headers)
