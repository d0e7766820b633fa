"""What a page would be under the rule version in shadow, for those who ask."""

from __future__ import annotations

from typing import Any

from phenix.engine.live.index import LiveIndex
from phenix.engine.query.page import Page
from phenix.engine.query.request import FlowRequest, Refusal, Shadow
from phenix.engine.query.shadow import ShadowDiff, fetch_shadow
from phenix.engine.store.base import Reader
from phenix.engine.store.shadow import candidate
from phenix.server.finding import ParameterFinding
from phenix.server.rulebook import Rulebook
from phenix.server.rules import Rules

__all__ = ["shadow_json", "shadow_of"]


def shadow_of(
    reader: Reader,
    request: FlowRequest,
    page: Page,
    rules: Rules,
    rulebook: Rulebook,
    live: LiveIndex,
    timeout_s: float,
) -> ShadowDiff | Refusal | None:
    """The difference, None where it is not wanted. Raises StoreError."""
    if request.shadow is Shadow.NONE:
        return None
    named = candidate(reader)
    other = None if named is None else rulebook.under(reader, named.version_id)
    if named is None or other is None or named.version_id in (rules.bundle.version, rules.stored):
        return _none("no rule version is in shadow", "put one there with `phenix rules shadow VERSION`", request)
    if other.bundle.version != named.version_id:
        wrong = f"rule version {named.version_id}, which is in shadow, cannot be used"
        return _none(wrong, "put another one there with `phenix rules shadow VERSION`", request)
    return fetch_shadow(reader, request, page, rules.bundle, other.bundle, live=live, timeout_s=timeout_s)


def _none(message: str, wish: str, request: FlowRequest) -> Refusal | None:
    if request.shadow is Shadow.IF_ANY:
        return None
    found = ParameterFinding("PHX406", "shadow", message, None, f"{wish}, or leave `shadow` out")
    return Refusal("invalid_query", f"{message[0].upper()}{message[1:]}.", (found,))


def shadow_json(diff: ShadowDiff) -> dict[str, Any]:
    """As ``meta.shadow``; ``truncated`` says of which list only the first ids are named."""
    return {
        "activeVersion": diff.active,
        "shadowVersion": diff.candidate,
        "activeCount": diff.active_count,
        "shadowCount": diff.shadow_count,
        "addedCount": diff.added_count,
        "removedCount": diff.removed_count,
        "addedByShadow": list(diff.added),
        "removedByShadow": list(diff.removed),
        "truncated": {"addedByShadow": len(diff.added) < diff.added_count,
                      "removedByShadow": len(diff.removed) < diff.removed_count},
    }  # fmt: skip
