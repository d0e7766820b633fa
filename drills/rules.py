"""Rule versions activated and rolled back, over and over, while a session is ingested and streamed.

Every row must carry exactly the version that the ledger says was active at its seq, and be what that version makes of
all rows before it; a subscriber must be told of each change at that seq, and nothing may be lost. Most changes are of
a chip's threshold, some of what the figures themselves are computed with, some of a version never seen before. The
morning, in which several times as many prints come, is over when they begin, and the last half hour has not begun when
they end: between, prints and changes come nearly evenly. How long a row waited there from its receipt to its enrichment
is told for the rows around a change and for all others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from drills._play import SUBSCRIBED, Day, Terminal, enriched_upto, until
from drills._processes import Phenix, free_port
from drills._stores import verify
from phenix import app
from phenix.engine.bundle import Bundle
from phenix.engine.flow import INDEX, Row
from phenix.engine.lifecycle import Ask, Lifecycle
from phenix.engine.query.request import Refusal
from phenix.engine.store.base import Reader
from phenix.engine.store.versions import Activation

__all__ = ["Figures", "drill", "main"]

_SEQ, _VERSION = INDEX["seq"], INDEX["rule_version"]
_RECEIVED, _ENRICHED = INDEX["ingested_at_utc"], INDEX["enriched_at_utc"]
_NEAR_MS: Final = 500
"""How long after a change a row counts as one of its rows."""
_CALM: Final = ("11:30", "15:30", 4 * 3600)
"""When prints come evenly, within a tenth of their average, and its length in seconds."""
_CALM_SHARE: Final = 0.49
"""Share of a session's prints that come then."""
_ASK: Final = Ask("drill", "to see what happens", force=True)


@dataclass(slots=True)
class Figures:
    """What came of it; from ``mistagged`` on all must be 0. Delays are in milliseconds."""

    rows: int = 0
    changes: int = 0
    of_figures: int = 0
    """Changes of constants that the figures are computed with."""
    rate: float = 0.0
    """Rows a second."""
    overran: float = 0.0
    """Seconds that changes went on after the rows of their hours."""
    rows_near: int = 0
    p99_near: int = 0
    worst_near: int = 0
    p99_else: int = 0
    worst_else: int = 0
    answer_p50: int = 0
    """From asking to the answer of ingest."""
    answer_worst: int = 0
    told: int = 0
    """Changes with rows before the next one, of which a stream tells."""
    seconds: float = 0.0
    mistagged: int = 0
    unanswered: int = 0
    untold: int = 0
    differences: int = 0
    lost: int = 0
    """Rows that the subscriber did not see, or saw twice."""
    api_unlike: int = 0
    """Changes after which the API named another version, or another seq, than the ledger."""

    @property
    def wrong(self) -> dict[str, int]:
        """What did not hold."""
        found = asdict(self)
        names = list(found)
        return {name: found[name] for name in names[names.index("mistagged") :] if found[name]}


def main(arguments: list[str]) -> int:
    """Run it and print its figures; 1 when something did not hold."""
    command = argparse.ArgumentParser(prog="python -m drills rules", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    command.add_argument("--changes", type=int, default=1_000, help="activations and rollbacks (default 1000)")
    command.add_argument("--rate", type=int, default=2_000, help="prints a second, on average (default 2000)")
    command.add_argument("--seconds", type=float, default=400, help="how long, at that rate (default 400)")
    command.add_argument("--seed", type=int, default=1, help="of the session and of the changes (default 1)")
    given = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="phenix-rules-") as folder:
        found = asyncio.run(
            drill(Path(folder), given.changes, given.rate, given.seconds, given.seed, partial(print, file=sys.stderr))
        )
    print(json.dumps(asdict(found)))
    print(f"something did not hold: {found.wrong}" if found.wrong else "all held: each row has the version of its seq")
    return 1 if found.wrong else 0


async def drill(
    folder: Path, changes: int, rate: int, seconds: float, seed: int, tell: Callable[[str], None] = lambda _: None
) -> Figures:
    """Play a session, its calm hours at ``rate`` prints a second, and change its rules in them. Raises DiedError."""
    began, found = time.monotonic(), Figures()
    day = Day(seed, symbols=20, prints=int(rate * seconds / _CALM_SHARE))
    calm, noisy, length = _CALM
    store = folder / "flow.sqlite"
    environ = {"PHENIX_STORE": f"sqlite:{store}", "PHENIX_PORT": str(free_port()), "PHENIX_GRPC_PORT": "0",
               "INGEST_SYMBOLS": day.names}  # fmt: skip
    async with Terminal(day, "pause", 0.0) as terminal:
        environ |= terminal.environ
        async with (
            Phenix("ingest", "--once", environ=environ) as ingest,
            Phenix("serve", "--wait", "60", "--heartbeat", "1", environ=environ) as serve,
        ):
            await ingest.heard(SUBSCRIBED)
            url = f"http://127.0.0.1:{environ['PHENIX_PORT']}"
            follower = _Follower(url)
            await serve.heard("ready at")
            following = asyncio.create_task(follower.run())
            try:
                await until(lambda: follower.connected, "the stream", serve)
                await terminal.play(until=calm)
                morning = await terminal.held(ingest)
                await until(lambda: enriched_upto(store) >= morning, "the morning", ingest,
                            steps=lambda: enriched_upto(store))  # fmt: skip
                await terminal.play(length / seconds, until=noisy)
                calm_at = time.time_ns() // 1_000_000
                changer = _Changer(store, random.Random(seed), found, url)
                changing = time.monotonic()
                await changer.run(changes, seconds, tell)
                found.overran = round(max(0.0, time.monotonic() - changing - seconds), 1)
                poured_at = time.time_ns() // 1_000_000
                await terminal.play(0.0)
                if await ingest.done():
                    raise ingest.fail()
                last = enriched_upto(store)
                await until(lambda: follower.position >= last, "the last rows to be streamed", serve)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
    _hold(found, store, follower, calm_at, poured_at)
    found.differences = verify(store).total()
    found.seconds = round(time.monotonic() - began, 1)
    return found


