"""Prints missed in a gap, fetched from the terminal's history where the account and the day allow it.

A gap is asked for date by date and root by root, in windows of time: one that is too much for the terminal, or for
this process to hold, is halved. What a window has is stored before the next one is asked for, so a gap of any length
takes little memory. What was stored before a failure is asked for again, and recognised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Final, Protocol

from phenix.engine.enrich.clock import HOUR, MINUTE, date_of_day, day_of_date, et_of, utc_of
from phenix.engine.flow import INDEX
from phenix.engine.store.base import DeadLetter, Gap, GapState
from phenix.ingest.contract import Contract
from phenix.ingest.deadletter import TERMINAL, letter
from phenix.ingest.layout import TRADE_QUOTE, Layout, LayoutError, ndjson_values
from phenix.ingest.normalize import Normalizer, RawRow, Refusal
from phenix.ingest.prints import PrintReader
from phenix.ingest.terminal.client import (
    InvalidRequestError,
    NoDataError,
    NotEntitledError,
    ServerFaultError,
    TerminalError,
    TooLargeError,
    UnreadableError,
)
from phenix.ingest.values import Minutes, Seconds

__all__ = ["MARGIN_MS", "CatchUp", "History", "Past"]

MARGIN_MS: Final = 1_000
"""Asked for on both sides of a gap, within its dates: its ends are known by arrival, prints by exchange time; none is
stored twice.
"""
_SIDE_BY_SIDE: Final = 4
_LINES: Final = 10_000
"""Most of a window: some ten megabytes as rows."""
_FIRST_MS: Final = HOUR
_LEAST_MS: Final = 1_000
"""No window is halved below this."""
_RESET_MS: Final = HOUR + 45 * MINUTE
"""So long after midnight the terminal may say of the day before that there is nothing."""
_BREATH: Final = 200
"""Lines read at a time: the stream is read on the same loop."""
_AT, _DATE = INDEX["trade_ts_utc"], INDEX["session_date"]
_CONTRACT: Final = slice(INDEX["root"], INDEX["right"] + 1)

_Read = Callable[[bytes], Sequence[bytes] | Refusal]


class History(Protocol):
    """The part of the terminal that is asked."""

    def lines(self, path: str, **params: str | int) -> AsyncIterator[bytes]:
        """A table's lines as they arrive. Raises TerminalError."""
        ...


class Past(Protocol):
    """What the store knows of a gap's time, and where its prints go."""

    async def contracts(self, from_utc: int, upto_utc: int) -> Mapping[int, Collection[Contract]]:
        """What was streamed in a time within one date, by session date: no other contract is known whole."""
        ...

    async def normalizer(self, root: str, from_utc: int, upto_utc: int) -> Normalizer:
        """One that knows what was known beside a root's prints at each moment of a time."""
        ...

    async def keep(self, rows: Sequence[RawRow], letters: Sequence[DeadLetter]) -> int:
        """Store what a window has; returns how many rows are new. Raises StoreError."""
        ...


@dataclass(slots=True)
class _Part:
    """The part of a gap that lies in one date, and what history said of it; errors by root."""

    from_utc: int
    upto_utc: int
    asked_at: int
    over: bool
    """Whether the date is over, so that what is not there will not come."""
    prints: int = 0
    new: int = 0
    answered: bool = False
    absent: bool = False
    refused: dict[str, TerminalError] = field(default_factory=dict)
    failed: dict[str, TerminalError] = field(default_factory=dict)
    """Those that may pass."""

    @property
    def state(self) -> GapState:
        if self.failed:
            return GapState.OPEN
        if self.answered:
            return GapState.FILLED
        if self.refused and not self.absent:
            entitled = any(not isinstance(error, NotEntitledError) for error in self.refused.values())
            return GapState.OPEN if entitled else GapState.REFUSED
        return GapState.EMPTY if self.over else GapState.OPEN


