"""P4: rows a second through the packaged bundle's row function, every chip and the score of each row.

The rows are a believable session (the one of ``enrich.py``) through the real enricher, so nulls and shares are as in
use. Only tagging is timed: best of five over copies of the same rows, one core.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from enrich import NoRules, session
from phenix.engine.bundle import load_bundle
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.enricher import Enricher

ROWS = 100_000
BATCH = 5_000


def enriched(rows: int) -> list[list[Any]]:
    """Full stored rows without tags."""
    enricher = Enricher(Calendar.packaged(), NoRules(), lambda _date, _seq: (), lambda: 0)
    raws = session(rows)
    full: list[list[Any]] = []
    for start in range(0, rows, BATCH):
        batch = raws[start : start + BATCH]
        full += [[*raw, *more] for raw, more in zip(batch, enricher.enrich(batch).rows, strict=True)]
    return full


def main() -> None:
    """Measure and print."""
    bundle, found = load_bundle()
    if bundle is None:
        sys.exit(f"the packaged rules do not compile: {len(found)} findings")
    rows = enriched(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    seconds = []
    for _ in range(5):
        copies = [row.copy() for row in rows]
        began = time.perf_counter()
        for row in copies:
            bundle.tag(row)
        seconds.append(time.perf_counter() - began)
    what = f"tagging, {len(bundle.chips)} chips and the score, row target"
    figure = {"id": "P4", "what": what, "value": round(len(rows) / min(seconds)), "unit": "rows/s"}
    print(json.dumps([{**figure, "detail": {"rows": len(rows), "runs_s": [round(s, 4) for s in seconds]}}]))


if __name__ == "__main__":
    main()
