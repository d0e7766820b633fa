"""What a rule version in shadow costs ingest: ``python bench/shadow.py [ROWS]``.

The same prints are stored, enriched and committed into two stores by turns, batch by batch, one with a candidate in
shadow and one without; so whatever else the box does meets both. The figure is the processor time that the shadow adds
to that of the recorder, in percent: in batches as an import has them, and as small ones as a live feed has at 1,000
prints a second. Under a candidate with other constants of the formulas rows are read twice, which costs more. What
reading files or frames takes besides is not counted, and would make it less.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from enrich import SESSION, session
from phenix import app
from phenix.engine.bundle import Bundle
from phenix.engine.enrich.clock import utc_of
from phenix.engine.flow import INDEX
from phenix.engine.store.base import Batch, RuleVersion
from phenix.engine.store.sqlite import open_writer
from phenix.engine.store.sqlite_shadow import set_candidate

CANDIDATES = {
    "other thresholds": {"whales_min": "400k", "large_size_min": "800"},
    "other fills": {"aa_floor": "$0.05"},
}
SIZES = ((5_000, 1.0), (50, 0.1))
"""Rows of a batch, and the share of the rows that is stored in such."""


PER_SECOND = 640
_SPAN_S = 23_400
_OPEN = utc_of(SESSION, 34_200_000)
_TS = INDEX["trade_ts_utc"]
_TIMES = [INDEX[name] for name in ("trade_ts_utc", "trade_ts_et", "quote_ts_utc", "ingested_at_utc")]


def measured(raws: list[tuple[Any, ...]], size: int, candidate: Bundle) -> dict[str, float]:
    """CPU and wall seconds with the shadow and without, and CPU seconds of comparing."""
    with tempfile.TemporaryDirectory(prefix="phenix-bench-") as name:
        paths = [Path(name) / f"{kind}.sqlite" for kind in ("off", "on")]
        writers = [open_writer(path) for path in paths]
        recorders = [app.recorder(writer) for writer in writers]
        writers[1].put_rule_version(
            RuleVersion(candidate.version, candidate.config_json, candidate.checksum, False, 1, None, None)
        )
        set_candidate(paths[1], candidate.version)
        recorders[1].record(Batch(rows=raws[:1]))  # compiles the candidate
        recorders[0].record(Batch(rows=raws[:1]))
        for recorder in recorders:
            recorder.finish(level=True)
            recorder.cpu.clear()
        cpu, wall = [0.0, 0.0], [0.0, 0.0]
        for start in range(1, len(raws), size):
            for turn in (0, 1) if start // size % 2 else (1, 0):
                began = time.process_time(), time.perf_counter()
                recorders[turn].record(Batch(rows=raws[start : start + size]))
                cpu[turn] += time.process_time() - began[0]
                wall[turn] += time.perf_counter() - began[1]
        began = time.process_time(), time.perf_counter()
        recorders[1].finish(level=True)
        cpu[1] += time.process_time() - began[0]
        wall[1] += time.perf_counter() - began[1]
        assert writers[0].reads.watermark() == writers[1].reads.watermark()
        for writer in writers:
            writer.close()
        return {
            "off_cpu_s": cpu[0], "on_cpu_s": cpu[1], "off_wall_s": wall[0], "on_wall_s": wall[1],
            "compare_cpu_s": recorders[1].cpu["shadow"],
        }  # fmt: skip


def dense(rows: int) -> list[tuple[Any, ...]]:
    """The session's beginning, with as many prints a second as an average day has."""
    made = []
    for row in session(rows):
        cells = list(row)
        past = (row[_TS] - _OPEN) * rows // PER_SECOND // _SPAN_S
        for place in _TIMES:
            cells[place] += _OPEN + past - row[_TS]
        made.append(tuple(cells))
    return made


def main() -> None:
    """Measure and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    raws, figures = dense(rows), []
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)  # as import has it
    for name, params in CANDIDATES.items():
        candidate = app.packaged_bundle().with_params(params)
        assert isinstance(candidate, Bundle)
        for size, share in SIZES:
            found = measured(raws[: int(rows * share)], size, candidate)
            print(f"{name}, batches of {size}: {found}", file=sys.stderr)
            value = 100 * (found["on_cpu_s"] / found["off_cpu_s"] - 1)
            detail = {key: round(seconds, 3) for key, seconds in found.items()}
            detail["on_over_off_wall"] = round(found["on_wall_s"] / found["off_wall_s"], 3)
            figures.append({
                "id": "shadow", "what": f"processor time a shadow adds to ingest: {name}, batches of {size}",
                "value": round(value, 1), "unit": "%", "detail": detail,
            })  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
