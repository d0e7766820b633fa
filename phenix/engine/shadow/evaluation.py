"""A rule version over rows that another version enriched: the chips and the score it would have given them.

Where both take the same constants into the enricher's formulas, the figures of the rows are those of either version and
only the tags are computed. Where they do not (sides, and what follows from them, differ), rows that come are enriched
under both at once; stored ones are enriched anew, by an enricher with its own rolling state: exact as well, at the
price of the first enrichment.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.passes import normalize
from phenix.engine.block_tagger import compile_block_tagger
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.enricher import Enricher, History
from phenix.engine.enrich.formulas import Constants
from phenix.engine.flow import INDEX
from phenix.engine.tagging import Tagging
from phenix.engine.targets.arrays import Array, Column
from phenix.engine.targets.reference import settle

__all__ = ["PAGE", "Evaluation", "Tagged", "same_figures", "same_score", "tagged"]

PAGE: Final = 10_000
"""Rows of the past entered at a time where a state has to be built."""
_SEQ, _DATE = INDEX["seq"], INDEX["session_date"]


@dataclass(frozen=True, slots=True)
class Tagged:
    """Tags of rows by column, and the nanoseconds they took; ``score`` None says it is the active version's."""

    chips_set: Array
    chips_known: Array
    score: Column | None
    ns: int = 0


def tagged(block: Block, ns: int = 0) -> Tagged:
    """The tags that enriched rows have."""
    return Tagged(block.stored("chips_set").values, block.stored("chips_known").values, block.stored("sig_score"), ns)


def same_figures(one: Bundle, other: Bundle) -> bool:
    """Whether two rule versions give the enricher's formulas the same constants."""
    return Constants.of(one) == Constants.of(other)


def same_score(one: Bundle, other: Bundle) -> bool:
    """Whether two rule versions mean the same by the score, params included."""
    return _score(one) == _score(other)


def _score(bundle: Bundle) -> c.Core | None:
    return None if bundle.score is None else normalize(settle(bundle.score.core, bundle.params))


class Evaluation:
    """Evaluates ``bundle`` over rows enriched under ``beside``, None where nobody knows what that was.

    Rows are given in seq order, each once; ``history`` gives raw rows of the past, ``page`` of them at a time.
    """

    def __init__(
        self, bundle: Bundle, beside: Bundle | None, calendar: Calendar, history: History, page: int = PAGE
    ) -> None:
        self.anew = beside is None or not same_figures(bundle, beside)
        """Whether the figures of the rows are others."""
        self._bundle, self._calendar, self._history, self._page = bundle, calendar, history, page
        self._enricher: Enricher | None = None
        self._rescored = beside is None or self.anew or not same_score(bundle, beside)
        self._tag = compile_block_tagger(bundle, score=self._rescored)

    def ready(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether stored rows can be evaluated now; where the state for that is not there, it is a page nearer."""
        if not self.anew:
            return True
        own, first = self._own(), {row[_DATE]: row[_SEQ] for row in reversed(rows)}
        return all(own.knows(date) or own.approach(date, seq) for date, seq in first.items())

    def __call__(self, block: Block, rows: Sequence[Sequence[Any]]) -> Tagged:
        """Tags of rows, given as arrays and as they are stored (the raw part is enough)."""
        began = time.perf_counter_ns()
        return self._tagged(self._own().evaluate(rows, block) if self.anew else block, began)

    def of_figures(self, block: Block) -> Tagged:
        """Tags of rows whose figures are this version's. A state for stored rows does not see them: it is given up."""
        self._enricher = None
        return self._tagged(block, time.perf_counter_ns())

    def _own(self) -> Enricher:
        if self._enricher is None:
            tagging = Tagging(self._bundle)
            self._enricher = Enricher(self._calendar, tagging, self._history, lambda: 0, page=self._page)
        return self._enricher

    def _tagged(self, block: Block, began: int) -> Tagged:
        tags = self._tag(block)
        score = Column(tags.score, tags.score_known) if self._rescored else None
        return Tagged(tags.chips_set, tags.chips_known, score, time.perf_counter_ns() - began)
