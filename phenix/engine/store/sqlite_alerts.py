"""The part of the saved queries' file that alerts work with: revisions, events, and the outbox.

How far rows were evaluated stands in the same file as what they raised and what is to be sent of it, so that all three
are stored in one transaction or not at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from phenix.engine.store.alerts import AlertEvent, Delivery, Message, Revision, Sending, Target, Terms
from phenix.engine.store.sqlite_guard import guarded, transaction

__all__ = ["AlertTables"]

_EVENT: Final = (
    "id, kind, alert_id, revision, seq, row_ts, row_id, cool_key, session_date, severity, row_json, number, name,"
    " created_at"
)
_REVISION: Final = (
    "alert_id, revision, since_seq, until_seq, where_text, cooldown_ms, per, quiet_from, quiet_to, daily_cap, severity"
)
_SENDING: Final = (
    "number, target_id, target_kind, digest, first_event, last_event, state, attempts, due_at, done_at, problem"
)
_RAISE: Final = (
    "INSERT INTO alert_events (id, kind, alert_id, revision, seq, row_ts, row_id, cool_key, session_date, severity,"
    " row_json, name, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
    " coalesce((SELECT name FROM saved_queries WHERE id = ?3), ?3), ?) ON CONFLICT (id, kind) DO NOTHING"
    " RETURNING number"
)
# A digest takes in what comes until it is due, unless it is being sent or was: it is the same under its id.
_EXTEND: Final = (
    "UPDATE alert_outbox SET last_event = ? WHERE target_id = ? AND state = 'waiting' AND digest = 1"
    " AND attempts = 0 AND claimed_until = 0 AND problem = '' AND due_at > ?"
)
_SEND: Final = (
    "INSERT INTO alert_outbox (alert_id, target_id, digest, first_event, last_event, state, attempts, due_at,"
    " claimed_until, problem, target_kind, created_at) VALUES (?1, ?2, ?3, ?4, ?4, 'waiting', 0, ?5, 0, '', ?6, ?7)"
)
_LOOKED_AT: Final = 64  # entries looked at for those whose receivers have room
_TEST_MS: Final = 3_600_000  # how long a test goes before what else waits
_SHOWN_OF_DIGEST: Final = 20
"""Events of a digest that are written out."""


class AlertTables:
    """These tables over one connection; used by one thread at a time. Each method raises StoreError."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with guarded(self._path):
            return list(self._connection.execute(sql, values))

    def _run(self, sql: str, values: Sequence[Any] = ()) -> int:
        with guarded(self._path):
            self._connection.execute(sql, values)
            return self._connection.changes()

    # -- revisions: inside the transaction of what changes an alert

    def revise(self, alert_id: str, where: str, terms: Terms, upto: int) -> None:
        """What an alert asks for from the next row on, rows up to ``upto`` being there; the same again is fine."""
        found = self._all(f"SELECT {_REVISION} FROM alert_revisions WHERE alert_id = ? ORDER BY revision", (alert_id,))
        last = _revision(found[-1]) if found else None
        if last is not None and last.until is None and (last.where, last.terms) == (where, terms):
            return
        since, change = self._changed(upto)
        self._end(alert_id, since, change)
        quiet = terms.quiet or (None, None)
        self._run(
            f"INSERT INTO alert_revisions ({_REVISION}, opened) VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            (alert_id, last.number + 1 if last else 1, since, where, terms.cooldown_ms, terms.per, *quiet,
             terms.daily_cap, terms.severity, change),
        )  # fmt: skip

    def remove(self, alert_id: str, upto: int) -> None:
        """An alert is no more: what it raised stays, what was not sent is not sent any more."""
        self._end(alert_id, *self._changed(upto))
        for table in ("alert_delivery", "alert_targets"):
            self._run(f"DELETE FROM {table} WHERE alert_id = ?", (alert_id,))
        self._run("DELETE FROM alert_outbox WHERE alert_id = ? AND state != 'delivered'", (alert_id,))

    def _changed(self, upto: int) -> tuple[int, int]:
        """The seq after which a change counts, and its number."""
        sql = "UPDATE alert_state SET changes = changes + 1 RETURNING max(seq, ?), changes"
        ((since, change),) = self._all(sql, (upto,))
        return since, change

    def _end(self, alert_id: str, until: int, change: int) -> None:
        sql = "UPDATE alert_revisions SET until_seq = max(since_seq, ?), ended = ? WHERE alert_id = ? AND ended IS NULL"
        self._run(sql, (until, change, alert_id))

    def without_revision(self) -> list[str]:
        """Ids of alerts that were saved before there were revisions."""
        sql = (
            "SELECT id FROM saved_queries WHERE kind = 'alert' AND NOT EXISTS"
            " (SELECT 1 FROM alert_revisions r WHERE r.alert_id = id AND r.ended IS NULL) ORDER BY number"
        )
        return [id_ for (id_,) in self._all(sql)]

    def since(self, alert_id: str) -> int | None:
        """The seq after which an alert is as it is now."""
        found = self._all("SELECT since_seq FROM alert_revisions WHERE alert_id = ? AND ended IS NULL", (alert_id,))
        return found[0][0] if found else None

    # -- evaluation

    def state(self) -> tuple[int, int]:
        """Up to which seq rows were evaluated, -1 before any, and how often revisions changed."""
        return self._all("SELECT seq, changes FROM alert_state")[0]

    def place(self, seq: int) -> None:
        """Begin, or go on, after a seq; the caller holds the transaction."""
        self._run("UPDATE alert_state SET seq = ?", (seq,))

    def rewind(self, seq: int) -> None:
        """Go on after a seq that was passed, for the rows after it are others; the caller holds the transaction."""
        self._run("UPDATE alert_state SET seq = ?, changes = changes + 1", (seq,))
        self._run("UPDATE alert_revisions SET since_seq = min(since_seq, ?1), until_seq = min(until_seq, ?1)", (seq,))

    def revisions(self, after: int) -> list[Revision]:
        """What alerts ask for on rows after a seq, in the order they began to."""
        sql = f"SELECT {_REVISION} FROM alert_revisions WHERE until_seq IS NULL OR until_seq > ? ORDER BY opened"
        return [_revision(row) for row in self._all(sql, (after,))]

    def spoken(self, after: int) -> tuple[list[tuple[str, str, int]], list[tuple[str, int, int]]]:
        """Of events numbered above ``after``: the latest row time by alert and cooldown key, and how many there are by
        alert and session date.
        """
        of = "FROM alert_events WHERE kind = 'matched' AND number > ? GROUP BY 1, 2"
        latest = self._all(f"SELECT alert_id, cool_key, max(row_ts) {of}", (after,))
        return latest, self._all(f"SELECT alert_id, session_date, count(*) {of}", (after,))

    def of_row(self, row_ts: int, row_id: int) -> list[AlertEvent]:
        """The matches that a row raised."""
        sql = f"SELECT {_EVENT} FROM alert_events WHERE row_ts = ? AND row_id = ? AND kind = 'matched' ORDER BY number"
        return [AlertEvent(*row) for row in self._all(sql, (row_ts, row_id))]

    def advance(
        self, after: int, upto: int, changes: int, events: Iterable[AlertEvent], now: int
    ) -> tuple[int, int] | None:
        """Store what the rows in (after, upto] raised and what is to be sent of it: how many events were new, and the
        number of the newest.

        None, and nothing is stored, when another evaluates these rows too and was first, or when since ``changes`` an
        alert changed that they are to be judged by.
        """
        with guarded(self._path), transaction(self._connection):
            at, known = self.state()
            if at != after or (known != changes and self._first_changed(changes) < upto):
                return None
            count = 0
            for event in events:
                count += self._raise(event, now)
            self.place(upto)
            return count, self.newest()

    def _first_changed(self, changes: int) -> int:
        sql = (
            "SELECT min((SELECT coalesce(min(since_seq), ?1) FROM alert_revisions WHERE opened > ?2),"
            " (SELECT coalesce(min(until_seq), ?1) FROM alert_revisions WHERE ended > ?2))"
        )
        return int(self._all(sql, (2**62, changes))[0][0])

    def _raise(self, event: AlertEvent, now: int) -> bool:
        found = self._all(_RAISE, (
            event.id, event.kind, event.alert_id, event.revision, event.seq, event.row_ts, event.row_id, event.key,
            event.session_date, event.severity, event.row_json, now,
        ))  # fmt: skip
        if not found:
            return False
        ((number,),) = found
        sql = (
            "SELECT id, kind, (SELECT digest_ms FROM alert_delivery d WHERE d.alert_id = t.alert_id)"
            " FROM alert_targets t WHERE alert_id = ? ORDER BY place"
        )
        for target_id, kind, digest_ms in self._all(sql, (event.alert_id,)):
            digest = bool(digest_ms) and event.kind != "test"
            if not digest or not self._run(_EXTEND, (number, target_id, now)):
                due = now + (digest_ms if digest else 0)
                self._run(_SEND, (event.alert_id, target_id, digest, number, due, kind, now))
        return True

    def test(self, event: AlertEvent, now: int) -> AlertEvent:
        """Store a test event and what is to be sent of it; the caller holds the transaction."""
        self._raise(event, now)
        (row,) = self._all(f"SELECT {_EVENT} FROM alert_events WHERE id = ? AND kind = 'test'", (event.id,))
        return AlertEvent(*row)

    # -- delivery

    def delivery(self, alert_id: str) -> Delivery:
        """What an alert asks for beside its filter."""
        sql = (
            "SELECT cooldown_ms, per, quiet_from, quiet_to, daily_cap, digest_ms FROM alert_delivery WHERE alert_id = ?"
        )
        found = self._all(sql, (alert_id,))
        if not found:
            return Delivery()
        cooldown, per, start, end, cap, digest = found[0]
        targets = self._all(
            "SELECT id, kind, url, secret FROM alert_targets WHERE alert_id = ? ORDER BY place", (alert_id,)
        )
        quiet = None if start is None else (start, end)
        return Delivery(cooldown, per, quiet, cap, digest, tuple(Target(*row) for row in targets))

    def put_delivery(self, alert_id: str, delivery: Delivery) -> None:
        """Keep it; what waits for a target that is gone is not sent. The caller holds the transaction."""
        self._run(
            "INSERT OR REPLACE INTO alert_delivery VALUES (?, ?, ?, ?, ?, ?, ?)",
            (alert_id, delivery.cooldown_ms, delivery.per, *(delivery.quiet or (None, None)), delivery.daily_cap,
             delivery.digest_ms),
        )  # fmt: skip
        self._run("DELETE FROM alert_targets WHERE alert_id = ?", (alert_id,))
        for place, target in enumerate(delivery.targets):
            values = (target.id, alert_id, place, target.kind, target.url, target.secret)
            self._run("INSERT INTO alert_targets VALUES (?, ?, ?, ?, ?, ?)", values)
        self._run(
            "DELETE FROM alert_outbox WHERE alert_id = ?1 AND state != 'delivered'"
            " AND target_id NOT IN (SELECT id FROM alert_targets WHERE alert_id = ?1)",
            (alert_id,),
        )

    def claim(
        self, now: int, until: int, room: Callable[[str, str, bool], tuple[int, int]], limit: int
    ) -> list[Message]:
        """Take what is due for sending, tests first; nobody else is given it before ``until``.

        ``room`` is how many more messages may go now to a receiver (of :class:`Target`) and to a target, by these two
        and whether they are tests.
        """
        entry = (
            "SELECT o.number, o.alert_id, o.digest, o.attempts, o.first_event, o.last_event, t.id, t.kind, t.url,"
            " t.secret FROM"
        )
        due = "o.state = 'waiting' AND o.due_at <= ?1 AND o.claimed_until <= ?1"
        tests = (
            f"{entry} alert_events e CROSS JOIN alert_targets t ON t.alert_id = e.alert_id CROSS JOIN alert_outbox o"
            f" ON o.target_id = t.id AND o.first_event = e.number WHERE e.kind = 'test' AND e.created_at > ?2 AND {due}"
        )
        others = (
            f"{entry} alert_outbox o JOIN alert_targets t ON t.id = o.target_id WHERE {due}"
            f" AND o.target_id NOT IN (SELECT value FROM json_each(?2)) ORDER BY o.due_at LIMIT {_LOOKED_AT}"
        )
        claimed: list[Message] = []
        taken: Counter[str] = Counter()
        with guarded(self._path), transaction(self._connection):
            receivers = {one.id: one.receiver for one in self._targets()}
            full = [id_ for id_, receiver in receivers.items() if min(room(receiver, id_, False)) <= 0]
            found = [(row, True) for row in self._all(tests, (now, now - _TEST_MS))]
            found += [(row, False) for row in self._all(others, (now, json.dumps(full)))]
            for (number, alert_id, digest, attempts, first, last, *target), is_test in found:
                receiver = receivers[target[0]]
                known = any(message.number == number for message in claimed)
                most, of_target = room(receiver, target[0], is_test)
                if len(claimed) >= limit or known or taken[receiver] >= most or taken[target[0]] >= of_target:
                    continue
                taken.update((receiver, target[0]))
                self._run("UPDATE alert_outbox SET claimed_until = ? WHERE number = ?", (until, number))
                events = self._events_of(alert_id, first, last)
                counts = dict(self._all(
                    "SELECT kind, count(*) FROM alert_events WHERE alert_id = ? AND number BETWEEN ? AND ? GROUP BY 1",
                    (alert_id, first, last),
                )) if digest else {}  # fmt: skip
                claimed.append(Message(
                    number, alert_id, Target(*target), bool(digest), attempts, events,
                    counts.get("matched", 0), counts.get("retracted", 0),
                ))  # fmt: skip
        return claimed

    def _targets(self) -> list[Target]:
        return [Target(*row) for row in self._all("SELECT id, kind, url FROM alert_targets")]

    def _events_of(self, alert_id: str, first: int, last: int) -> tuple[AlertEvent, ...]:
        sql = (
            f"SELECT {_EVENT} FROM alert_events WHERE alert_id = ? AND number BETWEEN ? AND ?"
            " AND (kind != 'test' OR number = ?) ORDER BY number LIMIT ?"
        )
        return tuple(AlertEvent(*row) for row in self._all(sql, (alert_id, first, last, first, _SHOWN_OF_DIGEST)))

    def next_due(self) -> int | None:
        """When the next entry of the outbox is due, claimed or not."""
        sql = "SELECT min(max(due_at, claimed_until)) FROM alert_outbox WHERE state = 'waiting'"
        found: int | None = self._all(sql)[0][0]
        return found

    def delivered(self, number: int, now: int) -> None:
        """An entry reached its target."""
        sql = "UPDATE alert_outbox SET state = 'delivered', done_at = ?, attempts = attempts + 1 WHERE number = ?"
        self._run(f"{sql} AND state != 'delivered'", (now, number))

    def failed(self, number: int, problem: str, due_at: int | None, now: int) -> None:
        """An entry did not: it is tried again at ``due_at``, and never by itself where that is None."""
        state, done, due = ("dead", now, now) if due_at is None else ("waiting", None, due_at)
        sql = (
            "UPDATE alert_outbox SET state = ?, done_at = ?, due_at = ?, problem = ?, attempts = attempts + 1,"
            " claimed_until = 0 WHERE number = ? AND state = 'waiting'"
        )
        self._run(sql, (state, done, due, problem, number))

    def send_again(self, alert_id: str, now: int) -> int:
        """Put what could not be delivered of an alert into the outbox again: how many entries."""
        sql = (
            "UPDATE alert_outbox SET state = 'waiting', done_at = NULL, created_at = ?1, due_at = ?1, attempts = 0,"
            " claimed_until = 0 WHERE alert_id = ?2 AND state = 'dead'"
        )
        return self._run(sql, (now, alert_id))

    # -- history

    def page(self, alert_id: str, before: int, limit: int) -> list[AlertEvent]:
        """Events of an alert numbered below ``before``, newest first."""
        sql = f"SELECT {_EVENT} FROM alert_events WHERE alert_id = ? AND number < ? ORDER BY number DESC LIMIT ?"
        return [AlertEvent(*row) for row in self._all(sql, (alert_id, before, limit))]

    def after(self, number: int, alert_id: str, limit: int) -> list[AlertEvent]:
        """Events numbered above ``number``, oldest first; of one alert where it is named."""
        sql = f"SELECT {_EVENT} FROM alert_events WHERE number > ? {'AND alert_id = ?' if alert_id else ''}"
        values = (number, alert_id, limit) if alert_id else (number, limit)
        return [AlertEvent(*row) for row in self._all(f"{sql} ORDER BY number LIMIT ?", values)]

    def count(self, alert_id: str) -> int:
        """How many events of an alert there are."""
        return int(self._all("SELECT count(*) FROM alert_events WHERE alert_id = ?", (alert_id,))[0][0])

    def newest(self) -> int:
        """The number of the last event ever stored; 0 before any."""
        found = self._all("SELECT seq FROM sqlite_sequence WHERE name = 'alert_events'")
        return int(found[0][0]) if found else 0

    def oldest(self) -> int:
        """The number of the oldest event that is still there; one after the newest where none is."""
        found = self._all("SELECT min(number) FROM alert_events")[0][0]
        return self.newest() + 1 if found is None else int(found)

    def sendings(self, alert_id: str, first: int, last: int) -> list[Sending]:
        """Entries of the outbox that hold any event of an alert from ``first`` to ``last``."""
        sql = (
            f"SELECT {_SENDING} FROM alert_outbox WHERE alert_id = ? AND last_event >= ? AND first_event <= ?"
            " ORDER BY number"
        )
        return [
            Sending(number, target, kind, bool(digest), *rest)
            for number, target, kind, digest, *rest in self._all(sql, (alert_id, first, last))
        ]

    def outbox(self) -> tuple[dict[str, int], int | None]:
        """How many entries wait and are dead, and when the oldest that waits was made; digests wait by intention."""
        of = "SELECT count(*), min(iif(digest, NULL, created_at)) FROM alert_outbox WHERE state = "
        ((waiting, oldest),), ((dead, _),) = self._all(f"{of}'waiting'"), self._all(f"{of}'dead'")
        return {"waiting": waiting, "dead": dead}, oldest

    def put_aside(self, created_before: int, held: Collection[str], problem: str, now: int) -> int:
        """Send no more by itself what waits since before a time for one of some targets or receivers; how many, digests
        left out.
        """
        ids = [one.id for one in self._targets() if one.id in held or one.receiver in held]
        sql = (
            "UPDATE alert_outbox SET state = 'dead', done_at = ?1, problem = ?2 WHERE state = 'waiting' AND digest = 0"
            " AND created_at < ?3 AND due_at <= ?1 AND claimed_until <= ?1"
            " AND target_id IN (SELECT value FROM json_each(?4))"
        )
        return self._run(sql, (now, problem, created_before, json.dumps(ids)))

    def forget(self, before: int, limit: int) -> int:
        """Remove up to ``limit`` events stored before a time, and what was sent of them, oldest first: how many events.

        Those with an entry that waits are kept.
        """
        with guarded(self._path), transaction(self._connection):
            gone = self._run(
                "DELETE FROM alert_events WHERE number IN (SELECT number FROM alert_events e WHERE created_at < ?"
                " AND NOT EXISTS (SELECT 1 FROM alert_outbox o WHERE o.state = 'waiting' AND o.alert_id = e.alert_id"
                " AND o.last_event >= e.number AND o.first_event <= e.number) ORDER BY created_at LIMIT ?)",
                (before, limit),
            )
            if gone:
                self._run(
                    "DELETE FROM alert_outbox WHERE state != 'waiting' AND created_at < ? AND NOT EXISTS"
                    " (SELECT 1 FROM alert_events e WHERE e.alert_id = alert_outbox.alert_id"
                    " AND e.number BETWEEN first_event AND last_event)",
                    (before,),
                )
            return gone


def _revision(row: tuple[Any, ...]) -> Revision:
    alert_id, number, since, until, where, cooldown, per, start, end, cap, severity = row
    quiet = None if start is None else (start, end)
    return Revision(alert_id, number, since, until, where, Terms(cooldown, per, quiet, cap, severity))
