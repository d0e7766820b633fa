"""Repeats where prints at the ask have to be told apart."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from phenix.engine.enrich.formulas import ASK, SIDES, Constants
from phenix.engine.enrich.repeats import Reading, Repeats
from phenix.engine.targets.arrays import Column
from tests.enrich.test_formulas import ints


def enter(repeats: Repeats, time: int, above: int, aa_floor: int) -> int:
    """A print of the only contract, on a spread of ten cents; its repeats."""
    reading = Reading(Constants(aa_floor, Fraction(0), packages_are_neutral=True), np.array([above >= aa_floor]))
    touch = Column(np.array([ASK], np.uint8), None, SIDES)
    (found,) = repeats.enter(ints(0), touch, ints(time), ints(above), ints(1_000), [reading])
    return int(found.values[0])


@pytest.mark.parametrize(("gone", "expected"), [(0, 2), (100, 1)])
def test_of_prints_at_one_time_the_one_taken_back_is_gone_under_any_rules(gone: int, expected: int) -> None:
    repeats = Repeats()
    assert [enter(repeats, 5, above, 200) for above in (100, 0)] == [1, 2]
    repeats.remove(0, ASK, 5, gone, 1_000)
    assert enter(repeats, 6, 300, 50) == expected


def test_rules_that_come_back_find_what_came_meanwhile() -> None:
    repeats = Repeats()
    floors = (100, 200, 100, 300, 100)
    assert [enter(repeats, time, 150, floor) for time, floor in enumerate(floors)] == [1, 2, 3, 4, 5]
    assert [enter(repeats, time, above, 100) for time, above in ((9, 50), (3, 100), (180_001, 100))] == [1, 5, 6]
