"""P4: rows a second through the packaged bundle, on the row target and on the columns target.

Beside the row target stand two other ways to ask the same chips of the same rows, in turn with it: the tree walked
(the reference interpreter), and closures, a small function a chip. On the reference box the closures make 0.38 M rows/s
and the target is 1.5 M, so the row target is to be 3.95 times the closures, on any box.

The rows are a believable session (the one of ``enrich.py``, with the gaps and the large prints that a real one has)
through the real enricher, so nulls and shares are as in use. Only tagging is timed, the best of seven on one core:
the row function over batches as they come from the enricher, the column function over blocks of columns.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from enrich import NoRules, session
from phenix.dsl import core as c
from phenix.dsl.passes import normalize
from phenix.engine.block_tagger import compile_block_tagger
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.enricher import Enricher
from phenix.engine.flow import BY_NAME, INDEX, STORED
from phenix.engine.targets.reference import evaluate
from phenix.engine.targets.row import Names, false_rail, true_rail

ROWS = 131_072
BATCH = 5_000
ROUNDS = 7
WALKED = 2_048
"""Rows of the slow ways."""
Tag = Callable[[Iterable[list[Any]]], None]


def enriched(rows: int) -> list[list[Any]]:
    """Full stored rows without tags."""
    enricher = Enricher(Calendar.packaged(), NoRules(), lambda _date, _before, _after: (), lambda: 0)
    raws = gaps(session(rows))
    full: list[list[Any]] = []
    for start in range(0, rows, BATCH):
        batch = raws[start : start + BATCH]
        full += [[*raw, *more] for raw, more in zip(batch, enricher.enrich(batch).rows, strict=True)]
    return full


def gaps(raws: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The session with what is missing in one: open interest of new contracts, quotes, spots; and with large prints."""
    rng = random.Random(2)
    out = []
    for raw in raws:
        row = list(raw)
        if row[INDEX["strike"]] // 10_000 % 16 == 0:
            row[INDEX["oi"]] = None
        if rng.random() < 0.01:
            row[INDEX["bid"]] = row[INDEX["ask"]] = row[INDEX["quote_ts_utc"]] = None
        if rng.random() < 0.005:
            row[INDEX["spot"]] = row[INDEX["spot_age_ms"]] = row[INDEX["spot_source"]] = None
        if rng.random() < 0.03:
            row[INDEX["size"]] *= 100
        out.append(tuple(row))
    return out


def best(*onces: Callable[[], float]) -> list[float]:
    """Of each the shortest of several runs, made in turn; each gives its own seconds."""
    return [min(spent) for spent in zip(*([once() for once in onces] for _ in range(ROUNDS)), strict=True)]


def by_row(rows: list[list[Any]], tag: Tag) -> float:
    """Seconds a row of tagging, in batches of 1,000 as a live frame or an import hands them over."""
    spent = 0.0
    for start in range(0, len(rows), 1_000):
        batch = [row.copy() for row in rows[start : start + 1_000]]
        began = time.perf_counter()
        tag(batch)
        spent += time.perf_counter() - began
    return spent / len(rows)


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# -- the same chips by other ways


def asking(bundle: Bundle, ask: Callable[[c.Core], Callable[[list[Any]], Any]]) -> Tag:
    """A tagger that asks one chip after the other."""
    asks = [(1 << chip.bit, ask(chip.core)) for chip in bundle.chips]
    cancel, compression, slot, decided = (
        INDEX[name] for name in ("cancel_record", "compression", "chips_set", "chips_known")
    )

    def tag(rows: Iterable[list[Any]]) -> None:
        for row in rows:
            on, known = 0, bundle.known_mask
            if not (row[cancel] or row[compression]):
                for mask, answers in asks:
                    answer = answers(row)
                    if answer is None:
                        known ^= mask
                    elif answer:
                        on |= mask
            row[slot], row[decided] = on, known

    return tag


