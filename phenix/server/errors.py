"""The error table, and its shape over HTTP: RFC 9457 with a member for older clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from phenix.engine.query.request import Refusal

__all__ = ["ERRORS", "ErrorCode", "problem"]


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """An error: its HTTP status, its title, and its canonical gRPC code."""

    status: int
    title: str
    grpc: str


ERRORS: Final[dict[str, ErrorCode]] = {
    "invalid_query": ErrorCode(400, "The query is not valid", "INVALID_ARGUMENT"),
    "invalid_json": ErrorCode(400, "The body is not JSON", "INVALID_ARGUMENT"),
    "cursor_mismatch": ErrorCode(400, "The cursor belongs to another query", "INVALID_ARGUMENT"),
    "unauthorized": ErrorCode(401, "A token is needed", "UNAUTHENTICATED"),
    "forbidden": ErrorCode(403, "The token does not allow this", "PERMISSION_DENIED"),
    "not_found": ErrorCode(404, "There is nothing here", "NOT_FOUND"),
    "method_not_allowed": ErrorCode(405, "The method is not allowed here", "UNIMPLEMENTED"),
    "request_timeout": ErrorCode(408, "The request came too slowly", "DEADLINE_EXCEEDED"),
    "conflict": ErrorCode(409, "It cannot be done as things are", "FAILED_PRECONDITION"),
    "cursor_expired": ErrorCode(410, "The cursor can no longer be used", "FAILED_PRECONDITION"),
    "resume_expired": ErrorCode(410, "The stream cannot be resumed there", "OUT_OF_RANGE"),
    "precondition_failed": ErrorCode(412, "It has changed meanwhile", "ABORTED"),
    "too_large": ErrorCode(413, "The body is too large", "INVALID_ARGUMENT"),
    "unsupported_media_type": ErrorCode(415, "The body is of another kind", "INVALID_ARGUMENT"),
    "invalid_payload": ErrorCode(422, "The saved query is not valid", "INVALID_ARGUMENT"),
    "invalid_rules": ErrorCode(422, "The rules are not valid", "INVALID_ARGUMENT"),
    "too_complex": ErrorCode(422, "The query is too large", "INVALID_ARGUMENT"),
    "rate_limited": ErrorCode(429, "Too many requests", "RESOURCE_EXHAUSTED"),
    "internal": ErrorCode(500, "Something went wrong here", "INTERNAL"),
    "query_timeout": ErrorCode(503, "The query took too long", "DEADLINE_EXCEEDED"),
    "unavailable": ErrorCode(503, "The store cannot be read now", "UNAVAILABLE"),
}
"""Every code an answer can carry."""


def problem(refusal: Refusal) -> dict[str, Any]:
    """A refusal as a problem+json object."""
    error, detail = ERRORS[refusal.code], _shown(refusal.detail)
    findings = [_shown(finding.to_dict()) for finding in refusal.diagnostics]
    return {
        "type": f"urn:phenix:error:{refusal.code}",
        "title": error.title,
        "status": error.status,
        "detail": detail,
        "code": refusal.code,
        "errors": findings,
        "error": {"code": refusal.code, "message": detail, "details": findings},
    }


def _shown(found: Any) -> Any:
    """The same with `?` for halves of characters: JSON can escape them, no answer can hold them."""
    if isinstance(found, str):
        return found.encode("utf-8", "replace").decode("utf-8")
    if isinstance(found, dict):
        return {name: _shown(value) for name, value in found.items()}
    return found
