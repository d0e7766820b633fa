"""Alerts at work, as records: what an alert asks for, what it raised, and what is to be sent of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

__all__ = [
    "DAILY_CAP", "AlertEvent", "Delivery", "EventKind", "Message", "Per", "Revision", "Sending", "State", "Target",
    "Terms", "event_id",
]  # fmt: skip

DAILY_CAP: Final = 1_000
"""Events of an alert in a session, where it names no other number."""

Per = Literal["contract", "symbol"]
EventKind = Literal["matched", "retracted", "test"]
State = Literal["waiting", "delivered", "dead"]


@dataclass(frozen=True, slots=True)
class Terms:
    """When a match speaks; all of it is judged by the times of the rows.

    One within ``cooldown_ms`` of the last that spoke of the same contract or symbol is silent, one in the ``quiet``
    minutes of the New York day, [from, to) and over midnight where they are in that order, and one after
    ``daily_cap`` events of its session date.
    """

    cooldown_ms: int = 0
    per: Per = "contract"
    quiet: tuple[int, int] | None = None
    daily_cap: int = DAILY_CAP
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """What an alert asked for on the rows with since < seq <= until; ``until`` is None of what it asks for now."""

    alert_id: str
    number: int
    since: int
    until: int | None
    where: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """Something an alert raised: a match, the taking back of one (under the same id), or a test.

    ``seq`` is the row's, of a retraction the cancel's. ``row_ts`` and ``row_id`` are the row's key, ``key`` is what the
    cooldown goes by, ``row_json`` the row as of ``seq``. ``number`` orders all events, ``at`` is when it was stored,
    UTC milliseconds; both are given by the file, as is the alert's ``name``.
    """

    id: str
    kind: EventKind
    alert_id: str
    revision: int
    seq: int
    row_ts: int
    row_id: int
    key: str
    session_date: int
    severity: str
    row_json: str
    number: int = 0
    name: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go. ``url`` and ``secret`` are for sending alone, and are never shown."""

    id: str
    kind: str
    url: str
    secret: str = ""

    @property
    def receiver(self) -> str:
        """Whom it is sent to: targets on the same host and port, or of the same service, have one receiver."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{re.split('[/?]', rest)[0]}".lower() if self.kind == "webhook" else scheme.lower()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an alert asks for beside its filter: None where it says nothing. Times are minutes of the New York day."""

    cooldown_ms: int | None = None
    per: Per | None = None
    quiet: tuple[int, int] | None = None
    daily_cap: int | None = None
    digest_ms: int | None = None
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """An entry of the outbox, claimed for sending: one event, or a digest of all from its first to its last."""

    number: int
    alert_id: str
    target: Target
    digest: bool
    attempts: int
    events: tuple[AlertEvent, ...]
    matched: int
    retracted: int


@dataclass(frozen=True, slots=True)
class Sending:
    """How far an entry of the outbox is. ``target_id`` may be one that is gone; ``problem`` says why it failed last."""

    number: int
    target_id: str
    target_kind: str
    digest: bool
    first: int
    last: int
    state: State
    attempts: int
    due_at: int
    done_at: int | None
    problem: str

    def covers(self, event: AlertEvent) -> bool:
        """Whether an event of the same alert is in it."""
        return self.first <= event.number <= self.last


def event_id(alert_id: str, revision: int, row_ts: int, row_id: int) -> str:
    """The id of what a revision of an alert raises on a row: the same whenever, and however often, it is computed."""
    content = f"{alert_id} {revision} {row_ts} {row_id}".encode()
    return f"evt_{blake2b(content, digest_size=12, person=b'phenix alert').hexdigest()}"
