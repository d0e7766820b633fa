"""What the comparisons of a candidate say, as one value: an artifact of a session, or a report over several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from phenix.engine.encode import date_text, ts_text
from phenix.engine.enrich.clock import HOUR, MINUTE
from phenix.engine.shadow.bands import FEW, REQUIRED, Bands, Breach, SessionVerdict, Verdict
from phenix.engine.shadow.counts import IDS, SCORE_SCALE, ChipCounts, Counts
from phenix.engine.shadow.page import render
from phenix.engine.store.shadow import STORED, Comparison

__all__ = ["artifacts_of", "report", "write_artifact"]

_SYMBOLS: Final = 20
_CHIP_SYMBOLS: Final = 5


def artifacts_of(store: Path) -> Path:
    """The folder in which the artifacts of a store's comparisons are."""
    return store.with_name(f"{store.name}.shadow")


def report(found: Verdict, compared: Sequence[Comparison], bands: Bands, now_utc: int) -> dict[str, Any]:
    """The report of some of the comparisons that a verdict is of, as JSON."""
    judged = {one.session_date: one for one in found.sessions}
    return {
        "active": found.active,
        "candidate": found.candidate,
        "generatedAt": ts_text(now_utc),
        "bands": {"hitsPct": float(bands.hits_pct), "rowsPct": float(bands.rows_pct), "fewRows": FEW},
        "verdict": {"outcome": found.outcome.value, "reason": found.reason, "sessionsRequired": REQUIRED},
        "sessions": [_session(one, judged[one.session_date]) for one in compared],
    }


def write_artifact(folder: Path, told: dict[str, Any]) -> list[Path]:
    """Write the artifact of a report's only session as JSON and as a page; the files.

    Raises OSError that names the folder, where what was written of a file does not stay.
    """
    (session,) = told["sessions"]
    files = []
    for kind, data in (("json", orjson.dumps(told, option=orjson.OPT_INDENT_2)), ("html", render(told).encode())):
        file = folder / f"{session['sessionDate']}-{told['candidate']}.{kind}"
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(file)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from error  # a full disk names no file
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        files.append(file)
    return files


def _session(one: Comparison, judged: SessionVerdict) -> dict[str, Any]:
    try:
        counts = Counts.from_json(one.counts)
    except ValueError:
        counts = Counts()
    scores, taken = counts.scores, counts.taken
    by_changed = sorted(counts.symbols.items(), key=lambda item: (-item[1][1], item[0]))
    return {
        "sessionDate": date_text(one.session_date),
        "outcome": judged.outcome.value,
        "reason": judged.reason,
        "whole": judged.whole,
        "computedAfterwards": one.origin == STORED,
        "uptoSeq": one.upto_seq,
        "rows": one.rows,
        "missedRows": one.missed,
        "changedRows": counts.changed,
        "begunAt": ts_text(one.begun_at),
        "updatedAt": ts_text(one.updated_at),
        "chips": [
            _chip(id_, chip, counts.rows, [breach for breach in judged.breaches if breach.chip == id_])
            for id_, chip in counts.chips.items()
        ],
        "symbols": [
            {"symbol": symbol, "rows": rows, "changedRows": changed}
            for symbol, (rows, changed) in by_changed[:_SYMBOLS] if changed
        ],
        "times": [
            {"at": f"{begin // HOUR:02d}:{begin % HOUR // MINUTE:02d}", "rows": rows, "changedRows": changed}
            for begin, (rows, changed) in sorted(counts.times.items())
        ],
        "score": {
            "comparedRows": scores.compared,
            "changedRows": scores.changed,
            "meanDifference": scores.sum / SCORE_SCALE / scores.compared if scores.compared else None,
            "largestDifference": scores.largest / SCORE_SCALE,
        },
        "latency": {
            "rows": taken.rows,
            "activeMicrosecondsPerRow": taken.old_ns / taken.rows / 1_000 if taken.rows else None,
            "candidateMicrosecondsPerRow": taken.new_ns / taken.rows / 1_000 if taken.rows else None,
        },
    }  # fmt: skip


def _chip(id_: str, chip: ChipCounts, rows: int, found: Sequence[Breach]) -> dict[str, Any]:
    return {
        "id": id_,
        "inActive": chip.has_old,
        "inCandidate": chip.has_new,
        "old": chip.old,
        "new": chip.new,
        "both": chip.both,
        "added": chip.added,
        "removed": chip.removed,
        "oldUnknown": chip.old_unknown,
        "newUnknown": chip.new_unknown,
        "oldShare": chip.old / rows if rows else 0.0,
        "newShare": chip.new / rows if rows else 0.0,
        "addedIds": chip.added_ids,
        "removedIds": chip.removed_ids,
        "truncated": {"added": chip.added > IDS, "removed": chip.removed > IDS},
        "symbols": [
            {"symbol": symbol, "changedRows": changed}
            for symbol, changed in sorted(chip.symbols.items(), key=lambda item: (-item[1], item[0]))[:_CHIP_SYMBOLS]
        ],
        "breaches": [
            {"band": one.band, "change": one.change, "limit": one.limit, "message": str(one)} for one in found
        ],
    }  # fmt: skip
