"""Fault matrix: every fault of the stand-in's table, alone and in random pairs, against a real worker and store."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from textwrap import dedent
from typing import Final

from drills._balance import Case, Outcome, play
from phenix.cli.markdown import code, page, table
from phenix.engine.store.base import GapState
from phenix.ingest.terminal.faults import FAULTS

__all__ = ["CASES", "main", "pair", "run"]

_CUT: Final = "abrupt_close:after={after},count=1"


def _history(fault: str, **params: object) -> tuple[str, ...]:
    """A REST fault where it hurts: as the worker starts, and when it asks for what a lost connection missed."""
    more = "".join(f",{name}={value}" for name, value in params.items())
    return _CUT, f"{fault}:path=list/contracts,count=4{more}", f"{fault}:path=trade_quote,count=6{more}"


_FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "cancels": ("cancels:share=0.1,delay=7,code=44,seed={seed}",),
    "late_prints": ("late_prints:share=0.1,delay=40,seed={seed}",),
    "out_of_order": ("out_of_order:share=0.2,delay=5,seed={seed}",),
    "sequence_wrap": ("sequence_wrap:after=300",),
    "one_sided_quotes": ("one_sided_quotes:share=0.3,seed={seed}",),
    "crossed_quotes": ("crossed_quotes:share=0.3,seed={seed}",),
    "unknown_conditions": ("unknown_conditions:share=0.2,seed={seed}",),
    "unknown_exchanges": ("unknown_exchanges:share=0.2,seed={seed}",),
    "abrupt_close": ("abrupt_close:after={after},count=2",),
    "second_client": ("second_client:after={after},count=2",),
    "status_flapping": ("status_flapping:after={after},for=0.7s,count=2",),
    "silent_feed": ("silent_feed:after={after},for=7s",),
    "duplicate_frames": ("duplicate_frames:share=0.3,seed={seed}",),
    "stale_frames": (_CUT, "stale_frames:prints=30"),
    "broken_frames": ("broken_frames:share=0.1,seed={seed}",),
    "joined_frames": ("joined_frames:share=0.5,lines=20,seed={seed}",),
    "split_frames": ("split_frames:share=0.5,seed={seed}",),
    "refused_requests": ("refused_requests:word=ERROR,count=40",),
    "http_error": _history("http_error"),
    "permission_text": _history("permission_text"),
    "slow_body": _history("slow_body", wait=0.5),
    "truncated_body": _history("truncated_body"),
    **{name: _history(name) for name in FAULTS if name.startswith("http_") and name != "http_error"},
}
"""How each fault of the table is played."""
_LASTING: Final = {"silent_feed": 16.0}
"""Seconds by which a day is played longer, so that it is not over before the fault is."""
_FILLED_S: Final = {"silent_feed": 20.0}
"""Seconds from a fault's end to a filled gap, where it takes longer: requests have no answer, and are waited for."""
_WIDER_S: Final = {"status_flapping": 2.0, "silent_feed": 12.0}
"""Seconds a gap is wider than its loss, where more than a connection is waited for: the next STATUS, or answers."""
_VARIANTS: Final = (
    Case("abrupt_close, nothing drained", ("abrupt_close:after=400,drain=0,count=2",)),
    Case("second_client, a real one", (), rival=True),
    Case("silent_feed, 3 s", ("silent_feed:after=400,for=3s",), seconds=8.0),
    Case("refused_requests, no answer", ("refused_requests:word=SILENCE,count=40",), seconds=18.0),
    Case("truncated_body, looks complete", tuple(t.format(after=400) for t in _history("truncated_body", end="clean"))),
)


def _case(name: str, faults: Sequence[str], after: int = 400, seed: int = 0) -> Case:
    texts = [text.format(after=after, seed=seed) for fault in faults for text in _FAULTS[fault]]
    seconds = 4.0 + sum(_LASTING.get(fault, 0.0) for fault in faults)
    filled_s = max(_FILLED_S.get(fault, 10.0) for fault in faults)
    wider_s = max(_WIDER_S.get(fault, 1.0) for fault in faults)
    return Case(name, tuple(dict.fromkeys(texts)), seconds, filled_s=filled_s, wider_s=wider_s, seed=1 + seed)


CASES: Final = (*(_case(name, (name,)) for name in FAULTS), *_VARIANTS)
"""Each fault alone, in the order of the table, and what else some of them can do."""


def pair(rng: random.Random) -> Case:
    """Two faults at once, at moments of their own."""
    first, second = rng.choice(list(combinations(FAULTS, 2)))
    return _case(f"{first} + {second}", (first, second), rng.randint(150, 500), rng.randint(0, 1000))


