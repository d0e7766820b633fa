"""REST endpoints of the stand-in, in the vendor's exact formats, and the client that reads them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
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
from phenix.ingest.terminal.errors import ERRORS
from phenix.ingest.terminal.events import Print
from phenix.ingest.terminal.faults import read_fault
from phenix.ingest.terminal.layouts import wall_at, wall_of_stamp
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin import StandIn
from phenix.ingest.terminal.standin_greeks import HIGHER_ORDER, Option, first_order, higher_order, implied
from phenix.ingest.terminal.standin_history import rate_of
from phenix.ingest.terminal.standin_rest import RestOptions
from phenix.ingest.terminal.standin_world import SameDay
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

AAPL_QUOTES = "/v3/option/history/quote?symbol=AAPL&expiration=20241108&date=20241104"
AT_TIME = "symbol=AAPL&expiration=*&start_date=20241101&end_date=20241104&time_of_day=09:30:01.000&strike=220"

ANSWERS = [
    ("/v3/terminal/mdds/status", 200, "text/plain", "CONNECTED"),
    ("/v3/terminal/fpss/status", 200, "text/plain", "CONNECTED"),
    ("/v3/option/list/symbols", 200, "text/csv", "symbol\r\nAAPL\r\nSPXW\r\n"),
    (
        "/v3/option/list/expirations?symbol=AAPL,SPXW",
        200,
        "text/csv",
        ("symbol,expiration\r\nAAPL,2012-06-01\r\nAAPL,2024-11-08\r\nAAPL,2024-11-15\r\n"
        "SPXW,2012-06-01\r\nSPXW,2024-11-04\r\n"),
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
    ("/v3/option/list/strikes?symbol=AAPL&expiration=20120601", 472, "text/plain", "No data found for your request"),
    ("/v3/option/list/dates/trade?symbol=AAPL&expiration=20241108", 200, "text/csv", "date\r\n2024-11-04\r\n"),
    ("/v3/option/list/dates/quote?symbol=X&expiration=20241108", 472, "text/plain", "No data found for your request"),
    ("/v3/option/list/dates/ohlc?symbol=AAPL", 404, "text/plain", "No implementation for /v3/option/list/dates/ohlc"),
    (
        "/v3/option/snapshot/market_value?symbol=SPXW&expiration=*",
        200,
        "text/csv",
        ("timestamp,symbol,expiration,strike,right,market_bid,market_ask,market_price\r\n"
        "2024-11-04T15:59:59,SPXW,2024-11-04,5700.000,PUT,0.00,12.10,6.05\r\n"),
    ),
    (
        "/v3/option/snapshot/quote?symbol=AAPL&expiration=*&min_time=09:30:00&strike_range=1",
        200,
        "text/csv",
        (f"timestamp,symbol,expiration,strike,right,{QUOTE_COLUMNS}\r\n"
        "2024-11-04T09:30:02.06,AAPL,2024-11-08,220.000,CALL,14,47,4.10,50,14,47,4.30,50\r\n"),
    ),
    (
        f"{AAPL_QUOTES}&interval=1m&start_time=09:30:00&end_time=09:31:00",
        200,
        "text/csv",
        (f"symbol,expiration,strike,right,timestamp,{QUOTE_COLUMNS}\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:00,0,42,0.00,50,0,42,0.00,50\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:31:00,14,47,4.10,50,14,47,4.30,50\r\n"),
    ),
    (
        f"{AAPL_QUOTES}&interval=tick",
        200,
        "text/csv",
        (f"symbol,expiration,strike,right,timestamp,{QUOTE_COLUMNS}\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:00.396,14,47,3.90,50,14,47,4.05,50\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:01.594,93,76,4.15,50,35,73,4.30,50\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:02.06,14,47,4.10,50,14,47,4.30,50\r\n"),
    ),
    (f"{AAPL_QUOTES}&interval=10ms", 570, "text/plain", "Too much data was requested"),
    (f"{AAPL_QUOTES}&interval=2m", 473, "text/plain", "Invalid value for interval: 2m"),
    (
        "/v3/option/history/quote?symbol=AAPL&expiration=20241108&start_date=20241101&end_date=20241104",
        473,
        "text/plain",
        "Intervals below one minute are only supported for a single day",
    ),
    (
        "/v3/option/history/ohlc?symbol=AAPL&expiration=20241108&date=20241104&interval=1m&end_time=09:32:00",
        200,
        "text/csv",
        ("symbol,expiration,strike,right,timestamp,open,high,low,close,volume,count,vwap\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:00,3.90,4.25,3.90,4.15,5,4,4.07\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:31:00,0.00,0.00,0.00,0.00,0,0,0.00\r\n"),
    ),
    (
        "/v3/option/history/ohlc?symbol=AAPL&expiration=*&date=20241104&interval=1m",
        473,
        "text/plain",
        "expiration=* is not supported by this endpoint",
    ),
    ("/v3/option/history/eod?symbol=AAPL&expiration=*&start_date=20241101&end_date=20241104", 472, "text/plain",
     "No data found for your request"),
    (
        f"/v3/option/at_time/quote?{AT_TIME}",
        200,
        "text/csv",
        (f"symbol,expiration,strike,right,timestamp,{QUOTE_COLUMNS}\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:00.396,14,47,3.90,50,14,47,4.05,50\r\n"),
    ),
    (
        f"/v3/option/at_time/trade?{AT_TIME}",
        200,
        "text/csv",
        (f"symbol,expiration,strike,right,timestamp,{TRADE_COLUMNS}\r\n"
        "AAPL,2024-11-08,220.000,CALL,2024-11-04T09:30:00.471,18902138,255,255,255,255,130,2,22,3.90\r\n"),
    ),
    ("/v3/option/at_time/trade?symbol=AAPL&expiration=20241108&start_date=20241101&end_date=20241104", 473,
     "text/plain", "Missing required parameter: time_of_day"),
    (
        "/v3/stock/history/ohlc?symbol=AAPL&date=20241104&interval=30m&end_time=10:30:00",
        200,
        "text/csv",
        ("timestamp,open,high,low,close,volume,count,vwap\r\n"
        "2024-11-04T09:30:00,221.11,221.11,221.11,221.11,100,1,221.11\r\n"
        "2024-11-04T10:00:00,222.11,222.11,222.11,222.11,100,1,222.11\r\n"),
    ),
    (
        "/v3/stock/snapshot/ohlc?symbol=AAPL",
        200,
        "text/csv",
        ("timestamp,symbol,open,high,low,close,volume,count\r\n"
        "2024-11-04T10:00:00,AAPL,220.11,222.11,220.11,222.11,300,3\r\n"),
    ),
    (
        "/v3/stock/at_time/quote?symbol=AAPL&start_date=20241101&end_date=20241104&time_of_day=09:59:59.999",
        200,
        "text/csv",
        f"timestamp,{QUOTE_COLUMNS}\r\n2024-11-04T09:30:01.626,1,1,221.10,0,1,1,221.12,0\r\n",
    ),
    ("/v3/stock/list/dates/quote?symbol=AAPL", 200, "text/csv", "date\r\n2024-11-04\r\n"),
    ("/v3/option/history/greeks/all?symbol=AAPL", 471, "text/plain", "Your subscription does not include this request"),
    (
        "/v3/interest_rate/history/eod?symbol=SOFR&start_date=20241031&end_date=20241104",
        200,
        "text/csv",
        "created,rate\r\n2024-10-31,4.2000\r\n2024-11-01,4.2000\r\n",
    ),
    ("/v3/index/snapshot/price?symbol=SPX", 471, "text/plain", "Your subscription does not include this request"),
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


INDEX_QUOTES = """\
timestamp,symbol,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition
2024-11-04T09:30:30,SPX,1,5,5700.10,0,1,5,5700.30,0
2024-11-04T09:30:45,SPX,1,5,5700.00,0,1,5,5700.40,0
2024-11-04T09:31:30,SPX,1,5,5702.00,0,1,5,5702.02,0
2024-11-04T09:32:00,SPX,1,5,5701.00,0,1,5,5701.00,0
2024-11-04T09:33:00,AAPL,1,1,220.10,0,1,1,220.12,0
"""
"""The second repeats the price of the first, so there is no report of it."""
SPX = "symbol=SPX&date=20241104&start_time=09:30:00&end_time=09:32:00"
INDICES = [
    ("FREE", "list/symbols", "symbol\r\nSPX\r\n"),
    ("FREE", "list/dates?symbol=SPX", "date\r\n2024-11-04\r\n"),
    ("FREE", "list/dates?symbol=AAPL", 472),
    ("FREE", "history/eod?symbol=SPX&start_date=20241104&end_date=20241104",
     (f"created,last_trade,open,high,low,close,volume,count,{QUOTE_COLUMNS}\r\n2024-11-04T17:15:00,2024-11-04T09:32:00,"
     "5700.20,5702.01,5700.20,5701.00,0,0,0,0,0.00,0,0,0,0.00,0\r\n")),
    ("FREE", f"history/price?{SPX}&interval=tick", 471),
    ("VALUE", f"history/price?{SPX}&interval=tick", ("timestamp,price\r\n2024-11-04T09:30:30,5700.20\r\n"
     "2024-11-04T09:31:30,5702.01\r\n2024-11-04T09:32:00,5701.00\r\n")),
    ("VALUE", f"history/price?{SPX}&interval=1m", ("timestamp,price\r\n2024-11-04T09:30:00,0.00\r\n"
     "2024-11-04T09:31:00,5700.20\r\n2024-11-04T09:32:00,5701.00\r\n")),
    ("VALUE", "history/price?symbol=AAPL&date=20241104&interval=1m", 472),
    ("VALUE", "at_time/price?symbol=SPX&start_date=20241101&end_date=20241104&time_of_day=09:31:59.999",
     ("timestamp,sequence,ext_condition1,ext_condition2,ext_condition3,ext_condition4,condition,size,exchange,price\r\n"
     "2024-11-04T09:31:30,0,255,255,255,255,0,0,5,5702.01\r\n")),
    ("VALUE", f"history/ohlc?{SPX}&interval=1m", 471),
    ("STANDARD", f"history/ohlc?{SPX}&interval=1m", ("timestamp,open,high,low,close,volume,count,vwap\r\n"
     "2024-11-04T09:30:00,5700.20,5700.20,5700.20,5700.20,0,0,0.00\r\n"
     "2024-11-04T09:31:00,5702.01,5702.01,5702.01,5702.01,0,0,0.00\r\n")),
    ("STANDARD", "snapshot/price?symbol=SPX,VIX,AAPL", "timestamp,symbol,price\r\n2024-11-04T09:32:00,SPX,5701.00\r\n"),
    ("STANDARD", "snapshot/price?symbol=*&min_time=09:32:00.001", 472),
    ("STANDARD", "snapshot/market_value?symbol=*",
     "timestamp,symbol,market_price\r\n2024-11-04T09:32:00,SPX,5701.00\r\n"),
    ("STANDARD", "snapshot/ohlc?symbol=SPX", ("timestamp,symbol,open,high,low,close,volume,count\r\n"
     "2024-11-04T09:32:00,SPX,5700.20,5702.01,5700.20,5701.00,0,0\r\n")),
]  # fmt: skip


def test_indices_answer_by_their_own_subscription(run: Run, serve: Serve, tape: FileTape, tmp_path: Path) -> None:
    quotes = tmp_path / "indices.csv"
    quotes.write_text(INDEX_QUOTES)
    source = FileTape([tmp_path / "t.csv"], underlying=[quotes], underlying_of=tape.underlying_of)

    async def go() -> None:
        for tier in ("FREE", "VALUE", "STANDARD"):
            account = Entitlements(Tier.FREE, Tier.FREE, Tier[tier])
            async with (
                serve(source, account) as standin,
                httpx.AsyncClient(base_url=standin.base_url, trust_env=False) as http,
            ):
                for event in source.events():
                    if event.wall <= wall_of_stamp("2024-11-04T09:33:00"):
                        standin.market.apply(event)
                wanted = [(path, found) for which, path, found in INDICES if which == tier]
                for path, found in wanted:
                    if path.startswith("history/eod"):
                        standin.market.advance(wall_of_stamp("2024-11-04T17:15:00"))
                    answer = await http.get(f"/v3/index/{path}")
                    assert (answer.text if answer.status_code == 200 else answer.status_code) == found, path

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
            assert await terminal.expirations(["SPXW"]) == [("SPXW", 20120601), ("SPXW", 20241104)]
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
    name = "permission_text" if code == 200 else f"http_{code}" if code in ERRORS else "http_error"

    async def go() -> None:
        async with serve(tape) as standin:
            setting = {"text": text} if name != "http_error" else {"text": text, "code": code}
            fault = standin.faults.add(read_fault(name, setting))
            async with Terminal(standin.base_url, retry_max=2, retry_base_ms=1, seed=1) as terminal:
                with pytest.raises(error):
                    await terminal.contracts(20241104)
                assert fault.fired == attempts
                assert standin.stream.playback.ledger.answers == {code: attempts}

    run(go())


def test_a_lost_session_is_said_to_the_operator_and_not_for_each_request(
    run: Run, serve: Serve, tape: FileTape, caplog: pytest.LogCaptureFixture
) -> None:
    async def go() -> None:
        async with serve(tape, faults=["http_478"]) as standin, Terminal(standin.base_url) as terminal:
            for _ in range(3):
                with pytest.raises(SessionLostError):
                    await terminal.contracts(20241104)
            said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
            (line,) = said
            assert line == (
                f"the account is in use elsewhere, and its terminal at {standin.base_url} has no session any more: end"
                " the other terminal, then start this one again (the terminal answered 478: The session is not valid"
                " any more)"
            )

    run(go())


def test_who_reads_no_further_gives_the_place_of_the_request_back(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as standin, Terminal(standin.base_url, concurrency=1) as terminal:
            lines = terminal.lines("/v3/option/list/symbols")
            assert await anext(lines) == b"symbol"
            assert isinstance(lines, AsyncGenerator)
            await lines.aclose()
            async with asyncio.timeout(20):
                assert await terminal.option_symbols() == ["AAPL", "SPXW"]

    run(go())


def test_a_passing_fault_is_survived(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, faults=["http_571:count=1", "http_429:count=1"]) as standin:
            async with Terminal(standin.base_url, retry_base_ms=1) as terminal:
                assert len(await terminal.contracts(20241104)) == 3
            assert standin.stream.playback.ledger.answers == {571: 1, 429: 1, 200: 1}
            standin.faults.add(read_fault("http_474", {"count": 1}))
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


async def get(serve: Serve, tape: FileTape, url: str, **how: Any) -> httpx.Response:
    async with serve(tape, **how) as standin, httpx.AsyncClient(base_url=standin.base_url, trust_env=False) as http:
        for event in tape.events():
            standin.market.apply(event)
        return await http.get(url)


def test_older_accounts_get_arrays_by_column(run: Run, serve: Serve, tape: FileTape) -> None:
    url = "/v3/option/snapshot/open_interest?symbol=AAPL&expiration=20241108&format=json"
    answer = run(get(serve, tape, url, rest=RestOptions(legacy_json=True)))
    assert answer.json() == {
        "timestamp": ["2024-11-04T06:30:04"], "symbol": ["AAPL"], "expiration": ["2024-11-08"], "strike": [220.0],
        "right": ["CALL"], "open_interest": [2732],
    }  # fmt: skip


def test_snapshots_of_every_expiration_can_be_refused(run: Run, serve: Serve, tape: FileTape) -> None:
    refusing = RestOptions(star_snapshots=False)
    for endpoint in ("open_interest", "quote", "greeks/first_order"):
        url = f"/v3/option/snapshot/{endpoint}?symbol=AAPL&expiration="
        refused = run(get(serve, tape, f"{url}*", rest=refusing))
        assert (refused.status_code, refused.headers["content-type"]) == (471, "text/plain")
        assert run(get(serve, tape, f"{url}20241108", rest=refusing)).status_code == 200
        assert run(get(serve, tape, f"{url}*", rest=refusing, entitlements=Entitlements(Tier.PRO))).status_code == 200


BAR = "52.54,52.75,52.40,52.40,10,3"
EOD_QUOTES = """\
symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,ext_condition3,\
ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,ask_size,ask_exchange,ask,ask_condition
AAPL,2024-11-15,170.000,CALL,2024-11-04T15:40:00,2024-11-04T15:39:59,1,255,255,255,255,18,2,5,52.54,70,60,52.40,50,15,47,52.80,50
AAPL,2024-11-15,170.000,CALL,2024-11-04T15:44:00,2024-11-04T15:43:59,2,255,255,255,255,18,5,5,52.75,70,60,52.40,50,15,47,52.80,50
AAPL,2024-11-15,170.000,CALL,2024-11-04T15:45:00,2024-11-04T15:43:59,2,255,255,255,255,40,5,5,99.75,70,60,52.40,50,15,47,52.80,50
AAPL,2024-11-15,170.000,CALL,2024-11-04T15:48:12.005,2024-11-04T15:48:12,3,255,255,255,255,18,3,5,52.40,70,60,52.05,50,15,47,52.45,50
AAPL,2024-11-15,170.000,CALL,2024-11-05T09:40:00,2024-11-05T09:39:59,4,255,255,255,255,18,2,5,52.54,70,60,52.40,50,15,47,52.80,50
"""


def test_reports_of_days_that_are_over(run: Run, serve: Serve, tmp_path: Path) -> None:
    """The vendor's own example row but for the second its report was made; today has none before 17:15."""
    (tmp_path / "eod.csv").write_text(EOD_QUOTES)
    url = "/v3/option/history/eod?symbol=AAPL&expiration=*&start_date=20241104&end_date=20241105"
    answer = run(get(serve, FileTape([tmp_path / "eod.csv"]), url))
    assert answer.text.split("\r\n")[1:] == [
        f"AAPL,2024-11-15,170.000,CALL,2024-11-04T17:15:00,2024-11-04T15:48:12.005,{BAR},70,60,52.05,50,15,47,52.45,50",
        "",
    ]


