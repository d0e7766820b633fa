"""The store on a disk that is full, fails, or loses its power.

Small sessions are stored in a few batches, on SQLite's own code with another disk beneath. The n-th write, or sync, is
refused, for every n: the writer must end with a StoreError that says what to do, the store must be sound and hold every
batch that was acknowledged, each whole, and the next run must complete it to the rows of an undisturbed one. Then the
power is cut after every change of a file: what was not synced is there, torn or not there. As the store is set
(``synchronous=FULL``) every acknowledged batch must be in it; with NORMAL, for comparison, it must still be a prefix of
what was stored. As root, ``--tmpfs`` lets ``phenix ingest`` run into a file system that is really full.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import accumulate, count
from pathlib import Path
from typing import Final

import apsw

from drills._disks import FailingDisk, Fault, ForgetfulDisk, under_sqlite
from drills._play import SECONDS, SUBSCRIBED, Day, Terminal, enriched_upto, open_gaps, uninterrupted, until
from drills._processes import DiedError, Phenix
from drills._stores import differences, stored_prints, verify
from drills._tapes import generated_tape
from phenix import app
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.enricher import Enricher
from phenix.engine.flow import INDEX
from phenix.engine.store.base import Batch, OpenInterest, Problem, StoreError, UnderlyingQuote, Writer
from phenix.engine.tagging import Tagging
from phenix.ingest.reading import read_parts
from phenix.ingest.recorder import Recorder, now_utc

__all__ = ["NORMAL", "PROBLEMS", "Session", "cuts", "faults", "main", "really_full"]

_WRITE_FAILED: Final = (
    "met an input or output error: check the disk, its free space and limits; nothing already stored is lost"
    " (disk I/O error)"
)
_DISK_FULL: Final = (
    "cannot grow: the disk or its quota is full; nothing already stored is lost. Free space and start again"
    " (database or disk is full)"
)
PROBLEMS: Final = {
    Fault.FULL: (Problem.FULL, _DISK_FULL),
    Fault.WRITE: (Problem.IO, _WRITE_FAILED),
    Fault.SYNC: (Problem.IO, _WRITE_FAILED),
}
"""What is raised for each fault, word for word after the store's name."""
NORMAL: Final = 1
"""The level of ``synchronous`` below the store's own, which is FULL."""
_IDENTITY: Final = (INDEX["trade_ts_utc"], INDEX["trade_id"])


