"""Rule versions made ready to tag rows, apart from those who store them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from phenix.engine.bundle import Bundle
from phenix.engine.enrich.enricher import Enriched, Tagger
from phenix.engine.enrich.formulas import Constants
from phenix.engine.flow import Row
from phenix.engine.lifecycle import bundle_of
from phenix.engine.store.versions import Activation, RuleVersion
from phenix.engine.tagging import Tagging

__all__ = ["Enriching", "Prepared", "Rulebook", "compile_rules"]

_KEPT: Final = 8
"""Versions kept compiled: going back is what must be quick."""


class Enriching(Protocol):
    """The part of the enricher a recorder needs."""

    def enrich(self, raws: Sequence[Row], beside: Constants | None = None) -> Enriched:
        """Enrich rows in seq order, and read them under other constants, too."""
        ...

    def activate(self, tagger: Tagger) -> None:
        """Take another rule version from the next row on."""
        ...

    def approach(self, date: int, before_seq: int) -> bool:
        """Bring the state of a session date a page nearer to a row; whether it is there."""
        ...

    def knows(self, date: int) -> bool:
        """Whether it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A rule version compiled, which can be sent to another process; ``chips`` are the ids of what it tags, by bit."""

    tagger: Tagger
    chips: Mapping[int, str]

    @classmethod
    def of(cls, bundle: Bundle) -> Prepared:
        """A bundle, compiled for blocks of rows."""
        return cls(Tagging(bundle), {chip.bit: chip.id for chip in bundle.chips})


def compile_rules(asked: Activation, version: RuleVersion | None) -> Prepared | str:
    """A version that the ledger asks for, or a sentence why it cannot be had."""
    bundle = bundle_of(asked, version)
    return bundle if isinstance(bundle, str) else Prepared.of(bundle)


class Rulebook:
    """Compiles what is asked for, or has it compiled, and keeps the latest; for one thread at a time."""

    def __init__(self, compiler: Callable[[Activation, RuleVersion | None], Prepared | str] = compile_rules) -> None:
        self._compiler = compiler
        self._kept: OrderedDict[str, Prepared] = OrderedDict()

    def prepare(self, asked: Activation, version: RuleVersion | None) -> Prepared | str:
        """The version that was asked for, or a sentence why it cannot be had."""
        checksum = version.checksum if version else ""
        prepared = self._kept.pop(checksum, None)
        if prepared is None:
            made = self._compiler(asked, version)
            if isinstance(made, str):
                return made
            prepared = made
        self._kept[checksum] = prepared
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return prepared
