"""List endpoints: what is listed, and when it traded. Lists are not sorted, and dead expirations stay in them."""

from __future__ import annotations

import random
from typing import Final

from phenix.ingest.terminal.errors import NO_DATA
from phenix.ingest.terminal.layouts import CONTRACT_COLUMNS, date_text
from phenix.ingest.terminal.standin_params import Params, RefusedError, a_date, count_of, days_to, need, symbols_of
from phenix.ingest.terminal.standin_world import Table, World, chain_of, id_of

__all__ = ["contracts", "expirations", "option_dates", "option_symbols", "stock_dates", "stock_symbols", "strikes"]

_DEAD: Final = "2012-06-01"
"""The oldest expiration of the vendor's example; of those before the tape the only one listed."""


def option_symbols(world: World, _params: Params) -> Table:
    """``option/list/symbols``."""
    return Table(("symbol",), [(root,) for root in sorted({contract.root for contract in world.source.contracts()})])


def option_dates(world: World, params: Params) -> Table:
    """``option/list/dates``: dates of the tape where it has the contract."""
    chosen = chain_of(world, params)
    found = world.source.dates if any(chosen(contract) for contract in world.source.contracts()) else ()
    return Table(("date",), [(date_text(date),) for date in found])


def expirations(world: World, params: Params) -> Table:
    """``option/list/expirations``, a dead one first."""
    roots = symbols_of(params)
    found = {(c.root, date_text(c.expiration)) for c in world.source.contracts() if c.root in roots}
    return Table(("symbol", "expiration"), sorted(found | {(root, _DEAD) for root, _ in found}))


def strikes(world: World, params: Params) -> Table:
    """``option/list/strikes``."""
    roots, expiration = symbols_of(params), a_date(need(params, "expiration"), "expiration")
    listed = world.source.contracts()
    found = sorted({(c.root, c.strike) for c in listed if c.root in roots and c.expiration == expiration})
    random.Random(expiration).shuffle(found)  # noqa: S311 -- the vendor's lists are unsorted
    return Table(("symbol", "strike"), found)


def contracts(world: World, params: Params) -> Table:
    """``option/list/contracts``."""
    date = a_date(need(params, "date"), "date")
    roots = set(symbols_of(params)) if params.get("symbol") else None
    max_dte = count_of(params, "max_dte", 0)
    if date not in world.source.dates:
        raise RefusedError(472, NO_DATA)
    found = [
        id_of(contract)
        for contract in world.source.contracts()
        if (roots is None or contract.root in roots)
        and (max_dte is None or 0 <= days_to(contract.expiration, date) <= max_dte)
    ]
    return Table(CONTRACT_COLUMNS, sorted(found))


def _underlyings(world: World) -> set[str]:
    return {world.source.underlying_of(contract.root) for contract in world.source.contracts()}


def stock_symbols(world: World, _params: Params) -> Table:
    """``stock/list/symbols``: the underlyings."""
    return Table(("symbol",), [(name,) for name in sorted(_underlyings(world))])


def stock_dates(world: World, params: Params) -> Table:
    """``stock/list/dates``."""
    found = world.source.dates if need(params, "symbol") in _underlyings(world) else ()
    return Table(("date",), [(date_text(date),) for date in found])
