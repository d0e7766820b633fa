"""A seeded share of ``python -m drills alerts``, and that it sees what goes wrong."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from drills import alerts


@pytest.mark.timeout(600)
def test_each_event_is_delivered_and_none_invented_whatever_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: dict[str, dict[str, int]] = {}

    def held(found: alerts.Figures, *rest: Any) -> None:
        *before, seen = rest
        hold(found, *before, seen)
        for what, spoil in SPOILT.items():
            worse, figures = deepcopy(seen), alerts.Figures(found.alerts)
            spoil(max((one for one in worse.values() if one.taken), key=lambda one: len(one.taken)))
            hold(figures, *before, worse)
            again[what] = figures.wrong

    hold = alerts.hold
    monkeypatch.setattr(alerts, "hold", held)
    found = asyncio.run(alerts.drill(tmp_path, alerts=25, prints=400, seconds=2, kills=2, seed=2, changes=3))
    assert found.wrong == {}
    assert found.kills == 2
    assert min(found.events, found.silent, found.sent, found.cancels) > 0
    assert again == {
        "lost": {"not_delivered": 1}, "invented": {"delivered_unasked": 1}, "other seq": {"bodies_unlike": 1},
    }  # fmt: skip


def lose(seen: Any) -> None:
    seen.taken.remove(min(seen.taken))


def invent(seen: Any) -> None:
    seen.bodies["evt_other"] = next(iter(seen.bodies.values()))


def change(seen: Any) -> None:
    seen.bodies[min(seen.bodies)]["seq"] += 1


SPOILT = {"lost": lose, "invented": invent, "other seq": change}
