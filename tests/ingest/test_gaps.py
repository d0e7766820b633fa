"""What the stream did not bring: noticed with its bounds, and fetched from history where that is allowed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest

from drills._disks import Disk, under_sqlite
from phenix import app
from phenix.config import Settings, load
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.store.base import Cause, Gap, GapState, StoreError
from phenix.ingest.gaps import GapWatch
from phenix.ingest.intake import Intake
from phenix.ingest.terminal import client
from phenix.ingest.terminal import protocol as wire
from phenix.ingest.terminal.events import Print
from tests.ingest.files import day_sources, run_import

AT = 1_730_730_600_000
"""2024-11-04 09:30 in New York."""
LIVE, LATER = AT + 5_000, AT + 20_000
OTHER_DAY = AT + 90 * 86_400_000


def test_a_gap_of_a_live_feed_lies_between_the_last_heard_and_the_first_print_after() -> None:
    watch = GapWatch()
    assert watch.heard(AT, AT + 5) is None
    watch.lost(Cause.DISCONNECTED, LIVE, AT)
    assert watch.heard(AT + 1, LIVE + 1) is None  # what was queued before the loss
    watch.resumed(LATER)
    assert watch.heard(LATER + 700, LATER + 705) == Gap(Cause.DISCONNECTED, LIVE, LATER)
    assert watch.since is None


def test_a_gap_of_a_played_day_is_told_in_its_own_times() -> None:
    """Stale prints and late ones come first, and do not end it too early."""
    watch = GapWatch()
    watch.lost(Cause.UPSTREAM, OTHER_DAY, AT)
    watch.resumed(OTHER_DAY + 1_000)
    stale = [AT - 2_000, AT - 1_000, AT]
    later = [AT + 20_000, AT + 60_000, AT + 30_000, *(AT + 60_000 + n for n in range(1, 5))]
    for ts in (*stale, *later):
        assert watch.heard(ts, OTHER_DAY + 1_500) is None
    assert watch.heard(AT + 60_005, OTHER_DAY + 1_500) == Gap(Cause.UPSTREAM, AT, AT + 60_005)
    assert watch.since is None


@pytest.mark.parametrize("since", [None, OTHER_DAY - 5_000], ids=["first", "restarted"])
def test_a_loss_before_a_played_day_is_known_begins_with_that_day(since: int | None) -> None:
    """By this machine's time no print of that day would ever come after it, and the gap would have no end."""
    watch = GapWatch(since)
    watch.lost(Cause.OVERFLOW, OTHER_DAY, 0, messages=7)  # before any print, which would have told the day
    watch.resumed(OTHER_DAY + 1_000)
    for n in range(7):
        assert watch.heard(AT + n, OTHER_DAY + 2_000) is None
    cause = Cause.OVERFLOW if since is None else Cause.RESTARTED
    assert watch.heard(AT + 7, OTHER_DAY + 2_000) == Gap(cause, AT - 34_200_000, AT + 7, messages=7)


def test_a_gap_that_work_ends_in_is_told_as_far_as_it_can_be() -> None:
    live = GapWatch()
    live.lost(Cause.DISCONNECTED, LIVE, AT)
    assert live.finish(LATER) == Gap(Cause.DISCONNECTED, LIVE, LATER)
    played = GapWatch()
    played.lost(Cause.DISCONNECTED, OTHER_DAY, AT)
    assert played.finish(OTHER_DAY + 9_000) == Gap(Cause.DISCONNECTED, AT, AT + 52_200_000 - 1)  # until midnight
    heard = GapWatch(since=AT)
    heard.resumed(OTHER_DAY)
    assert heard.heard(AT + 7_000, OTHER_DAY + 5) is None
    assert heard.finish(OTHER_DAY + 9_000) == Gap(Cause.RESTARTED, AT, AT + 52_200_000 - 1)  # it may be a late one
    halfway = GapWatch()
    halfway.lost(Cause.DISCONNECTED, OTHER_DAY, AT)
    halfway.heard(AT + 7_000, OTHER_DAY + 5)  # of a contract that was asked for already
    until_midnight = Gap(Cause.DISCONNECTED, AT, AT + 52_200_000 - 1)
    assert halfway.finish(OTHER_DAY + 9_000) == until_midnight  # others may have printed later, and were not yet
    answered = GapWatch()
    answered.lost(Cause.DISCONNECTED, OTHER_DAY, AT)
    answered.heard(AT + 7_000, OTHER_DAY + 5)
    answered.resumed(OTHER_DAY + 6)  # and may have by then
    assert answered.finish(OTHER_DAY + 9_000) == until_midnight
    crossed = GapWatch()
    crossed.lost(Cause.DISCONNECTED, OTHER_DAY, AT)
    crossed.heard(AT + 86_400_000, OTHER_DAY + 5)
    assert crossed.finish(OTHER_DAY + 9_000) == Gap(Cause.DISCONNECTED, AT, AT + 86_400_000 + 52_200_000 - 1)


