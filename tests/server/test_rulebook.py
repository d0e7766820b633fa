"""The rules a server answers by, looked up by several threads while they change."""

from __future__ import annotations

import threading
from typing import Any

from phenix import app
from phenix.engine.lifecycle import Ask
from phenix.engine.query.request import Refusal
from phenix.engine.rollout import Rollout
from phenix.engine.store.base import Reader
from phenix.engine.store.sqlite import open_reader
from phenix.server.rulebook import Rulebook
from tests.server.rows import Store, other_rules


class Slow:
    """A reader that takes its time over the text of a version."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.asked, self.may_go_on = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def rule_version(self, version: str) -> Any:
        self.asked.set()
        assert self.may_go_on.wait(60)
        return self._reader.rule_version(version)


def test_who_loads_slowly_does_not_put_an_older_version_back(store: Store) -> None:
    """It was active when the loading began; by its end those before it are, which another thread knows already."""
    store.keep(other_rules())
    store.close()
    life, why = app.lifecycle(store.url), Ask("test", "a test", force=True)
    book = Rulebook(store.bundle, Rollout())
    with open_reader(store.path) as first, open_reader(store.path) as second:
        assert book.current(first).bundle.version == store.bundle.version
        assert not isinstance(life.activate(other_rules().version, why), Refusal)
        slow = Slow(first)
        loading = threading.Thread(target=book.current, args=(slow,))
        loading.start()
        assert slow.asked.wait(60)
        assert not isinstance(life.activate(store.bundle.version, why), Refusal)
        asking = threading.Thread(target=book.current, args=(second,))
        asking.start()
        asking.join(1)  # it waits for the first, or would have been done by now
        slow.may_go_on.set()
        loading.join()
        asking.join()
    assert book.active.rules.bundle.version == store.bundle.version
    assert book.active.seq == 0
