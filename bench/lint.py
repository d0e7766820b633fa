"""P8: what a rule author waits for: lint of 500 rules, one changed statement, one expression, the bundle's compile.

Each figure is the median of five runs, each between two of the yardstick, in seconds of the processor, so that
what else runs on the box counts little. Warm is in one process. Cold is a fresh process each time:
``load_bundle()`` after its imports, and with them; the grammar comes from its cache, as on every start but the
first. The editor changes one statement in a file of its own, and keeps what it knows of the others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count

from bench._yardstick import median_run
from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.source import Source
from phenix.engine.bundle import load_bundle, read_rules
from phenix.engine.check import Checks, check_rules
from phenix.engine.flow import CATALOG

RULES = 500
IMPORTS = "from phenix.engine.bundle import load_bundle"
BEGIN = "import time; began = time.process_time()"
END = "load_bundle(); print(time.process_time() - began)"
LOAD = f"{IMPORTS}\n{BEGIN}\n{END}"
WHOLE = f"{BEGIN}\n{IMPORTS}\n{END}"


def version() -> float:
    """Seconds of the smallest command there is, the start of Python with it."""
    began = os.times()
    subprocess.run([sys.executable, "-m", "phenix", "--version"], capture_output=True, check=True)
    ended = os.times()
    return ended.children_user + ended.children_system - began.children_user - began.children_system


def rules(number: int) -> list[Source]:
    """Files of 50 chips each, of the shapes the packaged rules have, no two alike."""
    bodies = (
        "value >= {a}k and vol_oi_ratio >= {b}",
        "dte in {b}..{a} and abs(otm_pct) <= {b}% and size >= {a} and side in {{ASK, AA}}",
        "repeat3m >= {a} or (value >= {a}k and dte <= {b} and vol_oi_ratio >= {b}.5)",
        "symbol in {{S{a}, SPY, QQQ}} and right = call and not multi_leg",
        "price >= ask + max(0.05, {b}% * (ask - bid)) and size > {a}",
    )
    out = []
    for file in range(0, number, 50):
        lines = []
        for i in range(file, min(file + 50, number)):
            body = bodies[i % len(bodies)].format(a=100 + i, b=1 + i % 90)
            lines.append(f'chip rule_{i} "Rule {i}" group bench = {body}\n  doc "Rule number {i}."')
        out.append(Source(f"bench_{file}.phx", "\n".join(lines) + "\n"))
    return out


def warm(run: Callable[[], object]) -> Callable[[], float]:
    """What times one call, seconds."""

    def timed() -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    return timed


def cold(script: str) -> Callable[[], float]:
    """What runs a script in a fresh process, and gives the seconds that the script prints."""

    def timed() -> float:
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return float(done.stdout)

    return timed


def main() -> None:
    """Measure and print."""
    bundle, found = load_bundle()
    if bundle is None:
        sys.exit(f"the packaged rules do not compile: {len(found)} findings")
    many = [*read_rules(), *rules(RULES)]
    findings = check_rules(many)
    if any(d.severity == "error" for d in findings):
        sys.exit(f"the rules of the bench do not compile: {findings[0].message}")
    packaged, editor = read_rules(), Checks()
    body = "@urgent and value >= {}k and (dte in 21..180 or size >= 500)"
    statements = (Source("editor.phx", f'chip mine "Mine" = {body.format(i)} doc "Mine."') for i in count(300))
    check_rules([*packaged, next(statements)], editor)
    where = "value >= 250k and dte <= 14 and @urgent and side in {AA, ASK} and vallue > 5"
    figures = [
        ("P8", f"lint of {RULES} rules and the packaged ones, warm", warm(lambda: check_rules(many))),
        ("P8", f"compile of {RULES} rules and the packaged ones, warm", warm(lambda: compile_program(many, CATALOG))),
        ("P8", "editor: findings of one expression",
         warm(lambda: compile_condition(Source("where", where), bundle.scope))),
        ("P8", "editor: findings of the packaged rules and one changed statement, lints and all",
         warm(lambda: check_rules([*packaged, next(statements)], editor))),
        ("P8", "bundle compile, warm", warm(load_bundle)),
        ("P8", "bundle compile, cold, after imports", cold(LOAD)),
        ("P8", "bundle compile, cold, with imports", cold(WHOLE)),
        ("P10", "start of `phenix --version`", version),
    ]  # fmt: skip
    out = []
    for id_, what, run in figures:
        seconds, rows_s = median_run(run)
        out.append({"id": id_, "what": what, "value": round(seconds * 1000, 1), "unit": "ms", "yardstick": rows_s})
    print(json.dumps(out))


if __name__ == "__main__":
    main()
