"""Sums over every row a request matches: from the session in memory, else from the store's rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from phenix.engine import blocks
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME
from phenix.engine.live.index import LiveIndex
from phenix.engine.live.tally import FIELDS, Tally
from phenix.engine.live.words import CONTRACT, Contract, Contracts
from phenix.engine.predicate import Predicate
from phenix.engine.query.page import compile_filter, scope_of, search_of
from phenix.engine.query.plan import Scope, rows_statement
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.store.base import Reader, StoreTimeout
from phenix.engine.targets.arrays import Array

__all__ = ["Line", "Summary", "fetch_summary"]

_ROWS = 20_000


class Line(NamedTuple):
    """Rows, contracts traded and premium, the bullish and the bearish of it; ten-thousandths of a dollar."""

    rows: int
    size: int
    premium: int
    bullish: int
    bearish: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums as of a seq; ``contracts`` are the contracts by their code in the tally."""

    tally: Tally
    contracts: Sequence[Contract]
    as_of: int
    watermark: int
    session: int | None
    where: str
    elapsed_ms: float
    plan: str

    def by(self, place: int) -> dict[str | int, Line]:
        """Sums by one value of the contract, its place in :data:`~phenix.engine.live.words.CONTRACT`."""
        sums, codes = self._sums()
        index: dict[str | int, int] = {}
        contracts = self.contracts
        group = [index.setdefault(contracts[code][place], len(index)) for code in codes]
        lines = zip(*(np.bincount(group, row, len(index)).astype(int).tolist() for row in sums), strict=True)
        return {value: Line(*line) for value, line in zip(index, lines, strict=True)}

    def top(self, limit: int) -> list[tuple[Contract, Line]]:
        """The contracts with most premium, ties in their own order."""
        sums, codes = self._sums()
        if len(codes) > limit:
            least = np.partition(sums[2], -limit)[-limit]
            some = np.flatnonzero(sums[2] >= least)
            sums, codes = sums[:, some], [codes[place] for place in some.tolist()]
        lines = zip(codes, sums.astype(int).T.tolist(), strict=True)
        found = [(self.contracts[code], Line(*line)) for code, line in lines]
        return sorted(found, key=lambda one: (-one[1].premium, one[0]))[:limit]

    def _sums(self) -> tuple[Array, list[int]]:
        """Sums of the contracts that have rows, by column, and their codes."""
        codes = np.flatnonzero(self.tally.contracts[0])
        return self.tally.contracts[:, codes], codes.tolist()


def fetch_summary(
    reader: Reader,
    request: FlowRequest,
    bundle: Bundle,
    *,
    live: LiveIndex | None = None,
    timeout_s: float | None = None,
) -> Summary | Refusal:
    """The sums of a request's rows. Raises StoreError, and StoreTimeout past ``timeout_s``."""
    begun = time.monotonic()
    predicate = compile_filter(request.parts, bundle)
    if isinstance(predicate, Refusal):
        return predicate
    watermark = reader.watermark()
    scope = scope_of(reader, request, predicate, None, watermark)
    search = None if live is None else search_of(live, reader, request, predicate, scope, timeout_s)
    if search is None:
        tally, contracts = _from_store(reader, request, predicate, scope, timeout_s)
        plan = "store"
    else:
        tally, contracts = search.tally(), search.contracts
        plan = search.plan
    elapsed = (time.monotonic() - begun) * 1000
    session = scope.session or scope.since or None
    return Summary(tally, contracts, scope.as_of, watermark, session, predicate.text, elapsed, plan)


def _from_store(
    reader: Reader, request: FlowRequest, predicate: Predicate, scope: Scope, timeout_s: float | None
) -> tuple[Tally, Sequence[Contract]]:
    tally, book, after = Tally(), Contracts(), 0
    until = None if timeout_s is None else time.monotonic() + timeout_s
    names = (*CONTRACT, *FIELDS)
    while True:
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            raise StoreTimeout("the sums took longer than they may")
        statement = rows_statement(request, predicate, scope, names, after, _ROWS)
        rows = reader.execute(statement.sql, statement.params, timeout_s=left)
        if rows:
            seqs, *columns = zip(*rows, strict=True)
            cells = dict(zip(names, columns, strict=True))
            block = blocks.Block(
                {name: blocks.column_of(cells[name], BY_NAME[name].type) for name in FIELDS}, len(rows)
            )
            tally.add(block, book.codes(zip(*(cells[name] for name in CONTRACT), strict=True)))
            after = seqs[-1]
        if len(rows) < _ROWS:
            return tally, book.known
