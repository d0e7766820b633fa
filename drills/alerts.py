"""Alerts: each event that the log calls for is delivered at least once under one id, and no other, whatever dies.

Saved alerts with random filters, cooldowns, quiet hours, caps and digests are evaluated while a generated session is
stored at a multiple of real time, prints taken back among it. Serve is killed (signal 9) at random instants and started
again; some alerts are changed meanwhile. The receiver drops, refuses, dawdles and takes messages without saying so.
What it was sent in all is held against what a simple model makes of the stored rows alone, one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx

from drills._play import SECONDS
from drills._processes import DiedError, Phenix, free_port
from drills._receiver import Receiver, Seen
from drills._tapes import generated_tape
from drills.same_rows import random_filter
from drills.streams import DATE, with_cancels
from phenix import app
from phenix.engine.bundle import Bundle
from phenix.engine.certify.rules import RandomRules
from phenix.engine.flow import INDEX, Row
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.store.alerts import Revision
from phenix.engine.store.base import Batch
from phenix.engine.store.sqlite_saved import open_saved, saved_beside
from phenix.engine.watch import Kind, Watch, read_batch
from phenix.ingest.reading import read_parts

__all__ = ["Figures", "drill", "hold", "main"]

_TIMEOUT_MS: Final = 1_000
_PATIENCE_S: Final = 180.0
_COOLDOWNS: Final = ("0s", "10s", "1m", "3m", "10m", "1h")
_QUIET: Final = (("09:30", "10:00"), ("15:00", "09:45"), ("12:00", "13:30"))
_WORKERS: Final = 8
_SEQ, _TS, _ID, _ET = INDEX["seq"], INDEX["trade_ts_utc"], INDEX["trade_id"], INDEX["trade_ts_et"]
_CONTRACT: Final = [INDEX[name] for name in ("root", "expiration", "strike", "right")]

Fact = tuple[str, str, int, str]
"""Alert, kind, seq, and the id of the row."""


@dataclass(slots=True)
class Figures:
    """What was done and found. All from ``missing`` on, without ``seconds``, must be 0."""

    alerts: int
    kills: int = 0
    changed: int = 0
    rows: int = 0
    cancels: int = 0
    matches: int = 0
    silent: int = 0
    events: int = 0
    retracted: int = 0
    digests: int = 0
    sent: int = 0
    again: int = 0
    receiver: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    invented: int = 0
    stored_twice: int = 0
    not_delivered: int = 0
    delivered_unasked: int = 0
    ids_unlike: int = 0
    bodies_unlike: int = 0
    forged: int = 0
    dead: int = 0
    digests_unlike: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def wrong(self) -> dict[str, int]:
        """What did not hold."""
        found = asdict(self)
        names = list(found)
        return {name: found[name] for name in names[names.index("missing") : names.index("seconds")] if found[name]}


class _Session:
    """Rows stored at the pace of their own times, on a thread."""

    def __init__(self, store: Path, rows: Sequence[Row], seconds: float) -> None:
        self._store, self._rows, self._seconds = store, rows, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.last: int | None = None
        """The last seq, once all are stored."""
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with app.open_writer(f"sqlite:{self._store}") as writer:
                recorder = app.recorder(writer)
                first, length = self._rows[0][_TS], self._rows[-1][_TS] - self._rows[0][_TS]
                begun, at = time.monotonic(), 0
                while at < len(self._rows) and not self._stop.is_set():
                    due = first + length * min(1.0, (time.monotonic() - begun) / self._seconds)
                    upto = at
                    while upto < len(self._rows) and upto - at < 500 and self._rows[upto][_TS] <= due:
                        upto += 1
                    if upto > at:
                        recorder.record(Batch(rows=self._rows[at:upto]))
                        at = upto
                    else:
                        self._stop.wait(0.02)
                self.last = writer.reads.watermark()
        except Exception as error:  # noqa: BLE001 - raised again by who waits for the last row
            self.failure = error


async def drill(
    folder: Path, alerts: int, prints: int, seconds: float, kills: int, seed: int,
    tell: Callable[[str], None] = lambda _: None, *, servers: int = 1, changes: int = 0,
) -> Figures:  # fmt: skip
    """Save, store, kill, receive, and compare. Raises DiedError when serve ends by itself, or never gets done."""
    began = time.monotonic()
    rng, found = random.Random(seed), Figures(alerts)
    tape = generated_tape(folder, seed=seed, symbols=10, prints=prints, date=DATE)
    rows = list(with_cancels([row for part in read_parts(tape.sources) for row in part.rows], rng))
    store, bundle = folder / "flow.sqlite", app.packaged_bundle()
    with app.open_writer(f"sqlite:{store}") as writer:
        app.recorder(writer).record(Batch(rows=rows[:5]))
    environ = {
        "PHENIX_STORE": f"sqlite:{store}", "PHENIX_RATE_LIMIT": "0", "PHENIX_GRPC_PORT": "0",
        "PHENIX_ALERT_ALLOW": "127.0.0.1", "PHENIX_ALERT_TRIES": "100", "PHENIX_ALERT_RETRY_BASE_MS": "20",
        "PHENIX_ALERT_TIMEOUT_MS": str(_TIMEOUT_MS),
    }  # fmt: skip
    ports = [free_port() for _ in range(servers)]
    async with Receiver(seed, 2 * _TIMEOUT_MS / 1000) as receiver:
        asking = _Asking(rng, bundle, receiver, ports[0])
        async with Phenix("serve", environ={**environ, "PHENIX_PORT": str(ports[0])}) as serve:
            await serve.heard("ready at")
            await asking.save(alerts)
            if await serve.stop():
                raise serve.fail()
        tell(f"{alerts} alerts saved after {time.monotonic() - began:.0f} s")
        with _Session(store, rows[5:], seconds) as session:
            lives = [
                _lives(environ, port, kills // servers, seconds, random.Random(f"{seed} {port}"), found, tell)
                for port in ports
            ]
            async with asyncio.TaskGroup() as group:
                for number, life in enumerate(lives):
                    group.create_task(_with_changes(life, asking, changes if number == 0 else 0, seconds, found))
            async with Phenix("serve", environ={**environ, "PHENIX_PORT": str(ports[0])}) as serve:
                await _settled(store, session, serve, receiver)
                if await serve.stop():
                    raise serve.fail()
        found.receiver = dict(receiver.did)
        hold(found, store, bundle, asking, receiver.seen)
    found.seconds = round(time.monotonic() - began, 1)
    return found


async def _lives(
    environ: dict[str, str], port: int, kills: int, seconds: float, rng: random.Random, found: Figures,
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve, killed again and again."""
    for number in range(kills):
        async with Phenix("serve", environ={**environ, "PHENIX_PORT": str(port)}) as serve:
            await serve.heard("ready at")
            await asyncio.sleep(rng.uniform(0.1, 1.5) * seconds / (kills + 1) / 2)
            if not await serve.kill():
                raise serve.fail()
        found.kills += 1
        if number % 5 == 4:
            tell(f"{number + 1} of {kills} kills")


