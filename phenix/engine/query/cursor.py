"""The cursor of a walk through pages: where it stands, and what it belongs to.

Opaque to clients: URL-safe base64 of a small JSON array and a checksum. The checksum tells a cursor
of ours from anything else; it is no secret, since a cursor grants nothing: its values are checked
and bound.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

__all__ = ["MAX_CURSOR", "Cursor", "filter_hash"]

_EDITION: Final = 1
_CHECK: Final = 6
MAX_CURSOR: Final = 1024
"""Longest cursor read, in characters."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page.

    ``filter`` is the hash of what was asked, ``since`` the first session looked at (0: not bounded
    by default), ``key`` the row's sort value (stored units, None is unknown), ``seq`` its seq. ``waiting`` is the last
    seq of the prints that the walk takes as they were received; 0 when it takes none.
    """

    filter: str
    rule_version: str
    as_of: int
    since: int
    key: bool | int | float | str | None
    seq: int
    waiting: int = 0

    def encode(self) -> str:
        """The text given to clients."""
        values = astuple(self) if self.waiting else astuple(self)[:-1]
        body = orjson.dumps([_EDITION, *values])
        return base64.urlsafe_b64encode(_check(body) + body).rstrip(b"=").decode("ascii")

    @classmethod
    def decode(cls, text: str) -> Cursor | None:
        """Read such a text; None for anything this class did not write."""
        if len(text) > MAX_CURSOR or not text.isascii():
            return None
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            check, body = data[:_CHECK], data[_CHECK:]
            if check != _check(body):
                return None
            edition, *values = orjson.loads(body)
        except (binascii.Error, ValueError, TypeError):
            return None
        return cls(*values) if edition == _EDITION and _typed(values) else None


def _check(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK, person=b"phenix cursor").digest()


def _typed(values: list[Any]) -> bool:
    match values:
        case [str(), str(), int(), int(), None | bool() | int() | float() | str(), int(), *more] if len(more) < 2:
            if not all(type(one) is int for one in more):
                return False
            return all(abs(value) < 2**63 for value in values if isinstance(value, int))
    return False


def filter_hash(*parts: object) -> str:
    """Hash of what a walk must not change: filter, order, scope."""
    return blake2b(repr(parts).encode(), digest_size=9).hexdigest()