def closure(bundle: Bundle) -> Callable[[c.Core], Callable[[list[Any]], Any]]:
    """A chip as one small function, in the row target's own terms."""

    def ask(core: c.Core) -> Callable[[list[Any]], Any]:
        core = normalize(core)
        names = Names(lambda name: BY_NAME[name].source, str, str, bundle.params)  # no packaged chip names another
        answer = f"True if {true_rail(core, names)} else "
        answer += f"False if {false_rail(core, names)} else None" if c.nullable(core) else "False"
        function: Callable[[list[Any]], Any] = eval(f"lambda row: {answer}", names.constants)
        return function

    return ask


def walked(bundle: Bundle) -> Callable[[c.Core], Callable[[list[Any]], Any]]:
    """The reference interpreter on a chip's tree."""
    derived = {name: eval(f"lambda row: {f.source}") for name, f in BY_NAME.items() if name not in INDEX}

    def ask(core: c.Core) -> Callable[[list[Any]], Any]:
        return lambda row: evaluate(
            core, lambda name: row[INDEX[name]] if name in INDEX else derived[name](row), bundle.params, str
        )

    return ask


def main() -> None:
    """Measure and print."""
    bundle, _ = compile_bundle(read_rules())
    assert bundle is not None
    plain, _ = compile_bundle([s for s in read_rules() if s.name != "score.phx"], bundle.bits)
    assert plain is not None
    rows = enriched(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    bundle.tag(rows)
    nulls = {f.name: round(sum(r[i] is None for r in rows) / len(rows), 4) for i, f in enumerate(STORED) if f.nullable}
    chips = len(bundle.chips)
    figures: list[dict[str, object]] = []

    def figure(what: str, seconds: float, **detail: object) -> None:
        """``seconds`` a row."""
        figures.append({"id": "P4", "what": what, "value": round(1 / seconds), "unit": "rows/s", "detail": detail})

    some = [row.copy() for row in rows[:: max(1, len(rows) // WALKED)]]
    plain.tag(some)
    ways = {"a closure a chip": asking(plain, closure(plain)), "trees walked": asking(plain, walked(plain))}
    for tag in ways.values():
        again = [row.copy() for row in some]
        tag(again)
        assert again == some
    row_target, scored, *slow = best(
        lambda: by_row(rows, plain.tag),
        lambda: by_row(rows, bundle.tag),
        *(lambda tag=tag: by_row(some, tag) for tag in ways.values()),  # type: ignore[misc] # mypy infers no lambda with defaults
    )
    figure(f"tagging, {chips} chips, row target", row_target, rows=len(rows), nulls=nulls)
    figure(f"tagging, {chips} chips and the score, row target", scored)
    for what, seconds in zip(ways, slow, strict=True):
        figure(f"tagging, {chips} chips, {what}", seconds)
    figures.append(
        {
            "id": "P4",
            "what": f"tagging, {chips} chips, row target over closures",
            "value": slow[0] / row_target,
            "unit": "times (3.95 wanted)",
        }
    )
    whole = Block.of_rows(rows)
    for with_score in (False, True):
        tag_block = compile_block_tagger(bundle, score=with_score)
        tag_block(whole)  # builds the columns
        for size in (16_384, 65_536):
            blocks = [whole[at : at + size] for at in range(0, len(rows), size)]
            what = f"tagging, {chips} chips{' and the score' if with_score else ''}, columns target, blocks of {size:,}"
            (seconds,) = best(lambda tag=tag_block, blocks=blocks: timed(lambda: [tag(block) for block in blocks]))  # type: ignore[misc] # mypy infers no lambda with defaults
            figure(what, seconds / len(rows))
    (seconds,) = best(lambda: timed(lambda: compile_block_tagger(bundle)(Block.of_rows(rows))))
    figure(
        "rows to the columns that tagging reads",
        seconds / len(rows),
        note="building the columns, and tagging them once",
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
