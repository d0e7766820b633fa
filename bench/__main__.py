"""``make bench``: run the scripts of this folder, keep their figures as JSON, print them as a table.

A script is run alone, in its own process, with nothing beside it. It prints one JSON array on
standard output, an object for each figure::

    {"id": "P3", "what": "import of a day, 1 M prints", "value": 61234, "unit": "prints/s", "detail": {…}}

and whatever it likes to say meanwhile on standard error. Absolute figures drift from run to run:
compare ratios within one run.
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
    figures: list[dict[str, object]] = []
    failed: list[str] = []
    for name in wanted:
        print(f"-- {name}", file=sys.stderr)
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
        figures += [{"script": name, **figure} for figure in json.loads(done.stdout)]
    now = datetime.now(UTC)
    box = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps({"at": now.isoformat(), **box, "figures": figures}, indent=1) + "\n", "utf-8")
    width = max((len(str(f["what"])) for f in figures), default=0)
    for figure in figures:
        value = figure["value"]
        shown = f"{value:,.1f}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"
        print(f"{figure['id']:<4} {figure['what']!s:<{width}} {shown:>14} {figure['unit']}")
    print(f"written to {file.relative_to(HERE.parent)}")
    for name in failed:
        print(f"{name} failed; its message stands above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