async def _with_changes(life: Any, asking: _Asking, changes: int, seconds: float, found: Figures) -> None:
    """A server's lives, and beside it changes of alerts, each asked for until it is answered."""
    changing = asyncio.create_task(asking.change(changes, seconds, found))
    try:
        await life
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


async def _settled(store: Path, session: _Session, serve: Phenix, receiver: Receiver) -> None:
    """Wait until all rows are judged and everything is delivered; for as long as it goes on."""
    moved, seen = time.monotonic(), (-1, -1, -1)
    file = open_saved(saved_beside(store), writing=False)
    try:
        while True:
            if serve.ended:
                raise serve.fail()
            if session.failure is not None:
                raise session.failure
            (seq, _), (counts, _) = file.alerts.state(), file.alerts.outbox()
            if session.last is not None and seq >= session.last and not counts["waiting"]:
                return
            now = (seq, counts["waiting"], sum(receiver.did.values()))
            if now != seen:
                moved, seen = time.monotonic(), now
            if time.monotonic() > moved + _PATIENCE_S:
                raise DiedError(f"waited {_PATIENCE_S:.0f} s for the outbox to be empty: {now}, {session.last}")
            await asyncio.sleep(0.1)
    finally:
        file.close()


class _Asking:
    """Saves alerts and changes them, over REST."""

    def __init__(self, rng: random.Random, bundle: Bundle, receiver: Receiver, port: int) -> None:
        self._rng, self._bundle, self._receiver = rng, bundle, receiver
        self._rules = RandomRules(rng, bundle.scope)
        self._base = f"http://127.0.0.1:{port}/api/flow/alerts"
        self.paths: dict[str, list[str]] = {}
        """Paths of the receiver, by alert."""
        self.digests: set[str] = set()
        """Alerts that ask for digests."""

    async def save(self, count: int) -> None:
        """Import statements, a thousand at a time, then give each its settings."""
        names = [f"a{number}" for number in range(count)]
        async with httpx.AsyncClient(timeout=120) as client:
            for first in range(0, count, 1000):
                text = "".join(self._statement(name) for name in names[first : first + 1000])
                answer = await client.post(self._base, content=text, headers={"content-type": "text/plain"})
                assert answer.status_code == 201, answer.text
            left = iter(names)

            async def settle() -> None:
                for name in left:
                    await self._put(client, f"alert_{name}", self._settings(f"alert_{name}"))

            await asyncio.gather(*(settle() for _ in range(_WORKERS)))

    def _filter(self) -> str:
        while True:
            where = random_filter(self._rng, self._rules, self._bundle)
            if self._rng.random() < 0.5:
                where = f"({where}) and value >= {self._rng.choice((25, 100, 250))}k"
            if isinstance(compile_predicate([("where", where)], self._bundle), Predicate):
                return where

    def _statement(self, name: str) -> str:
        per = self._rng.choice(("contract", "symbol"))
        cooldown = f" cooldown {self._rng.choice(_COOLDOWNS[1:])} per {per}" if self._rng.random() < 0.7 else ""
        severity = " severity high" if self._rng.random() < 0.2 else ""
        return f"alert {name} where {self._filter()}{cooldown}{severity}\n"

    def _settings(self, id_: str) -> dict[str, Any]:
        rng = self._rng
        paths = [f"/{id_}/{number}" for number in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 1, 2)))]
        self.paths[id_] = paths
        targets = []
        for path in paths:
            secret = self._receiver.secrets[path] = f"whsec_{base64.b64encode(rng.randbytes(24)).decode()}"
            targets.append({"type": "webhook", "url": f"{self._receiver.url}{path}", "secret": secret})
        found: dict[str, Any] = {"dailyCap": rng.choice((1, 3, 10, 20, 40)), "targets": targets}
        if rng.random() < 0.3:
            found["cooldown"] = rng.choice(_COOLDOWNS)
        if rng.random() < 0.2:
            found["quiet"] = dict(zip(("from", "to"), rng.choice(_QUIET), strict=True))
        if rng.random() < 0.1:
            found["digest"] = "2s"
            self.digests.add(id_)
        return found

    async def _put(self, client: httpx.AsyncClient, id_: str, settings: Any, part: str = "/delivery") -> None:
        answer = await client.put(f"{self._base}/{id_}{part}", json=settings)
        assert answer.status_code == 200, answer.text

    async def change(self, count: int, seconds: float, found: Figures) -> None:
        """Now and then another filter or cooldown for one; asked again where serve died under it."""
        ids = list(self.paths)
        async with httpx.AsyncClient(timeout=10) as client:
            for _ in range(count):
                await asyncio.sleep(seconds / (count + 1))
                id_ = self._rng.choice(ids)
                while True:
                    try:
                        if self._rng.random() < 0.5:
                            await self._put(client, id_, {"dsl": self._filter()}, "")
                        else:
                            settings = (await client.get(f"{self._base}/{id_}/delivery")).json()["data"]
                            settings["cooldown"] = self._rng.choice(_COOLDOWNS)
                            await self._put(client, id_, settings)
                        break
                    except httpx.TransportError:
                        await asyncio.sleep(0.05)
                found.changed += 1


