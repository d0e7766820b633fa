"""A filter over several sessions: each is searched, and what was found is put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phenix.engine.flow import Field
from phenix.engine.live.search import Search, Spot
from phenix.engine.live.tally import Tally
from phenix.engine.live.words import Contract, Contracts

__all__ = ["Several"]


class Several:
    """Answers as one :class:`~phenix.engine.live.search.Search` does."""

    def __init__(self, searches: Sequence[Search]) -> None:
        self._searches = searches
        self._contracts = Contracts()

    @property
    def contracts(self) -> Sequence[Contract]:
        """Contracts by their code in a tally."""
        return self._contracts.known

    @property
    def plan(self) -> str:
        """How it was found."""
        looked_at = sum(search.looked_at for search in self._searches)
        return f"memory, {looked_at:,} rows of {len(self._searches)} sessions looked at"

    def count(self) -> int:
        """How many rows match."""
        return sum(search.count() for search in self._searches)

    def tally(self) -> Tally:
        """Sums over the rows that match."""
        whole = Tally()
        for search in self._searches:
            part = search.tally()
            whole.merge(part, self._contracts.codes(search.contracts[: part.contracts.shape[1]]))
        return whole

    def by_seq(self, limit: int, *, descending: bool, after: int | None = None) -> list[Spot]:
        """The first rows by seq, those after a seq in that direction."""
        found = [spot for one in self._searches for spot in one.by_seq(limit, descending=descending, after=after)]
        return sorted(found, key=_seq, reverse=descending)[:limit]

    def by_field(self, field: Field, limit: int, *, descending: bool, after: Spot | None = None) -> list[Spot]:
        """The first rows by a field, unknown values last, ties by seq in the sort's direction."""
        found = [s for one in self._searches for s in one.by_field(field, limit, descending=descending, after=after)]
        known = sorted((spot for spot in found if spot.key is not None), key=_key, reverse=descending)
        unknown = sorted((spot for spot in found if spot.key is None), key=_seq, reverse=descending)
        return (known + unknown)[:limit]


def _seq(spot: Spot) -> int:
    return spot.seq


def _key(spot: Spot) -> tuple[Any, int]:
    return spot.key, spot.seq
