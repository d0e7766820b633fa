"""Gaps of the stream, mended: what history has of them is stored in small transactions beside what the stream brings.

A row says what was known when its print happened. What prints of a gap are joined with is read from the store: of the
underlyings only the latest quotes are in memory, and of contracts only those that are streamed now.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from phenix.engine.enrich.clock import DAY, HOUR
from phenix.engine.enrich.roots import underlying
from phenix.engine.store.base import Batch, DeadLetter, Gap, GapState, Reader, UnderlyingQuote
from phenix.ingest.catchup import CatchUp, History
from phenix.ingest.contract import Contract
from phenix.ingest.inputs import InterestBook, SpotBook
from phenix.ingest.normalize import Normalizer, RawRow
from phenix.ingest.recorder import Recorded, Recorder

__all__ = ["Mender", "Planned", "Store"]

log = logging.getLogger("phenix.ingest")

_T = TypeVar("_T")

_ROWS: Final = 2_000
"""Most in one transaction: prints of the stream wait for one at most."""
_DATES_KEPT: Final = 8
_QUOTE_AGE: Final = 7 * DAY
"""How far back a quote of the underlying is looked for, as where dead letters are read again."""
_BOOKS: Final = 8
"""Roots whose open interest is held: those that are asked for side by side, with the sessions of a date."""


class Store:
    """The store on the one thread that writes it, for what goes on beside the stream.

    ``flush`` stores what the stream brought; ``stored`` is told of each batch and what came of it.
    """

    def __init__(
        self,
        recorder: Recorder,
        thread: Executor,
        flush: Callable[[], Awaitable[None]],
        stored: Callable[[Batch, Recorded], None],
    ) -> None:
        self._recorder = recorder
        self._thread = thread
        self._flush = flush
        self._stored = stored

    async def flush(self) -> None:
        """Store what the stream brought: it goes before what history has of it."""
        await self._flush()

    async def store(self, batch: Batch) -> Recorded:
        """Store a batch. Raises StoreError."""
        recorded = await asyncio.get_running_loop().run_in_executor(self._thread, self._recorder.store, batch)
        self._stored(batch, recorded)
        return recorded

    async def read(self, what: Callable[[Reader], _T]) -> _T:
        """Ask the store. Raises StoreError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what, self._recorder.reads)


class Planned:
    """Contracts by the session date they were streamed for, as far as this process did it."""

    def __init__(self) -> None:
        self._now: frozenset[Contract] = frozenset()
        self._dates: dict[int, frozenset[Contract]] = {}

    def stream(self, session_date: int, contracts: frozenset[Contract]) -> None:
        """From now on these are streamed, for a session date; 0 where there is none."""
        self._now = contracts
        self._dates[session_date] = self.of(session_date)
        for date in sorted(self._dates)[:-_DATES_KEPT]:
            del self._dates[date]

    def of(self, session_date: int) -> frozenset[Contract]:
        """What was streamed for a session date, and what is now."""
        return self._now | self._dates.get(session_date, frozenset())


class Mender:
    """Fills gaps; ``planned`` tells the contracts that this process streamed for a session date."""

    def __init__(
        self,
        history: History,
        path: str,
        store: Store,
        normalizer: Normalizer,
        planned: Callable[[int], Collection[Contract]],
    ) -> None:
        self._catchup = CatchUp(history, path)
        self._store = store
        self._normalizer = normalizer
        self._planned = planned

    async def mend(self, gap: Gap, now_utc: int) -> None:
        """Store what history has of a gap, and what became of it. Raises TerminalError: try again later."""
        told = await self._catchup.fill(gap, _Past(self._store, self._normalizer, self._planned, gap), now_utc)
        if told != [gap]:
            await self._store.store(Batch(gaps=told))
            for part in told:
                level = logging.WARNING if part.state is GapState.OPEN else logging.INFO
                log.log(level, "gap: %s, %s new", part.detail, part.recovered)


class _Past:
    """Implements :class:`phenix.ingest.catchup.Past` for one gap."""

    def __init__(
        self, store: Store, normalizer: Normalizer, planned: Callable[[int], Collection[Contract]], gap: Gap
    ) -> None:
        self._store = store
        self._normalizer = normalizer
        self._planned = planned
        self._gap = gap
        self._interest: dict[tuple[str, tuple[int, ...]], InterestBook] = {}
        self._one = asyncio.Lock()

    async def contracts(self, from_utc: int, upto_utc: int) -> dict[int, set[Contract]]:
        """What was streamed, by session date: as far as this process did it, and what has rows of that date."""
        found = {}
        for date in {self._normalizer.session_date("SPX", ts) for ts in (from_utc, upto_utc)}:
            traded = await self._store.read(partial(_traded, session_date=date))
            found[date] = {*self._planned(date), *(Contract(*contract) for contract in traded)}
        return found

    async def normalizer(self, root: str, from_utc: int, upto_utc: int) -> Normalizer:
        """What the store knows of a time, with the last quote before it."""
        await self._store.flush()
        symbol, spots = underlying(root), SpotBook()
        since = from_utc - _QUOTE_AGE
        _enter(spots, await self._store.read(lambda reads: reads.underlying_quotes(symbol, since, from_utc, 1)))
        for at in range(from_utc + 1, upto_utc + 1, HOUR):  # prints of the stream are stored in between
            end = min(at + HOUR - 1, upto_utc)
            _enter(spots, await self._store.read(partial(_quotes, symbol=symbol, from_utc=at, upto_utc=end)))
        return self._normalizer.beside(spots, await self._interest_of(root, from_utc, upto_utc))

    async def keep(self, rows: Sequence[RawRow], letters: Sequence[DeadLetter]) -> int:
        """Store what a window has, each step with how much was recovered so far; returns how many rows are new."""
        new = 0
        for start in range(0, len(rows) or len(letters[:1]), _ROWS):
            async with self._one:  # so that what is counted is what is stored, and no two wait before a live print
                await self._store.flush()
                some = rows[start : start + _ROWS]
                batch = Batch(rows=some, dead_letters=[] if start else letters, gaps=[self._gap])
                recorded = await self._store.store(batch)
                new += len(recorded.rows)
                self._gap = replace(self._gap, recovered=self._gap.recovered + len(recorded.rows))
        return new

    async def _interest_of(self, root: str, from_utc: int, upto_utc: int) -> InterestBook:
        dates = tuple(sorted({self._normalizer.session_date(root, ts) for ts in (from_utc, upto_utc)}))
        book = self._interest.get((root, dates))
        if book is None:
            book = InterestBook()
            for told in await self._store.read(lambda reads: [*reads.open_interest(dates[0], dates[-1], root)]):
                contract = Contract(told.root, told.expiration, told.strike, told.right)
                book.add(contract, told.date, told.ts_utc, told.open_interest)
            if len(self._interest) >= _BOOKS:
                del self._interest[next(iter(self._interest))]
            self._interest[root, dates] = book
        return book


def _traded(reads: Reader, *, session_date: int) -> list[tuple[str, int, int, str]]:
    return reads.traded(session_date)


def _quotes(reads: Reader, *, symbol: str, from_utc: int, upto_utc: int) -> list[UnderlyingQuote]:
    return reads.underlying_quotes(symbol, from_utc, upto_utc)


def _enter(spots: SpotBook, quotes: Iterable[UnderlyingQuote]) -> None:
    for quote in quotes:
        spots.add(quote.symbol, quote.ts_utc, quote.bid, quote.ask, quote.source)