# -- the model


def hold(found: Figures, store: Path, bundle: Bundle, asking: _Asking, seen: dict[str, Seen]) -> None:
    """Hold what was stored and what was received against what the stored rows call for."""
    file = open_saved(saved_beside(store), writing=False)
    try:
        revisions = file.alerts.revisions(-1)
        stored = file.alerts.after(0, "", 10**9)
        found.dead = file.alerts.outbox()[0]["dead"]
    finally:
        file.close()
    wanted = Counter(_expected(store, bundle, revisions, found))
    have = Counter((one.alert_id, str(one.kind), one.seq, f"{one.row_ts} {one.row_id}") for one in stored)
    found.events = sum(kind == "matched" for _, kind, *_ in have)
    found.retracted = sum(kind == "retracted" for _, kind, *_ in have)
    found.missing, found.invented = (wanted - have).total(), (have - wanted).total()
    found.stored_twice = have.total() - len(have)
    matched = {(one.alert_id, one.row_ts, one.row_id, one.revision): one.id for one in stored if one.kind == "matched"}
    found.ids_unlike = len(matched) - len(set(matched.values())) + sum(
        matched.get((one.alert_id, one.row_ts, one.row_id, one.revision)) != one.id for one in stored
    )  # fmt: skip
    by_alert: dict[str, list[Any]] = {}
    for one in stored:
        by_alert.setdefault(one.alert_id, []).append(one)
    for alert, paths in asking.paths.items():
        events = by_alert.get(alert, [])
        for path in paths:
            _hold_path(found, alert in asking.digests, events, seen.get(path, Seen()))
    found.delivered_unasked += sum(
        len(one.bodies) for path, one in seen.items() if path not in {p for ps in asking.paths.values() for p in ps}
    )


