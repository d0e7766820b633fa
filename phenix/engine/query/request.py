"""What was asked, whichever protocol asked it, and how an answer that cannot be given is said."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from phenix.engine.flow import BY_NAME, Field

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "Finding", "FlowRequest", "Refusal", "Shadow", "Total"]

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000
"""Rows of a page: asked for more, this many are given."""


class Total(StrEnum):
    """How the number of all matching rows is wanted."""

    NONE = "none"
    ESTIMATE = "estimate"
    """Counted too, but given up (null) rather than refused when it takes too long."""
    EXACT = "exact"


class Shadow(StrEnum):
    """How the difference to the rule version in shadow is wanted: refused, or left out, where there is no such."""

    NONE = "none"
    WANTED = "wanted"
    IF_ANY = "if any"


@dataclass(frozen=True, slots=True)
class FlowRequest:
    """One page of rows.

    ``parts`` are (origin, rule text), and-ed. ``sessions`` is the number of latest sessions to look
    at; 0 means the current one, or all that ``parts`` allow when they bound the time themselves.
    ``fields`` are JSON keys, none means all. ``shadow`` adds what the candidate would make of the filter;
    ``rules`` is the version whose chips and score the rows are looked at with, "" for what each was tagged by.
    """

    parts: tuple[tuple[str, str], ...] = ()
    sessions: int = 0
    sort: Field = BY_NAME["seq"]
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    cursor: str = ""
    total: Total = Total.NONE
    include_cancelled: bool = False
    fields: tuple[str, ...] = ()
    shadow: Shadow = Shadow.NONE
    rules: str = ""


class Finding(Protocol):
    """What is wrong with one thing that was asked: a diagnostic of the rule language, or of a parameter."""

    @property
    def message(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that cannot be given: ``code`` of the error table, a sentence, and its diagnostics."""

    code: str
    detail: str
    diagnostics: tuple[Finding, ...] = ()
