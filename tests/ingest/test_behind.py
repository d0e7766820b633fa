"""A start in the middle of a session: prints are stored while the state of the enricher is built, and enriched then."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from drills._stores import stored_rows, verify
from phenix import app
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.enricher import Enricher
from phenix.engine.store.base import Batch, Writer
from phenix.ingest.figures import Figures
from phenix.ingest.metrics import exposition
from phenix.ingest.reading import Sources, read_parts
from phenix.ingest.recorder import Recorder, now_utc
from phenix.ingest.rules import Prepared
from phenix.ingest.terminal.layouts import wall_of_stamp
from phenix.ingest.terminal.standin import StandIn
from tests.ingest.files import copy, day_sources, run_import
from tests.ingest.test_worker import _settings

DATE, NEXT = 20241104, 20241105


class Late(Enricher):
    """One that has no state before so many more prints are stored, and builds it in small pages."""

    def __init__(self, writer: Writer, rules: Prepared, more: int) -> None:
        super().__init__(Calendar.packaged(), rules.tagger, writer.reads.session_raw, now_utc, page=30)
        self._reads = writer.reads
        self._upto = writer.reads.raw_watermark() + more

    def approach(self, date: int, before_seq: int) -> bool:
        return self._reads.raw_watermark() >= self._upto and super().approach(date, before_seq)


def late(writer: Writer, more: int) -> Recorder:
    rules = Prepared.of(app.active_bundle(writer))
    return Recorder(writer, Late(writer, rules, more), rules.chips, rules.tagger.version)


def watermarks(store: Path) -> tuple[int, int]:
    """Of what is enriched, and of what is stored."""
    with app.open_reader(f"sqlite:{store}") as reader:
        return reader.watermark(), reader.raw_watermark()


def test_prints_are_stored_while_the_state_is_built_and_enriched_as_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources, store = day_sources(tmp_path, 1_000), tmp_path / "live.sqlite"
    run_import(tmp_path / "import.sqlite", sources)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)
    stored = []

    async def life(terminal: StandIn, upto: str, more: int, until: int = 0, **options: Any) -> tuple[Figures, str]:
        """A worker while the tape is played up to a time, told to end once it stored so many."""
        terminal.stream.playback.hold(wall_of_stamp(f"2024-11-04T{upto}"))
        settings = _settings(terminal, "XYZ", store)
        with app.open_writer(settings.store) as writer:
            recorder = late(writer, more)
            async with app.terminal_client(settings) as client:
                worker = await app.worker(settings, recorder, client, **options)
                stop = asyncio.Event()
                working = asyncio.create_task(worker.run(stop))
                while until and worker.figures.stored < until and not working.done():  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0)
                if until:
                    stop.set()
                figures = await working
            stored.append(watermarks(store))
            return figures, exposition(worker, recorder).render()[0].decode()

    async def lives() -> list[tuple[Figures, str]]:
        async with app.terminal(tape, speed=0.0, stocks="standard", settle_s=0.1) as terminal:
            return [
                await life(terminal, "10:05:00", 0, stop_after=200),
                await life(terminal, "10:10:00", 10**9, until=100, leave_s=0.0),  # its state is never there
                await life(terminal, "18:00:00", 100, once=True),  # there once prints wait
            ]

    with caplog.at_level(logging.WARNING, "phenix.ingest"):
        (first, _), (second, _), (last, metrics) = asyncio.run(lives())
    assert stored[0] == (first.stored, first.stored)
    assert stored[1] == (first.stored, first.stored + second.stored)
    assert f"rows after seq {first.stored} are not enriched yet: the next start does that" in caplog.messages
    assert second.stored >= 100
    assert stored[2] == (1_000, 1_000)
    assert stored_rows(store) == stored_rows(tmp_path / "import.sqlite")
    assert (first.caught_up, second.caught_up, last.caught_up) == (0, 0, second.stored)
    assert f'ingest_prints_total{{outcome="caught_up"}} {second.stored}.0' in metrics
    counted = {step: sum(durations.counts) for step, durations in last.latency.steps.items()}
    assert counted.pop("exchange to received") == 0  # the tape is of another day
    assert set(counted.values()) == {last.stored}
    assert sum(second.latency.steps["received to stored"].counts) == second.stored
    assert sum(second.latency.steps["received to enriched"].counts) == 0


def another_day(folder: Path, sources: Sources) -> Sources:
    text = sources.trades[0].read_text().replace("2024-11-04", "2024-11-05")
    (folder / "next.csv").write_text(text)
    return copy(sources, trades=(folder / "next.csv",), underlying=())


def test_rows_of_a_session_whose_state_is_not_there_wait_and_those_after_them(tmp_path: Path) -> None:
    sources = day_sources(tmp_path, 200)
    of = {
        DATE: [row for part in read_parts(sources) for row in part.rows],
        NEXT: [row for part in read_parts(another_day(tmp_path, sources)) for row in part.rows],
    }
    batches = [
        Batch(rows=of[DATE][:150]), Batch(rows=of[NEXT][:100]), Batch(rows=of[NEXT][100:110]),
        Batch(rows=of[DATE][150:160]), Batch(rows=of[NEXT][110:130]), Batch(rows=of[NEXT][130:140]),
    ]  # fmt: skip
    for name in ("whole", "paged"):
        with app.open_writer(f"sqlite:{tmp_path / name}.sqlite") as writer:
            for batch in batches[:2]:
                late(writer, 0).record(batch)
    with app.open_writer(f"sqlite:{tmp_path / 'whole'}.sqlite") as writer:
        recorder = app.recorder(writer)
        for batch in batches[2:]:
            recorder.record(batch)
    with app.open_writer(f"sqlite:{tmp_path / 'paged'}.sqlite") as writer:
        recorder = late(writer, 0)
        recorder.expect(NEXT)
        steps = 0
        while recorder.behind:
            assert recorder.follow() == []
            steps += 1
        assert steps == 100 // 30 + 1  # the last one finds nothing more to do
        assert [recorder.store(batch).enriched_at is None for batch in batches[2:5]] == [False, True, True]
        followed: list[Any] = []
        while recorder.behind:
            followed += recorder.follow()
        assert [row[0] for row in followed] == list(range(261, 291))
        assert recorder.store(batches[5]).enriched_at is not None
        assert recorder.watermark == 300
    assert stored_rows(tmp_path / "paged.sqlite") == stored_rows(tmp_path / "whole.sqlite")
    assert verify(tmp_path / "paged.sqlite").total() == 0


def test_what_waits_is_enriched_before_what_is_recorded(tmp_path: Path) -> None:
    rows = [row for part in read_parts(day_sources(tmp_path, 100)) for row in part.rows]
    store = tmp_path / "flow.sqlite"
    with app.open_writer(f"sqlite:{store}") as writer:
        late(writer, 10**9).store(Batch(rows=rows[:60]))
    assert watermarks(store) == (0, 60)
    with app.open_writer(f"sqlite:{store}") as writer:
        assert app.recorder(writer).record(Batch(rows=rows[60:])).enriched_at is not None
    assert watermarks(store) == (100, 100)
    assert verify(store).total() == 0
