"""A short share of ``python -m drills days``: sessions on both sides of what a calendar does to them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drills.days import SCENARIOS, Scenario, run_scenario

SEED = 7


@pytest.mark.parametrize("scenario", SCENARIOS[:3], ids=[scenario.name for scenario in SCENARIOS[:3]])
def test_a_simulated_day_holds(tmp_path: Path, scenario: Scenario) -> None:
    outcome = asyncio.run(run_scenario(scenario, tmp_path, seed=SEED, symbols=1, prints=300))
    assert dict(+outcome.wrong) == {}
    assert outcome.rows > 500
    assert outcome.held > 8 * outcome.rows
