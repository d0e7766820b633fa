"""``assert rate`` over stored rows: on which share of the prints of some sessions a condition is true.

Counted are the prints that can have chips: cancel records and compression prints have none, and a print
that was taken back is none. Unknown is not true: such a print counts among all of them, and is told apart.
The rules under test are judged, not the bits that rows were stored with: chips and a score that rules
compute are written out, and all of it becomes SQL as any filter does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from phenix.dsl import core as c
from phenix.dsl.analysis import Analysis
from phenix.dsl.compiler import compile_program
from phenix.dsl.diagnostics import Diagnostic, diagnostic
from phenix.dsl.lints import substitute
from phenix.dsl.program import Assertion, Program
from phenix.dsl.source import Source
from phenix.dsl.types import Kind
from phenix.engine.check import SUPPRESSED
from phenix.engine.encode import date_text
from phenix.engine.flow import BY_NAME, CATALOG
from phenix.engine.store.base import Reader
from phenix.engine.store.schema import FROM_ROWS
from phenix.engine.targets.reference import evaluate
from phenix.engine.targets.sql import Lowered
from phenix.engine.targets.sqlite import SqliteTarget
from phenix.engine.witness import SAMPLES

__all__ = ["COUNTED", "Rate", "run_rates", "stored_sessions"]

COUNTED: Final = c.And((*SUPPRESSED, c.Not(c.Field("cancelled", Kind.BOOL, False))))
"""The prints a rate is a share of."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What came of one assertion: prints counted, those on which it is true and unknown, their session dates."""

    assertion: Assertion
    prints: int
    true: int
    unknown: int
    sessions: tuple[int, ...]

    @property
    def share(self) -> Fraction:
        """Share of the prints on which it is true, exactly."""
        return Fraction(self.true, self.prints)

    @property
    def holds(self) -> bool:
        """Whether the share lies in the asserted range, ends included."""
        low, high = self.assertion.low, self.assertion.high
        return (low is None or low <= self.share) and (high is None or self.share <= high)

    def __str__(self) -> str:
        dates = date_text(self.sessions[0])
        if len(self.sessions) > 1:
            dates = f"{len(self.sessions)} sessions from {dates} to {date_text(self.sessions[-1])}"
        return (
            f"{float(100 * self.share):.6g}% of {self.prints:,} prints of {dates}:"
            f" {self.true:,} true, {self.unknown:,} unknown"
        )


def stored_sessions(reader: Reader, first: int, last: int) -> tuple[int, ...]:
    """Dates from first to last with prints that count, oldest first; raises StoreError."""
    as_of = reader.watermark()
    where = _lower().where(COUNTED)
    sql = f"SELECT DISTINCT t.session_date FROM {FROM_ROWS} WHERE t.session_date BETWEEN ? AND ? AND {where.text}"
    rows = reader.execute(f"{sql} ORDER BY 1", (first, last, *where.bind({}, as_of)), timeout_s=math.inf)
    return tuple(date for (date,) in rows)


def run_rates(
    sources: Sequence[Source], reader: Reader, first: int, last: int
) -> tuple[tuple[Diagnostic, ...], tuple[Rate, ...]]:
    """Count every ``assert rate`` over the sessions from first to last, which hold a print that counts.

    Gives a finding for each share outside its range, and all that was counted. Raises StoreError.
    """
    program, _ = compile_program(sources, CATALOG)
    analysis, provided = _meanings(program)
    as_of = reader.watermark()
    found: list[Diagnostic] = []
    rates: list[Rate] = []
    for one in program.assertions:
        if one.kind != "rate":
            continue
        core = analysis.whole(substitute(one.left.core, provided))
        if core is None:
            found.append(diagnostic("PHX303", f'"{one.label}" is too large with its chips written out', one.span,
                                    one.source, help="assert the rate of one of its parts"))  # fmt: skip
            continue
        rate = _count(one, _lower().three_valued(core), reader, (first, last, as_of))
        rates.append(rate)
        if not rate.holds:
            found.append(diagnostic("PHX302", f'"{one.label}" does not hold: {rate}', one.span, one.source,
                                    help="correct the rule, or the range"))  # fmt: skip
    return tuple(found), tuple(rates)


def _meanings(program: Program) -> tuple[Analysis, dict[str, c.Core]]:
    provided = {field.meta.provides: field.core for field in program.fields if field.meta.provides}
    chips = {rule.id: substitute(rule.body.core, provided) for rule in program.chips}
    return Analysis(program.scope, chips, evaluate, SAMPLES), provided


def _lower() -> SqliteTarget:
    def stored(chip: str) -> int:
        raise AssertionError(f"the chip {chip} was to be written out")

    return SqliteTarget(lambda name: BY_NAME[name].sql, stored)


def _count(one: Assertion, answer: Lowered, reader: Reader, over: tuple[int, int, int]) -> Rate:
    first, last, as_of = over
    where = _lower().where(COUNTED)
    sql = (
        f"WITH judged(session_date, answer) AS (SELECT t.session_date, {answer.text} FROM {FROM_ROWS}"
        f" WHERE t.seq <= ? AND t.session_date BETWEEN ? AND ? AND {where.text})"
        " SELECT session_date, count(*), coalesce(sum(answer), 0), count(*) - count(answer) FROM judged"
        " GROUP BY session_date ORDER BY session_date"
    )
    bound = (*answer.bind({}, as_of), as_of, first, last, *where.bind({}, as_of))
    rows = reader.execute(sql, bound, timeout_s=math.inf)
    prints, true, unknown = (sum(row[i] for row in rows) for i in (1, 2, 3))
    return Rate(one, prints, true, unknown, tuple(row[0] for row in rows))