def _hold_path(found: Figures, digest: bool, events: Sequence[Any], seen: Seen) -> None:
    found.sent += len(seen.bodies)
    found.again += seen.again
    found.bodies_unlike += seen.unlike
    found.forged += seen.forged
    ids = {one.id + (":retracted" if one.kind == "retracted" else ""): one for one in events}
    if not digest:
        found.not_delivered += len(ids.keys() - seen.taken)
        found.delivered_unasked += len(seen.bodies.keys() - ids.keys())
        found.bodies_unlike += sum(
            (body["id"], body["kind"], body["seq"]) != (ids[id_].id, ids[id_].kind, ids[id_].seq)
            for id_, body in seen.bodies.items() if id_ in ids
        )  # fmt: skip
        return
    found.digests += len(seen.bodies)
    taken = [body for id_, body in seen.bodies.items() if id_ in seen.taken]
    found.not_delivered += len(seen.bodies.keys() - seen.taken)
    told = Counter({kind: sum(body[kind] for body in taken) for kind in ("matched", "retracted")})
    found.digests_unlike += (told - Counter(one.kind for one in events)).total()
    found.digests_unlike += (Counter(one.kind for one in events) - told).total()
    shown = [(one["id"], one["kind"]) for body in taken for one in body["events"]]
    found.digests_unlike += len(shown) - len(set(shown)) + len(set(shown) - {(one.id, one.kind) for one in events})


def _expected(store: Path, bundle: Bundle, revisions: Sequence[Revision], found: Figures) -> Iterator[Fact]:
    """What the rows call for: each filter by itself, row by row, with plain dicts for what it remembers."""
    watches = []
    for one in revisions:
        predicate = compile_predicate([("where", one.where)] if one.where else [], bundle)
        assert isinstance(predicate, Predicate)
        watches.append((one, Watch(predicate)))
    latest: dict[tuple[str, str], int] = {}
    spoken: Counter[tuple[str, int]] = Counter()
    raised: dict[tuple[int, int], list[str]] = {}
    with app.open_reader(f"sqlite:{store}") as reader:
        at = 0
        while (batch := read_batch(reader, at)).steps:
            at = batch.upto
            for step in batch.steps:
                found.rows += 1
                if step.original is not None:
                    found.cancels += 1
                    row = step.original
                    for alert in raised.get((row[_TS], row[_ID]), ()):
                        yield alert, "retracted", step.seq, f"{row[_TS]} {row[_ID]}"
                for revision, watch in watches:
                    if not revision.since < step.seq <= (revision.until or 2**62):
                        continue
                    event = watch.event(step)
                    if event is None or event.kind is not Kind.UPDATED:
                        continue
                    found.matches += 1
                    if _speaks(revision, event.row, latest, spoken):
                        raised.setdefault((event.row[_TS], event.row[_ID]), []).append(revision.alert_id)
                        yield revision.alert_id, "matched", step.seq, f"{event.row[_TS]} {event.row[_ID]}"
                    else:
                        found.silent += 1


def _speaks(revision: Revision, row: Row, latest: dict[tuple[str, str], int], spoken: Counter[tuple[str, int]]) -> bool:
    alert, terms, day = revision.alert_id, revision.terms, row[INDEX["session_date"]]
    if terms.quiet is not None:
        start, end = terms.quiet
        minutes = set(range(start, end)) if start <= end else {*range(start, 1440), *range(end)}
        if row[_ET] // 60_000 % 1440 in minutes:
            return False
    key = " ".join(str(row[at]) for at in _CONTRACT) if terms.per == "contract" else row[INDEX["symbol"]]
    before = latest.get((alert, key))
    if terms.cooldown_ms and before is not None and row[_TS] < before + terms.cooldown_ms:
        return False
    if spoken[alert, day] == terms.daily_cap:
        return False
    spoken[alert, day] += 1
    latest[alert, key] = max(before or 0, row[_TS])
    return True


def main(arguments: list[str]) -> int:
    """Run it, print the figures as JSON; 1 when something did not hold."""
    command = argparse.ArgumentParser(prog="python -m drills alerts", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    command.add_argument("--alerts", type=int, default=2_000, help="saved (default 2000)")
    command.add_argument("--prints", type=int, default=30_000, help="in the session (default 30000)")
    command.add_argument("--speed", type=float, default=60.0, help="of the session, times real time (default 60)")
    command.add_argument("--kills", type=int, default=50, help="of serve (default 50)")
    command.add_argument("--servers", type=int, default=1, help="that share the store and the kills (default 1)")
    command.add_argument("--changes", type=int, default=50, help="of alerts meanwhile (default 50)")
    command.add_argument("--seed", type=int, default=1)
    given = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="phenix-alerts-") as folder:
        found = asyncio.run(
            drill(Path(folder), given.alerts, given.prints, SECONDS / given.speed, given.kills, given.seed,
                  lambda text: print(text, file=sys.stderr, flush=True), servers=given.servers, changes=given.changes)
        )  # fmt: skip
    print(json.dumps(asdict(found)))
    print(f"did not hold: {found.wrong}" if found.wrong else "all held: each event delivered, none invented")
    return 1 if found.wrong else 0
