"""What a sealed block knows of its rows as a whole, so that a search need not look at each.

Least and greatest value of each number, a bitmap of each chip, the rows of each symbol, and the order of the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from phenix.engine.targets.arrays import Array, Words

__all__ = ["Zones", "zones_of"]

_RANKED: Final = ("sig_score",)
"""Fields whose order is kept: what pages are sorted by most, besides seq."""


@dataclass(frozen=True, slots=True)
class Zones:
    """``low`` and ``high`` hold no field that is unknown throughout; ``chips`` no bit that is nowhere set.

    The rows of the symbol with code k are ``order[starts[k]:starts[k + 1]]``, ascending; codes from ``len(starts) - 1``
    on came later and are not here. ``ranked`` are the places in which a field is known, ascending by value and seq.
    """

    low: Mapping[str, float]
    high: Mapping[str, float]
    chips: Mapping[int, Array]
    order: Array
    starts: Array
    ranked: Mapping[str, Array]

    def rows_of(self, codes: list[int]) -> Array:
        """Places of the rows of some symbols, ascending."""
        here = [self.order[self.starts[k] : self.starts[k + 1]] for k in codes if 0 <= k < len(self.starts) - 1]
        if not here:
            return self.order[:0]
        return here[0] if len(here) == 1 else np.sort(np.concatenate(here))


def zones_of(values: Mapping[str, Array], known: Mapping[str, Array], symbols: Words) -> Zones:
    """The zones of columns of equal length."""
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name, array in values.items():
        mask = known.get(name)
        there = array if mask is None else array[mask]
        if len(there) and array.dtype.kind in "iuf":
            low[name], high[name] = there.min().item(), there.max().item()
    chips = {}
    on = values["chips_set"]
    anywhere = int(np.bitwise_or.reduce(on))
    for bit in range(anywhere.bit_length()):
        if anywhere >> bit & 1:
            chips[bit] = np.packbits(on & (1 << bit) != 0, bitorder="little")
    codes = values["symbol"]
    order = np.argsort(codes, kind="stable").astype(np.uint16)
    starts = np.searchsorted(codes[order], np.arange(len(symbols) + 1)).astype(np.uint32)
    return Zones(low, high, chips, order, starts, {name: _ranked(values[name], known.get(name)) for name in _RANKED})


def _ranked(values: Array, known: Array | None) -> Array:
    places = np.arange(len(values)) if known is None else np.flatnonzero(known)
    return places[np.argsort(values[places], kind="stable")].astype(np.uint16)
