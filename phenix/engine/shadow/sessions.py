"""A stored session compared afterwards: both versions evaluated over its rows, whatever version tagged them then.

The comparison is of the same kind as one that was counted live, and says that it was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Final

from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.flow import INDEX
from phenix.engine.shadow.comparator import Comparator
from phenix.engine.shadow.evaluation import Evaluation, Tagged
from phenix.engine.store.base import Reader
from phenix.engine.store.shadow import STORED, Comparison

__all__ = ["Comparing", "compare_session"]

_PAGE: Final = 20_000
_SEQ, _VERSION = INDEX["seq"], INDEX["rule_version"]


@dataclass(frozen=True, slots=True)
class Comparing:
    """How far a session is compared; at the end there is ``found``, or ``lost`` says in words why it is not."""

    done: int
    expected: int
    found: Comparison | None = None
    lost: str = ""


def compare_session(
    reader: Reader,
    session_date: int,
    active: Bundle,
    candidate: Bundle,
    bundles: Callable[[str], Bundle | None],
    calendar: Calendar,
    clock: Callable[[], int],
) -> Iterator[Comparing]:
    """Compare the rows of a session that are enriched by now, a page at a time; ``bundles`` are rule versions by id.

    Raises StoreError.
    """
    begun, upto = clock(), reader.watermark()
    expected = reader.session_count(session_date, upto)
    comparator = Comparator(active, candidate)
    counts, version, missed, after = comparator.begin(), "", 0, 0
    evaluations: list[Evaluation] = []
    while page := reader.session_stored(session_date, after, upto, _PAGE):
        after = page[-1][_SEQ]
        for tagged_by, some in groupby((row for row in page if row[-1] is not None), key=itemgetter(_VERSION)):
            rows = list(some)
            if tagged_by != version or not evaluations:
                # Anew after each change of version: an evaluation that enriches rows itself has to have seen each.
                version, beside = tagged_by, bundles(tagged_by)
                evaluations = [Evaluation(one, beside, calendar, reader.session_raw) for one in (active, candidate)]
            block = Block.of_rows(rows)
            old, new = (_scored(evaluation(block, rows), block) for evaluation in evaluations)
            comparator.add(counts, block, old, new, timed=True)
        missed += sum(row[-1] is None for row in page)
        yield Comparing(counts.rows + missed, expected)
    done = counts.rows + missed
    if not expected:
        yield Comparing(done, expected, lost="it has no row that can be compared")
        return
    # A removal hides the whole session at once, also from an evaluation that reads what lies before a page of it.
    if (done, reader.session_count(session_date, upto)) != (expected, expected):
        yield Comparing(done, expected, lost=f"it was removed meanwhile, {done:,} of {expected:,} rows were compared")
        return
    found = Comparison(
        session_date, active.version, candidate.version, after, counts.rows, missed, STORED, counts.to_json(), begun,
        clock(),
    )  # fmt: skip
    yield Comparing(done, expected, found)


def _scored(tags: Tagged, block: Block) -> Tagged:
    return tags if tags.score is not None else replace(tags, score=block.stored("sig_score"))
