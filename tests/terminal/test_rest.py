"""REST endpoints of the stand-in, in the vendor's exact formats, and the client that reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest

from phenix.ingest.terminal.client import (
    BusyError,
    CalendarDay,
    InvalidRequestError,
    NoDataError,
    NotEntitledError,
    OpenInterestRow,
    SessionLostError,
    StartingError,
    StockQuote,
    Stream,
    Subscription,
    Terminal,
    TerminalError,
    TooLargeError,
    UnreachableError,
    UnreadableError,
)
from phenix.ingest.terminal.entitlements import Entitlements, Tier
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin import StandIn
from phenix.ingest.terminal.standin_params import Refusal
from phenix.ingest.terminal.standin_rest import RestOptions
from phenix.ingest.terminal.standin_tables import SameDay
from phenix.ingest.terminal.tape import FileTape

Run = Callable[[Awaitable[Any]], Any]
Serve = Callable[..., Any]
CALL = Contract("OPTION", "AAPL", 20241108, 220_0000, "CALL")
PUT = Contract("OPTION", "AAPL", 20241115, 217_5000, "PUT")


async def play(terminal: StandIn) -> None:
    """Play the whole tape to a client that listens to one contract."""
    async with Stream(terminal.stream_url) as stream:
        stream.want([Subscription("TRADE", CALL)])
        await terminal.stream.finished.wait()


TRADE_COLUMNS = "sequence,ext_condition1,ext_condition2,ext_condition3,ext_condition4,condition,size,exchange,price"
QUOTE_COLUMNS = "bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition"

ANSWERS = [
    ("/v3/terminal/mdds/status", 200, "text/plain", "CONNECTED"),
    ("/v3/terminal/fpss/status", 200, "text/plain", "CONNECTED"),
    ("/v3/option/list/symbols", 200, "text/csv", "symbol\r\nAAPL\r\nSPXW\r\n"),
    (
        "/v3/option/list/expirations?symbol=AAPL,SPXW",
        200,
        "text/csv",
        "symbol,expiration\r\nAAPL,2024-11-08\r\nAAPL,2024-11-15\r\nSPXW,2024-11-04\r\n",
    ),
    ("/v3/option/list/strikes?symbol=AAPL&expiration=2024-11-08", 200, "text/csv", "symbol,strike\r\nAAPL,220.000\r\n"),
    (
        "/v3/option/list/contracts/trade?date=20241104&symbol=AAPL&max_dte=4",
        200,
        "text/csv",
        "symbol,expiration,strike,right\r\nAAPL,2024-11-08,220.000,CALL\r\n",
    ),
    ("/v3/option/list/contracts/quote?date=2024-11-05", 472, "text/plain", "No data found for your request"),
    (
        "/v3/option/snapshot/open_interest?symbol=AAPL&expiration=*",
        200,
        "text/csv",
        ("timestamp,symbol,expiration,strike,right,open_interest\r\n2024-11-04T06:30:04,AAPL,2024-11-08,220.000,CALL,2732\r\n"
        "2024-11-04T06:30:00,AAPL,2024-11-15,217.500,PUT,12\r\n"),
    ),
    (
        "/v3/option/history/open_interest?symbol=AAPL&expiration=20241108&strike=220&right=C&date=20241104",
        200,
        "text/csv",
        "symbol,expiration,strike,right,timestamp,open_interest\r\nAAPL,2024-11-08,220.000,CALL,2024-11-04T06:30:04,2732\r\n",
    ),
    (
        "/v3/option/history/trade_quote?symbol=AAPL&expiration=*&date=20241104&end_time=09:30:01.626",
        200,
        "text/csv",
        (f"symbol,expiration,strike,right,trade_timestamp,quote_timestamp,{TRADE_COLUMNS},{QUOTE_COLUMNS}\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:00.471,2024-11-04T09:30:00.396,18902138,255,255,255,255,130,2,22,3.90,"
        "14,47,3.90,50,14,47,4.05,50\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:01.626,2024-11-04T09:30:01.594,19368856,255,255,255,255,130,1,6,4.25,"
        "93,76,4.15,50,35,73,4.30,50\r\n"),
    ),
    (
        "/v3/option/history/trade?symbol=SPXW&expiration=*&date=20241104",
        200,
        "text/csv",
        (f"symbol,expiration,strike,right,timestamp,{TRADE_COLUMNS}\r\n"
        "SPXW,2024-11-04,5700.000,PUT,2024-11-04T15:59:59.1,-2147483000,255,255,255,255,95,300,5,12.10\r\n"),
    ),
    (
        "/v3/option/snapshot/quote?symbol=SPXW&expiration=*",
        200,
        "text/csv",
        (f"timestamp,symbol,expiration,strike,right,{QUOTE_COLUMNS}\r\n"
        "2024-11-04T15:59:59,SPXW,2024-11-04,5700.000,PUT,0,5,0.00,50,10,5,12.10,50\r\n"),
    ),
    (
        "/v3/option/snapshot/trade?symbol=AAPL&expiration=20241108",
        200,
        "text/csv",
        (f"symbol,expiration,strike,right,timestamp,{TRADE_COLUMNS}\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:02.064,19598464,255,255,255,255,18,1,5,4.15\r\n"),
    ),
    (
        "/v3/option/snapshot/ohlc?symbol=AAPL&expiration=20241108",
        200,
        "text/csv",
        ("timestamp,symbol,expiration,strike,right,open,high,low,close,volume,count\r\n"
        "2024-11-04T09:30:02.064,AAPL,2024-11-08,220.000,CALL,3.90,4.25,3.90,4.15,5,4\r\n"),
    ),
    (
        "/v3/stock/snapshot/quote?symbol=AAPL,SPX,MSFT&venue=utp_cta",
        200,
        "text/csv",
        (f"timestamp,symbol,{QUOTE_COLUMNS}\r\n2024-11-04T10:00:00,AAPL,1,1,222.10,0,1,1,222.12,0\r\n"
        "2024-11-04T10:20:00,SPX,1,5,5700.10,0,1,5,5700.30,0\r\n"),
    ),
    (
        "/v3/stock/history/quote?symbol=AAPL&date=20241104&interval=15m&start_time=09:30:00&end_time=10:00:00",
        200,
        "text/csv",
        (f"timestamp,{QUOTE_COLUMNS}\r\n2024-11-04T09:30:00,1,1,220.1050,0,1,1,220.1150,0\r\n"
        "2024-11-04T09:45:00,1,1,221.10,0,1,1,221.12,0\r\n2024-11-04T10:00:00,1,1,222.10,0,1,1,222.12,0\r\n"),
    ),
    (
        "/v3/stock/list/symbols?format=json",
        200,
        "application/json",
        '{"response":[{"symbol":"AAPL"},{"symbol":"SPX"}]}',
    ),
    ("/v3/calendar/today", 200, "text/csv", "type,open,close\r\nopen,09:30:00,16:00:00\r\n"),
    ("/v3/calendar/on_date?date=20241128", 200, "text/csv", "type,open,close\r\nfull_close,,\r\n"),
    (
        "/v3/calendar/on_date?date=2024-11-02&format=json",
        200,
        "application/json",
        '{"response":[{"type":"weekend","open":null,"close":null}]}',
    ),
    (
        "/v3/option/snapshot/open_interest?symbol=AAPL&expiration=20241108&format=ndjson",
        200,
        "application/x-ndjson",
        ('{"timestamp":"2024-11-04T06:30:04","symbol":"AAPL","expiration":"2024-11-08","strike":220.0,"right":"CALL",'
        '"open_interest":2732}\n'),
    ),
    (
        "/v3/option/history/trade?symbol=SPXW&expiration=*&date=20241104&format=json",
        200,
        "application/json",
        ('{"response":[{"contract":{"symbol":"SPXW","strike":5700.0,"right":"PUT","expiration":"2024-11-04"},"data":['
        '{"timestamp":"2024-11-04T15:59:59.1","sequence":-2147483000,"ext_condition1":255,"ext_condition2":255,'
        '"ext_condition3":255,"ext_condition4":255,"condition":95,"size":300,"exchange":5,"price":12.1}]}]}'),
    ),
    (
        "/v3/option/history/trade?symbol=SPXW&expiration=*&date=20241101",
        472,
        "text/plain",
        "No data found for your request",
    ),
    (
        "/v3/option/history/trade_quote?symbol=AAPL&exp=20241108",
        410,
        "text/plain",
        ("We have upgraded to API v3. Please use API v3 query parameters instead. \nDeprecated query parameters:\n"
        "\texp -> expiration\nConsult API v3 documentation for more information: https://docs.thetadata.us/"),
    ),
    ("/v3/option/nothing", 404, "text/plain", "No implementation for /v3/option/nothing"),
    ("/", 404, "text/plain", "No implementation for /"),
    ("/v3/option/snapshot/greeks/all", 471, "text/plain", "Your subscription does not include this request"),
    ("/v3/stock/snapshot/trade?symbol=AAPL", 471, "text/plain", "Your subscription does not include this request"),
    ("/v3/option/list/strikes?symbol=AAPL", 473, "text/plain", "Missing required parameter: expiration"),
    ("/v3/option/list/strikes?symbol=AAPL&expiration=soon", 473, "text/plain", "Invalid value for expiration: soon"),
    (
        "/v3/option/snapshot/open_interest?symbol=A&expiration=*&strike=x",
        473,
        "text/plain",
        "Invalid value for strike: x",
    ),
    (
        "/v3/option/snapshot/open_interest?symbol=A&expiration=*&right=*",
        473,
        "text/plain",
        "Invalid value for right: *",
    ),
    ("/v3/option/list/symbols?format=xml", 473, "text/plain", "Invalid value for format: xml"),
    (
        "/v3/option/history/trade?symbol=AAPL&expiration=*&start_date=20241101&end_date=20241104",
        473,
        "text/plain",
        "expiration=* is only supported for a single day",
    ),
    (
        "/v3/option/history/trade?symbol=AAPL&expiration=20241108&start_date=20240901&end_date=20241104",
        473,
        "text/plain",
        "Requests are limited to one month of data",
    ),
    (
        "/v3/option/snapshot/trade?symbol=AAPL&expiration=*",
        473,
        "text/plain",
        "expiration=* is not supported by this endpoint",
    ),
    (
        "/v3/option/history/trade?symbol=AAPL&expiration=*&date=20241104&start_time=25:00:00",
        473,
        "text/plain",
        "Invalid value for start_time: 25:00:00",
    ),
    (
        "/v3/stock/history/quote?symbol=AAPL&date=20241104&interval=1s",
        471,
        "text/plain",
        "A Stocks Standard subscription is required for intervals below one minute",
    ),
]  # fmt: skip


def test_endpoints_answer_in_the_vendors_formats(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as terminal:  # noqa: SIM117 -- the address is known only now
            async with httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http:
                assert (await http.get("/v3/terminal/fpss/status")).text == "DISCONNECTED"
                await play(terminal)
                for url, status, kind, text in ANSWERS:
                    answer = await http.get(url)
                    assert (answer.status_code, answer.headers["content-type"]) == (status, kind), (url, answer.text)
                    assert answer.text == text, url
                html = await http.get("/v3/option/list/symbols?format=html")
                assert html.text.startswith("<table>\n<tr><th>symbol</th></tr>\n<tr><td>AAPL</td></tr>")
                assert not terminal.shutdown.is_set()
                assert (await http.get("/v3/terminal/shutdown")).text == "OK"
                assert terminal.shutdown.is_set()

    run(go())


def test_the_410_body_has_the_captured_length() -> None:
    (text,) = [text for _, status, _, text in ANSWERS if status == 410]
    assert len(text) == 198


def test_holidays_of_a_year(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> str:
        async with serve(tape) as terminal, httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http:
            return (await http.get("/v3/calendar/year_holidays?year=2024")).text

    lines = run(go()).split("\r\n")
    assert lines[0] == "date,type,open,close"
    assert "2024-12-24,early_close,09:30:00,13:00:00" in lines
    assert "2024-12-25,full_close,," in lines
    assert len(lines) == 1 + 10 + 3 + 1


def test_stock_quotes_lag_by_fifteen_minutes(run: Run, serve: Serve, tape: FileTape) -> None:
    """At 15:59:59.1 every quote is old enough; in the middle of the tape only some are."""

    async def go() -> list[list[StockQuote]]:
        seen = []
        for entitlements in (Entitlements(), Entitlements(Tier.STANDARD, Tier.STANDARD)):
            async with serve(tape, entitlements) as standin, Terminal(standin.base_url) as terminal:
                for event in tape.events():
                    standin.market.apply(event)
                    if event.wall % 86_400_000 == 36_000_000:
                        seen.append(await terminal.stock_quotes(["AAPL"]))
        return seen

    delayed, live = run(go())
    # at 10:00:00 the quote of 09:30:01.626 is the last that is 15 minutes old
    assert [(quote.ms_of_day, quote.bid) for quote in delayed] == [(34_201_626, 2_211_000)]
    assert [(quote.ms_of_day, quote.bid) for quote in live] == [(36_000_000, 2_221_000)]


def test_the_client_reads_typed_answers(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as standin, Terminal(standin.base_url) as terminal:
            assert await terminal.status() == "CONNECTED"
            assert await terminal.option_symbols() == ["AAPL", "SPXW"]
            assert await terminal.expirations(["SPXW"]) == [("SPXW", 20241104)]
            assert await terminal.contracts(20241104, symbols=["AAPL"]) == [CALL, PUT]
            assert len(await terminal.contracts(20241104)) == 3
            assert await terminal.contracts(20241105) == []
            rows = [OpenInterestRow(CALL, 20241104, 23_404_000, 2732), OpenInterestRow(PUT, 20241104, 23_400_000, 12)]
            assert await terminal.open_interest("AAPL") == rows
            assert await terminal.open_interest("AAPL", 20241104) == rows
            assert await terminal.open_interest("AAPL", 20241103) == []
            assert await terminal.stock_quotes(["AAPL"]) == []
            assert await terminal.calendar_today() == CalendarDay("open", "09:30:00", "16:00:00")
            assert await terminal.calendar_on(20241225) == CalendarDay("full_close", "", "")
            await play(standin)
            assert (await terminal.stock_quotes("*"))[0] == StockQuote(
                "AAPL", 20241104, 36_000_000, 1, 2_221_000, 1, 2_221_200
            )
            path = "/v3/option/history/trade_quote"
            lines = [
                line
                async for line in terminal.lines(
                    path, symbol="AAPL", expiration="*", date=20241104, start_time="09:00:00"
                )
            ]
            assert len(lines) == 6
            assert lines[0].startswith(b"symbol,expiration,")
            assert lines[1].endswith(b",1,5,1.05,50,1,5,1.07,50")
            with pytest.raises(InvalidRequestError, match="the terminal answered 404"):
                await terminal.status("/v3/nothing")
            with pytest.raises(NotEntitledError, match="the terminal answered 471"):
                [line async for line in terminal.lines("/v3/option/snapshot/greeks/all")]

    run(go())


def test_same_day_history_can_be_locked(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, rest=RestOptions(SameDay.LOCKED)) as standin, Terminal(standin.base_url) as terminal:
            await play(standin)
            with pytest.raises(NoDataError, match="No data found"):
                [
                    line
                    async for line in terminal.lines(
                        "/v3/option/history/trade", symbol="AAPL", expiration="*", date=20241104
                    )
                ]

    run(go())


FAULTS = [
    (471, "x", NotEntitledError, 1),
    (403, "x", NotEntitledError, 1),
    (473, "x", InvalidRequestError, 1),
    (478, "x", SessionLostError, 1),
    (570, "x", TooLargeError, 1),
    (200, "You need a subscription", NotEntitledError, 1),
    (200, "hello there", UnreadableError, 1),
    (200, "", UnreadableError, 1),
    (200, "symbol,strike\r\n", UnreadableError, 1),
    (200, "symbol,expiration,strike,right\r\nAAPL,2024\r\n", UnreadableError, 1),
    (200, "symbol,expiration,strike,right\r\nAAPL,soon,1,CALL\r\n", UnreadableError, 1),
    (429, "x", BusyError, 3),
    (571, "SERVER_STARTING", StartingError, 3),
    (503, "SERVER_STARTING", StartingError, 3),
    (474, "x", TerminalError, 3),
    (572, "x", TerminalError, 3),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "error", "attempts"), FAULTS, ids=[f"{f[0]} {f[1][:20]!r}" for f in FAULTS])
def test_errors_are_typed_and_tried_again_where_that_may_help(
    run: Run, serve: Serve, tape: FileTape, code: int, text: str, error: type[TerminalError], attempts: int
) -> None:
    asked: list[str] = []

    def fault(path: str, _params: Mapping[str, str]) -> Refusal:
        asked.append(path)
        return Refusal(code, text)

    async def go() -> None:
        async with serve(tape, rest=RestOptions(fault=fault)) as standin:  # noqa: SIM117 -- the address is known only now
            async with Terminal(standin.base_url, retry_max=2, retry_base_ms=1, seed=1) as terminal:
                with pytest.raises(error):
                    await terminal.contracts(20241104)
                assert len(asked) == attempts

    run(go())


def test_a_passing_fault_is_survived(run: Run, serve: Serve, tape: FileTape) -> None:
    faults = [Refusal(571, "SERVER_STARTING"), Refusal(429, "busy")]

    async def go() -> None:
        options = RestOptions(fault=lambda _path, _params: faults.pop() if faults else None)
        async with serve(tape, rest=options) as standin:
            async with Terminal(standin.base_url, retry_base_ms=1) as terminal:
                assert len(await terminal.contracts(20241104)) == 3
            faults.append(Refusal(474, "down"))
            async with Terminal(standin.base_url, retry_base_ms=1) as terminal:
                assert [line async for line in terminal.lines("/v3/option/list/symbols")] == [
                    b"symbol",
                    b"AAPL",
                    b"SPXW",
                ]

    run(go())


def test_a_terminal_that_is_not_there(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as standin:
            url = standin.base_url
        async with Terminal(url, retry_max=1, retry_base_ms=1) as terminal:
            with pytest.raises(UnreachableError, match=f"no answer from the terminal at {url}: "):
                await terminal.status()
            with pytest.raises(UnreachableError):
                await terminal.contracts(20241104)

    run(go())


def test_requests_beyond_the_queue_are_refused(run: Run, serve: Serve, tape: FileTape) -> None:
    """Four at a time and two waiting: of many at once the rest get 429; snapshots are not counted."""

    async def go() -> None:
        async with serve(tape, rest=RestOptions(queue=2)) as standin:
            limits = httpx.Limits(max_connections=60)
            async with httpx.AsyncClient(base_url=standin.base_url, limits=limits, trust_env=False) as http:
                gate = standin.rest_gate
                for _ in range(4):
                    await gate.acquire()
                waiting = [asyncio.create_task(http.get("/v3/option/list/symbols")) for _ in range(5)]
                done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                while len(done) < 3:
                    more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    done |= more
                refused = [task.result().status_code for task in done]
                assert refused == [429, 429, 429]
                snapshot = await http.get("/v3/option/snapshot/open_interest?symbol=AAPL&expiration=*")
                assert snapshot.status_code == 200
                for _ in range(4):
                    gate.release()
                assert [(await task).status_code for task in pending] == [200, 200]

    run(go())
