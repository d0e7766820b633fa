"""A short seeded share of ``python -m drills faults``: what goes wrong at the terminal, and accounts that balance."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from drills.faults import CASES, pair, run
from phenix.ingest.terminal.faults import FAULTS

SHARE = ("abrupt_close", "status_flapping", "broken_frames", "duplicate_frames", "http_429")


def test_every_fault_of_the_table_is_played() -> None:
    played = " ".join(fault for case in CASES for fault in case.faults)
    assert [name for name in FAULTS if name not in played] == []
    assert [case.name for case in CASES if case.name in FAULTS] == list(FAULTS)


def test_what_was_sent_is_stored_kept_as_a_letter_or_in_a_gap() -> None:
    # how long things take is the drill's to say: this machine may be busy
    chosen = [*(case for case in CASES if case.name in SHARE), pair(random.Random(2))]
    patient = {"seconds": 10.0, "back_s": 60.0, "filled_s": 60.0, "wider_s": 60.0, "settle_s": 2.5}
    cases = [replace(case, **patient) for case in chosen]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(run, cases))
    assert [(it.case.name, it.problems) for it in outcomes] == [(case.name, []) for case in cases]
    by_name = {it.case.name: it for it in outcomes}
    assert by_name["broken_frames"].letters > 100
    assert by_name["duplicate_frames"].figures.duplicates > 400
    assert by_name["abrupt_close"].figures.connections == 3
    assert by_name["http_429"].starts == 3