def run(case: Case) -> Outcome:
    """Play one case in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        return asyncio.run(play(case, Path(folder)))


def main(arguments: list[str]) -> int:
    """Play the matrix; exit 1 when a run does not balance."""
    command = argparse.ArgumentParser(prog="python -m drills faults", description=__doc__)
    command.add_argument("--pairs", type=int, default=40, metavar="N", help="random pairs (%(default)s)")
    command.add_argument("--seed", type=int, default=1, help="which pairs, and when each fault begins (%(default)s)")
    command.add_argument("--only", metavar="NAME", help="only cases whose name holds this text, and no pairs")
    command.add_argument("--jobs", type=int, default=3, metavar="N", help="runs side by side (%(default)s)")
    command.add_argument("--write", type=Path, metavar="FILE", help="write the page of the results, docs/faults.md")
    given = command.parse_args(arguments)
    logging.disable()
    rng = random.Random(given.seed)
    cases = [*CASES, *(pair(rng) for _ in range(given.pairs))]
    if given.only:
        cases = [case for case in CASES if given.only in case.name]
    failed, outcomes = 0, []
    with ProcessPoolExecutor(given.jobs) as pool:
        for n, outcome in enumerate(pool.map(run, cases), 1):
            print(_line(outcome), flush=True)
            print(f"{n} of {len(cases)}", end="\r", file=sys.stderr, flush=True)
            failed += bool(outcome.problems)
            outcomes.append(outcome)
    if given.write:
        given.write.write_text(_page(outcomes, given.seed), "utf-8")
    print(f"{len(cases)} runs, {len(cases) - failed} held, {failed} did not")
    return 1 if failed else 0


def _line(it: Outcome) -> str:
    ledger, figures = it.ledger, it.figures
    lost = sum(ledger["lost"].values())
    verdict = "; ".join(it.problems) or "held"
    times = [f"{value:.2f}" if value is not None else "-" for value in (it.recovery_s, it.filled_s)]
    return (
        f"{it.case.name:32} due {ledger['due']:5} lost {lost:4} broken {ledger['broken']:3}"
        f" unwanted {ledger['unwanted']:4} | rows {it.rows:5} dup {figures.duplicates:4} letters {it.letters:3}"
        f" gaps {','.join(gap.state for gap in it.gaps) or '-'} recovered {it.recovered:3}"
        f" connections {figures.connections} starts {it.starts} back {times[0]} filled {times[1]} | {verdict}"
    )


# -- the page: only what every run of the same seed gives


def _page(outcomes: Sequence[Outcome], seed: int) -> str:
    alone = [it for it in outcomes if it.case in CASES]
    pairs = [it for it in outcomes if it.case not in CASES]
    heads = (
        "Fault", "Played as", "Starts", "Connections", "Gaps", "Prints not stored", "Dead letters", "Dropped",
        "Back within", "Gaps filled within", "Verdict",
    )  # fmt: skip
    shown = [_row(it) for it in alone]
    names = ", ".join(sorted(it.case.name for it in pairs if not it.problems)) or "none"
    broken = [f"- {it.case.name}: {'; '.join(it.problems)}" for it in pairs if it.problems]
    return page(
        "Fault matrix",
        _INTRO.format(seconds=CASES[0].seconds),
        "## Alone\n\n" + table(heads, shown),
        f"## In pairs\n\n{len(pairs)} pairs drawn with seed {seed}; {len(pairs) - len(broken)} held.\n\n"
        + "\n".join([f"Held: {names}.", *broken]),
        "## What is not noticed, or not whole\n\n" + _LIMITS,
        by=f"python -m drills faults --pairs {len(pairs)} --seed {seed} --write docs/faults.md",
    )


_INTRO: Final = dedent("""\
    Every fault of the [stand-in terminal](terminal.md), alone and in random pairs, against a real worker and a real
    store over real sockets. A generated session of about 1,500 prints is played in {seconds:g} seconds or a little
    more; history is asked again each second where it had no answer (in production each five minutes). Each run must
    hold:

    - no crash, and no task that ends unnoticed;
    - TRADE frames the terminal sent = rows + duplicates + dead letters + counted drops;
    - each print of the day is a row, a dead letter, of a stream that was refused, or within a recorded gap; a gap that
      is filled lacks none;
    - gaps begin and end with what was lost: at most one second of the feed wider, two where the next STATUS is waited
      for, twelve where answers to requests are;
    - prints are stored again, and gaps filled, within the stated times after the fault has ended;
    - `replay --verify` finds no difference in what is stored.""")
_LIMITS: Final = dedent("""\
    - A silence of less than 2.5 seconds, after which all goes on, cannot be told from a quiet market.
    - A print that comes late by itself and is lost in an outage counts as lost in that gap; history has it at its own
      time, which is not asked for where that is before the gap.
    - Cancels are rows of their own, and the stand-in's history has none: those lost in a gap are not recovered here.
    - A stream that is refused is not known to be missing prints; one refused with an error or without an answer is
      asked for again when the plan is made again.
    - A broken frame is kept as a dead letter and `phenix ingest redrive` reads it again; what was cut off is gone.""")


def _row(it: Outcome) -> tuple[str, ...]:
    case, missing = it.case, "none"
    if it.letters and it.missing:
        missing = "those of the dead letters"
    elif any(gap.state is GapState.REFUSED for gap in it.gaps):
        missing = "those in the gap"
    elif "refused_requests" in it.fired and it.missing:
        missing = "those of refused streams"
    kinds = Counter((gap.cause.value, gap.state.value) for gap in it.gaps)
    name, _, more = case.name.partition(", ")
    return (
        code(name) + (f", {more}" if more else ""),
        "<br>".join(map(code, case.faults)) or "another client connects",
        str(it.starts),
        str(it.figures.connections),
        ", ".join(f"{count} {cause}: {state}" for (cause, state), count in sorted(kinds.items())) or "none",
        missing,
        str(it.letters),
        str(it.figures.dropped_messages),
        f"{case.back_s:g} s" if it.recovery_s is not None else "",
        f"{case.filled_s:g} s" if it.filled_s is not None else "",
        "; ".join(it.problems) or "held",
    )
