"""A stand-in on free ports, and a clock on every test that awaits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.roots import underlying
from phenix.ingest.terminal.entitlements import Entitlements
from phenix.ingest.terminal.events import Source
from phenix.ingest.terminal.faults import parse_fault
from phenix.ingest.terminal.standin import StandIn, StandInOptions
from phenix.ingest.terminal.standin_play import PlayOptions
from phenix.ingest.terminal.standin_rest import RestOptions
from phenix.ingest.terminal.tape import FileTape

T = TypeVar("T")

TRADES = """\
symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,ext_condition3,\
ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition
AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:00.471,2024-11-04T09:30:00.396,18902138,255,255,255,255,130,2,22,3.90,14,47,3.90,50,14,47,4.05,50
AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:01.626,2024-11-04T09:30:01.594,19368856,255,255,255,255,130,1,6,4.25,93,76,4.15,50,35,73,4.30,50
AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:02.064,2024-11-04T09:30:02.06,19598457,255,255,255,255,18,1,5,4.15,14,47,4.10,50,14,47,4.30,50
AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:02.064,2024-11-04T09:30:02.06,19598464,255,255,255,255,18,1,5,4.15,14,47,4.10,50,14,47,4.30,50
SPXW,2024-11-04,5700.000,PUT,2024-11-04T15:59:59.1,2024-11-04T15:59:59,-2147483000,255,255,255,255,95,300,5,12.1,0,5,0.00,50,10,5,12.10,50
AAPL,2024-11-15,217.500,PUT,2024-11-04T09:29:59,2024-11-04T09:29:58.5,7,255,255,255,255,18,10,5,1.06,1,5,1.05,50,1,5,1.07,50
"""
QUOTES = """\
timestamp,symbol,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition
2024-11-04T09:29:59,AAPL,1,1,220.1050,0,1,1,220.1150,0
2024-11-04T09:30:01.626,AAPL,1,1,221.1000,0,1,1,221.1200,0
2024-11-04T10:00:00,AAPL,1,1,222.1000,0,1,1,222.1200,0
2024-11-04T10:20:00,SPX,1,5,5700.10,0,1,5,5700.30,0
"""
INTEREST = """\
symbol,expiration,strike,right,timestamp,open_interest
AAPL,2024-11-08,220.000,CALL,2024-11-04T06:30:04,2732
AAPL,2024-11-15,217.500,PUT,2024-11-04T06:30:00,12
"""


@pytest.fixture
def run() -> Callable[[Awaitable[T]], T]:
    """Run a coroutine to its end, within a minute."""

    def to_end(awaitable: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(60):
                return await awaitable

        return asyncio.run(bounded())

    return to_end


@pytest.fixture
def tape(tmp_path: Path) -> FileTape:
    """Six prints of three contracts, the vendor's published ones among them, one of them out of order in the file."""
    for name, text in (("t.csv", TRADES), ("q.csv", QUOTES), ("i.csv", INTEREST)):
        (tmp_path / name).write_text(text)
    return FileTape(
        [tmp_path / "t.csv"],
        open_interest=[tmp_path / "i.csv"],
        underlying=[tmp_path / "q.csv"],
        underlying_of=underlying,
    )


Serve = Callable[..., AbstractAsyncContextManager[StandIn]]


@pytest.fixture
def serve() -> Serve:
    """Serve a source on free ports, as fast as the client reads."""

    @asynccontextmanager
    async def serving(
        source: Source,
        entitlements: Entitlements | None = None,
        rest: RestOptions | None = None,
        faults: Sequence[str] = (),
        **play: Any,
    ) -> AsyncIterator[StandIn]:
        options = StandInOptions(
            port=0,
            stream_port=0,
            entitlements=entitlements or Entitlements(),
            play=PlayOptions(**{"speed": 0, "settle_s": 0.05, **play}),
            rest=rest or RestOptions(),
            faults=tuple(map(parse_fault, faults)),
        )
        async with StandIn(source, Calendar.packaged(), options) as terminal:
            yield terminal

    return serving


def _tapes() -> Iterable[Path]:
    folder = os.environ.get("PHENIX_TAPES")
    return sorted(Path(folder).glob("*trade_quote.csv")) if folder else ()


@pytest.fixture(params=_tapes() or [None], ids=lambda path: path.name.split("_")[0] if path else "none")
def real_tape_file(request: pytest.FixtureRequest) -> Path:
    """The trade_quote file of each real tape."""
    if request.param is None:
        pytest.skip("PHENIX_TAPES is not set: no real tapes here")
    path: Path = request.param
    return path


@pytest.fixture
def real_tape(real_tape_file: Path) -> FileTape:
    """Each real tape with its open interest and underlying."""
    path = real_tape_file
    stem = path.name.removesuffix("trade_quote.csv").removesuffix("minute_")
    beside = {
        kind: [file] if (file := path.with_name(f"{stem}{kind}.csv")).exists() else []
        for kind in ("open_interest", "underlying_quote")
    }
    return FileTape(
        [path],
        open_interest=beside["open_interest"],
        underlying=beside["underlying_quote"],
        underlying_of=underlying,
    )
