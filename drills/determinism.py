"""Determinism: one tape by every way into a store gives the same rows.

By import, by stream in real time (a slice), at 60 times and flat out, each with none, one and four restarts of the
worker, which is stopped gracefully at seeded prints. Stores are compared column by column and each is recomputed
from its own inputs. With quotes of underlyings that come late, live rows differ from an import's; they must be what
their stored inputs give.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from drills._stores import ASIDE, differences, unfounded, verify
from drills._tapes import Tape, generated_tape, real_tapes
from phenix import app
from phenix.config import load
from phenix.ingest.importer import import_parts
from phenix.ingest.reading import read_parts
from phenix.ingest.terminal.events import Print

__all__ = ["RESTARTS", "Run", "import_run", "live_run", "main", "restart_points"]

RESTARTS: Final = (0, 1, 4)
DATE: Final = 20261120
SETTLE_S: Final = 3.0
"""Longer than the worker is busy planning: a print of a contract not subscribed yet would not come."""
STAGGER_S: Final = 3.0
_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000}


@dataclass(frozen=True, slots=True)
class Run:
    """One way into a store and what came of it; ``restarts`` are those that fell before the end of the tape."""

    name: str
    restarts: int
    rows: int
    seconds: float
    different: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        found = ", ".join(f"{name} {count:,}" for name, count in sorted(self.different.items())) or "none"
        return f"{self.name:<34} {self.restarts:>8} {self.rows:>9,} {self.seconds:>8.1f}  {found}"


def restart_points(seed: str, restarts: int, prints: int) -> list[int]:
    """After how many prints to stop, in order: one in each part of the tape but the last."""
    chance, parts = random.Random(seed), restarts + 1
    points = {chance.randint(prints * part // parts, prints * (part + 1) // parts) for part in range(restarts)}
    return sorted(points - {0, prints})


def import_run(tape: Tape, store: Path) -> Run:
    """The tape by import."""
    begun = time.monotonic()
    with app.open_writer(f"sqlite:{store}") as writer:
        summary = import_parts(read_parts(tape.sources), app.recorder(writer), lambda _progress: None)
    different = verify(store) + unfounded(store)
    different["dead letters"] += sum(summary.dead_letters.values())
    return Run(f"{tape.name}: import", 0, summary.stored, time.monotonic() - begun, +different)


async def live_run(
    tape: Tape,
    store: Path,
    expected: Path | None,
    *,
    speed: float,
    points: Sequence[int],
    stocks: str = "standard",
    settle_s: float = SETTLE_S,
    delay_s: float = 0,
) -> Run:
    """The tape by stream, the worker stopped after ``points`` prints; held against ``expected`` if there is one."""
    await asyncio.sleep(delay_s)
    begun = time.monotonic()
    source = tape.source()
    total = sum(isinstance(event, Print) for event in source.events())
    stored = restarts = 0
    async with app.terminal(source, speed=speed, stocks=stocks, settle_s=settle_s) as terminal:
        settings = load({
            "THETADATA_BASE_URL": terminal.base_url,
            "THETADATA_STREAM_URL": terminal.stream_url,
            "INGEST_SYMBOLS": ",".join(tape.symbols),
            "PHENIX_STORE": f"sqlite:{store}",
        })  # fmt: skip
        for point in (*points, None):
            if point is not None and point <= stored:
                continue  # what was on its way when the worker was told to stop went past it
            stop_after = None if point is None else point - stored
            with app.open_writer(settings.store) as writer:
                async with app.terminal_client(settings) as client:
                    worker = await app.worker(settings, app.recorder(writer), client, once=True, stop_after=stop_after)
                    stored += (await worker.run(asyncio.Event())).stored
            restarts += point is not None and stored < total
        unwanted = terminal.stream.playback.ledger.unwanted
    different = await asyncio.to_thread(lambda: verify(store) + unfounded(store))
    different["not streamed"] += unwanted
    if expected is not None:
        different += await asyncio.to_thread(differences, expected, store)
    pace = "flat out" if not speed else f"{speed:g}x"
    late = ", delayed quotes" if stocks == "value" else ""
    return Run(f"{tape.name}: {pace}{late}", restarts, stored, time.monotonic() - begun, +different)


async def _drill(tapes: Sequence[Tape], folder: Path, seed: int, length_ms: int) -> list[Run]:
    runs: list[Run] = []

    def tell(run: Run) -> Run:
        print(run, flush=True)
        runs.append(run)
        return run

    paced: list[Callable[..., Awaitable[Run]]] = []
    for tape in tapes:
        place = folder / tape.name.replace(" ", "-")
        place.mkdir(exist_ok=True)
        whole, part = place / "import.sqlite", place / "slice.sqlite"
        base = tell(import_run(tape, whole))
        cut = tape.slice(place / "slice", length_ms)
        cut_base = tell(import_run(cut, part))
        for restarts in RESTARTS:
            key = f"{seed} {tape.name} {restarts}"
            points, cut_points = (restart_points(key, restarts, run.rows) for run in (base, cut_base))
            tell(await live_run(tape, place / f"flat-{restarts}.sqlite", whole, speed=0, points=points))
            paced += [
                partial(live_run, cut, place / f"1x-{restarts}.sqlite", part, speed=1, points=cut_points),
                partial(live_run, tape, place / f"60x-{restarts}.sqlite", whole, speed=60, points=points),
                partial(live_run, tape, place / f"late-{restarts}.sqlite", None, speed=60, points=points,
                        stocks="value"),
            ]  # fmt: skip
    print(f"{len(paced)} paced runs side by side: about {length_ms / 60_000:.0f} minutes", file=sys.stderr)
    waiting = [run(delay_s=STAGGER_S * place) for place, run in enumerate(paced)]
    for run in asyncio.as_completed(waiting):
        tell(await run)
    return runs


def _length(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS and number.isdigit() and int(number):
        return int(number) * _UNITS[unit]
    raise argparse.ArgumentTypeError(f"{text!r} is not a length such as 10m or 30s")


def main(arguments: list[str]) -> int:
    """Run it all; 1 when any value differs."""
    command = argparse.ArgumentParser(prog="python -m drills determinism", description=__doc__)
    command.add_argument("--seed", type=int, default=1, help="of the generated session and of the restarts")
    command.add_argument("--slice", type=_length, default="10m", metavar="LENGTH", help="played in real time (10m)")
    command.add_argument("--prints", type=int, default=40_000, help="of the generated session (40000)")
    command.add_argument("--symbols", type=int, default=4, help="of the generated session (4)")
    given = command.parse_args(arguments)
    print("\n".join(f"not compared: {name}, {why}" for name, why in ASIDE.items()))
    print(f"{'run':<34} {'restarts':>8} {'rows':>9} {'seconds':>8}  differences")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session = generated_tape(
            folder / "session", seed=given.seed, symbols=given.symbols, prints=given.prints, date=DATE
        )
        runs = asyncio.run(_drill([session, *real_tapes()], folder, given.seed, given.slice))
    wrong = [run for run in runs if run.different]
    print(f"{len(runs)} runs, {sum(run.rows for run in runs):,} rows, {len(wrong)} runs with differences")
    return 1 if wrong else 0