class Session:
    """A generated session in a few batches, and the store of an undisturbed run of it."""

    def __init__(self, folder: Path, *, seed: int = 1, prints: int = 120, batch: int = 20) -> None:
        self._folder = folder
        tape = generated_tape(folder, seed=seed, symbols=1, prints=prints, date=20241104)
        parts = list(read_parts(tape.sources))
        rows = [row for part in parts for row in part.rows]
        self._batches = [Batch(rows=rows[at : at + batch], stream="drill", watermark=str(at))
                         for at in range(0, len(rows), batch)]  # fmt: skip
        inputs = Batch(
            quotes=[UnderlyingQuote(*quote) for part in parts for quote in part.quotes][:500],
            open_interest=[OpenInterest(*interest) for part in parts for interest in part.interest][:500],
        )
        self._batches.insert(1, inputs)
        self._ids = [tuple(row[i] for i in _IDENTITY) for row in rows]
        self._ends = list(accumulate(len(each.rows) for each in self._batches))
        self._calm = folder / "calm.sqlite"
        with app.open_writer(f"sqlite:{self._calm}") as writer:
            self._tagging = Tagging(app.active_bundle(writer))
        self._empty = folder / "empty.sqlite"
        shutil.copy(self._calm, self._empty)
        self.run(self._calm)
        assert not verify(self._calm)

    def run(
        self, store: Path, acknowledged: Callable[[], None] = lambda: None, *, synchronous: int | None = None
    ) -> None:
        """Store what is not stored yet; tell after each batch. Raises StoreError."""
        with app.open_writer(f"sqlite:{store}") as writer:
            writer.reads.execute("PRAGMA wal_autocheckpoint = 40")  # folded back often, so between batches too
            if synchronous is not None:
                writer.reads.execute(f"PRAGMA synchronous = {synchronous}")
            recorder = self._recorder(writer)
            recorder.catch_up()
            for number, batch in enumerate(self._batches, 1):
                try:
                    recorder.record(batch)
                except StoreError:
                    # Another task of a worker may store something before all of it ends.
                    with suppress(StoreError):
                        for later in self._batches[number:]:
                            recorder.record(later)
                    raise
                acknowledged()

    def fail(self, fault: Fault, at: int, *, lasting: bool) -> list[str] | None:
        """What did not hold when the disk failed; None when the session was over before that."""
        store = self._fresh("failing.sqlite")
        shutil.copy(self._empty, store)
        disk, done = FailingDisk(fault, at, lasting=lasting), Counter[str]()
        wrong = []
        problem, meaning = PROBLEMS[fault]
        with under_sqlite(disk):
            try:
                self.run(store, lambda: done.update(["batches"]))
            except StoreError as error:
                if (error.problem, error.message) != (problem, f"the store {store} {meaning}"):
                    wrong.append(f"told as {error.problem}: {error.message}")
            else:
                if not disk.refused:
                    return None
                if done["batches"] < len(self._batches):
                    wrong.append("ended early without a word")
        wrong += self._held(store, done["batches"]) + self._completed(store)
        return [f"{fault} at {at}{', lasting' if lasting else ''}: {text}" for text in wrong]

    def record(self, synchronous: int | None) -> tuple[ForgetfulDisk, list[int]]:
        """A run from an empty folder, and after how many steps each batch was acknowledged."""
        disk, steps = ForgetfulDisk(), list[int]()
        with under_sqlite(disk):
            self.run(self._fresh("cut.sqlite"), lambda: steps.append(disk.steps), synchronous=synchronous)
        return disk, steps

    def cut(self, disk: ForgetfulDisk, upto: int, done: int, chance: random.Random, *, complete: bool) -> list[str]:
        """What did not hold when the power was cut after ``upto`` steps, ``done`` batches being acknowledged."""
        store = self._fresh("cut.sqlite")
        disk.cut(upto, chance, self._folder)
        wrong = self._held(store, done)
        if complete:
            wrong += self._completed(store)
        return [f"power cut after {upto}: {text}" for text in wrong]

    def _recorder(self, writer: Writer) -> Recorder:
        """As the application builds it; the rules are compiled once for all runs."""
        if writer.reads.rule_version() is None:
            app.active_bundle(writer)
        return Recorder(writer, Enricher(Calendar.packaged(), self._tagging, writer.reads.session_raw, now_utc))

    def _fresh(self, name: str) -> Path:
        for file in self._folder.glob(f"{name}*"):
            file.unlink()
        return self._folder / name

    def _held(self, store: Path, done: int) -> list[str]:
        """Whether a store is sound and a prefix of the session, with the batches that were acknowledged."""
        connection = apsw.Connection(str(store))
        try:
            found = connection.pragma("integrity_check")
            if found != "ok":
                return [f"integrity_check says {found}"]
            if not list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'option_trades'")):
                return [f"the store is empty after {done} batches"] if done else []
            stored = list(connection.execute("SELECT trade_ts_utc, trade_id FROM option_trades ORDER BY seq"))
            enriched = list(connection.execute("SELECT seq FROM option_trade_enriched ORDER BY seq"))
        finally:
            connection.close()
        wrong = []
        if stored != self._ids[: len(stored)] or len(stored) not in (0, *self._ends):
            wrong.append(f"{len(stored)} rows are no whole batches of the session")
        if enriched != [(seq,) for seq in range(1, len(enriched) + 1)] or len(enriched) not in (0, *self._ends):
            wrong.append(f"{len(enriched)} enriched rows are no whole batches of the session")
        if min(len(stored), len(enriched)) < (self._ends[done - 1] if done else 0):
            wrong.append(f"acknowledged and lost: {done} batches, {len(stored)} rows, {len(enriched)} enriched")
        return wrong

    def _completed(self, store: Path) -> list[str]:
        """Whether the next run makes it the store of an undisturbed one."""
        try:
            self.run(store)
        except StoreError as error:
            return [f"the next run: {error.message}"]
        found = differences(self._calm, store)
        return [f"after the next run: {dict(found)}"] if found else []


def faults(session: Session, fault: Fault, *, lasting: bool, every: int = 1) -> Iterator[list[str]]:
    """What did not hold for each n, one after the other, until a session ends before its n-th write or sync."""
    for at in count(1, every):
        wrong = session.fail(fault, at, lasting=lasting)
        if wrong is None:
            return
        yield wrong


def cuts(
    session: Session, chance: random.Random, *, synchronous: int | None = None, every: int = 1, complete: int = 5
) -> Iterator[list[str]]:
    """What did not hold after each cut; every ``complete``-th store is completed and compared as well."""
    disk, steps = session.record(synchronous)
    for number, upto in enumerate(range(1, disk.steps + 1, every)):
        done = sum(step <= upto for step in steps)
        yield session.cut(disk, upto, done, chance, complete=number % complete == 0)