STALE = LIVE - 22_000_000
"""More than six hours old."""


@pytest.mark.parametrize("stale", [1, 7])
def test_stale_prints_of_a_live_feed_move_none_of_its_gaps(stale: int) -> None:
    """A terminal that is back may repeat what it sent long ago."""
    lost = GapWatch()
    lost.lost(Cause.DISCONNECTED, LIVE, AT)
    lost.resumed(LATER)
    restarted = GapWatch(since=AT)
    restarted.resumed(LATER)
    for watch in (lost, restarted):
        for n in range(stale):
            assert watch.heard(STALE + n, LATER + 100) is None
    assert lost.heard(LATER + 200, LATER + 210) == Gap(Cause.DISCONNECTED, LIVE, LATER)
    assert restarted.heard(LATER + 200, LATER + 210) == Gap(Cause.RESTARTED, AT, LATER)


def test_work_that_ends_after_a_stale_print_of_a_live_feed_loses_no_gap() -> None:
    lost = GapWatch()
    lost.lost(Cause.DISCONNECTED, LIVE, AT)
    lost.heard(STALE, LATER)
    assert lost.finish(LATER + 5_000) == Gap(Cause.DISCONNECTED, LIVE, LATER + 5_000)
    restarted = GapWatch(since=AT)
    restarted.heard(STALE, LATER)
    assert (restarted.since, restarted.finish(LATER + 5_000)) == (AT, None)  # the next run begins where this one did
    unknown = GapWatch()
    unknown.lost(Cause.OVERFLOW, LIVE, 0, messages=2)  # no print told yet whether this feed is live
    unknown.heard(STALE, LATER)
    assert unknown.finish(LATER + 5_000) == Gap(Cause.OVERFLOW, AT - 34_200_000, AT + 52_200_000 - 1, messages=2)


def test_losses_before_a_gap_ends_belong_to_it() -> None:
    watch = GapWatch()
    watch.lost(Cause.OVERFLOW, LIVE, AT, messages=7)
    watch.resumed(LIVE + 50)
    watch.lost(Cause.OVERFLOW, LIVE + 60, AT, messages=4)
    watch.lost(Cause.DISCONNECTED, LIVE + 90, AT)
    assert watch.heard(LIVE + 95, LIVE + 99) is None
    watch.resumed(LATER)
    assert watch.finish(LATER + 5_000) == Gap(Cause.OVERFLOW, LIVE, LATER, messages=11)


def test_a_restart_is_a_gap_since_the_last_print_that_was_stored() -> None:
    watch = GapWatch(since=AT)
    watch.resumed(LIVE)
    assert watch.heard(LIVE + 10, LIVE + 20) == Gap(Cause.RESTARTED, AT, LIVE)
    assert GapWatch().finish(LATER) is None
    assert GapWatch(since=AT).finish(LATER) is None  # nothing came: the next run begins where this one did


def test_a_live_gap_begins_with_what_was_on_its_way() -> None:
    """History is asked by the time of a print, and a loss is known by when prints came."""
    late = 3_000
    watch = GapWatch()
    for n in range(20):
        happened = LIVE - 2_000 + 100 * n
        reported_late = 3_600_000 if n == 19 else 0  # which says nothing of the feed
        watch.timed(happened - reported_late, happened + late)
    watch.lost(Cause.DISCONNECTED, LIVE, LIVE - late)
    watch.resumed(LATER)
    assert watch.heard(LATER - late + 5, LATER + 5) == Gap(Cause.DISCONNECTED, LIVE - late, LATER)


