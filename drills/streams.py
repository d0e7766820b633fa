"""Streams: each subscriber receives exactly what its filter means, once and in order, whatever is cut or killed.

Many subscribers follow ``phenix serve`` over SSE and gRPC, each with a random filter, while rows are stored, prints are
taken back and another rule version is activated. Serve is killed (signal 9) or ended and started again; subscribers
leave at random, read slowly, or sit behind a proxy that cuts connections after some bytes. Each resumes after the last
whole frame it has. What it received in all is held against what its filter means to every seq of the store, each row
judged by the rules that tagged it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, Self

from drills._play import until
from drills._processes import Phenix, free_port
from drills._subscribers import SNAPSHOT, Figures, Grpc, Proxy, Sse, Subscriber
from drills._tapes import generated_tape
from drills.same_rows import random_filter
from phenix import app
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.certify.rules import RandomRules
from phenix.engine.flow import INDEX, Row
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.plan import CANCEL_FIELDS
from phenix.engine.store.base import Batch, RuleVersion, Writer
from phenix.engine.watch import Batch as Steps
from phenix.engine.watch import Watch, read_batch
from phenix.ingest.reading import read_parts

__all__ = ["DATE", "changed_rules", "drill", "main", "with_cancels"]

DATE: Final = 20261120
_SHOWN: Final = 10
"""Events named of each subscriber that lost any, or had others."""
_CANCELS: Final = ("cancelled", "cancel_record", "cancelled or cancel_record")
"""Filters to which a cancel is another row each, or a row and its record."""
_SEQ, _RECORD, _CANCELLED = INDEX["seq"], INDEX["cancel_record"], INDEX["cancelled_seq"]


class _Rows:
    """Rows stored a few at a time, prints taken back among them, under two rule versions one after the other."""

    def __init__(self, store: Path, rows: Sequence[Row], seed: int, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._rng = random.Random(f"{seed} rows")
        self._rows = list(with_cancels(rows, self._rng))
        self._stop, self._begin = threading.Event(), threading.Event()
        self.last: int | None = None
        """The last seq, once all are stored."""
        self.changed_at = 0
        self.changed = changed_rules()
        self.failure: Exception | None = None
        with app.open_writer(f"sqlite:{store}") as writer:
            app.recorder(writer).record(Batch(rows=self._rows[: len(rows) // 5]))
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def begin(self) -> None:
        """Go on with the rows after the first fifth, which are there from the start."""
        self._begin.set()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._begin.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with app.open_writer(f"sqlite:{self._store}") as writer:
                self._write(writer)
        except Exception as error:  # noqa: BLE001 - raised again by who waits for the last row
            self.failure = error

    def _write(self, writer: Writer) -> None:
        rest = self._rows[len(self._rows) // 5 :]
        self._begin.wait()
        recorder = app.recorder(writer)
        begun, at, turn = time.monotonic(), 0, len(rest) // 2
        while at < len(rest) and not self._stop.is_set():
            count = self._rng.choice((1, 1, 2, 9, 40))
            recorder.record(Batch(rows=rest[at : at + count]))
            at += count
            if not self.changed_at and at >= turn:
                self.changed_at = writer.reads.watermark()
                bundle = self.changed
                version = RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)
                writer.put_rule_version(version, activate=True, now_utc=1)
                recorder = app.recorder(writer)
            self._stop.wait(max(0.0, begun + self._seconds * at / len(rest) - time.monotonic()))
        self.last = writer.reads.watermark()


def changed_rules() -> Bundle:
    """The packaged rules with another threshold."""
    sources = [Source(one.name, one.text.replace("whales_min: money = 500k", "whales_min: money = 50k"))
               for one in read_rules()]  # fmt: skip
    bundle, _ = compile_bundle(sources)
    assert bundle is not None
    return bundle


def with_cancels(rows: Sequence[Row], rng: random.Random) -> Iterator[Row]:
    """The rows, and now and then the cancel of one not long ago."""
    recent: list[Row] = []
    for row in rows:
        yield row
        recent = [*recent[-200:], row]
        if rng.random() < 0.05:
            cancel = list(recent.pop(rng.randrange(len(recent))))
            cancel[INDEX["condition"]] = 40
            cancel[INDEX["trade_id"]] ^= 1 << 40
            cancel[INDEX["sequence"]] += 1_000_000_000
            for name in ("trade_ts_utc", "trade_ts_et"):
                cancel[INDEX[name]] = row[INDEX[name]]
            yield tuple(cancel)


async def drill(
    folder: Path, clients: int, prints: int, seconds: float, restarts: int, seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:  # fmt: skip
    """Store, serve, follow, and compare. Raises DiedError when serve ends by itself or refuses a stream."""
    began = time.monotonic()
    rng, found = random.Random(seed), Figures(clients)
    tape = generated_tape(folder, seed=seed, symbols=10, prints=prints, date=DATE)
    rows = [row for part in read_parts(tape.sources) for row in part.rows]
    bundle = app.packaged_bundle()
    rules = RandomRules(rng, bundle.scope)
    subscribers = [_subscriber(rng, rules, bundle, found) for _ in range(clients)]
    ports = {"serve": free_port(), "grpc": free_port()}
    proxy = Proxy(rng, ports["serve"], found)
    ports["proxy"] = await proxy.listen()
    store = folder / "flow.sqlite"
    environ = {"PHENIX_STORE": f"sqlite:{store}", "PHENIX_PORT": str(ports["serve"]), "PHENIX_RATE_LIMIT": "0",
               "PHENIX_GRPC_PORT": str(ports["grpc"]), "PHENIX_STREAM_LIMIT": "0"}  # fmt: skip
    with _Rows(store, rows, seed, seconds) as storing:
        following = [asyncio.create_task(one.follow(ports, lambda: storing.last)) for one in subscribers]

        def all_joined() -> bool:
            return _failed(following) or all(one.joined for one in subscribers)

        def steps() -> int:
            return sum(one.joined + one.position for one in subscribers)

        def ended() -> bool:
            return bool(storing.failure) or all(task.done() for task in following) or _failed(following)

        try:
            for number in range(restarts):
                async with Phenix("serve", "--heartbeat", "0.2", environ=environ) as serve:
                    await serve.heard("ready at")
                    if not number:
                        await until(all_joined, "another subscriber to join", serve, steps=steps)
                        storing.begin()
                    await asyncio.sleep(rng.uniform(0.3, 1.7) * seconds / (restarts + 1))
                    if kill := rng.random() < 0.6:
                        if not await serve.kill():
                            raise serve.fail()
                    elif await serve.stop():
                        raise serve.fail()
                found.kills += kill
                found.restarts += 1
                tell(f"{number + 1} of {restarts} restarts, {sum(len(one.told) for one in subscribers):,} events")
            async with Phenix("serve", "--heartbeat", "0.2", environ=environ) as serve:
                if not restarts:
                    await until(all_joined, "another subscriber to join", serve, steps=steps)
                storing.begin()
                await until(ended, "any stream to go on", serve, steps=steps)
                if storing.failure is not None:
                    raise storing.failure
                await asyncio.gather(*following)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await proxy.close()
    _hold(found, store, subscribers, [bundle, storing.changed], storing.changed_at, tell)
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _failed(tasks: Sequence[asyncio.Task[None]]) -> bool:
    return any(task.done() and not task.cancelled() and task.exception() for task in tasks)


def _subscriber(rng: random.Random, rules: RandomRules, bundle: Bundle, found: Figures) -> Subscriber:
    while True:
        where = rng.choice(_CANCELS) if rng.random() < 0.1 else random_filter(rng, rules, bundle)
        if isinstance(compile_predicate((("where", where),), bundle), Predicate):
            kind = Grpc if rng.random() < 0.2 else Sse
            return kind(random.Random(rng.random()), where, found)


def _hold(
    found: Figures, store: Path, subscribers: Sequence[Subscriber], bundles: Sequence[Bundle], changed_at: int,
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    """Hold what each was told against the store."""
    batches: list[Steps] = []
    with app.open_reader(f"sqlite:{store}") as reader:
        while not batches or batches[-1].steps:
            batches.append(read_batch(reader, batches[-1].upto if batches else 0))
    rows = [step.row for batch in batches for step in batch.steps]
    found.rows, found.cancels = len(rows), sum(row[_CANCELLED] is not None for row in rows)
    for one in subscribers:
        watches = {}
        for bundle in bundles:
            predicate = compile_predicate((("where", one.where),), bundle)
            assert isinstance(predicate, Predicate)
            watches[bundle.version] = Watch(predicate, one.with_cancelled)
        begun = one.begun or 0
        expected = [
            (event.seq, event.kind.value, event.row[_SEQ])
            for batch in batches
            for step in batch.steps
            if step.seq > begun and (event := watches[batch.version].event(step))
        ]
        lost, extra = Counter(expected) - Counter(one.told), Counter(one.told) - Counter(expected)
        found.events += len(one.told)
        found.lost += lost.total()
        found.extra += extra.total()
        if lost or extra:
            some = f"lost {sorted(lost)[:_SHOWN]}, extra {sorted(extra)[:_SHOWN]}"
            tell(f"{one}, other rules after {changed_at}: {some}")
        found.disordered += sum(b[0] <= a[0] for a, b in zip(one.told, one.told[1:], strict=False))
        if begun < changed_at:
            found.rules_untold += (changed_at, bundles[1].version) not in one.rules
        if begun:  # judged by the rules active when it was asked for, which may have changed just then
            found.snapshots += 1
            found.snapshots_unlike += one.snapshot not in [_snapshot(rows, watch, begun) for watch in watches.values()]


def _snapshot(rows: Sequence[Row], watch: Watch, as_of: int) -> list[int]:
    """Seqs of the latest matching rows, newest first."""
    everything = watch.include_cancelled or bool(CANCEL_FIELDS & watch.predicate.reads)
    shown = [
        row[_SEQ]
        for row in rows
        if row[_SEQ] <= as_of
        and watch.predicate.matches(row, as_of)
        and (everything or not (row[_RECORD] or (row[_CANCELLED] is not None and row[_CANCELLED] <= as_of)))
    ]
    return shown[::-1][:SNAPSHOT]


def main(arguments: list[str]) -> int:
    """Run it, print the figures as JSON; 1 when something did not hold."""
    command = argparse.ArgumentParser(prog="python -m drills streams", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    command.add_argument("--clients", type=int, default=200, help="subscribers, a fifth of them gRPC (default 200)")
    command.add_argument("--prints", type=int, default=8_000, help="in the session (default 8000)")
    command.add_argument("--seconds", type=float, default=60.0, help="in which they are stored (default 60)")
    command.add_argument("--restarts", type=int, default=12, help="of serve (default 12)")
    command.add_argument("--seed", type=int, default=1)
    given = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="phenix-streams-") as folder:
        found = asyncio.run(
            drill(Path(folder), given.clients, given.prints, given.seconds, given.restarts, given.seed,
                  lambda text: print(text, file=sys.stderr, flush=True))
        )  # fmt: skip
    print(json.dumps(asdict(found)))
    print(f"did not hold: {found.wrong}" if found.wrong else "all held: nothing lost, nothing doubled, all in order")
    return 1 if found.wrong else 0