class _Changer:
    """Asks for changes at even times, each once the one before is answered."""

    def __init__(self, store: Path, rng: random.Random, found: Figures, url: str) -> None:
        self._life: Lifecycle = app.lifecycle(f"sqlite:{store}")
        self._rng, self._found, self._url = rng, found, url
        self._active = self._life.versions()[0].version_id
        self._known = [self._active, self._params(whales_min="60k"), self._params(sizable_min="100k")]

    def _params(self, **values: str) -> str:
        made = self._life.set_params("", values)
        assert not isinstance(made, Refusal), made
        bundle: Bundle = made[0]
        return bundle.version

    async def run(self, changes: int, seconds: float, tell: Callable[[str], None]) -> None:
        answers: list[float] = []
        started = time.monotonic()
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as client:
            for number in range(1, changes + 1):
                await asyncio.sleep(max(0.0, started + seconds * (number - 1) / changes - time.monotonic()))
                begun = time.monotonic()
                entry = await asyncio.to_thread(self._change, number)
                answers.append((time.monotonic() - begun) * 1000)
                self._found.changes += 1
                self._found.unanswered += entry.waiting or entry.refused is not None
                if number % 10 == 0:
                    meta = (await client.get("/api/flow", params={"limit": 1})).json()["meta"]
                    self._found.api_unlike += meta["ruleVersion"] != entry.version_id
                if number % 100 == 0:
                    tell(f"{number} of {changes} changes")
        answers.sort()
        self._found.answer_p50, self._found.answer_worst = round(answers[len(answers) // 2]), round(answers[-1])

    def _change(self, number: int) -> Activation:
        if number % 2 == 0:
            found = self._life.rollback(_ASK)
        else:
            if number % 50 == 1:
                self._found.of_figures += 2  # there and back
                version = self._params(aa_floor=f"${self._rng.randint(2, 40) / 100:.2f}")
            elif number % 10 == 5:
                version = self._params(whales_min=str(self._rng.randint(50_000, 900_000)))
            else:
                version = self._rng.choice(self._known[1:])
            found = self._life.activate(version, _ASK)
        assert not isinstance(found, Refusal), found
        return found


class _Follower:
    """Reads the stream of serve: every row, and where it says that rules changed."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/flow/stream?batch=1&snapshot=0&includeCancelled=1"
        self.connected = False
        self.position = 0
        self.seqs: list[int] = []
        self.rules: list[tuple[int, str]] = []
        """Seq after which, and the version."""

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            headers = {"Last-Event-ID": "0"}
            async with client.stream("GET", self._url, headers=headers) as answer:
                answer.raise_for_status()
                self.connected = True
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        self._take(json.loads(line[6:]))

    def _take(self, told: dict[str, Any]) -> None:
        if told["eventType"] == "rules":
            self.rules.append((told["sequence"], told["ruleVersion"]))
        self.seqs += [event["sequence"] for event in told.get("events", ())]
        self.position = max(self.position, told["watermark"])


def _hold(found: Figures, store: Path, follower: _Follower, calm_at: int, poured_at: int) -> None:
    """Hold the rows against the ledger; delays are of those received in a time, before the rest was poured out."""
    with app.open_reader(f"sqlite:{store}") as reader:
        history = [entry for entry in reader.activations() if entry.seq is not None]
        rows = _rows(reader)
    found.rows = len(rows)
    near: list[int] = []
    elsewhere: list[int] = []
    at = changed_at = 0
    for row in rows:
        while at + 1 < len(history) and _after(history[at + 1]) < row[_SEQ]:
            at += 1
            changed_at = history[at].at or 0
        found.mistagged += row[_VERSION] != history[at].version_id
        is_near = at > 0 and row[_ENRICHED] - changed_at <= _NEAR_MS
        if calm_at <= row[_RECEIVED] < poured_at:
            (near if is_near else elsewhere).append(row[_ENRICHED] - row[_RECEIVED])
    found.rate = round((len(near) + len(elsewhere)) / max(1, poured_at - calm_at) * 1000, 1)
    found.rows_near = len(near)
    found.p99_near, found.worst_near = _high(near)
    found.p99_else, found.worst_else = _high(elsewhere)
    # Of changes without a row between them the stream tells the last, and perhaps others, which tagged nothing.
    expected = {_after(entry): entry.version_id for entry in history[1:] if _after(entry) < rows[-1][_SEQ]}
    before, wanted = history[0].version_id, []
    for seq, version in sorted(expected.items()):
        if version != before:
            wanted.append((seq, version))
        before = version
    found.told = len(wanted)
    entries = {(_after(entry), entry.version_id) for entry in history}
    found.untold = len(set(wanted) - set(follower.rules)) + len(set(follower.rules) - entries)
    seqs = [row[_SEQ] for row in rows]
    found.lost = len(set(seqs) ^ set(follower.seqs)) + len(follower.seqs) - len(set(follower.seqs))


def _rows(reader: Reader) -> list[Row]:
    rows: list[Row] = []
    while page := reader.rows_after(rows[-1][_SEQ] if rows else 0, 20_000):
        rows += page
    return rows


def _after(entry: Activation) -> int:
    assert entry.seq is not None
    return entry.seq


def _high(delays: Sequence[int]) -> tuple[int, int]:
    """The 99th percentile and the largest."""
    if not delays:
        return 0, 0
    ordered = sorted(delays)
    return ordered[int(len(ordered) * 0.99)], ordered[-1]