def test_a_live_gap_of_a_clock_that_is_behind_ends_later() -> None:
    watch = GapWatch()
    watch.timed(LIVE, LIVE - 3_000)
    watch.lost(Cause.SILENT, LIVE - 3_000, LIVE)
    watch.resumed(LATER)
    assert watch.heard(LATER + 3_010, LATER + 10) == Gap(Cause.SILENT, LIVE - 3_000, LATER + 3_000)


def test_a_clock_that_is_set_back_meanwhile_leaves_no_gap_after_the_prints_that_end_it() -> None:
    watch = GapWatch()
    watch.lost(Cause.DISCONNECTED, LIVE + 1_800_000, LIVE)  # half an hour ahead
    watch.resumed(LATER)
    assert watch.heard(LATER + 700, LATER + 705) == Gap(Cause.DISCONNECTED, LATER + 700, LATER + 700)


def test_a_gap_before_any_print_is_timed_by_those_that_end_it() -> None:
    """A clock that is ahead would date it after them."""
    watch = GapWatch()
    watch.lost(Cause.UPSTREAM, LIVE + 1_800_000, 0)
    watch.resumed(LATER + 1_800_000)
    watch.timed(LATER + 700, LATER + 1_800_700)
    assert watch.heard(LATER + 700, LATER + 1_800_700) == Gap(Cause.UPSTREAM, LIVE, LATER + 1_800_000)


def test_what_a_late_feed_had_not_brought_lies_in_its_gap() -> None:
    late = 3_000
    intake = Intake(Calendar.packaged())
    intake.frames([UP, client.Settled(LIVE - 9_000, 1, ())], LIVE - 9_000)
    happened = [LIVE - 5_000 + 100 * n for n in range(200)]
    arrived = [at + late for at in happened]

    def heard(upto: int, since: int) -> None:
        for n, (at, came) in enumerate(zip(happened, arrived, strict=True)):
            if since < came <= upto:
                trade = wire.TradeFrame(CALL, 20241104, 34_200_000 + at - AT, n, 1, 18, 10_000, 5)
                intake.frames([trade], came)

    heard(LIVE, 0)
    intake.frames([client.Disconnected(LIVE + 1_000, "closed", LIVE)], LIVE + 1_000)
    intake.frames([client.Connected(LIVE + 9_000, 2), UP, client.Settled(LIVE + 9_000, 1, ())], LIVE + 9_000)
    heard(2**62, LIVE + 9_000)
    batch = intake.take()
    assert batch is not None
    (gap,) = batch.gaps
    stored = {row[2] for row in batch.rows}
    missed = [at for at in happened if at not in stored]
    assert len(missed) == 90
    assert [at for at in missed if not gap.from_utc <= at <= gap.upto_utc] == []


CALL = wire.Contract("OPTION", "XYZ", 20241108, 1_000_000, "CALL")
UP, DOWN = wire.StatusFrame("CONNECTED"), wire.StatusFrame("DISCONNECTED")
AWAY, BACK, WHOLE = (
    client.Disconnected(LIVE, "", LIVE),
    client.Connected(LIVE + 100, 1),
    client.Settled(LIVE + 900, 1, ()),
)
LOSSES: list[tuple[list[object], list[Gap]]] = [
    # every contract is streamed again only when all were asked for; prints of the first ones come before
    ([UP, WHOLE, AWAY, BACK, "print", WHOLE, "print"], [Gap(Cause.DISCONNECTED, LIVE, LIVE + 900)]),
    # the terminal's own line is down meanwhile: whole is when both are there
    ([UP, WHOLE, AWAY, BACK, DOWN, WHOLE, "print", UP, "print"], [Gap(Cause.DISCONNECTED, LIVE, LATER)]),
    # the word of any header counts, not only the one that STATUS repeats every second
    (
        [DOWN, wire.ReqResponse("CONNECTED", "SUBSCRIBED", 0), WHOLE, DOWN, UP, "print"],
        [Gap(Cause.UPSTREAM, LATER, LATER)],
    ),
    # it was down as this worker came: what it subscribed brings nothing until it is back
    (
        [DOWN, wire.ReqResponse("DISCONNECTED", "SUBSCRIBED", 0), WHOLE, UP, "print"],
        [Gap(Cause.UPSTREAM, LIVE + 900, LATER)],
    ),
    ([UP, WHOLE, client.Silence(LIVE, LIVE + 3_000), "print"], [Gap(Cause.SILENT, LIVE, LIVE + 3_000)]),
    ([UP, WHOLE, AWAY, BACK], [Gap(Cause.DISCONNECTED, LIVE, LATER + 1)]),
]


