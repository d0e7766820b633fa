"""The terminal's REST side as a client sees it: typed answers, typed errors, retries within a budget.

CSV is asked for everywhere, because it is the same for every account, and is read as it arrives; a path may ask for
NDJSON itself (``?format=ndjson``), which comes as lines as well.
Errors are the vendor's plain text with a status of its own; text that comes with status 200 where
a table belongs is recognised by the missing header. An empty answer (472) is an empty result.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, nullcontext
from typing import Final, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl

import httpx

from phenix.ingest.terminal.client_errors import (
    NoDataError,
    SessionLostError,
    TerminalError,
    UnreachableError,
    UnreadableError,
    error_in,
    error_of,
)
from phenix.ingest.terminal.layouts import DAY_MS, date_of, wall_of_stamp
from phenix.ingest.terminal.protocol import Contract, money, money_half_even

__all__ = ["CalendarDay", "EndOfDay", "Observed", "OpenInterestRow", "StockQuote", "Terminal"]


class OpenInterestRow(NamedTuple):
    """Open interest of a contract as told at ``date`` and ``ms_of_day`` (New York)."""

    contract: Contract
    date: int
    ms_of_day: int
    open_interest: int


class EndOfDay(NamedTuple):
    """A contract's session: contracts traded, prints, and the last price in ten-thousandths of a dollar."""

    contract: Contract
    volume: int
    prints: int
    close: int


class StockQuote(NamedTuple):
    """A quote of an underlying; money in ten-thousandths, rounded half-even."""

    symbol: str
    date: int
    ms_of_day: int
    bid_size: int
    bid: int
    ask_size: int
    ask: int


class Observed(NamedTuple):
    """One request as it was answered; ``rows`` counts the lines after the header among the first 64 kB.

    ``error`` is what the answer means when it is no data, None when it is.
    """

    url: str
    status: int
    columns: tuple[str, ...]
    rows: int
    error: TerminalError | None
    seconds: float


class CalendarDay(NamedTuple):
    """A day: ``open``, ``early_close``, ``full_close`` or ``weekend``; times of the session, empty when closed."""

    type: str
    open: str
    close: str


log = logging.getLogger("phenix.ingest")

_T = TypeVar("_T")
_LOST_S: Final = 60.0
"""Least time between two lines of the log that say that the session is lost."""
_CONTRACT: Final = ("symbol", "expiration", "strike", "right")
_HEAD_BYTES: Final = 65_536
_KEY: Final = re.compile(r'"(\w+)"\s*:')
_STOCK_QUOTE: Final = ("timestamp", "symbol", "bid_size", "bid", "ask_size", "ask")


