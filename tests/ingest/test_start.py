"""The start of a worker: what it reads of the store, on which thread, and what it knows then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.config import Settings, load
from phenix.engine.store.base import UnderlyingQuote
from phenix.ingest.figures import Figures
from phenix.ingest.intake import QUOTES_KEPT
from phenix.ingest.recorder import Recorder
from phenix.ingest.terminal.client import Terminal
from phenix.ingest.terminal.faults import read_fault
from phenix.ingest.terminal.protocol import Contract
from tests.ingest.files import day_sources, values


class Slow:
    """A recorder whose quotes are read as slowly as the test wants."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.reads, self.go = threading.Event(), threading.Event()
        self.ended = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)

    def recent_quotes(self, symbols: Iterable[str], keep: int) -> Iterator[UnderlyingQuote]:
        assert keep == QUOTES_KEPT
        self.reads.set()
        assert self.go.wait(60)
        yield from self._recorder.recent_quotes(symbols, keep)
        self.ended = True


class Asked(Terminal):
    """A client that says when it asks for contracts."""

    asked: threading.Event

    async def contracts(self, date: int, **which: Any) -> list[Contract]:
        self.asked.set()
        return await super().contracts(date, **which)


def _settings(terminal: Any, folder: Path) -> Settings:
    return load(
        {
            "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
            "INGEST_SYMBOLS": "XYZ", "PHENIX_STORE": f"sqlite:{folder}/live.sqlite", "THETADATA_RETRY_MAX": "0",
        }
    )  # fmt: skip


def _terminal(folder: Path, prints: int = 50) -> Any:
    sources = day_sources(folder, prints)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)
    return app.terminal(tape, speed=0.0, stocks="standard", settle_s=0.1)


def test_the_terminal_is_asked_while_the_store_is_read(tmp_path: Path) -> None:
    async def run() -> bool:
        async with _terminal(tmp_path) as terminal:
            settings = _settings(terminal, tmp_path)
            with app.open_writer(settings.store) as writer:
                recorder = Slow(app.recorder(writer))
                async with Asked(settings.base_url) as client:
                    client.asked = recorder.go  # or it would wait for ever
                    await app.worker(settings, recorder, client)  # type: ignore[arg-type]
                return recorder.ended

    assert asyncio.run(run())


def test_a_start_that_is_cancelled_leaves_the_store_to_be_closed(tmp_path: Path) -> None:
    async def run() -> tuple[bool, bool]:
        async with _terminal(tmp_path) as terminal:
            settings = _settings(terminal, tmp_path)
            with app.open_writer(settings.store) as writer:
                recorder = Slow(app.recorder(writer))
                async with app.terminal_client(settings) as client:
                    starting = asyncio.create_task(app.worker(settings, recorder, client))  # type: ignore[arg-type]
                    assert await asyncio.to_thread(recorder.reads.wait, 60)
                    starting.cancel()
                    done, _ = await asyncio.wait((starting,), timeout=0)
                    recorder.go.set()
                    with pytest.raises(asyncio.CancelledError):
                        await starting
                return bool(done), recorder.ended

    assert asyncio.run(run()) == (False, True)


def test_a_restart_knows_the_open_interest_the_terminal_cannot_tell_any_more(tmp_path: Path) -> None:
    async def ingest(settings: Settings, **options: Any) -> Figures:
        with app.open_writer(settings.store) as writer:
            async with app.terminal_client(settings) as client:
                worker = await app.worker(settings, app.recorder(writer), client, **options)
                return await worker.run(asyncio.Event())

    async def run() -> Figures:
        async with _terminal(tmp_path, 3_600) as terminal:
            settings = _settings(terminal, tmp_path)
            await ingest(settings, stop_after=20)
            terminal.faults.add(read_fault("http_474", {"path": "open_interest"}))
            return await ingest(settings, once=True, date=20241104)

    assert asyncio.run(run()).stored > 1_000
    found = values(tmp_path / "live.sqlite", "strike", "oi")
    assert len(found) == 3_600
    assert {*found} == {(2_000_000 + 10_000 * n, n if n < 4 else None) for n in range(5)}
