"""A seeded share of ``python -m drills streams``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drills import streams


def test_each_subscriber_receives_what_its_filter_means_once_and_in_order(tmp_path: Path) -> None:
    found = asyncio.run(streams.drill(tmp_path, clients=20, prints=400, seconds=2, restarts=1, seed=4))
    assert found.wrong == {}
    assert found.connections > found.clients
    assert min(found.events, found.left, found.cancels, found.snapshots) > 0


def test_a_subscriber_that_forgets_an_event_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(*args: Any) -> list[Any]:
        subscribers = args[2]
        most = max(subscribers, key=lambda one: len(one.told))
        assert len(most.told) > 2
        most.told.pop()
        most.told[0], most.told[1] = most.told[1], most.told[0]
        hold(*args)
        return []

    hold = streams._hold
    monkeypatch.setattr(streams, "_hold", forgetful)
    said: list[str] = []
    drill = streams.drill(tmp_path, clients=12, prints=200, seconds=0.5, restarts=0, seed=5, tell=said.append)
    assert set(asyncio.run(drill).wrong) == {"lost", "disordered"}
    (told,) = said
    assert ": lost [(" in told
    assert told.endswith(", extra []")