class Terminal:
    """A client of one terminal: ``async with Terminal(url) as terminal``.

    At most ``concurrency`` requests run at a time, snapshots apart (the terminal does not count
    them). Failures that may pass are tried again up to ``retry_max`` times with exponential
    back-off and full jitter, as long as ``budget_s`` is not spent; others raise at once.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout_ms: int = 8_000,
        read_timeout_ms: int = 20_000,
        retry_max: int = 5,
        retry_base_ms: int = 200,
        concurrency: int = 4,
        budget_s: float = 60.0,
        seed: int | None = None,
    ) -> None:
        timeout = httpx.Timeout(read_timeout_ms / 1000, connect=connect_timeout_ms / 1000)
        # trust_env: a proxy of the environment must not stand between us and a terminal on this machine
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout, trust_env=False)
        self._base_url = base_url
        self._retry_max, self._retry_base_s, self._budget = retry_max, retry_base_ms / 1000, budget_s
        self._slots = asyncio.Semaphore(concurrency)
        self._lost_told = float("-inf")
        self._random = random.Random(seed)  # noqa: S311 -- jitter, not secrets

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def status(self, path: str = "/v3/terminal/mdds/status") -> str:
        """The word a status endpoint answers, ``CONNECTED`` when all is well. Raises TerminalError."""
        try:
            answer = await self._http.get(path)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        if answer.status_code != 200:
            raise error_of(answer.status_code, answer.text)
        return answer.text.strip()

    async def observe(self, path: str, params: dict[str, str | int]) -> Observed:
        """What a request comes to, once, whatever that is; of a long answer only the beginning is read."""
        begun = time.monotonic()
        given = {**params, "format": "csv"} if params else None  # a path may bring a query of its own
        try:
            async with self._http.stream("GET", path, params=given) as answer:
                head = b""
                async for chunk in answer.aiter_bytes():
                    head += chunk
                    if len(head) >= _HEAD_BYTES:
                        break
        except httpx.HTTPError as error:
            seconds = time.monotonic() - begun
            return Observed(f"{self._base_url}{path}", 0, (), 0, self._unreachable(error), seconds)
        seconds, url, code = time.monotonic() - begun, str(answer.url), answer.status_code
        text = head.decode("utf-8", "replace")
        if code != 200:
            return Observed(url, code, (), 0, error_of(code, text), seconds)
        lines = text.split("\n")
        if text[:1] in "{[":
            return Observed(url, code, tuple(dict.fromkeys(_KEY.findall(text))), text.count("{"), None, seconds)
        if "/terminal/" in path:
            word = text.strip()
            down = None if word == "CONNECTED" else UnreadableError(f"the terminal is {word[:60]}", code)
            return Observed(url, code, (), 0, down, seconds)
        try:
            _check_header(path, head.split(b"\n")[0])
        except TerminalError as wrong:
            return Observed(url, code, (), 0, wrong, seconds)
        rows = sum(bool(line.strip()) for line in lines[1:])
        empty = None if rows else NoDataError(f"{path}: a table without rows", code)
        return Observed(url, code, tuple(lines[0].strip().split(",")), rows, empty, seconds)

    async def lines(self, path: str, **params: str | int) -> AsyncIterator[bytes]:
        """A table's lines as they arrive, without line ends, the header first if it has one. Raises TerminalError.

        Retries happen before the first line only: what was given cannot be taken back.
        """

        async def begin() -> tuple[bytes, AsyncGenerator[bytes, None]]:
            lines = self._lines(path, params)
            return await anext(lines), lines

        first, rest = await self._retry(begin)
        async with aclosing(rest):  # who stops early gives the request's place back
            yield first
            async for line in rest:
                yield line

    async def contracts(
        self, date: int, *, symbols: Iterable[str] = (), kind: str = "trade", max_dte: int | None = None
    ) -> list[Contract]:
        """Contracts that traded (or were quoted) on a date; all symbols when none is named."""
        params: dict[str, str | int] = {"date": date}
        if named := ",".join(symbols):
            params["symbol"] = named
        if max_dte is not None:
            params["max_dte"] = max_dte
        rows = await self._table(f"/v3/option/list/contracts/{kind}", params, _CONTRACT)
        return _typed(rows, _contract)

    async def expirations(self, symbols: Iterable[str]) -> list[tuple[str, int]]:
        """Expirations by symbol, dead ones included, in no order."""
        rows = await self._table("/v3/option/list/expirations", {"symbol": ",".join(symbols)}, ("symbol", "expiration"))
        return _typed(rows, lambda row: (row[0], _date(row[1])))

    async def option_symbols(self) -> list[str]:
        """Every option root."""
        return [row[0] for row in await self._table("/v3/option/list/symbols", {}, ("symbol",)) if row[0]]

    async def open_interest(self, symbol: str, date: int | None = None, expiration: str = "*") -> list[OpenInterestRow]:
        """Open interest of a root's contracts: today's snapshot, or of a past date."""
        params: dict[str, str | int] = {"symbol": symbol, "expiration": expiration}
        path = "/v3/option/snapshot/open_interest"
        if date is not None:
            path, params["date"] = "/v3/option/history/open_interest", date
        rows = await self._table(path, params, (*_CONTRACT, "timestamp", "open_interest"))
        return _typed(rows, lambda row: OpenInterestRow(_contract(row), *_when(row[4]), int(row[5])))

    async def end_of_day(self, symbol: str, date: int) -> list[EndOfDay]:
        """What each contract of a root did on a past date."""
        params: dict[str, str | int] = {"symbol": symbol, "expiration": "*", "start_date": date, "end_date": date}
        rows = await self._table("/v3/option/history/eod", params, (*_CONTRACT, "volume", "count", "close"))
        return _typed(
            rows, lambda row: EndOfDay(_contract(row), int(row[4]), int(row[5]), money(float(row[6]), "close"))
        )

    async def stock_quotes(self, symbols: Iterable[str]) -> list[StockQuote]:
        """The latest quote of each symbol that has one; ``*`` asks for all. Delayed under a Value subscription."""
        params: dict[str, str | int] = {"symbol": ",".join(symbols), "venue": "utp_cta"}
        rows = await self._table("/v3/stock/snapshot/quote", params, _STOCK_QUOTE)
        return _typed(rows, _stock_quote)

    async def option_spots(self, symbol: str, expiration: int) -> list[StockQuote]:
        """The latest price of the underlying that the implied volatilities of an expiration were computed with.

        Bid and ask are that price, the symbol is the root's; empty while there is none.
        """
        params: dict[str, str | int] = {"symbol": symbol, "expiration": expiration, "strike_range": 2}
        columns = ("underlying_timestamp", "underlying_price")
        rows = await self._table("/v3/option/snapshot/greeks/implied_volatility", params, columns)
        priced = _typed(rows, lambda row: (*_when(row[0]), money_half_even(float(row[1]), "underlying_price")))
        latest = sorted(price for price in priced if price[-1])[-1:]
        return [StockQuote(symbol, date, ms, 0, price, 0, price) for date, ms, price in latest]

    async def calendar_today(self) -> CalendarDay:
        """The terminal's own today."""
        return await self._calendar("/v3/calendar/today", {})

    async def calendar_on(self, date: int) -> CalendarDay:
        """A date of the terminal's calendar."""
        return await self._calendar("/v3/calendar/on_date", {"date": date})

    async def _calendar(self, path: str, params: dict[str, str | int]) -> CalendarDay:
        rows = await self._table(path, params, ("type", "open", "close"))
        if not rows:
            raise UnreadableError(f"{path}: no day in the answer", 200)
        return CalendarDay(*rows[0])

    # -- one request

    async def _table(self, path: str, params: dict[str, str | int], columns: tuple[str, ...]) -> list[list[str]]:
        """The wanted columns of a whole table; empty when there is no data."""

        async def read() -> list[list[str]]:
            rows: list[list[str]] = []
            places: list[int] = []
            async with aclosing(self._lines(path, params)) as lines:
                async for raw in lines:
                    fields = raw.decode("utf-8", "replace").split(",")
                    if not places:
                        missing = [name for name in columns if name not in fields]
                        if missing:
                            raise error_in(",".join(fields), f"{path}: no column {', '.join(missing)}")
                        places = [fields.index(name) for name in columns]
                    elif len(fields) <= max(places):
                        raise UnreadableError(f"{path}: a row of {len(fields)} columns: {','.join(fields)[:200]}", 200)
                    else:
                        rows.append([fields[i] for i in places])
            return rows

        try:
            return await self._retry(read)
        except NoDataError:
            return []

    async def _lines(self, path: str, params: dict[str, str | int]) -> AsyncGenerator[bytes, None]:
        async with nullcontext() if "/snapshot/" in path else self._slots, aclosing(self._body(path, params)) as lines:
            async for line in lines:
                yield line

    async def _body(self, path: str, params: dict[str, str | int]) -> AsyncGenerator[bytes, None]:
        path, _, query = path.partition("?")
        wanted = {"format": "csv", **dict(parse_qsl(query)), **params}
        try:
            async with self._http.stream("GET", path, params=wanted) as answer:
                if answer.status_code != 200:
                    raise error_of(answer.status_code, (await answer.aread()).decode("utf-8", "replace"))
                rest, first = b"", True
                async for chunk in answer.aiter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if first:
                            _check_header(path, line)
                            first = False
                        if line := line.removesuffix(b"\r"):
                            yield line
                if rest:
                    if first:
                        _check_header(path, rest)
                    yield rest
                elif first:
                    raise UnreadableError(f"{path}: an empty answer", 200)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        return UnreachableError(f"no answer from the terminal at {self._base_url}: {error or type(error).__name__}")

    async def _retry(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        end = time.monotonic() + self._budget
        for n in range(self._retry_max + 1):
            try:
                return await attempt()
            except TerminalError as error:
                if isinstance(error, SessionLostError):
                    self._tell_lost(error)
                delay = self._random.random() * self._retry_base_s * 2**n
                if not error.retry or n == self._retry_max or time.monotonic() + delay > end:
                    raise
                await asyncio.sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    def _tell_lost(self, error: SessionLostError) -> None:
        """Nothing but a person helps: say so, and again as long as it lasts."""
        now = time.monotonic()
        if now - self._lost_told >= _LOST_S:
            self._lost_told = now
            log.error(
                "the account is in use elsewhere, and its terminal at %s has no session any more: end the other"
                " terminal, then start this one again (%s)",
                self._base_url,
                error,
            )


def _check_header(path: str, line: bytes) -> None:
    if line.startswith(b"{"):  # NDJSON has none
        return
    text = line.decode("utf-8", "replace").strip()
    if not re.fullmatch(r"[a-z0-9_]+(,[a-z0-9_]+)*", text):
        raise error_in(text, f"{path}: text instead of a table")


def _contract(row: list[str]) -> Contract:
    right = {"C": "CALL", "P": "PUT"}.get(row[3], row[3])
    if right not in ("CALL", "PUT"):
        raise ValueError(f"right {right!r} is neither CALL nor PUT")
    return Contract("OPTION", row[0], _date(row[1]), money(float(row[2]), "strike"), right)


def _date(text: str) -> int:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d|\d{8}", text, re.ASCII):
        raise ValueError(f"{text[:40]!r} is not a date such as 2024-11-08")
    return int(text.replace("-", ""))


def _typed(rows: list[list[str]], read: Callable[[list[str]], _T]) -> list[_T]:
    typed = []
    for row in rows:
        try:
            typed.append(read(row))
        except ValueError as error:
            raise UnreadableError(f"cannot read the row {','.join(row)[:200]}: {error}", 200) from None
    return typed


def _when(stamp: str) -> tuple[int, int]:
    wall = wall_of_stamp(stamp)
    return date_of(wall), wall % DAY_MS


def _stock_quote(row: list[str]) -> StockQuote:
    date, ms = _when(row[0])
    bid, ask = money_half_even(float(row[3]), "bid"), money_half_even(float(row[5]), "ask")
    return StockQuote(row[1], date, ms, int(row[2]), bid, int(row[4]), ask)
