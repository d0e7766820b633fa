"""Ingest and serve killed (signal 9) at random instants while a session is played: what is lost, doubled or different?

Two terminals are played. One plays from the start for each new client, so that the order of prints is that of an
uninterrupted run: every stored row, its seq, enrichment and chips included, must be the same. The other goes on while
nobody listens, as the real one does: what it played meanwhile must come from its history, so the prints must be the
same, each once; their order differs, and so does what follows from it, which ``phenix replay --verify`` holds against
the rows' own order. Beside both a subscriber reads the stream of serve, resuming with ``Last-Event-ID``: it must see
each stored row once and in order, and none that is not stored in the end.

The first kill comes after the first stored row: nothing tells a store without any since when it missed prints.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import httpx

from drills._play import SECONDS, SUBSCRIBED, Day, Terminal, enriched_upto, open_gaps, uninterrupted, until
from drills._processes import Phenix, free_port
from drills._stores import differences, stored_prints, verify
from phenix import app
from phenix.engine.encode import row_id
from phenix.engine.flow import INDEX
from phenix.engine.store.base import GapState

__all__ = ["LINES", "Figures", "main", "play"]

LINES: Final = ("restart", "continue")
"""What the terminal does when its client is gone."""
_READY: Final = {"ingest": "connected (attempt", "serve": "ready at"}
"""What each says once it is up."""
_STARTING_S: Final = (0.05, 2.0)
_RUNNING_S: Final = (0.0, 4.0)
_STARTING: Final = 0.3
"""Share of the kills that come while a process starts; the others come after it is up."""


@dataclass(slots=True)
class Figures:
    """What came of one session; from ``lost`` to ``differences`` all must be 0."""

    line: str
    kills: int = 0
    between_commits: int = 0
    """Kills of ingest that left rows without enrichment."""
    prints: int = 0
    rows: int = 0
    rows_at_last_kill: int = 0
    gaps: int = 0
    recovered: int = 0
    streamed: int = 0
    resumed: int = 0
    lost: int = 0
    doubled: int = 0
    invented: int = 0
    unlike: int = 0
    not_filled: int = 0
    stream_lost: int = 0
    stream_again: int = 0
    stream_unlike: int = 0
    differences: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def wrong(self) -> dict[str, int]:
        """What did not hold."""
        found = asdict(self)
        names = list(found)
        return {name: found[name] for name in names[names.index("lost") : names.index("seconds")] if found[name]}


def main(arguments: list[str]) -> int:
    """Run both sessions, print their figures as JSON lines; 1 when something did not hold."""
    command = argparse.ArgumentParser(prog="python -m drills crash", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    command.add_argument("--kills", type=int, default=200, help="of ingest and of serve, in all (default 200)")
    command.add_argument("--seed", type=int, default=1, help="of the session and of the instants (default 1)")
    command.add_argument("--symbols", type=int, default=Day().symbols, help="how many underlyings (default 2)")
    command.add_argument("--prints", type=int, default=Day().prints, help="in a session (default 6000)")
    command.add_argument("--line", choices=LINES, help="only with this terminal (default: half of the kills each)")
    command.add_argument("--folder", type=Path, help="keep the stores here (default: a temporary folder)")
    given = command.parse_args(arguments)
    lines = (given.line,) if given.line else LINES
    day, wrong = Day(given.seed, given.symbols, given.prints), False
    with tempfile.TemporaryDirectory(prefix="phenix-crash-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        calm = folder / "calm.sqlite"
        asyncio.run(uninterrupted(day, calm))
        _tell(f"{stored_prints(calm).total():,} prints in an uninterrupted run")
        for line in lines:
            found = asyncio.run(
                play(folder / f"{line}.sqlite", calm, line, day, given.kills // len(lines), given.seed, _tell)
            )
            print(json.dumps(asdict(found)), flush=True)
            wrong = wrong or bool(found.wrong)
    print("something did not hold" if wrong else "all held: nothing lost, nothing doubled, no difference")
    return 1 if wrong else 0


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def play(
    store: Path, calm: Path, line: str, day: Day, kills: int, seed: int, tell: Callable[[str], None] = lambda _: None
) -> Figures:
    """Play a session into a new store through ``kills`` kills, half of ingest, half of serve.

    ``calm`` is the store of an uninterrupted run of it. Raises an exception group with DiedError when one of them ends
    by itself.
    """
    began = time.monotonic()
    environ = {"PHENIX_STORE": f"sqlite:{store}", "PHENIX_PORT": str(free_port()), "PHENIX_GRPC_PORT": "0",
               "INGEST_SYMBOLS": day.names}  # fmt: skip
    found = Figures(line)
    pace = max(120.0, kills * 3.0)  # seconds; a session that goes on lasts until the kills are through, then flat out
    async with Terminal(day, line, SECONDS / pace) as terminal:
        drill = _Drill(terminal, store, {**environ, **terminal.environ}, kills, seed, tell)
        reader = _Subscriber(int(environ["PHENIX_PORT"]))
        async with asyncio.TaskGroup() as beside:
            reading = beside.create_task(reader.run())
            await drill.run(reader)
            reading.cancel()
    found.kills, found.between_commits = drill.killed.total(), drill.between_commits
    found.rows_at_last_kill = drill.rows_at_last_kill
    _hold(found, store, calm)
    _hold_stream(found, store, reader)
    found.differences = verify(store).total()
    found.seconds = round(time.monotonic() - began, 1)
    return found


class _Drill:
    """Ingest and serve side by side, each killed and started again until its share of kills is through."""

    def __init__(
        self, terminal: Terminal, store: Path, environ: dict[str, str], kills: int, seed: int,
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._terminal, self._store, self._environ, self._tell = terminal, store, environ, tell
        self._shares = {"ingest": kills - kills // 2, "serve": kills // 2}
        self._random = {name: random.Random(f"{seed} {terminal.line} {name}") for name in self._shares}
        self.killed: Counter[str] = Counter()
        self.between_commits = self.rows_at_last_kill = 0

    async def run(self, reader: _Subscriber) -> None:
        """Kill, then let the last two live until the session is through and streamed."""
        async with Phenix("ingest", environ=self._environ) as ingest:
            await ingest.heard(SUBSCRIBED)
            await self._terminal.play()
            await until(lambda: bool(enriched_upto(self._store)), "the first row", ingest)
            await self._kill(ingest, "ingest")
        async with asyncio.TaskGroup() as both:
            both.create_task(self._again("serve", "--wait", "60", "--heartbeat", "1"))
            both.create_task(self._again("ingest"))
        self.rows_at_last_kill = enriched_upto(self._store)
        async with (
            Phenix("serve", "--heartbeat", "1", environ=self._environ) as serve,
            Phenix("ingest", environ=self._environ) as ingest,
        ):
            await ingest.heard(SUBSCRIBED)
            await self._terminal.play(0.0)
            await ingest.heard("market STOP")
            await until(lambda: not open_gaps(self._store), "the gaps to be filled", ingest, serve)
            if await ingest.stop():
                raise ingest.fail()
            last = enriched_upto(self._store)
            await until(lambda: reader.position >= last, "the last rows to be streamed", serve)
            await serve.stop()

    async def _again(self, name: str, *argv: str) -> None:
        while self.killed[name] < self._shares[name]:
            async with Phenix(name, *argv, environ=self._environ) as process:
                if name == "ingest" and self._terminal.line == "restart":
                    # Each life plays somewhat further than the one before, so that kills meet new rows.
                    share = (self.killed[name] + 1) / (self._shares[name] + 1)
                    await self._terminal.play(SECONDS * share / _RUNNING_S[1])
                await self._kill(process, name)

    async def _kill(self, process: Phenix, name: str) -> None:
        instant = self._random[name]
        if instant.random() < _STARTING:
            await asyncio.sleep(instant.uniform(*_STARTING_S))
        else:
            await process.heard(_READY[name])
            await asyncio.sleep(instant.uniform(*_RUNNING_S))
        if not await process.kill():
            raise process.fail()
        self.killed[name] += 1
        if name == "ingest":
            with app.open_reader(f"sqlite:{self._store}") as reader:
                self.between_commits += reader.raw_watermark() > reader.watermark()
        if self.killed[name] % 10 == 0:
            self._tell(
                f"{self._terminal.line}: {name} killed {self.killed[name]} times, {enriched_upto(self._store):,} rows"
            )


class _Subscriber:
    """Reads the stream of serve through all its kills; only whole frames count, as in a browser."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/flow/stream?batch=1&includeCancelled=1"
        self.position = 0
        self.seen: list[tuple[int, str]] = []
        """Seq and id of the row of each event."""
        self.connections = 0

    async def run(self) -> None:
        """Read until cancelled."""
        async with httpx.AsyncClient(timeout=10) as client:
            while True:
                try:
                    async with client.stream("GET", self._url, headers={"Last-Event-ID": str(self.position)}) as answer:
                        answer.raise_for_status()
                        self.connections += 1
                        await self._read(answer)
                except httpx.TransportError:
                    await asyncio.sleep(0.02)

    async def _read(self, answer: httpx.Response) -> None:
        frame: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name:
                frame[name] = value
                continue
            for event in json.loads(frame.get("data", "{}")).get("events", ()):
                row = event.get("record") or event["flow"]
                self.seen.append((event["sequence"], row["id"]))
            self.position = int(frame.get("id", self.position))
            frame = {}


