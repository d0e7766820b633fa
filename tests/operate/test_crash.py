"""Killed, on a full or failing disk, without power: a short seeded share of the drills ``crash`` and ``disk``."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from drills._disks import Fault
from drills._play import Day, uninterrupted
from drills.crash import LINES, Figures, play
from drills.disk import NORMAL, Session, cuts, faults


def test_kills_lose_nothing_double_nothing_and_change_no_row(tmp_path: Path) -> None:
    day, calm = Day(seed=3, symbols=1, prints=1_500), tmp_path / "calm.sqlite"

    async def run() -> list[Figures]:
        await uninterrupted(day, calm)
        kills = {"restart": 2, "continue": 3}
        return await asyncio.gather(
            *(play(tmp_path / f"{line}.sqlite", calm, line, day, kills[line], seed=7) for line in LINES)
        )

    for found in asyncio.run(run()):
        assert found.streamed == found.rows == found.prints > 1_000
        assert found.wrong == {}
        assert (found.line, found.kills) in {("restart", 2), ("continue", 3)}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(tmp_path_factory.mktemp("session"), seed=5)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
def test_a_disk_that_refuses_ends_the_writer_and_the_next_run_goes_on(
    session: Session, fault: Fault, lasting: bool
) -> None:
    found = list(faults(session, fault, lasting=lasting, every=3 if fault is Fault.SYNC else 23))
    assert len(found) > 5
    assert [text for texts in found for text in texts] == []


def test_a_power_cut_loses_nothing_that_was_acknowledged(session: Session) -> None:
    found = list(cuts(session, random.Random(5), every=5))
    assert len(found) > 50
    assert [text for texts in found for text in texts] == []


def test_without_a_sync_at_each_commit_a_power_cut_loses_the_last_ones(session: Session) -> None:
    """Why the store has it; and that the drill's disk forgets."""
    found = [text for texts in cuts(session, random.Random(5), synchronous=NORMAL, every=5) for text in texts]
    assert len(found) > 5
    assert all("acknowledged and lost" in text or "is empty after" in text for text in found)
