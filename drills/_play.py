"""A generated session, played by a stand-in terminal and stored by ``phenix ingest``, each in its process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import httpx

from drills._processes import DiedError, Phenix
from phenix import app
from phenix.engine.store.base import GapState, StoreError
from phenix.ingest.terminal.generator import underlyings

__all__ = ["SECONDS", "SUBSCRIBED", "Day", "Terminal", "enriched_upto", "open_gaps", "uninterrupted", "until"]

SECONDS: Final = 6.5 * 3600
"""Length of a session."""
SUBSCRIBED: Final = "subscribed to"
"""What ingest says once all its contracts are."""
_DATE: Final = "2024-11-04"
_PATIENCE_S: Final = 120.0
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Day:
    """The session played, by its seed."""

    seed: int = 1
    symbols: int = 2
    prints: int = 6_000

    @property
    def arguments(self) -> tuple[str, ...]:
        """How ``phenix terminal`` is told."""
        return ("--seed", str(self.seed), "--symbols", str(self.symbols), "--prints", str(self.prints),
                "--date", _DATE)  # fmt: skip

    @property
    def names(self) -> str:
        """Its symbols, as ``INGEST_SYMBOLS`` has them."""
        return ",".join(name.symbol for name in underlyings()[: self.symbols])


class Terminal:
    """A stand-in terminal in its process; it waits for the first :meth:`play`.

    That comes best when all contracts are subscribed: what passes before is in nobody's gap.
    """

    def __init__(self, day: Day, line: str, speed: float) -> None:
        self._process = Phenix(
            "terminal", *day.arguments, "--stocks", "standard", "--settle", "1", "--port", "0", "--stream-port", "0",
            "--speed", str(speed), "--on-disconnect", line, "--wait-for-play",
        )  # fmt: skip
        self.line = line
        self.environ: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self._process.__aenter__()
        *_, rest, stream = (await self._process.heard("listening on")).split()
        self.environ = {"THETADATA_BASE_URL": rest, "THETADATA_STREAM_URL": stream}
        self._control = httpx.AsyncClient(base_url=rest, timeout=30)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._control.aclose()
        await self._process.kill()

    async def play(self, speed: float | None = None, until: str = "") -> None:
        """Begin, or go on, at a multiple of real time, 0 for as fast as it can; without one as it was started.

        ``until`` is a time of the day such as ``10:30`` at which it holds.
        """
        asked = {} if speed is None else {"speed": speed}
        hold = {"until": f"{_DATE}T{until}:00"} if until else {}
        (await self._control.post("/control/play", json=asked | hold)).raise_for_status()

    async def held(self, *alive: Phenix) -> int:
        """Wait until it holds as :meth:`play` told it to; how many prints were sent until then. Raises DiedError."""
        while not (await self._control.get("/control/play")).json()["held"]:
            for process in alive:
                if process.ended:
                    raise process.fail()
            await asyncio.sleep(_LOOK_S)
        return int((await self._control.get("/control/ledger")).json()["sent"])

    async def lost(self) -> int:
        """How many prints were played that nobody was there to hear."""
        return sum((await self._control.get("/control/ledger")).json()["lost"].values())


async def uninterrupted(day: Day, store: Path) -> None:
    """Ingest a session from its start to its end, flat out. Raises DiedError."""
    environ = {"INGEST_SYMBOLS": day.names, "PHENIX_STORE": f"sqlite:{store}"}
    async with Terminal(day, "pause", 0.0) as terminal, Phenix(
        "ingest", "--once", environ={**environ, **terminal.environ}
    ) as ingest:  # fmt: skip
        await ingest.heard(SUBSCRIBED)
        await terminal.play()
        if await ingest.done():
            raise ingest.fail()


async def until(true: Callable[[], bool], what: str, *alive: Phenix, steps: Callable[[], int] = lambda: 0) -> None:
    """Wait for a state of the store or the stream, which tell nobody; patience begins anew whenever ``steps`` says
    another number. Raises DiedError.
    """
    before, until = steps(), time.monotonic() + _PATIENCE_S
    while not true():
        for process in alive:
            if process.ended:
                raise process.fail()
        if (now := steps()) != before:
            before, until = now, time.monotonic() + _PATIENCE_S
        if time.monotonic() > until:
            raise DiedError(f"waited {_PATIENCE_S:.0f} s for {what}")
        await asyncio.sleep(_LOOK_S)


def enriched_upto(store: Path) -> int:
    """The largest seq with enrichment; 0 where there is no store yet."""
    try:
        with app.open_reader(f"sqlite:{store}") as reader:
            return reader.watermark()
    except StoreError:
        return 0


def open_gaps(store: Path) -> int:
    """How many gaps are not filled yet."""
    with app.open_reader(f"sqlite:{store}") as reader:
        return len(reader.gaps(GapState.OPEN))
