"""What rules and filters say of a print that is not enriched yet: what the received row decides, and no more.

Which fields those are comes from the catalog: those received, and those derived from nothing else. Any other is
unknown, and so is a chip that reads one, itself or through another chip.
"""

from __future__ import annotations

from functools import lru_cache
from string import Formatter
from typing import Final

from phenix.dsl import core as c
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.conditions import conditions
from phenix.engine.flow import BY_NAME, FIELDS, Field, Part
from phenix.engine.tagger import by_reference
from phenix.engine.targets.reference import settle

__all__ = ["CANCELS", "HAS_CHIPS", "RECEIVED", "Unenriched"]


def _received(field: Field) -> bool:
    if field.part is Part.DERIVED:
        read = [name for _, name, _, _ in Formatter().parse(field.python) if name]
        return all(BY_NAME[name].part is Part.RAW for name in read)
    return field.part is Part.RAW


RECEIVED: Final = frozenset(field.name for field in FIELDS if _received(field))
"""Fields known of a print as it was received."""
CANCELS: Final = tuple(sorted(code for code, it in conditions().items() if it.cancel))
"""Condition codes of records that cancel another print."""
_CHIPLESS: Final = tuple(sorted(code for code, it in conditions().items() if it.cancel or it.compression))
"""Condition codes of prints that have no chips."""
HAS_CHIPS: Final = c.InSet(c.Field("condition", Kind.INT, False), _CHIPLESS, negated=True)
"""Whether a print can have chips."""
_UNKNOWN: Final = c.Const(Kind.BOOL, None)


class Unenriched:
    """Conditions of a bundle as such rows decide them; :meth:`of_bundle` keeps those of the latest bundles."""

    def __init__(self, bundle: Bundle) -> None:
        self._params = bundle.params
        self._chips: dict[str, c.Core] = {}
        chips = {chip.id: chip for chip in bundle.chips}
        for tag in by_reference(bundle.chips):
            decided = c.reads(tag.core) <= RECEIVED and all(
                _UNKNOWN not in c.walk(self._chips[x.id]) for x in c.walk(tag.core) if isinstance(x, c.Chip)
            )
            body = self._known(chips[tag.id].core) if decided else _UNKNOWN
            self._chips[tag.id] = c.And((HAS_CHIPS, body))
        self.chips = tuple((chip.bit, settle(self._chips[chip.id], self._params)) for chip in bundle.chips)
        """The bit of each chip and its condition, three-valued, over fields of :data:`RECEIVED` alone."""

    @staticmethod
    @lru_cache(4)
    def of_bundle(bundle: Bundle) -> Unenriched:
        """Those of a bundle."""
        return Unenriched(bundle)

    def of(self, core: c.Core) -> c.Core:
        """A checked condition of the bundle, over fields of :data:`RECEIVED` alone."""
        return settle(self._known(core), self._params)

    def _known(self, node: c.Core) -> c.Core:
        match node:
            case c.Field(name=name, kind=kind) if name not in RECEIVED:
                return c.Const(kind, None)
            case c.Chip(id=name):
                return self._chips[name]
        return c.rebuild(node, self._known)
