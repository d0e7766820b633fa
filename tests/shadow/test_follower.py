"""The candidate beside the active version, live: what it counts is what two full evaluations of the session say."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest

from phenix import app
from phenix.dsl.source import Source
from phenix.dsl.types import Value
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.encode import row_id
from phenix.engine.enrich.enricher import Enricher
from phenix.engine.flow import INDEX, RAW, STORED
from phenix.engine.shadow.bands import Bands
from phenix.engine.shadow.comparisons import Comparisons
from phenix.engine.shadow.counts import IDS, SCORE_SCALE, ChipCounts, Counts
from phenix.engine.shadow.follower import Follower
from phenix.engine.shadow.report import artifacts_of
from phenix.engine.store.base import Batch, RuleVersion, Writer
from phenix.engine.store.shadow import Comparison, comparisons
from phenix.engine.store.sqlite import open_reader, open_writer
from phenix.engine.store.sqlite_shadow import set_candidate
from phenix.engine.tagger import by_reference
from phenix.engine.tagging import Tagging
from phenix.engine.targets.reference import evaluate
from phenix.ingest.recorder import Recorder
from tests.enrich.prints import CALENDAR
from tests.enrich.test_batches import morning
from tests.ingest.files import TAPES, run_import, tape_sources

ROOT = Path(__file__).parents[2]
EDITS = {
    "thresholds": (
        ("whales_min: money = 500k", "whales_min: money = 50k"),
        ("size >= $block_size_min", "size >= 3"),
        ("execution = floor\n", "execution = floor or cancelled\n"),
    ),
    "new chips and a lost one": (
        ('chip floor "Floor"', 'chip tardy "Tardy" group execution = late\n  doc "Late."\nchip pit "Pit"'),
        ("for @floor", "for @pit"),
    ),
    "other bits": (
        ('chip calls "Calls"', 'chip tardy "Tardy" group execution = late\n  doc "Late."\nchip calls "Calls"'),
    ),
    "the score": (("0.35 * value_pctile", "0.30 * value_pctile"),),
    "what makes a fill AA": (("aa_floor: money = $0.01", "aa_floor: money = $0.05"),),
    "what packages say": (("packages_are_neutral: bool = true", "packages_are_neutral: bool = false"),),
}
"""How candidates differ from the packaged rules, in texts of these."""


def edited(*changes: tuple[str, str]) -> list[Source]:
    sources, done = read_rules(), Counter[str]()
    for old, new in changes:
        for place, source in enumerate(sources):
            if old in source.text:
                done[old] += 1
                sources[place] = Source(source.name, source.text.replace(old, new))
    assert sorted(done.values()) == [1] * len(changes), done
    return sources


@cache
def packaged() -> Bundle:
    return app.packaged_bundle()


@cache
def candidate_of(edit: str) -> Bundle:
    bundle, found = compile_bundle(edited(*EDITS[edit]), None if edit == "other bits" else packaged().bits)
    assert bundle is not None, found
    return bundle


def version(bundle: Bundle) -> RuleVersion:
    return RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)


def bundles_of(*bundles: Bundle) -> Any:
    return {bundle.version: bundle for bundle in bundles}.get


# -- the other way: every row of a session enriched and evaluated by the reference interpreter, under either version

Row = Sequence[Any]


def evaluated(bundle: Bundle, raws: Sequence[Row]) -> list[tuple[dict[str, Value], Value]]:
    """Of each row the chips three-valued, and the score, by the definition of the language."""
    enricher = Enricher(CALENDAR, Tagging(bundle), lambda _date, _before, _after: (), lambda: 0)
    found = []
    chips_of = {chip.id: chip.core for chip in bundle.chips}
    for raw, more in zip(raws, enricher.enrich([tuple(raw) for raw in raws]).rows, strict=True):
        row = dict(zip((field.name for field in STORED), (*raw, *more), strict=True))
        row |= {"time_et": row["trade_ts_et"] % 86_400_000, "cancelled": False}
        row |= {"sig_score": None, "score_quality": "partial"}
        score = evaluate(bundle.score.core, row.__getitem__, bundle.params, {}.get) if bundle.score else None
        row |= {"sig_score": score, "score_quality": "partial" if score is None else "complete"}
        chips: dict[str, Value] = {}
        for chip in by_reference(bundle.chips):
            chipless = row["cancel_record"] or row["compression"]
            answer = evaluate(chips_of[chip.id], row.__getitem__, bundle.params, chips.__getitem__)
            chips[chip.id] = False if chipless else answer
        found.append((chips, score))
    return found


def expected(active: Bundle, other: Bundle, raws: Sequence[Row]) -> Counts:
    """What two full evaluations of a session's rows say, counted plainly."""
    counts = Counts()
    has = [{chip.id for chip in bundle.chips} for bundle in (active, other)]
    for id_ in [chip.id for chip in active.chips] + [chip.id for chip in other.chips if chip.id not in has[0]]:
        counts.chips[id_] = ChipCounts(id_ in has[0], id_ in has[1])
    for raw, (old, was), (new, is_) in zip(raws, evaluated(active, raws), evaluated(other, raws), strict=True):
        cell = dict(zip((field.name for field in RAW), raw, strict=True))
        id_, symbol = row_id(cell["trade_ts_utc"], cell["trade_id"]), cell["symbol"]
        counts.rows += 1
        changed = False
        for name, chip in counts.chips.items():
            before, after = old.get(name) is True, new.get(name) is True
            chip.old += before
            chip.new += after
            chip.old_unknown += name in old and old[name] is None
            chip.new_unknown += name in new and new[name] is None
            if before != after:
                changed = True
                chip.symbols[symbol] += 1
                ids = chip.added_ids if after else chip.removed_ids
                ids += [id_] if len(ids) < IDS else []
                chip.added += after
                chip.removed += before
        counts.changed += changed
        for line in (
            counts.symbols.setdefault(symbol, [0, 0]),
            counts.times.setdefault(cell["trade_ts_et"] % 86_400_000 // 900_000 * 900_000, [0, 0]),
        ):
            line[0] += 1
            line[1] += changed
        scores = counts.scores
        if was is not None and is_ is not None:
            apart = abs(float(was) - float(is_))
            scores.compared += 1
            scores.changed += apart > 0
            scores.sum += round(apart * SCORE_SCALE)
            scores.largest = max(scores.largest, round(apart * SCORE_SCALE))
        else:
            scores.changed += (was is None) != (is_ is None)
    return counts


def exact(counts: Counts) -> dict[str, Any]:
    """The counts without the time that was taken."""
    return {name: getattr(counts, name) for name in ("rows", "changed", "chips", "symbols", "times", "scores")}


# -- a store that is fed


class KilledError(Exception):
    """The process is gone."""


class Dying:
    """The writer of a process that is killed at a call, before what it does or after."""

    def __init__(self, writer: Writer, calls: int, after: bool) -> None:
        self._writer = writer
        self._calls = calls
        self._after = after
        self.reads = writer.reads

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._writer, name)

        def counted(*args: Any, **more: Any) -> Any:
            self._calls -= 1
            if self._calls == 0 and not self._after:
                raise KilledError
            found = call(*args, **more)
            if self._calls == 0:
                raise KilledError
            return found

        return counted


