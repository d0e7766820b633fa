"""What options say of their underlying: near strikes, near expirations, quotes of one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from phenix import app
from phenix.config import load
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import utc_of
from phenix.ingest.parity import Parity, Synthetic
from phenix.ingest.terminal.events import Print, UnderlyingQuote
from phenix.ingest.terminal.generator import Session, underlyings
from phenix.ingest.terminal.layouts import DAY_MS, date_of
from phenix.ingest.terminal.protocol import Contract
from tests.ingest.files import values

DAY = 20241104
AT = utc_of(DAY, 36_000_000)
CALL = Contract("OPTION", "XYZ", 20241108, 1_000_000, "CALL")
PUT = CALL._replace(right="PUT")


@pytest.fixture
def parity() -> Parity:
    followed = Parity()
    followed.follow(frozenset({"XYZ", "SPX", "VIX"}))
    return followed


def _ask(parity: Parity, contract: Contract, ts: int, bid: int, ask: int) -> Synthetic | None:
    return parity.quote(contract, ts, bid, ask) if parity.follows(contract) else None


def test_a_call_and_a_put_are_the_underlying(parity: Parity) -> None:
    assert _ask(parity, CALL, AT, 21_000, 21_500) is None
    found = _ask(parity, PUT, AT + 900, 19_000, 19_600)
    assert found == Synthetic("XYZ", AT + 900, 1_000_000 + 21_000 - 19_600, 1_000_000 + 21_500 - 19_000)


REFUSED = {
    "quotes a second and more apart": (PUT, 1_001, 19_000, 19_600),
    "no bid": (PUT, 0, 0, 19_600),
    "crossed": (PUT, 0, 19_700, 19_600),
    "too wide": (PUT, 0, 14_000, 24_600),
    "the strike is far from the price": (PUT, 0, 219_000, 219_600),
    "another strike": (PUT._replace(strike=1_010_000), 0, 19_000, 19_600),
    "another expiration": (PUT._replace(expiration=20241115), 0, 19_000, 19_600),
    "another root": (PUT._replace(root="XYZ1"), 0, 19_000, 19_600),
}


@pytest.mark.parametrize(("contract", "after", "bid", "ask"), REFUSED.values(), ids=REFUSED)
def test_quotes_that_say_nothing(parity: Parity, contract: Contract, after: int, bid: int, ask: int) -> None:
    _ask(parity, CALL, AT, 21_000, 21_500)
    assert _ask(parity, contract, AT + after, bid, ask) is None


@pytest.mark.parametrize(("expiration", "said"), [(20241104, True), (20241111, True), (20241112, False)])
def test_only_a_week_of_carry_is_left_out(parity: Parity, expiration: int, said: bool) -> None:
    _ask(parity, CALL._replace(expiration=expiration), AT, 21_000, 21_500)
    assert (_ask(parity, PUT._replace(expiration=expiration), AT, 19_000, 19_600) is not None) is said


def test_options_on_a_future_and_symbols_with_quotes_of_their_own_are_left_out(parity: Parity) -> None:
    followed = [root for root in ("XYZ", "SPXW", "SPX", "VIX", "VIXW", "ABC", "XYZ1")
                if parity.follows(CALL._replace(root=root))]  # fmt: skip
    assert followed == ["XYZ", "SPXW", "SPX"]


def test_four_times_a_second_is_enough(parity: Parity) -> None:
    def said() -> Iterator[int]:
        for ms in range(0, 1_000, 50):
            for half, bid, ask in ((CALL, 21_000, 21_500), (PUT, 19_000, 19_600)):
                if (found := _ask(parity, half, AT + ms, bid, ask)) is not None:
                    yield found.ts_utc - AT

    assert list(said()) == [0, 250, 500, 750]


def test_the_generated_market_is_found_to_a_twentieth_of_a_per_cent() -> None:
    names = [name.symbol for name in underlyings()[:2]]
    session = Session(DAY, Calendar.packaged(), seed=1, symbols=2, prints=6_000)
    parity = Parity()
    parity.follow(frozenset(names))
    mids: dict[str, int] = {}
    found = 0
    for event in session.events():
        if isinstance(event, UnderlyingQuote):
            mids[event.symbol] = (event.bid + event.ask) // 2
        elif isinstance(event, Print) and event.quote is not None:
            ts = utc_of(date_of(event.quote.wall), event.quote.wall % DAY_MS)
            synthetic = _ask(parity, event.contract, ts, event.quote.bid, event.quote.ask)
            if synthetic is not None:
                found += 1
                assert abs((synthetic.bid + synthetic.ask) / 2 / mids[synthetic.symbol] - 1) < 0.0005
    assert found > 20


def test_rows_of_an_account_without_live_stock_quotes_say_where_their_spot_is_from(tmp_path: Path) -> None:
    names = [name.symbol for name in underlyings()[:1]]
    session = Session(DAY, Calendar.packaged(), seed=1, symbols=1, prints=3_000)

    async def run() -> None:
        async with app.terminal(session, speed=0.0, stocks="value", settle_s=0.5) as terminal:
            settings = load(
                {
                    "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
                    "INGEST_SYMBOLS": ",".join(names), "PHENIX_STORE": f"sqlite:{tmp_path}/live.sqlite",
                }
            )  # fmt: skip
            with app.open_writer(settings.store) as writer:
                async with app.terminal_client(settings) as client:
                    worker = await app.worker(settings, app.recorder(writer), client, date=DAY, once=True)
                    await worker.run(asyncio.Event())

    asyncio.run(run())
    spots = values(tmp_path / "live.sqlite", "spot_source", "spot_age_ms")
    assert {source for source, _ in spots} >= {None, "parity"}
    assert all(age >= 0 for source, age in spots if source == "parity")
