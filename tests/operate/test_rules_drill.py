"""A seeded share of ``python -m drills rules``, and that it sees what is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drills import rules
from tests.operate.stores import execute


def test_each_row_has_the_version_of_its_seq_and_one_of_another_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(*args: Any) -> None:
        held.append(args)
        hold(*args)

    held: list[Any] = []
    hold = rules._hold
    monkeypatch.setattr(rules, "_hold", kept)
    found = asyncio.run(rules.drill(tmp_path, changes=12, rate=200, seconds=4, seed=2))
    assert found.wrong == {}
    assert (found.changes, found.of_figures) == (12, 2)
    assert min(found.rows, found.told) > 0
    ((_, store, follower, calm_at, poured_at),) = held
    execute(store, "UPDATE option_trade_enriched SET rule_version = 'another' WHERE seq = 7")
    follower.rules = [(seq, "another") for seq, _ in follower.rules[:1]]
    follower.seqs.pop()
    again = rules.Figures()
    hold(again, store, follower, calm_at, poured_at)
    assert (again.mistagged, again.lost) == (1, 1)
    assert again.untold == again.told + 1
