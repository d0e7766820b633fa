"""A seeded share of ``python -m drills same_rows``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drills import same_rows
from phenix.engine.live.search import Search


def test_a_filter_gives_the_same_rows_whoever_answers(tmp_path: Path) -> None:
    assert asyncio.run(same_rows.drill(tmp_path, filters=12, prints=2_000, seed=5)) == []


def test_a_search_that_forgets_a_row_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_field = Search.by_field
    monkeypatch.setattr(Search, "by_field", lambda self, *args, **more: by_field(self, *args, **more)[:-1])
    different = asyncio.run(same_rows.drill(tmp_path, filters=8, prints=1_000, seed=6))
    assert {one.who for one in different} == {"memory"}
    days = {one.order.partition(" of ")[2] for one in different}
    assert days >= {"20261119", "20261120"}, "of each session alone"
