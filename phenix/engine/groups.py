"""Watches matched together: each batch of the log once for all subscribers, through what their filters share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from phenix.engine.blocks import Block
from phenix.engine.many import Layout, Many
from phenix.engine.watch import Batch, Event, Kind, Watch, WatchKey

__all__ = ["Groups"]

_LEAST: Final = 16
"""Fewer watches than this are quicker matched each alone, row by row."""
_REST_S: Final = 0.2
"""Between two layouts, so that many who come one by one cost a few."""
_BEFORE: Final = 0
"""As of before every cancel: what a print is at its own seq, for its cancel can only be later."""
_AFTER: Final = 2**62
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Group:
    """Watches of one rule version, laid out."""

    watches: Mapping[WatchKey, Watch]
    layout: Layout[WatchKey]


class Groups:
    """The watches of all subscribers. Equal ones are one; those not laid out yet are matched alone meanwhile.

    One that is laid out stays so for a while when its last subscriber leaves: most of those come back.
    Layouts are made on a thread of their own, so that neither those who come nor the tail wait for one.
    """

    def __init__(self, *, least: int = _LEAST) -> None:
        self._least = least
        self._lock = threading.Lock()
        self._users: dict[WatchKey, tuple[Watch, int]] = {}
        self._many: dict[str, Many[WatchKey]] = {}
        self._groups: tuple[_Group, ...] = ()
        self._laid: frozenset[WatchKey] = frozenset()
        self._changed = False
        self._rested = 0.0
        self._thread: threading.Thread | None = None

    def join(self, watch: Watch) -> None:
        """One more subscriber of a watch."""
        with self._lock:
            _, users = self._users.get(watch.key, (watch, 0))
            self._users[watch.key] = (watch, users + 1)
            self._changed = self._changed or watch.key not in self._laid

    def leave(self, watch: Watch) -> None:
        """One less."""
        with self._lock:
            _, users = self._users[watch.key]
            if users > 1:
                self._users[watch.key] = (watch, users - 1)
            else:
                del self._users[watch.key]
                self._changed = self._changed or len(self._users) <= len(self._laid) // 2

    def match(self, batch: Batch) -> None:
        """Fill ``batch.matched`` for every watch that is laid out; on the tail's thread."""
        self._see_to_layouts()
        if batch.steps:
            for group in self._groups:
                _match(group, batch)

    def settle(self) -> None:
        """Wait until everything that changed is laid out."""
        while True:
            self._rested = 0.0
            self._see_to_layouts()
            thread = self._thread
            if thread is None:
                return
            thread.join()

    def _see_to_layouts(self) -> None:
        with self._lock:
            if self._thread is not None and not self._thread.is_alive():
                self._thread = None
            if self._thread is None and self._changed and time.monotonic() >= self._rested:
                self._thread = threading.Thread(target=self._lay_out, name="phenix-groups", daemon=True)
                self._thread.start()

    def _lay_out(self) -> None:
        try:
            self._laid_out()
        except Exception:  # the thread's outermost frame: all are matched alone from here on
            _logger.exception("the filters of streams could not be laid out together")
            self._many, self._groups = {}, ()
        self._rested = time.monotonic() + _REST_S

    def _laid_out(self) -> None:
        with self._lock:
            wanted = {key: watch for key, (watch, _) in self._users.items()}
            self._laid = frozenset(wanted)
            self._changed = False
        by_rules: dict[str, dict[WatchKey, Watch]] = {}
        for key, watch in wanted.items():
            by_rules.setdefault(watch.predicate.bundle.version, {})[key] = watch
        many: dict[str, Many[WatchKey]] = {}
        groups = []
        for version, watches in by_rules.items():
            if len(watches) < self._least:
                continue
            bundle = next(iter(watches.values())).predicate.bundle
            one = many[version] = self._many.get(version) or Many(bundle.params, bundle.bits)
            for key in one.keys() - watches.keys():
                one.remove(key)
            for key in watches.keys() - one.keys():
                one.add(key, watches[key].predicate.core)
            groups.append(_Group(watches, one.layout()))
        self._many, self._groups = many, tuple(groups)


def _match(group: _Group, batch: Batch) -> None:
    """What :meth:`Watch.event` says, for all watches and steps at once."""
    steps, watches, matched = batch.steps, group.watches, batch.matched
    plain = [Event(step.seq, Kind.UPDATED, step.row) for step in steps]
    here = group.layout.matches(batch.columns, _BEFORE).by_key()
    matched.update(dict.fromkeys(watches, ()))
    special = [at for at, step in enumerate(steps) if step.special]
    if not special:
        for key, hits in here.items():
            matched[key] = tuple([plain[at] for at in hits])
        return
    taken = [(at, step.original) for at, step in enumerate(steps) if step.original is not None]
    originals = Block.of_rows([original for _, original in taken])
    rails = [
        {key: {taken[hit][0] for hit in hits} for key, hits in group.layout.matches(originals, as_of).by_key().items()}
        for as_of in (_BEFORE, _AFTER)
    ] if taken else [{}, {}]  # fmt: skip
    for key in here.keys() | rails[0].keys() | rails[1].keys():
        hits = here.get(key, [])
        events = {at: plain[at] for at in hits}
        before, after, now = rails[0].get(key, ()), rails[1].get(key, ()), set(hits)
        for at in special:
            event = watches[key].meaning(steps[at], here=at in now, before=at in before, after=at in after)
            events.pop(at, None)
            if event is not None:
                events[at] = event
        matched[key] = tuple(events[at] for at in sorted(events))
