"""The stand-in's own account of every print: what became of its TRADE frame."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["IN_DOUBT", "NO_CLIENT", "Ledger"]

NO_CLIENT: Final = "no_client"
IN_DOUBT: Final = "in_doubt"


@dataclass(slots=True)
class Ledger:
    """At any moment ``due == sent + broken + unwanted + waiting + sum(lost)``; waiting is the playback's to say."""

    due: int = 0
    """Prints played so far; played again from the start they count again."""
    sent: int = 0
    """Prints whose TRADE frame went to a client that has it, or may still get it."""
    sent_again: int = 0
    """TRADE frames beyond the first of their print: repeats after a reconnect, duplicates, stale ones."""
    broken: int = 0
    """Prints whose TRADE frame was cut."""
    unwanted: int = 0
    """Prints of contracts the client had not asked for."""
    added: int = 0
    """Prints that faults put into the tape; they are due as others are."""
    lost: Counter[str] = field(default_factory=Counter)
    """Prints that went to nobody, by cause: a fault's name, no client, or in doubt when the client left."""
    connections: int = 0
    messages: int = 0
    """WebSocket messages that carried events."""
    answers: Counter[int] = field(default_factory=Counter)
    """REST answers by status."""

    def told(self, waiting: int) -> dict[str, Any]:
        """The whole account, ready for JSON; ``waiting`` prints have been played and wait for a client."""
        return {
            "due": self.due,
            "sent": self.sent,
            "sent_again": self.sent_again,
            "broken": self.broken,
            "unwanted": self.unwanted,
            "waiting": waiting,
            "lost": dict(sorted(self.lost.items())),
            "added": self.added,
            "connections": self.connections,
            "messages": self.messages,
            "answers": {str(code): number for code, number in sorted(self.answers.items())},
        }
