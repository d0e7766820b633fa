"""Rule versions as the store keeps them, and the ledger of what was asked of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = [
    "Activation",
    "BitTakenError",
    "Ledger",
    "RuleVersion",
    "RuleWriter",
    "Why",
    "active_stack",
    "bits_in",
    "bits_of",
]


class BitTakenError(ValueError):
    """A rule version that gives a chip another bit than the stored ones do; the message says which."""


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """A stored rule bundle; ``activated_seq`` is the last seq tagged by the version before it."""

    version_id: str
    config_json: str
    checksum: str
    is_active: bool
    created_at: int
    activated_at: int | None
    activated_seq: int | None


def bits_in(config_json: str) -> dict[str, int]:
    """The bit of each chip in the config of a version; none where it cannot be read, as of a damaged one."""
    try:
        chips = json.loads(config_json)["chips"]
        return {chip: bit for chip, bit in chips.items() if isinstance(bit, int)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def bits_of(versions: Sequence[RuleVersion]) -> dict[str, int]:
    """The bit of each chip that any stored version has."""
    bits: dict[str, int] = {}
    for version in versions:
        bits |= bits_in(version.config_json)
    return bits


class Why(StrEnum):
    """What made a rule version the active one."""

    BOOTSTRAP = "bootstrap"
    ACTIVATE = "activate"
    ROLLBACK = "rollback"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class Activation:
    """An entry of the log: rows after ``seq`` are tagged by a rule version, those up to it by ``before``.

    It waits for the writer while it has neither a ``seq`` nor a sentence why it was ``refused``. ``reason`` is the
    words of who asked; ``forced`` says that the comparison of its sessions was overruled by them.
    """

    number: int
    cause: Why
    version_id: str
    asked_at: int
    asked_by: str = ""
    reason: str = ""
    forced: bool = False
    before: str | None = None
    seq: int | None = None
    at: int | None = None
    refused: str | None = None

    @property
    def waiting(self) -> bool:
        """Whether the writer has not looked at it yet."""
        return self.seq is None and self.refused is None


def active_stack(history: Sequence[Activation]) -> list[str]:
    """The versions that were active, each once, as going back takes them off again; the active one is last.

    What waits counts as done: it becomes active before whatever is asked behind it.
    """
    stack: list[str] = []
    for entry in history:
        if entry.refused is not None:
            continue
        if entry.version_id in stack:
            del stack[stack.index(entry.version_id) + 1 :]
        else:
            stack.append(entry.version_id)
    return stack


class Ledger(Protocol):
    """The way to the rules of a store that another process may be writing; each call is one transaction."""

    def keep(self, version: RuleVersion) -> bool:
        """Keep a rule version; False when it was there.

        Raises BitTakenError, and ValueError for an id that is taken.
        """
        ...

    def ask(self, asked: Activation) -> Activation:
        """Enter what is asked, numbered; the writer answers it."""
        ...


class RuleWriter(Protocol):
    """What the writer of a store does with rules; each method is one transaction."""

    def put_rule_version(self, version: RuleVersion, *, activate: bool = False, now_utc: int = 0) -> None:
        """Keep a rule version; with ``activate`` it becomes the active one from the next enriched row on.

        Raises BitTakenError, and ValueError for an id that is taken.
        """
        ...

    def ask_activation(self, asked: Activation) -> Activation:
        """Enter what is asked of the rules in the log, numbered; :meth:`activate` or :meth:`refuse` answers it."""
        ...

    def activate(self, asked: Activation, now_utc: int) -> Activation:
        """Make its version the active one from the next enriched row on."""
        ...

    def refuse(self, asked: Activation, why: str) -> Activation:
        """Leave the active version as it is, and say why."""
        ...
