"""``make bench``: run the scripts of this folder, keep their figures as JSON, print them as a table.

A script is run alone, in its own process, with nothing beside it. It prints one JSON array on
standard output, an object for each figure::

    {"id": "P3", "what": "import of a day, 1 M prints", "value": 61234, "unit": "prints/s", "detail": {…}}

and whatever it likes to say meanwhile on standard error. Absolute figures drift from run to run, so
each stands beside what it would be on the reference box, by the yardstick run around its script
(:mod:`bench._yardstick`), or around the figure itself when it holds a ``"yardstick"``; one with
``"waits": true`` is no matter of the processor, and stands alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from bench._yardstick import REFERENCE, measure, scaled

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def main() -> int:
    """Run every script, or those named; exit 1 if one failed."""
    scripts = sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))
    command = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write the figures down.")
    command.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"which to run: {', '.join(scripts)} (all)")
    wanted = command.parse_args().scripts or scripts
    if unknown := sorted(set(wanted) - set(scripts)):
        command.error(f"no script {', '.join(unknown)}; there are {', '.join(scripts)}")
    figures: list[dict[str, Any]] = []
    speeds: dict[str, tuple[int, int]] = {}
    failed: list[str] = []
    for name in wanted:
        print(f"-- {name}", file=sys.stderr)
        before = measure()
        done = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py")],
            env={**os.environ, "PYTHONPATH": str(HERE.parent)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            failed.append(name)
            continue
        speeds[name] = round(before), round(measure())
        speed = mean(speeds[name])
        figures += [{"script": name, **one, "reference": scaled(one, speed)} for one in json.loads(done.stdout)]
    now = datetime.now(UTC)
    box = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    whole = {"at": now.isoformat(), **box, "yardstick": {"reference": REFERENCE, **speeds}, "figures": figures}
    file.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    width = max((len(f["what"]) for f in figures), default=0)
    print(f"{'':<4} {'':<{width}} {'measured':>14} {'reference box':>14}")
    for figure in figures:
        there = "" if figure["reference"] is None else _shown(figure["reference"])
        print(f"{figure['id']:<4} {figure['what']:<{width}} {_shown(figure['value']):>14} {there:>14} {figure['unit']}")
    for name, (before, after) in speeds.items():
        speed = f"{before / REFERENCE:.2f} of the reference box before it, {after / REFERENCE:.2f} after"
        print(f"yardstick, {name}: {before:,} and {after:,} rows/s: {speed}")
    print(f"written to {file.relative_to(HERE.parent)}")
    for name in failed:
        print(f"{name} failed; its message stands above", file=sys.stderr)
    return 1 if failed else 0


def _shown(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
