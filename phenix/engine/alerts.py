"""What saved alerts raise on the rows of the log: a function of the log alone.

Every time that counts is a row's: of a print, in New York for the quiet hours, its session date for the daily cap.
So the same rows raise the same events under the same ids, whenever they are judged and however often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from phenix.dsl import nodes as n
from phenix.dsl.parser import parse_file
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.flow import INDEX, Row
from phenix.engine.groups import Groups
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.store.alerts import DAILY_CAP, AlertEvent, Delivery, Revision, Terms, event_id
from phenix.engine.watch import Batch, Kind, Watch, WatchKey

__all__ = ["Judge", "Verdict", "contract_key", "is_quiet", "terms_of"]

_SEQ, _TS, _ID, _ET = INDEX["seq"], INDEX["trade_ts_utc"], INDEX["trade_id"], INDEX["trade_ts_et"]
_SYMBOL, _DATE = INDEX["symbol"], INDEX["session_date"]
_CONTRACT: Final = tuple(INDEX[name] for name in ("root", "expiration", "strike", "right"))
_MINUTE: Final = 60_000
_DAY: Final = 86_400_000

Originals = Callable[[int, int], Iterable[AlertEvent]]
"""The matches stored of a row, by its key."""
Encode = Callable[[Row, int], str]


def terms_of(statement: str, delivery: Delivery) -> Terms:
    """When an alert speaks: as it was asked for beside its filter, else as its statement says ("" says nothing)."""
    cooldown, per, severity = 0, "contract", ""
    if statement:
        (node,), _ = parse_file(Source("statement", statement))
        assert isinstance(node, n.AlertStatement)
        cooldown, per, severity = int(node.cooldown.value) if node.cooldown else 0, node.per, node.meta.severity
    return Terms(
        cooldown if delivery.cooldown_ms is None else delivery.cooldown_ms,
        delivery.per or per,  # type: ignore[arg-type] # the statement's is one of the two
        delivery.quiet,
        delivery.daily_cap or DAILY_CAP,
        severity,
    )


def contract_key(row: Row) -> str:
    """The contract of a row, as a cooldown knows it."""
    return " ".join(str(row[at]) for at in _CONTRACT)


def is_quiet(row: Row, quiet: tuple[int, int] | None) -> bool:
    """Whether a row's trade was in the quiet minutes of the New York day."""
    if quiet is None:
        return False
    minute, (start, end) = row[_ET] % _DAY // _MINUTE, quiet
    return bool(start <= minute < end if start <= end else minute >= start or minute < end)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a batch raised, in the order of its rows, and what that leaves to remember once it is stored."""

    batch: Batch
    events: tuple[AlertEvent, ...] = ()
    latest: Mapping[tuple[str, str], int] = field(default_factory=dict)
    counts: Mapping[tuple[str, int], int] = field(default_factory=dict)


class Judge:
    """Judges batches of the log one after the other; nothing it returned counts before it is told so.

    Filters are matched as the rules that tagged the rows understand them. One that these do not know raises nothing on
    them: ``unknown`` names such alerts.
    """

    def __init__(self) -> None:
        self._groups = Groups()
        self._revisions: dict[tuple[str, int], Revision] = {}
        self._bundle: Bundle | None = None
        self._watches: dict[tuple[str, int], Watch] = {}
        self._users: dict[WatchKey, list[Revision]] = {}
        self._latest: dict[tuple[str, str], int] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self.unknown: set[str] = set()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to match."""
        return not self._revisions

    def remember(self, latest: Iterable[tuple[str, str, int]], counts: Iterable[tuple[str, int, int]]) -> None:
        """What else was stored: the latest row time by alert and cooldown key, events by alert and session date."""
        for alert, key, ts in latest:
            self._latest[alert, key] = max(ts, self._latest.get((alert, key), ts))
        for alert, date, count in counts:
            self._counts[alert, date] = self._counts.get((alert, date), 0) + count

    def take(self, revisions: Iterable[Revision]) -> None:
        """Judge by these, and no others, from here on."""
        wanted = {(one.alert_id, one.number): one for one in revisions}
        for name in self._revisions.keys() - wanted.keys():
            self._leave(name)
        same = {name for name, one in wanted.items() if name in self._watches}
        self._revisions = wanted
        if self._bundle is not None:
            for name in wanted.keys() - same:
                self._join(name, self._bundle)
        self._list_users()

    def judge(self, batch: Batch, bundle: Bundle, encode: Encode, originals: Originals) -> Verdict:
        """What the rows of a batch raise; ``bundle`` is the rule version that tagged them."""
        if not batch.steps:
            return Verdict(batch)
        self._under(bundle)
        self._groups.match(batch)
        found: list[tuple[int, Revision, Row]] = []
        days = {row[_DATE] for row in (*batch.rows, *batch.taken_back)}
        for revisions in self._users.values():
            if len(days) == 1 and not self._may_speak(revisions, *days):
                continue
            watch = self._watches[revisions[0].alert_id, revisions[0].number]
            for event in batch.events(watch):
                if event.kind is Kind.UPDATED:
                    found += [
                        (event.seq, one, event.row) for one in revisions
                        if one.since < event.seq and (one.until is None or event.seq <= one.until)
                    ]  # fmt: skip
        found.sort(key=lambda one: (one[0], one[1].alert_id, one[1].number))
        return self._spoken(batch, found, encode, originals)

    def accept(self, verdict: Verdict) -> None:
        """What was judged is stored."""
        self._latest.update(verdict.latest)
        self._counts.update(verdict.counts)

    def _spoken(
        self, batch: Batch, found: list[tuple[int, Revision, Row]], encode: Encode, originals: Originals
    ) -> Verdict:
        latest: dict[tuple[str, str], int] = {}
        counts: dict[tuple[str, int], int] = {}
        events: list[AlertEvent] = []
        at, contract, text = 0, "", ""
        for seq, revision, row in found:
            alert, terms, day = revision.alert_id, revision.terms, row[_DATE]
            count = counts.get((alert, day), self._counts.get((alert, day), 0))
            if count >= terms.daily_cap or is_quiet(row, terms.quiet):
                continue
            if seq != at:  # what all events of a row share
                at, contract, text = seq, contract_key(row), ""
            key, ts = contract if terms.per == "contract" else str(row[_SYMBOL]), row[_TS]
            last = latest.get((alert, key), self._latest.get((alert, key)))
            if terms.cooldown_ms and last is not None and ts - last < terms.cooldown_ms:
                continue
            latest[alert, key] = ts if last is None else max(ts, last)
            counts[alert, day] = count + 1
            text = text or encode(row, seq)
            id_ = event_id(alert, revision.number, ts, row[_ID])
            events.append(AlertEvent(
                id_, "matched", alert, revision.number, seq, ts, row[_ID], key, day, terms.severity, text,
            ))  # fmt: skip
        return Verdict(batch, tuple(_with_retractions(batch, events, encode, originals)), latest, counts)

    def _may_speak(self, revisions: Iterable[Revision], day: int) -> bool:
        """Whether any of them has events left of a session date."""
        return any(self._counts.get((one.alert_id, day), 0) < one.terms.daily_cap for one in revisions)

    # -- filters under rule versions

    def _under(self, bundle: Bundle) -> None:
        if self._bundle is not None and self._bundle.version == bundle.version:
            return
        for name in list(self._watches):
            self._leave(name)
        self._bundle = bundle
        self.unknown.clear()
        for name in self._revisions:
            self._join(name, bundle)
        self._list_users()
        self._groups.settle()

    def _join(self, name: tuple[str, int], bundle: Bundle) -> None:
        where = self._revisions[name].where
        predicate = compile_predicate([("where", where)] if where else [], bundle)
        if not isinstance(predicate, Predicate):
            self.unknown.add(name[0])
            return
        self._watches[name] = Watch(predicate)
        self._groups.join(self._watches[name])

    def _leave(self, name: tuple[str, int]) -> None:
        self.unknown.discard(name[0])
        if (watch := self._watches.pop(name, None)) is not None:
            self._groups.leave(watch)

    def _list_users(self) -> None:
        self._users = {}
        for name, watch in self._watches.items():
            self._users.setdefault(watch.key, []).append(self._revisions[name])


def _with_retractions(
    batch: Batch, events: list[AlertEvent], encode: Encode, originals: Originals
) -> Iterable[AlertEvent]:
    """The events, and at the seq of each cancel the taking back of what its original raised before."""
    taken: list[AlertEvent] = []
    for step in batch.steps:
        if (row := step.original) is None:
            continue
        here = [one for one in events if (one.row_ts, one.row_id) == (row[_TS], row[_ID]) and one.seq < step.seq]
        known = {one.id: one for one in (*originals(row[_TS], row[_ID]), *here) if one.seq < step.seq}
        taken += [
            replace(one, kind="retracted", seq=step.seq, row_json=encode(row, step.seq)) for one in known.values()
        ]
    return sorted((*events, *taken), key=lambda one: one.seq) if taken else events
