"""A filter as conditions that are and-ed: once few rows are left, the next is looked at in those alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from phenix.dsl import core as c
from phenix.dsl.types import Value
from phenix.engine.live.block import LiveBlock
from phenix.engine.targets.arrays import Array, Block, Mask
from phenix.engine.targets.columns import compile_filter
from phenix.engine.targets.reference import settle

__all__ = ["SPARSE", "Sieve", "parts_of"]

SPARSE: Final = 8
"""One row in so many is few: they are read place by place, more of them as a run."""


_FIRST: Final = 4
"""Conditions that are functions of their own: compiling them takes its time, too."""


class Sieve:
    """Where a filter is true. A row that one of its parts leaves out is out, whatever the others say of it.

    What compares one field with a constant comes first, for it costs least; the first few of these by themselves, and
    the rest as one.
    """

    def __init__(self, core: c.Core, params: Mapping[str, Value], bits: Mapping[str, int]) -> None:
        parts = list(dict.fromkeys(parts_of(settle(core, params))))
        first = [part for part in parts if _is_cheap(part)][:_FIRST]
        rest = tuple(part for part in parts if part not in first)
        conditions = [*first, c.And(rest)] if rest or not first else first
        self._conditions: list[Callable[[Block, int], Mask]] = [compile_filter(one, params, bits) for one in conditions]

    def hits(self, block: LiveBlock, where: slice | Array, rows: int, as_of: int) -> Mask:
        """Mask over some of the first ``rows`` rows of a block: a run of them, or those at places."""
        return self._hits(block, where, rows, as_of, self._conditions)

    def _hits(
        self, block: LiveBlock, where: slice | Array, rows: int, as_of: int, conditions: Sequence[Callable[..., Mask]]
    ) -> Mask:
        view = block.view(where, rows)
        mask = conditions[0](view, as_of)
        for number, condition in enumerate(conditions[1:], 1):
            left = np.count_nonzero(mask)
            if left * SPARSE <= view.rows:
                near = np.flatnonzero(mask)
                within = near + range(rows)[where].start if isinstance(where, slice) else where[near]
                mask = np.zeros(view.rows, np.bool_)
                if left:
                    mask[near] = self._hits(block, within, rows, as_of, conditions[number:])
                return mask
            mask = mask & condition(view, as_of)
        return mask


def parts_of(node: c.Core) -> Iterator[c.Core]:
    """What is and-ed in a condition."""
    if isinstance(node, c.And):
        for arg in node.args:
            yield from parts_of(arg)
    else:
        yield node


def _is_cheap(part: c.Core) -> bool:
    match part:
        case c.Compare(left=c.Field(), right=c.Const()) | c.Compare(left=c.Const(), right=c.Field()):
            return True
        case c.InSet(operand=c.Field()):
            return True
    return False
