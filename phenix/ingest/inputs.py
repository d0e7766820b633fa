"""What a print is stored with besides itself: the underlying's price and the contract's open interest.

Both answer for a moment: only what was known at or before it counts, so an import, which knows the whole day, gives
what a live worker gives.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Final

from phenix.engine.enrich.formulas import spot_mid
from phenix.ingest.contract import Contract

__all__ = ["InterestBook", "SpotBook"]

_NO_SPOT: Final = (None, None, None)


class SpotBook:
    """Mids of two-sided underlying quotes by time, in ten-thousandths of a dollar.

    ``keep`` bounds what is remembered of a symbol (the latest quotes); None keeps all.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._keep = keep
        self._times: dict[str, array[int]] = {}
        self._mids: dict[str, array[int]] = {}
        self._sources: dict[str, list[str]] = {}

    def add(self, symbol: str, ts_utc: int, bid: int, ask: int, source: str) -> bool:
        """Take a quote; of two of the same time the later one given wins. False when it is one-sided."""
        mid = spot_mid(bid, ask)
        if mid is None:
            return False
        times = self._times.get(symbol)
        if times is None:
            times = self._times[symbol] = array("q")
            self._mids[symbol] = array("q")
            self._sources[symbol] = []
        mids, sources = self._mids[symbol], self._sources[symbol]
        if not times or ts_utc >= times[-1]:
            times.append(ts_utc)
            mids.append(mid)
            sources.append(source)
        else:
            i = bisect_right(times, ts_utc)
            times.insert(i, ts_utc)
            mids.insert(i, mid)
            sources.insert(i, source)
        if self._keep is not None and len(times) > 2 * self._keep:
            del times[: -self._keep]
            del mids[: -self._keep]
            del sources[: -self._keep]
        return True

    def at(self, symbol: str, ts_utc: int) -> tuple[int, int, str] | tuple[None, None, None]:
        """Mid, age in ms and source of the latest quote at or before a time; three Nones when there is none."""
        times = self._times.get(symbol)
        if times is None:
            return _NO_SPOT
        i = len(times) if ts_utc >= times[-1] else bisect_right(times, ts_utc)
        if not i:
            return _NO_SPOT
        return self._mids[symbol][i - 1], ts_utc - times[i - 1], self._sources[symbol][i - 1]


class InterestBook:
    """Open interest by contract and date, each from the moment it was told."""

    def __init__(self) -> None:
        self._told: dict[int, dict[Contract, list[tuple[int, int]]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._told.values()))

    @property
    def dates(self) -> list[int]:
        """The dates something is known of, in order."""
        return sorted(self._told)

    def add(self, contract: Contract, date: int, ts_utc: int, open_interest: int) -> None:
        """Take a snapshot of a contract's open interest for a date."""
        of_date = self._told.get(date)
        if of_date is None:
            of_date = self._told[date] = {}
        told = of_date.setdefault(contract, [])
        told.append((ts_utc, open_interest))
        if len(told) > 1:
            told.sort(key=lambda snapshot: snapshot[0])

    def at(self, contract: Contract, date: int, ts_utc: int) -> int | None:
        """The latest open interest told for the date by the time; None when there is none."""
        of_date = self._told.get(date)
        if of_date is not None:
            for told_at, open_interest in reversed(of_date.get(contract, ())):
                if told_at <= ts_utc:
                    return open_interest
        return None

    def forget(self, before: int) -> None:
        """Drop what is known of the dates before one."""
        self._told = {date: told for date, told in self._told.items() if date >= before}