async def really_full(folder: Path, tell: Callable[[str], None]) -> list[str]:
    """Let ingest fill a small file system and be started again too early, then once there is room. Needs root."""
    day, disk, calm = Day(), folder / "small", folder / "calm.sqlite"
    store, full = disk / "flow.sqlite", PROBLEMS[Fault.FULL][1]
    await uninterrupted(day, calm)
    disk.mkdir()
    await _run("mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk))
    try:
        async with Terminal(day, "continue", SECONDS / 40) as terminal:
            environ = {**terminal.environ, "INGEST_SYMBOLS": day.names, "PHENIX_STORE": f"sqlite:{store}"}
            wrong = []
            for already in (False, True):
                async with Phenix("ingest", environ=environ) as ingest:
                    if not already:
                        await ingest.heard(SUBSCRIBED)
                        await terminal.play()
                    code = await ingest.done()
                if not code or ingest.said[-1] != f"phenix: the store {store} {full}":
                    wrong.append(f"full: exit status {code}, {ingest.said[-1]}")
            tell(f"full after {enriched_upto(store):,} rows: {ingest.said[-1]}")
            await _run("mount", "-o", "remount,size=200m", str(disk))
            async with Phenix("ingest", environ=environ) as ingest:
                await ingest.heard(SUBSCRIBED)
                await terminal.play(0.0)
                await ingest.heard("market STOP")
                await until(lambda: not open_gaps(store), "the gaps to be filled", ingest)
                if await ingest.stop():
                    raise ingest.fail()
        wanted, here = stored_prints(calm), stored_prints(store)
        tell(f"{here.total():,} rows in the end, {wanted.total():,} in an undisturbed run")
        if wanted != here:
            wrong.append(f"{(wanted - here).total()} lost, {(here - wanted).total()} doubled or invented")
        if found := verify(store):
            wrong.append(f"recomputed: {dict(found)}")
        return wrong
    finally:
        await _run("umount", str(disk))


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait():
        raise DiedError(f"{' '.join(command)} did not work: run as root, or without --tmpfs")


def main(arguments: list[str]) -> int:
    """Run all, print a line of figures for each; 1 when something did not hold."""
    command = argparse.ArgumentParser(prog="python -m drills disk", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    command.add_argument("--seed", type=int, default=1, help="of the session and of what a cut leaves (default 1)")
    command.add_argument("--prints", type=int, default=120, help="in the session (default 120)")
    command.add_argument("--rounds", type=int, default=3, help="of power cuts, each after every change (default 3)")
    command.add_argument("--every", type=int, default=1, help="only every so many-th write, sync and cut (default 1)")
    command.add_argument("--tmpfs", action="store_true", help="a full file system too, and nothing else (needs root)")
    given = command.parse_args(arguments)
    held = True
    if given.tmpfs:
        with tempfile.TemporaryDirectory(prefix="phenix-disk-") as folder:
            found = asyncio.run(really_full(Path(folder), lambda text: print(text, flush=True)))
            held = _told("full file system", iter([found]))
            print("all held" if held else "something did not hold")
            return 0 if held else 1
    with tempfile.TemporaryDirectory(prefix="phenix-disk-") as folder:
        session = Session(Path(folder), seed=given.seed, prints=given.prints)
        for fault in Fault:
            for lasting in (False, True):
                name = f"disk {fault}, {'lasting' if lasting else 'once'}"
                held &= _told(name, faults(session, fault, lasting=lasting, every=given.every))
        for turn in range(given.rounds):
            chance = random.Random(f"{given.seed} {turn}")
            held &= _told(f"power cut, round {turn + 1}", cuts(session, chance, every=given.every))
        forgotten = cuts(session, random.Random(given.seed), synchronous=NORMAL, every=given.every)
        lost = [text for found in forgotten for text in found]
        others = [text for text in lost if "acknowledged and lost" not in text and "is empty after" not in text]
        held &= _told("power cut, NORMAL, torn", iter([others]))
        print(f"power cut, NORMAL: {len(lost) - len(others)} cuts lost acknowledged batches, as that level may")
    print("all held" if held else "something did not hold")
    return 0 if held else 1


def _told(name: str, found: Iterable[list[str]]) -> bool:
    began, runs, wrong = time.monotonic(), 0, 0
    for texts in found:
        runs += 1
        wrong += bool(texts)
        for text in texts:
            print(f"{name}: {text}", file=sys.stderr, flush=True)
    print(f"{name}: {runs} runs, {wrong} wrong, {time.monotonic() - began:.1f} s", flush=True)
    return not wrong
