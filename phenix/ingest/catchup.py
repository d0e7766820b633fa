"""Prints missed in a gap, fetched from the terminal's history where the account and the day allow it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from phenix.engine.enrich.clock import DAY, et_of
from phenix.engine.store.base import DeadLetter, Gap, GapState
from phenix.ingest.contract import Contract
from phenix.ingest.deadletter import TERMINAL, letter
from phenix.ingest.layout import TRADE_QUOTE, Layout, LayoutError, ndjson_values
from phenix.ingest.normalize import Normalizer, RawRow, Refusal
from phenix.ingest.prints import PrintReader
from phenix.ingest.terminal.client import NoDataError, NotEntitledError, Terminal, UnreadableError

__all__ = ["MARGIN_MS", "CatchUp", "Found"]

_SIDE_BY_SIDE: Final = 4
MARGIN_MS: Final = 1_000
"""Asked for on both sides of a gap: its ends are known by arrival, prints by exchange time; none is stored twice."""


@dataclass(frozen=True, slots=True)
class Found:
    """What history had of a gap: prints in the order of their time, and the gap as it stands now."""

    gap: Gap
    rows: list[RawRow] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)


class CatchUp:
    """Asks a path of historical prints root by root, for the contracts that are streamed: no other is known whole."""

    def __init__(self, terminal: Terminal, normalizer: Normalizer, path: str) -> None:
        self._terminal = terminal
        self._prints = PrintReader(normalizer)
        self._path = path

    async def fill(self, gap: Gap, contracts: Collection[Contract], now_utc: int) -> Found:
        """Prints of the contracts in a gap. Raises TerminalError when the terminal does not answer: try again later.

        ``now_utc`` is when this is, by the feed: what is missing of the running day may come once it is over.
        """
        roots = sorted({contract.root for contract in contracts})
        wanted = frozenset(contracts)
        slots = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def ask(root: str, date: int, start: str, end: str) -> list[RawRow | DeadLetter] | None:
            async with slots:
                return await self._rows(root, date, start, end, wanted, now_utc)

        pieces = list(_pieces(gap.from_utc - MARGIN_MS, gap.upto_utc + MARGIN_MS))
        try:
            answers = await asyncio.gather(*(ask(root, *piece) for root in roots for piece in pieces))
        except NotEntitledError as error:
            return Found(replace(gap, state=GapState.REFUSED, detail=str(error)))
        found = [answer for answer in answers if answer is not None]
        if not found:
            if et_of(now_utc)[0] > et_of(gap.upto_utc)[0]:
                return Found(replace(gap, state=GapState.EMPTY, detail="the terminal has no history of this time"))
            return Found(replace(gap, detail="the terminal has no history of this time yet: it may come after the day"))
        rows = [item for answer in found for item in answer if not isinstance(item, DeadLetter)]
        rows.sort(key=lambda row: row[2])  # an answer is in order within each contract only
        letters = [item for answer in found for item in answer if isinstance(item, DeadLetter)]
        return Found(replace(gap, state=GapState.FILLED, detail=f"{len(rows)} prints in history"), rows, letters)

    async def _rows(
        self, root: str, date: int, start: str, end: str, wanted: Collection[Contract], now_utc: int
    ) -> list[RawRow | DeadLetter] | None:
        """One answer; None when there is no data. Raises TerminalError, for an answer that ends too early as well."""
        lines = self._terminal.lines(self._path, symbol=root, expiration="*", date=date, start_time=start, end_time=end)
        found: list[RawRow | DeadLetter] = []
        read: Callable[[bytes], Sequence[bytes] | Refusal] | None = None
        cut = False
        try:
            async for line in lines:
                if read is None and line.startswith(b"{"):
                    read = partial(ndjson_values, Layout(TRADE_QUOTE, list(TRADE_QUOTE.columns)))
                elif read is None:
                    read = Layout.of_header(TRADE_QUOTE, line, self._path).values
                    continue
                values = read(line)
                row = values if isinstance(values, Refusal) else self._prints.row(values, now_utc)
                cut = isinstance(row, Refusal) and row.reason == "columns"
                if isinstance(row, Refusal):
                    found.append(letter(TERMINAL, self._path, row, line, now_utc))
                elif Contract(*row[7:11]) in wanted:
                    found.append(row)
        except NoDataError:
            return None
        except LayoutError as error:
            raise UnreadableError(str(error), 200) from None
        if cut:
            raise UnreadableError(f"{self._path}: the answer ends within a line", 200)
        return found


def _pieces(from_utc: int, upto_utc: int) -> Iterator[tuple[int, str, str]]:
    """Date, first and last time of day (New York) of each date a time touches."""
    date, ms = et_of(from_utc)
    at = from_utc
    while True:
        last, end = et_of(upto_utc)
        yield date, _clock(ms), _clock(end if last == date else DAY - 1)
        if last == date:
            return
        at += DAY - ms
        date, ms = et_of(at)
        if ms:  # a day of 23 or 25 hours
            at -= ms if ms < DAY // 2 else ms - DAY
            date, ms = et_of(at)


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"
