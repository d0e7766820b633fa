"""``phenix replay``: a stored session recomputed."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenix.cli.command import CLEAN, FINDINGS, CommandError, date_number, date_text
from phenix.cli.progress import Line, pace
from phenix.cli.rules import named_bundle

if TYPE_CHECKING:
    from phenix.engine.bundle import Bundle
    from phenix.engine.replay import ChipChange, Difference, Replayed

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    command = commands.add_parser(
        "replay",
        help="recompute a stored session from its raw rows",
        description="Recompute a stored session from its raw rows, with the rule version each row was stored with, and "
        "count its chips. Nothing is written. With --verify every stored value is compared; exit 1 if one differs.",
    )
    command.add_argument("date", type=date_number, metavar="DATE", help="session date, such as 2026-11-20")
    command.add_argument("--verify", action="store_true", help="compare what is stored with what is recomputed")
    command.add_argument("--rules", nargs="+", type=Path, default=[], metavar="VERSION|FILE",
                         help="evaluate these rules beside, and say what changes for each chip: a rule version of the "
                         "store (or how it begins), or all the files or folders of a set of rules")  # fmt: skip
    command.add_argument("--store", metavar="URL", help="store to read (PHENIX_STORE)")
    command.add_argument("--json", action="store_true", help="print the report as JSON")
    command.set_defaults(run=_replay)


def _replay(args: argparse.Namespace) -> int:
    from phenix import app
    from phenix.engine.replay import Replayed
    from phenix.engine.store.base import StoreError

    shown, found = Line(), Replayed(args.date)
    store = args.settings.store if args.store is None else args.store
    try:
        with app.replay(store, args.date, verify=args.verify, rules=_rules(args)) as replay:
            for found in replay.run():
                if shown.due():
                    shown.show(f"replayed {pace(found.rows, found.expected, 'rows', found.rows, found.seconds)}")
    except KeyboardInterrupt:
        shown.end()
        so_far = f", {found.total:,} differences so far" if args.verify else ""
        print(f"phenix: interrupted after {found.rows:,} of {found.expected:,} rows{so_far}; nothing was written",
              file=sys.stderr)  # fmt: skip
        raise
    except (StoreError, LookupError, app.RulesError) as error:
        shown.end()
        raise CommandError(str(error)) from error
    shown.end()
    if not found.rows:
        raise CommandError(f"the store holds no rows of {date_text(args.date)}: see `phenix retention --dry-run` "
                           "for the sessions it holds")  # fmt: skip
    if args.json:
        import json

        print(json.dumps(_as_json(found, args), indent=1))
    else:
        print("\n".join(_as_text(found, args)))
    return FINDINGS if found.total else CLEAN


def _rules(args: argparse.Namespace) -> str | Bundle | None:
    """What to evaluate beside: files that are there, else a version of the store."""
    if len(args.rules) == 1 and not args.rules[0].exists():
        return str(args.rules[0])
    return named_bundle(args) if args.rules else None


def _as_text(found: Replayed, args: argparse.Namespace) -> list[str]:
    lines = [
        (
            f"{date_text(found.session_date)}: recomputed {found.rows:,} rows in {found.seconds:,.1f} s"
            f" ({found.rate:,.0f} rows/s) with rule version {', '.join(found.versions)}"
        ),
        f"cancels {found.cancels:,}, without an original {found.unmatched_cancels:,}",
    ]
    if args.rules:
        lines += _changes(list(found.chips.values()))
    else:
        lines += [f"{count:>10,}  {chip}" for chip, count in sorted(found.hits.items(), key=lambda hit: (-hit[1], hit))]
    if args.verify:
        lines += [_difference(difference) for difference in found.differences]
        if found.growing:
            lines.append("rows came meanwhile: statistics were not compared")
        by_field = ", ".join(f"{name} {count:,}" for name, count in sorted(found.by_field.items()))
        first = f"; the first {len(found.differences)} are shown" if found.total > len(found.differences) else ""
        lines.append(f"{found.total:,} differences{f' ({by_field})' if by_field else ''}{first}")
    return lines


def _difference(difference: Difference) -> str:
    where = f"row {difference.row} (seq {difference.seq})" if difference.seq else difference.row
    return f"{where}: {difference.field} is stored as {difference.stored!r}, recomputed {difference.recomputed!r}"


def _changes(chips: list[ChipChange]) -> list[str]:
    lines = [f"{'chip':<20}{'before':>12}{'after':>12}{'added':>12}{'removed':>12}"]
    for chip in chips:
        if chip.added or chip.removed:
            lines.append(f"{chip.id:<20}{chip.before:>12,}{chip.after:>12,}{chip.added:>12,}{chip.removed:>12,}")
            lines += [f"  + {row}" for row in chip.added_rows[:3]] + [f"  - {row}" for row in chip.removed_rows[:3]]
    same = sum(not (chip.added or chip.removed) for chip in chips)
    return [*(lines if len(lines) > 1 else []), f"{same} of {len(chips)} chips are the same on every row"]


def _as_json(found: Replayed, args: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {
        "sessionDate": date_text(found.session_date),
        "rows": found.rows,
        "ruleVersions": found.versions,
        "cancels": found.cancels,
        "unmatchedCancels": found.unmatched_cancels,
        "hits": dict(sorted(found.hits.items())),
        "seconds": round(found.seconds, 3),
        "rowsPerSecond": round(found.rate),
    }
    if args.verify:
        report["differences"] = {
            "total": found.total,
            "byField": dict(sorted(found.by_field.items())),
            "first": [asdict(difference) for difference in found.differences],
            "statisticsCompared": not found.growing,
        }
    if args.rules:
        names = {"added_rows": "addedRows", "removed_rows": "removedRows"}
        chips = (asdict(chip) for chip in found.chips.values())
        report["chips"] = [{names.get(name, name): value for name, value in chip.items()} for chip in chips]
    return report