class CatchUp:
    """Asks a path of historical prints."""

    def __init__(self, history: History, path: str) -> None:
        self._history = history
        self._path = path
        self._minutes, self._seconds = Minutes(), Seconds()

    async def fill(self, gap: Gap, past: Past, now_utc: int) -> list[Gap]:
        """Store what history has of a gap; returns how it stands then, in parts where it is not the same on all dates.

        The first part has the gap's number. ``now_utc`` is when this is, by the feed: what is missing of the running
        day may come once it is over. Raises TerminalError when the terminal does not answer: try again later.
        """
        parts = []
        for date, first, last in _dates(gap):
            over = et_of(now_utc - _RESET_MS)[0] > date
            part = _Part(max(gap.from_utc, first), min(gap.upto_utc, last), now_utc, over)
            await self._ask(part, max(gap.from_utc - MARGIN_MS, first), min(gap.upto_utc + MARGIN_MS, last), past)
            parts.append(part)
        told = []
        for state, group in groupby(parts, lambda part: part.state):
            same = list(group)
            new, detail = sum(part.new for part in same), _detail(state, same)
            told.append(Gap(gap.cause, same[0].from_utc, same[-1].upto_utc, 0, state, new, detail))
        whole = told[0].recovered + gap.recovered
        return [replace(told[0], number=gap.number, messages=gap.messages, recovered=whole), *told[1:]]

    async def _ask(self, part: _Part, from_utc: int, upto_utc: int, past: Past) -> None:
        """Ask for all roots of a date, some side by side. Raises TerminalError when the terminal does not answer."""
        wanted = await past.contracts(from_utc, upto_utc)
        roots = iter(sorted({contract.root for contracts in wanted.values() for contract in contracts}))

        async def ask() -> None:
            for root in roots:
                try:
                    await self._walk(part, root, from_utc, upto_utc, wanted, past)
                except (InvalidRequestError, NotEntitledError, TooLargeError) as error:
                    part.refused[root] = error.with_traceback(None)  # which would hold what was read
                except (ServerFaultError, UnreadableError) as error:
                    part.failed[root] = error.with_traceback(None)

        # No task group: one that ends for an error takes a cancel of the whole for its own (Python issue 116720).
        tasks = [asyncio.create_task(ask()) for _ in range(_SIDE_BY_SIDE)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _walk(
        self,
        part: _Part,
        root: str,
        from_utc: int,
        upto_utc: int,
        wanted: Mapping[int, Collection[Contract]],
        past: Past,
    ) -> None:
        """Ask for a root window by window, as wide as they may be. Raises TerminalError."""
        at, width = from_utc, _FIRST_MS
        while at <= upto_utc:
            end = min(at + width - 1, upto_utc)
            try:
                read, lines = await self._window(root, at, end)
            except TooLargeError:
                if end - at < _LEAST_MS:
                    raise
                width = (end - at + 1) // 2
                continue
            except NoDataError:
                read, lines = None, []
            if read and lines:
                part.answered = True
                await self._store(part, PrintReader(await past.normalizer(root, at, end), self._minutes, self._seconds),
                                  read, lines, wanted, past)  # fmt: skip
            else:
                part.absent = True
            at = end + 1
            if len(lines) <= _LINES // 4:
                width *= 2

    async def _window(self, root: str, from_utc: int, upto_utc: int) -> tuple[_Read | None, list[bytes]]:
        """A whole answer; raises TerminalError, for one that ends too early or is too long as well."""
        date, first = et_of(from_utc)
        first, last = sorted((first, et_of(upto_utc)[1]))  # an hour may come twice in a night
        asked = self._history.lines(self._path, symbol=root, expiration="*", date=date, start_time=_clock(first),
                                    end_time=_clock(last))  # fmt: skip
        read: _Read | None = None
        lines: list[bytes] = []
        try:
            async for line in asked:
                if read is None and not line.startswith(b"{"):
                    read = Layout.of_header(TRADE_QUOTE, line, self._path).values
                    continue
                read = read or partial(ndjson_values, Layout(TRADE_QUOTE, list(TRADE_QUOTE.columns)))
                lines.append(line)
                if len(lines) > _LINES and upto_utc - from_utc >= _LEAST_MS:
                    raise TooLargeError(f"more than {_LINES} prints at once")
        except LayoutError as error:
            raise UnreadableError(str(error), 200) from None
        finally:
            if isinstance(asked, AsyncGenerator):
                await asked.aclose()  # of a part that is not read as well: the request takes a place
        if read and lines and isinstance(cut := read(lines[-1]), Refusal) and cut.reason == "columns":
            raise UnreadableError(f"{self._path}: the answer ends within a line", 200)
        return read, lines

    async def _store(
        self,
        part: _Part,
        prints: PrintReader,
        read: _Read,
        lines: Sequence[bytes],
        wanted: Mapping[int, Collection[Contract]],
        past: Past,
    ) -> None:
        rows: list[RawRow] = []
        letters: list[DeadLetter] = []
        at = part.asked_at
        for start in range(0, len(lines), _BREATH):
            for line in lines[start : start + _BREATH]:
                values = read(line)
                row = values if isinstance(values, Refusal) else prints.row(values, at)
                if isinstance(row, Refusal):
                    letters.append(letter(TERMINAL, self._path, row, line, at))
                elif Contract(*row[_CONTRACT]) in wanted.get(row[_DATE], ()):
                    rows.append(row)
            await asyncio.sleep(0)
        rows.sort(key=lambda row: row[_AT])  # an answer is in order within each contract only
        part.prints += len(rows)
        new = await past.keep(rows, letters)
        part.new += new  # not in one: others add to it meanwhile


def _detail(state: GapState, parts: Sequence[_Part]) -> str:
    failed = {root: error for part in parts for root, error in part.failed.items()}
    refused = {root: error for part in parts for root, error in part.refused.items()}
    if failed:
        return f"not answered yet: {_named(failed)}"
    if state is GapState.REFUSED or (state is GapState.OPEN and refused and not any(part.absent for part in parts)):
        return str(next(iter(refused.values())))
    without = f"; without {_named(refused)}" if refused else ""
    if state is GapState.FILLED:
        return f"{sum(part.prints for part in parts)} prints in history{without}"
    yet = "" if state is GapState.EMPTY else " yet: it may come after the day"
    return f"the terminal has no history of this time{yet}{without}"


def _named(errors: Mapping[str, TerminalError]) -> str:
    """Roots, the first few by name, and why the first was not answered."""
    roots = sorted(errors)
    more = f" and {len(roots) - 5} more" if len(roots) > 5 else ""
    return f"{', '.join(roots[:5])}{more} ({errors[roots[0]]})"


def _dates(gap: Gap) -> Iterator[tuple[int, int, int]]:
    """Each New York date a gap touches, with its first and last millisecond."""
    first, last = (day_of_date(et_of(ts)[0]) for ts in (gap.from_utc, gap.upto_utc))
    for day in range(first, last + 1):
        yield date_of_day(day), utc_of(date_of_day(day), 0), utc_of(date_of_day(day + 1), 0) - 1


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"
