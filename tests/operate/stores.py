"""Stores to operate on, and the command line over them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw

from phenix import app
from phenix.config import load
from phenix.ingest.reading import Sources
from tests.ingest.files import INTEREST_COLUMNS, QUOTE_COLUMNS, line, run_import, write


def phenix(*argv: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command as its user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "phenix", *map(str, argv)],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


def day(folder: Path, date: str, prints: int, *, cancels: int = 0, second: int = 0) -> Sources:
    """Files of a day: prints a second apart, the last ``cancels`` of them taking back the first ones."""
    folder.mkdir(exist_ok=True)
    times = [f"{date}T{10 + n // 3600}:{n // 60 % 60:02d}:{n % 60:02d}.{second:03d}" for n in range(prints)]
    trades = [
        line(
            trade_timestamp=times[n],
            quote_timestamp=times[n],
            sequence=n,
            strike=f"{200 + n % 5}.000",
            price=f"{3.90 + n % 16 / 100:.2f}",
            size=1 + n % 700,
        )
        for n in range(prints - cancels)
    ]
    trades += [
        line(
            trade_timestamp=times[prints - cancels + n],
            quote_timestamp=times[prints - cancels + n],
            sequence=n,
            condition=40,
            strike=f"{200 + n % 5}.000",
            price=f"{3.90 + n % 16 / 100:.2f}",
            size=1 + n % 700,
        )
        for n in range(cancels)
    ]
    interest = [f"XYZ,2024-11-08,{200 + n}.000,CALL,{date}T06:30:04,{n}" for n in range(4)]
    quotes = [f"{date}T10:{n:02d}:00,XYZ,1,1,200.{n:02d},0,1,1,200.{n + 1:02d},0" for n in range(0, 20, 5)]
    return Sources(
        (write(folder / f"{date}.csv", trades),),
        (write(folder / f"{date}-oi.csv", interest, INTEREST_COLUMNS),),
        (write(folder / f"{date}-quotes.csv", quotes, QUOTE_COLUMNS),),
    )


def days(folder: Path, *dates: str, prints: int = 200, cancels: int = 20) -> Path:
    """A store with these days."""
    store = folder / "flow.sqlite"
    for date in dates:
        run_import(store, day(folder / "files", date, prints, cancels=cancels))
    return store


def generated(folder: Path, **session: Any) -> Path:
    """A store with a generated session, as ingest takes it from a terminal."""
    store = folder / "flow.sqlite"

    async def play() -> None:
        async with app.terminal(app.session(**session), speed=0.0, stocks="standard", settle_s=0.1) as terminal:
            await ingest(terminal, store)

    asyncio.run(play())
    return store


async def ingest(terminal: Any, store: Path, **environ: str) -> None:
    """Take everything a terminal plays."""
    settings = load({
        "THETADATA_BASE_URL": terminal.base_url,
        "THETADATA_STREAM_URL": terminal.stream_url,
        "PHENIX_STORE": f"sqlite:{store}",
        **environ,
    })  # fmt: skip
    with app.open_writer(settings.store) as writer:
        async with app.terminal_client(settings) as client:
            worker = await app.worker(settings, app.recorder(writer), client, once=True)
            await worker.run(asyncio.Event())


def execute(store: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """A statement as a shell would run it, past Phenix."""
    connection = apsw.Connection(str(store))
    try:
        return list(connection.execute(sql, values))
    finally:
        connection.close()