@pytest.mark.parametrize(("events", "gaps"), LOSSES)
def test_the_stream_is_whole_when_all_of_it_is_there(events: list[object], gaps: list[Gap]) -> None:
    intake = Intake(Calendar.packaged())
    for n, event in enumerate(events):
        frame = wire.TradeFrame(CALL, 20241104, 34_200_000 + LATER - AT, n, 1, 18, 10_000, 5)
        intake.frames([frame if event == "print" else event], LATER)
    intake.finish(LATER + 1)
    batch = intake.take()
    assert batch is not None
    assert list(batch.gaps) == gaps


def test_until_a_gap_is_stored_the_checkpoint_stays_where_it_began() -> None:
    """So that a kill does not forget it, whatever prints were stored since."""
    intake = Intake(Calendar.packaged(), GapWatch(since=AT))

    def after(second: int, *events: object) -> tuple[str, list[Gap]]:
        trade = wire.TradeFrame(CALL, 20241104, 34_200_000 + 1_000 * second, second, 1, 18, 39_000, 22)
        intake.frames([*events, trade], AT + 1_000 * second + 5)
        batch = intake.take()
        assert batch is not None
        return batch.watermark, list(batch.gaps)

    def settled(second: int) -> client.Settled:
        return client.Settled(AT + 1_000 * second, 1, ())

    away = client.Disconnected(AT + 30_000, "reset", AT + 25_000)
    assert after(10, UP) == (str(AT), [])
    assert after(20, settled(20)) == (str(AT + 20_000), [Gap(Cause.RESTARTED, AT, AT + 20_000)])
    begins = AT + 25_000 - 5  # as late as prints come
    assert after(30, away) == (str(begins), [])
    assert after(40, DOWN, settled(40)) == (str(begins), [])
    assert after(50, UP) == (str(AT + 50_000), [Gap(Cause.DISCONNECTED, begins, AT + 50_005)])
    assert after(60) == (str(AT + 60_000), [])


def test_a_restart_before_the_first_print_begins_where_all_was_subscribed() -> None:
    """But not in a day that is played: what time it is there only its prints tell."""
    intake = Intake(Calendar.packaged())
    intake.frames([UP, WHOLE], LATER)
    batch = intake.take()
    assert batch is not None
    assert (batch.stream, batch.watermark, batch.rows) == ("terminal", str(LIVE + 900), [])
    assert intake.take() is None
    later = GapWatch(since=LIVE + 900)
    later.resumed(LATER)
    assert later.heard(LATER, LATER) == Gap(Cause.RESTARTED, LIVE + 900, LATER)
    played = GapWatch(since=OTHER_DAY)
    for n in range(8):
        assert played.since == OTHER_DAY
        assert played.finish(OTHER_DAY + 6_000) is None  # the next run begins where this one did
        assert played.heard(AT + n, OTHER_DAY + 5_000) is None
    assert played.since is None


HISTORY = "/v3/option/history/trade_quote"


def _settings(terminal: Any, store: Path, history: str = HISTORY, symbols: str = "XYZ") -> Settings:
    return load(
        {
            "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
            "INGEST_SYMBOLS": symbols, "PHENIX_STORE": f"sqlite:{store}", "THETADATA_RETRY_MAX": "0",
            "THETADATA_INGEST_PATH": history,
        }
    )  # fmt: skip


