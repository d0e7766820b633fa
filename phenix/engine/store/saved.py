"""Saved queries and alerts as records: what serve keeps beside the store, whatever file keeps it."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Literal

__all__ = ["Entry", "Kind"]

Kind = Literal["preset", "alert"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A saved query or alert.

    ``v2_json`` is the V2 object, ``where`` the rule text that it means, ``fidelity`` and ``reasons`` how near the one
    comes to the other. ``rule_version`` is the version it was saved under. ``statement`` is the rule statement it was
    imported as where that says more than name and filter, else "". Times are UTC milliseconds.
    """

    id: str
    kind: Kind
    name: str
    v2_json: str
    where: str
    rule_version: str
    fidelity: str
    reasons: tuple[str, ...]
    statement: str
    created_at: int
    updated_at: int

    @property
    def etag(self) -> str:
        """A strong entity tag, quoted: another for every content and every change."""
        content = json.dumps(astuple(self), ensure_ascii=False).encode()
        return f'"{blake2b(content, digest_size=12, person=b"phenix entry").hexdigest()}"'
