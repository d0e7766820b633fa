"""What reads the terminal and files, under bytes of any kind: rows, dead letters or declared errors, nothing else."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drills.fuzz import ANSWERS, FRAMES, TABLES, Answering, mutate, read_frames, read_table
from phenix import app
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.store.base import Batch
from phenix.ingest.intake import Intake
from phenix.ingest.layout import LayoutError
from phenix.ingest.terminal.client import TerminalError, UnreadableError
from phenix.ingest.terminal.protocol import BadFrame, decode

SEEDS = st.integers(0, 2**32).map(random.Random)
INTAKE = Intake(Calendar.packaged())


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=300), st.builds(mutate, SEEDS, st.sampled_from(FRAMES))))
def test_frames_become_rows_or_letters(message: bytes) -> None:
    read_frames(INTAKE, message)


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_texts_are_read_as_their_bytes_are(text: str) -> None:
    frames = decode(text)
    if text.isascii():
        assert frames == decode(text.encode())
    assert all(isinstance(frame, BadFrame) for frame in frames) or '"header"' in text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", TABLES)
def test_lines_of_files_become_rows_or_letters(name: str, folder: Path) -> None:
    """Those that are rows can be stored, whatever they hold."""
    kept: list[Batch] = []

    @settings(max_examples=120)
    @given(st.one_of(st.binary(max_size=300), st.builds(mutate, SEEDS, st.just(TABLES[name]))))
    def read(data: bytes) -> None:
        try:
            kept.extend(read_table(folder, name, data))
        except LayoutError as error:
            assert str(folder / name) in str(error)  # noqa: PT017 -- most inputs are read

    read()
    with app.open_writer(f"sqlite:{folder}/{name}.sqlite") as writer:
        for batch in kept:
            writer.append(batch)
        rows = sum(len(batch.rows) + len(batch.open_interest) + len(batch.quotes) for batch in kept)
        assert rows > 5


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_read_or_refused(name: str) -> None:
    rng = random.Random(name)
    good = ANSWERS[name][1]

    async def run() -> tuple[int, int]:
        read = refused = 0
        async with Answering() as server, asyncio.timeout(60):
            await server.ask(name, good, INTAKE)
            for n in range(60):
                head = b"HTTP/1.1 200 OK" if n % 5 else mutate(rng, b"HTTP/1.1 200 OK\r\nContent-Length: 60")
                try:
                    await server.ask(name, mutate(rng, good), INTAKE, head)
                    read += 1
                except TerminalError:
                    refused += 1
        return read, refused

    read, refused = asyncio.run(run())
    assert read + refused == 60
    assert read > 0
    assert refused > 0 or name == "observe"  # which tells what is wrong instead


BEYOND = (
    b'{"header":{"type":"QUOTE","status":"CONNECTED"},"contract":{"security_type":"STOCK","root":"XYZ"},'
    b'"quote":{"ms_of_day":1,"bid_size":1,"bid_exchange":1,"bid":1e305,"bid_condition":0,"ask_size":1,'
    b'"ask_exchange":1,"ask":1e305,"ask_condition":0,"date":20241104}}'
)


def test_prices_beyond_any_are_bad_frames() -> None:
    (frame,) = decode(BEYOND)
    assert isinstance(frame, BadFrame)
    assert frame.reason == "QUOTE frame: bid 1e+305 is not finite or beyond any price"


UNREADABLE = [
    ("calendar", b"type,open,close\r\n", "/v3/calendar/today: no day in the answer"),
    ("contracts", b"symbol,expiration,strike,right\r\nXYZ,99999999999999999999,1,C\r\n",
     "cannot read the row XYZ,99999999999999999999,1,C: '99999999999999999999' is not a date such as 2024-11-08"),
    ("contracts", b"symbol,expiration,strike,right\r\nXYZ,20241108,1,B\r\n",
     "cannot read the row XYZ,20241108,1,B: right 'B' is neither CALL nor PUT"),
    ("chains", b"symbol,expiration,strike\r\nXYZ,20241108,many\r\n",
     "cannot read the strikes of XYZ: could not convert string to float: b'many'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "message"), UNREADABLE)
def test_rows_that_cannot_be_are_told(name: str, body: bytes, message: str) -> None:
    async def run() -> None:
        async with Answering() as server:
            await server.ask(name, body, INTAKE)

    with pytest.raises(UnreadableError) as told:
        asyncio.run(run())
    assert str(told.value) == message