def recorder(writer: Any, active: Bundle, other: Bundle, **how: Any) -> Recorder:
    """A process that starts: its recorder."""
    enricher = Enricher(CALENDAR, Tagging(active), writer.reads.session_raw, lambda: 0)
    follower = Follower(writer, bundles_of(active, other), CALENDAR, lambda: 7, **{"save_rows": 150, **how})
    return Recorder(writer, enricher, beside=follower)


def new_store(folder: Path, *bundles: Bundle) -> Path:
    store = folder / "flow.sqlite"
    with open_writer(store) as writer:
        writer.put_rule_version(version(bundles[0]), activate=True, now_utc=1)
    # The others as an older Phenix stored them: their chips may have the bits of other chips.
    sql = "INSERT INTO filter_rule_versions VALUES (?, ?, ?, 0, 1, NULL, NULL)"
    with closing(apsw.Connection(str(store))) as connection:
        connection.executemany(sql, [(one.version, one.config_json, one.checksum) for one in bundles[1:]])
    return store


def feed(store: Path, raws: Sequence[Row], active: Bundle, other: Bundle, rng: random.Random, calls: int = 25) -> None:
    """Store rows in batches of any size; the process dies at one of its first calls, and another goes on."""
    while True:
        with open_writer(store) as writer:
            dying = Dying(writer, rng.randrange(1, calls), rng.random() < 0.5)
            try:
                take(dying, raws, active, other, rng)
            except KilledError:
                continue
            return


