"""The query string of a request."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from phenix.engine.bundle import Bundle
from phenix.engine.query.request import Refusal
from phenix.server.params import read_settings

__all__ = ["MAX_QUERY", "read_pairs", "refuse_any"]

MAX_QUERY: Final = 256 * 1024
"""Longest query string that is read, in bytes; a rule text may have 64 kB, percent-encoded three times that."""


def read_pairs(request: Request) -> list[tuple[str, str]] | Refusal:
    """Names and values as they were given, in their order."""
    query: bytes = request.scope["query_string"]
    if len(query) > MAX_QUERY:
        return Refusal("too_complex", f"The query has {len(query):,} bytes; at most {MAX_QUERY:,} are read.")
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        return Refusal("invalid_query", "The query is not UTF-8, percent-encoded.")


def refuse_any(request: Request, bundle: Bundle) -> Refusal | None:
    """A refusal of parameters where there are none to give."""
    pairs = read_pairs(request)
    found = pairs if isinstance(pairs, Refusal) else read_settings(pairs, bundle, {})
    return found if isinstance(found, Refusal) else None