def _hold(found: Figures, store: Path, calm: Path) -> None:
    """Hold the store against that of an uninterrupted run."""
    wanted, here = stored_prints(calm), stored_prints(store)
    found.prints, found.rows = wanted.total(), enriched_upto(store)
    found.lost, found.invented = (wanted - here).total(), (here - wanted).total()
    found.doubled = here.total() - len(here)
    if found.line == "restart":
        found.unlike = differences(calm, store).total()
    with app.open_reader(f"sqlite:{store}") as reader:
        gaps = reader.gaps()
    found.gaps, found.recovered = len(gaps), sum(gap.recovered for gap in gaps)
    found.not_filled = sum(gap.state is not GapState.FILLED for gap in gaps)


def _hold_stream(found: Figures, store: Path, reader: _Subscriber) -> None:
    """Hold what was streamed against what is stored."""
    seq, *identity = INDEX["seq"], INDEX["trade_ts_utc"], INDEX["trade_id"]
    with app.open_reader(f"sqlite:{store}") as opened:
        stored = {row[seq]: row_id(*(row[i] for i in identity)) for row in opened.rows_after(0, 10**9)}
    seqs = [seq for seq, _ in reader.seen]
    found.streamed, found.resumed = len(seqs), reader.connections - 1
    found.stream_lost = len(stored.keys() - set(seqs))
    found.stream_again = sum(after <= before for before, after in pairwise(seqs))
    found.stream_unlike = sum(stored.get(seq) != name for seq, name in reader.seen)