def take(writer: Any, raws: Sequence[Row], active: Bundle, other: Bundle, rng: random.Random) -> None:
    """What a process does until the end."""
    taking = recorder(writer, active, other, gather_rows=rng.choice((1, 40, 400)), page=rng.choice((50, 10_000)))
    taking.catch_up()
    while (fed := writer.reads.raw_watermark()) < len(raws):
        taking.record(Batch(rows=raws[fed : fed + rng.choice((1, 7, 60, 200))]))
    taking.finish(level=True)


def counted(store: Path) -> dict[int, tuple[Comparison, Counts]]:
    with open_reader(store) as reader:
        return {one.session_date: (one, Counts.from_json(one.counts)) for one in comparisons(reader)}


def by_date(raws: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for seq, raw in enumerate(raws, 1):
        found.setdefault(raw[INDEX["session_date"]], []).append((seq, *raw[1:]))
    return found


def agree(store: Path, raws: Sequence[Row], active: Bundle, other: Bundle) -> None:
    """Each session is counted whole, as two full evaluations say."""
    found, sessions = counted(store), by_date(raws)
    assert found.keys() == sessions.keys()
    for date, rows in sessions.items():
        one, counts = found[date]
        assert (one.rows, one.missed, one.upto_seq) == (len(rows), 0, rows[-1][0])
        assert exact(counts) == exact(expected(active, other, rows))


@pytest.mark.parametrize("edit", EDITS)
def test_counts_are_those_of_two_full_evaluations_whatever_dies(tmp_path: Path, edit: str) -> None:
    active, other, raws = packaged(), candidate_of(edit), morning(1_500, 5)
    store = new_store(tmp_path, active, other)
    set_candidate(store, other.version)
    feed(store, raws, active, other, random.Random(edit))
    agree(store, raws, active, other)
    moved = {id_ for _, counts in counted(store).values() for id_, chip in counts.chips.items() if chip.symbols}
    assert moved >= {
        "thresholds": {"whales", "blocks"}, "new chips and a lost one": {"tardy"}, "other bits": {"tardy"},
        "the score": set(), "what makes a fill AA": {"aa", "ask"}, "what packages say": {"bullflow"},
    }[edit]  # fmt: skip


@pytest.mark.parametrize(("symbol", "date", "tape"), TAPES, ids=[symbol for symbol, _, _ in TAPES])
def test_a_real_session_is_counted_as_two_full_evaluations_count_it(
    tmp_path: Path, symbol: str, date: str, tape: Any
) -> None:
    active, other = packaged(), candidate_of("thresholds")
    store = new_store(tmp_path, active, other)
    set_candidate(store, other.version)
    run_import(store, tape_sources(tape))
    with open_reader(store) as reader:
        raws = reader.raw_rows(0, 10_000)
    agree(store, raws, active, other)


@pytest.mark.parametrize("edit", ["thresholds", "what makes a fill AA"])
def test_a_candidate_named_in_the_middle_is_compared_from_the_beginning_of_the_session(
    tmp_path: Path, edit: str
) -> None:
    active, other, raws = packaged(), candidate_of(edit), morning(3_000, 6)
    store = new_store(tmp_path, active, other)
    with open_writer(store) as writer:
        taking = recorder(writer, active, other)
        for start in range(0, len(raws), 100):
            if start == 2_000:
                set_candidate(store, other.version)
            taking.record(Batch(rows=raws[start : start + 100]))
        taking.finish(level=True)
    date, rows = max(by_date(raws).items())
    found = counted(store)
    assert (found[date][0].rows, found[date][0].missed) == (len(rows), 0)
    assert exact(found[date][1]) == exact(expected(active, other, rows))
    # Of the day before only what came after the latest one began: it is known not to be whole.
    before, earlier = min(by_date(raws).items())
    if before != date:
        since = next(row[0] for row in rows)
        late = [row for row in earlier if row[0] > since]
        assert (found[before][0].rows, found[before][0].missed) == (len(late), len(earlier) - len(late))


def test_another_active_version_begins_another_comparison(tmp_path: Path) -> None:
    first, second, other = packaged(), candidate_of("what makes a fill AA"), candidate_of("thresholds")
    raws = [row for row in morning(900, 7) if row[INDEX["session_date"]] == 20260817]
    store = new_store(tmp_path, first, second, other)
    set_candidate(store, other.version)
    with open_writer(store) as writer:
        follower = Follower(writer, bundles_of(first, second, other), CALENDAR, lambda: 7, gather_rows=200)
        enricher = Enricher(CALENDAR, Tagging(first), writer.reads.session_raw, lambda: 0)
        taking = Recorder(writer, enricher, beside=follower)
        taking.record(Batch(rows=raws[:300]))
        taking.record(Batch(rows=raws[300:350]))
        enricher.activate(Tagging(second))
        taking.record(Batch(rows=raws[350:500]))
        enricher.activate(Tagging(first))
        taking.record(Batch(rows=raws[500:]))
        enricher.activate(Tagging(other))  # the candidate itself: there is nothing to compare
        taking.record(Batch(rows=morning(1, 8)))
        taking.finish(level=True)
    with open_reader(store) as reader:
        found = {one.active: one for one in comparisons(reader)}
    rows = len(raws)
    assert {one: (found[one].rows, found[one].missed) for one in found} == {
        first.version: (rows - 150, 151), second.version: (150, rows - 149),
    }  # fmt: skip
    numbered = by_date(raws)[20260817]
    old, new = evaluated(first, numbered), evaluated(other, numbered)
    hits = sum(1 for place in (*range(350), *range(500, rows)) if old[place][0]["whales"])
    later = sum(1 for place in (*range(350), *range(500, rows)) if new[place][0]["whales"])
    chip = Counts.from_json(found[first.version].counts).chips["whales"]
    assert (chip.old, chip.new) == (hits, later)
    # Under the second version the fills were others: the candidate's are those of its own constants all the same.
    old, new = evaluated(second, numbered), evaluated(other, numbered)
    chips = Counts.from_json(found[second.version].counts).chips
    for id_ in ("aa", "ask", "bullflow"):
        assert chips[id_].old == sum(old[place][0][id_] is True for place in range(350, 500))
        assert chips[id_].new == sum(new[place][0][id_] is True for place in range(350, 500))


def test_a_candidate_that_cannot_be_used_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = new_store(tmp_path, packaged())
    with open_writer(store) as writer:
        writer.put_rule_version(RuleVersion("broken", "{}", "0" * 64, False, 1, None, None))
        set_candidate(store, "broken")
        taking = app.recorder(writer)
        for row in morning(3, 9):
            taking.record(Batch(rows=[row]))
        taking.finish(level=True)
        assert writer.reads.watermark() == 3
    assert counted(store) == {}
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("rule version broken cannot be used: the stored rule version does not match its checksum")


@pytest.mark.parametrize("edit", ["thresholds", "what makes a fill AA"])
def test_a_candidate_taken_back_is_compared_no_more(tmp_path: Path, edit: str) -> None:
    active, other, raws = packaged(), candidate_of(edit), morning(600, 10)
    store = new_store(tmp_path, active, other)
    set_candidate(store, other.version)
    with open_writer(store) as writer:
        taking = recorder(writer, active, other, save_rows=1, gather_rows=1)
        taking.record(Batch(rows=raws[:200]))
        set_candidate(store, None)
        taking.record(Batch(rows=raws[200:400]))
        taking.finish(level=True)
        assert sum(one.rows for one, _ in counted(store).values()) == 200
        set_candidate(store, other.version)  # and named again: what lies between is compared, too
        taking.record(Batch(rows=raws[400:]))
        taking.finish(level=True)
    agree(store, raws, active, other)


# -- artifacts of what was counted


def desk(store: Path) -> Comparisons:
    """Who writes them, at a time that stands still."""
    return Comparisons(store, partial(open_reader, store), lambda _: lambda _: None, CALENDAR, Bands(), lambda: 9)


class TakenBack:
    """The writer of a process, and somebody who takes the candidate back at the last moment before it is stored."""

    def __init__(self, writer: Writer, store: Path) -> None:
        self._writer = writer
        self._store = store
        self.reads = writer.reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def put_comparisons(self, *args: Any) -> bool:
        set_candidate(self._store, None)
        return self._writer.put_comparisons(*args)


def test_a_candidate_taken_back_while_counts_are_stored_ends_nothing(tmp_path: Path) -> None:
    active, other, raws = packaged(), candidate_of("thresholds"), morning(200, 14)
    store = new_store(tmp_path, active, other)
    set_candidate(store, other.version)
    with open_writer(store) as writer:
        taking = recorder(TakenBack(writer, store), active, other, tell=desk(store).keep)
        taking.record(Batch(rows=raws))
        taking.finish(level=True)
        assert writer.reads.watermark() == len(raws)
    assert counted(store) == {}
    assert not artifacts_of(store).exists()


def test_artifacts_that_cannot_be_read_out_of_the_store_end_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    active, other, raws = packaged(), candidate_of("thresholds"), morning(200, 14)
    store = new_store(tmp_path, active, other)
    set_candidate(store, other.version)
    with open_writer(store) as writer:
        taking = recorder(writer, active, other, tell=desk(tmp_path / "nothing.sqlite").keep)
        taking.record(Batch(rows=raws))
        taking.finish(level=True)
    agree(store, raws, active, other)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told
    assert all("the artifacts of a comparison are not written: " in one and "nothing.sqlite" in one for one in told)


def written(store: Path) -> dict[str, Any]:
    """What the artifacts say of their sessions, but when and how fast, by file."""
    found = {}
    for file in sorted(artifacts_of(store).glob("*.json")):
        assert file.with_suffix(".html").exists()
        (session,) = json.loads(file.read_bytes())["sessions"]
        found[file.name] = {name: session[name] for name in session if name != "latency"}
    return found


def test_each_session_has_its_artifact_wherever_the_process_dies(tmp_path: Path) -> None:
    active, other = packaged(), candidate_of("thresholds")
    raws = sorted(morning(400, 15), key=lambda row: row[INDEX["session_date"]])
    first = sum(row[INDEX["session_date"]] == 20260817 for row in raws)
    batches = [raws[:200], raws[200:first], raws[first : first + 3], raws[first + 3 :]]

    def run(writer: Any, store: Path, upto: int = len(batches), *, end: bool = True) -> None:
        taking = recorder(writer, active, other, save_rows=1, gather_rows=1, tell=desk(store).keep)
        taking.catch_up()
        for batch in batches[:upto]:
            taking.record(Batch(rows=batch))
        if end:
            taking.finish(level=True)

    def made(name: str) -> Path:
        (tmp_path / name).mkdir()
        store = new_store(tmp_path / name, active, other)
        set_candidate(store, other.version)
        return store

    whole = made("whole")
    with open_writer(whole) as writer:
        run(writer, whole)
    expected = written(whole)
    assert list(expected) == [f"2026-08-{day}-{other.version}.json" for day in (17, 18)]

    # The first day is counted whole and stored, and the process is gone before another begins.
    store = made("between days")
    with open_writer(store) as writer:
        run(writer, store, 2, end=False)
    assert written(store) == {}
    with open_writer(store) as writer:
        run(writer, store)
    assert written(store) == expected
    bytes_of = {file.name: file.read_bytes() for file in artifacts_of(store).iterdir()}
    with open_writer(store) as writer:
        run(writer, store)  # nothing is new: they are written again, and are the same
    assert {file.name: file.read_bytes() for file in artifacts_of(store).iterdir()} == bytes_of

    for calls in count(1):
        for after in (False, True):
            store = made(f"{calls} {after}")
            with open_writer(store) as writer:
                try:
                    run(Dying(writer, calls, after), store)
                except KilledError:
                    pass
                else:
                    assert calls > 12  # three for each batch
                    return
            with open_writer(store) as writer:
                run(writer, store)
            assert written(store) == expected, (calls, after)


KILLED = """
import os, random, signal, sys
from pathlib import Path
from phenix.engine.store.sqlite import open_writer
from tests.shadow import test_follower as t
store, calls = Path(sys.argv[1]), int(sys.argv[2])
active, other, raws = t.packaged(), t.candidate_of("thresholds"), t.morning(1_200, 11)
with open_writer(store) as writer:
    try:
        t.take(t.Dying(writer, calls, calls % 2 == 1), raws, active, other, random.Random(calls))
    except t.KilledError:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.timeout(300)  # four processes, each compiling two versions
def test_ingest_that_is_killed_counts_on(tmp_path: Path) -> None:
    active, other, raws = packaged(), candidate_of("thresholds"), morning(1_200, 11)
    store = new_store(tmp_path, active, other)
    set_candidate(store, other.version)
    ends = []
    for calls in (6, 9, 7, 10_000):
        argv = [sys.executable, "-c", KILLED, str(store), str(calls)]
        ends.append(subprocess.run(argv, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=100).returncode)
    assert ends == [-signal.SIGKILL] * 3 + [0]
    agree(store, raws, active, other)