def test_snapshots_are_empty_after_midnight(run: Run, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "eod.csv").write_text(EOD_QUOTES.replace("2024-11-05T09", "2024-11-05T00"))
    first, *_, last = FileTape([tmp_path / "eod.csv"]).events()
    assert isinstance(last, Print)

    async def go() -> None:
        async with (
            serve(FileTape([tmp_path / "eod.csv"])) as standin,
            httpx.AsyncClient(base_url=standin.base_url, trust_env=False) as http,
        ):
            other = last._replace(contract=last.contract._replace(strike=175_0000))
            codes = []
            for event in (first, other, first):
                standin.market.apply(event)
                for kind in ("quote", "trade", "ohlc"):
                    url = f"/v3/option/snapshot/{kind}?symbol=AAPL&expiration=20241115&strike="
                    codes.append([(await http.get(f"{url}{strike}")).status_code for strike in (170, 175)])
            # a print of the day before that comes late empties nothing
            assert codes == [[200, 472]] * 3 + [[472, 200]] * 3 + [[200, 200]] * 3

    run(go())


def test_open_interest_is_told_at_half_past_six(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as standin, httpx.AsyncClient(base_url=standin.base_url, trust_env=False) as http:
            codes = []
            for time in (23_399_000, 23_404_000):
                standin.market.wall = wall_at(20241104, time)
                url = "/v3/option/snapshot/open_interest?symbol=AAPL&expiration=20241108"
                codes.append((await http.get(url)).status_code)
            assert codes == [472, 200]

    run(go())


def test_greeks_are_near_the_vendors_example() -> None:
    """AAPL 2026-01-16 275 CALL on 2025-08-20: within a percent, the volatility to its last digit or so."""
    contract = Contract("OPTION", "AAPL", 20260116, 275_0000, "CALL")
    option = Option.at(contract, wall_of_stamp("2025-08-20T15:59:59.805"), 225_7400, rate_of({}))
    volatility, error = implied(option, 1_4850)
    assert (volatility, error) == (pytest.approx(0.2142, abs=0.0002), -0.0003)
    greeks = (0.1060, -0.0217, 26.3226, 9.1050, -9.7049, 16.1782)
    assert first_order(option, volatility, 1_4850) == pytest.approx(greeks, rel=0.01)
    assert implied(option, 300_0000) == (0.0, 100.0)  # worth more than the underlying
    put = option._replace(call=False)
    delta = first_order(put, volatility, 50_0000)[0]
    assert delta == pytest.approx(first_order(option, volatility, 1_4850)[0] - 1, abs=1e-4)


@pytest.mark.parametrize("call", [True, False])
def test_greeks_of_higher_order_are_differences_of_lower_ones(call: bool) -> None:
    option, volatility, day = Option(call, 2.1, 2.0, 0.5, 0.04), 0.4, 1 / 365

    def greeks(volatility: float = volatility, **changes: float) -> dict[str, float]:
        changed = option._replace(**changes)
        first = dict(zip(("delta", "theta", "vega", "rho"), first_order(changed, volatility, 1), strict=False))
        return first | dict(zip(HIGHER_ORDER, higher_order(changed, volatility), strict=True))

    def slope(name: str, low: dict[str, float], high: dict[str, float], step: float) -> float:
        return (high[name] - low[name]) / step

    here = greeks()
    spot = greeks(spot=1.98), greeks(spot=2.02), 0.04
    risk = greeks(volatility - 0.02), greeks(volatility + 0.02), 0.04
    soon = greeks(years=18 * day)
    time = greeks(years=19 * day), greeks(years=17 * day), 2
    expected = {
        "gamma": slope("delta", *spot), "speed": slope("gamma", *spot), "vanna": slope("delta", *risk),
        "vomma": slope("vega", *risk), "vera": slope("rho", *risk), "zomma": slope("gamma", *risk),
        "ultima": slope("vomma", *risk), "dual_gamma": here["gamma"] * (option.spot / option.strike) ** 2,
    }  # fmt: skip
    assert {name: here[name] for name in expected} == pytest.approx(expected, rel=0.02, abs=0.003)
    decay = {"charm": slope("delta", *time), "veta": slope("vega", *time), "color": slope("gamma", *time)}
    assert {name: soon[name] for name in decay} == pytest.approx(decay, rel=0.02, abs=0.0002)
    worth = option.spot * here["delta"] + option.strike * here["dual_delta"]  # as the price is homogeneous in both
    assert implied(option, round(worth * 10_000))[0] == pytest.approx(volatility, abs=0.002)
    assert here["d1"] - here["d2"] == pytest.approx(volatility * option.years**0.5, abs=0.0002)
    assert higher_order(option, 0.0) == (0.0,) * 14


def test_the_day_s_report_with_greeks(run: Run, serve: Serve, tape: FileTape) -> None:
    url = "/v3/option/history/greeks/eod?symbol=AAPL&expiration=20241108&start_date=20241104&end_date=20241104"

    async def go() -> list[httpx.Response]:
        async with serve(tape) as standin, httpx.AsyncClient(base_url=standin.base_url, trust_env=False) as http:
            found = []
            for hour in (17, 18):
                standin.market.advance(wall_at(20241104, hour * 3_600_000))
                found.append(await http.get(url))
            return found

    early, late = run(go())
    assert early.status_code == 472  # the report is made at 17:15
    head, row, _ = late.text.split("\r\n")
    assert head == (
        "symbol,expiration,strike,right,timestamp,open,high,low,close,volume,count,bid_size,bid_exchange,bid,"
        "bid_condition,ask_size,ask_exchange,ask,ask_condition,delta,theta,vega,rho,epsilon,lambda,gamma,vanna,charm,vomma,"
        "veta,vera,speed,zomma,color,ultima,d1,d2,dual_delta,dual_gamma,implied_vol,iv_error,underlying_timestamp,"
        "underlying_price"
    )
    values = dict(zip(head.split(","), row.split(","), strict=True))
    assert (values["timestamp"], values["close"], values["count"], values["bid"]) == (
        "2024-11-04T09:30:02.064", "4.15", "4", "4.10",
    )  # fmt: skip
    assert (values["underlying_timestamp"], values["underlying_price"]) == ("2024-11-04T09:30:01.626", "221.11")
    assert 0.3 < float(values["implied_vol"]) < 0.4
    assert 0.5 < float(values["delta"]) < 0.7


def test_greeks_endpoints(run: Run, serve: Serve, tape: FileTape) -> None:
    snapshot = "/v3/option/snapshot/greeks/first_order?symbol=AAPL&expiration=20241108"
    head, row, _ = run(get(serve, tape, snapshot)).text.split("\r\n")
    assert head == (
        "symbol,expiration,strike,right,timestamp,bid,ask,delta,theta,vega,rho,epsilon,lambda,implied_vol,iv_error,"
        "underlying_timestamp,underlying_price"
    )
    values = row.split(",")
    assert values[:7] == ["AAPL", "2024-11-08", "220.000", "CALL", "2024-11-04T09:30:02.06", "4.10", "4.30"]
    assert all(re.fullmatch(r"-?\d+\.\d{4}", value) for value in values[7:15])
    assert values[15:] == ["2024-11-04T10:00:00", "222.11"]
    history = (
        "/v3/option/history/greeks/implied_volatility?symbol=AAPL&expiration=20241108&date=20241104&interval=5m"
        "&start_time=09:30:00&end_time=09:35:00"
    )
    head, row, _ = run(get(serve, tape, history)).text.split("\r\n")
    assert head == (
        "symbol,expiration,strike,right,timestamp,bid,bid_implied_vol,midpoint,implied_vol,ask,ask_implied_vol,iv_error,"
        "underlying_timestamp,underlying_price"
    )
    values = row.split(",")
    assert values[4:6] + values[7:8] + values[9:10] == ["2024-11-04T09:35:00", "4.10", "4.20", "4.30"]
    assert float(values[6]) < float(values[8]) < float(values[10])
    assert values[12:] == ["2024-11-04T09:30:01.626", "221.11"]