@pytest.mark.parametrize("history", [HISTORY, f"{HISTORY}?format=ndjson", "/v3/elsewhere"])
def test_prints_played_while_nobody_listened_come_from_history(tmp_path: Path, history: str) -> None:
    """As at a real terminal: what is played between two runs is never streamed again."""
    sources = day_sources(tmp_path, 1_000)
    run_import(tmp_path / "import.sqlite", sources)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)

    async def run() -> list[Any]:
        async with app.terminal(
            tape, speed=150.0, stocks="standard", settle_s=0.1, on_disconnect="continue"
        ) as terminal:
            settings, found = _settings(terminal, tmp_path / "live.sqlite", history), []
            for options in ({"stop_after": 100}, {"once": True}):
                with app.open_writer(settings.store) as writer:
                    async with app.terminal_client(settings) as client:
                        worker = await app.worker(settings, app.recorder(writer), client, **options)
                        found.append(await worker.run(asyncio.Event()))
            return found

    first, second = asyncio.run(run())
    with app.open_reader(f"sqlite:{tmp_path / 'live.sqlite'}") as live:
        (gap,) = live.gaps()
        streamed = first.stored + second.stored
        assert streamed < 1_000
        if not history.startswith(HISTORY):
            assert (gap.cause, gap.state, gap.recovered) == (Cause.RESTARTED, GapState.OPEN, 0)
            return
        assert (gap.cause, gap.state, gap.recovered) == (Cause.RESTARTED, GapState.FILLED, 1_000 - streamed)
        stored = {(row[2], *row[7:13], *row[16:19]) for row in live.raw_rows(0, 2_000)}
    with app.open_reader(f"sqlite:{tmp_path / 'import.sqlite'}") as imported:
        assert stored == {(row[2], *row[7:13], *row[16:19]) for row in imported.raw_rows(0, 2_000)}


def test_prints_that_pass_while_a_restart_subscribes_come_from_history(tmp_path: Path) -> None:
    """Subscribing thousands of contracts takes a while, in which some of them print already."""
    session = app.session(seed=3, symbols=2, prints=3_000, date=20261120)

    async def run() -> int:
        async with app.terminal(
            session, speed=500.0, stocks="standard", settle_s=0.5, on_disconnect="continue"
        ) as terminal:
            settings = _settings(terminal, tmp_path / "live.sqlite", symbols="SPX,SPY")
            with app.open_writer(settings.store) as writer:
                async with app.terminal_client(settings) as client:
                    worker = await app.worker(settings, app.recorder(writer), client, stop_after=200)
                    await worker.run(asyncio.Event())
            with app.open_writer(settings.store) as writer:
                async with app.terminal_client(settings) as client:
                    worker = await app.worker(settings, app.recorder(writer), client, once=True)
                    working = asyncio.create_task(worker.run(asyncio.Event()))
                    while not worker.figures.recovered:  # noqa: ASYNC110 -- the worker tells nobody
                        await asyncio.sleep(0.01)
                    terminal.stream.playback.play(0.0)  # what was missed is there; the rest may come as fast as it can
                    await working
            return terminal.stream.playback.ledger.unwanted

    assert asyncio.run(run()) > 0
    with app.open_reader(f"sqlite:{tmp_path / 'live.sqlite'}") as reader:
        assert len(reader.raw_rows(0, 10_000)) == sum(isinstance(event, Print) for event in session.events())


class _RefusesHistory(Disk):
    """A disk that is full when a gap is to be stored as filled."""

    def writing(self, path: Path, offset: int, data: bytes) -> None:
        if b"prints in history" in data:
            raise apsw.FullError("database or disk is full")


def test_a_store_that_refuses_what_history_has_ends_the_work(tmp_path: Path) -> None:
    """It is stored beside what the stream brings, which must not go on without it."""
    sources = day_sources(tmp_path, 1_000)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)

    async def run() -> None:
        async with app.terminal(
            tape, speed=150.0, stocks="standard", settle_s=0.1, on_disconnect="continue"
        ) as terminal:
            settings = _settings(terminal, tmp_path / "live.sqlite")

            async def ingest(**options: Any) -> None:
                with app.open_writer(settings.store) as writer:
                    async with app.terminal_client(settings) as client:
                        worker = await app.worker(settings, app.recorder(writer), client, **options)
                        await worker.run(asyncio.Event())

            await ingest(stop_after=100)
            with under_sqlite(_RefusesHistory("refuses-history")):
                await ingest(once=True)

    with pytest.raises(StoreError, match="cannot grow"):
        asyncio.run(run())
    with app.open_reader(f"sqlite:{tmp_path / 'live.sqlite'}") as live:
        assert [gap.state for gap in live.gaps()] == [GapState.OPEN]
