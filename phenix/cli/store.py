"""``phenix backup``, ``phenix restore`` and ``phenix retention``: copies of the store, and what leaves it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenix.cli.command import CLEAN, date_number, date_text
from phenix.cli.progress import Line, pace

if TYPE_CHECKING:
    from phenix.engine.store.sqlite_backup import Copied
    from phenix.engine.store.sqlite_retention import Held

__all__ = ["add"]

_MB = 1_000_000


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the commands."""
    backup = commands.add_parser(
        "backup",
        help="copy the store to one file, while ingest goes on",
        description="Copy the store, as it stands when the copy begins, to one file that is complete in itself, and "
        "check the copy. Ingest goes on meanwhile. The file appears under its name only when it is whole. Saved "
        "queries go to a file beside it (b.saved.sqlite beside b.sqlite), if there are any.",
    )
    restore = commands.add_parser(
        "restore",
        help="put a backup in the place of the store",
        description="Put a backup in the place of the store and bring it up to this version's schema. Refused while "
        "ingest, import or serve has the store open. The old store stays until the copy is whole and checked. Saved "
        "queries beside the backup are put in the place of the store's; without any there the store keeps its own.",
    )
    for command, run, text in ((backup, _backup, "file to write"), (restore, _restore, "backup to read")):
        command.add_argument("file", type=Path, metavar="FILE", help=text)
        command.add_argument("--store", metavar="URL", help="the store (PHENIX_STORE)")
        command.add_argument("--force", action="store_true", help="replace what is there")
        command.add_argument("--json", action="store_true", help="print the report as JSON")
        command.set_defaults(run=run)

    retention = commands.add_parser(
        "retention",
        help="remove old sessions from the store, while ingest goes on",
        description="Remove whole sessions with all that belongs to their time: prints, statistics, quotes, open "
        "interest, dead letters, gaps. They vanish for readers at once and from the file in small steps, between which "
        "ingest goes on. The latest session and the one being written stay. A stream asked to resume before the last "
        "removed row is refused (resume_expired). Interrupted, it is completed by the next run or the next ingest.",
    )
    which = retention.add_mutually_exclusive_group(required=True)
    which.add_argument("--keep-sessions", type=_count, metavar="N", help="keep the latest N sessions")
    which.add_argument("--before", type=date_number, metavar="DATE", help="remove the sessions before a date")
    retention.add_argument("--dry-run", action="store_true", help="say what would be removed, remove nothing")
    retention.add_argument("--compact", action="store_true",
                           help="then give the space to the system; needs a store without a writer, and as much room "
                           "again while it works. Without it the space is used again for new rows")  # fmt: skip
    retention.add_argument("--store", metavar="URL", help="the store (PHENIX_STORE)")
    retention.add_argument("--json", action="store_true", help="print the report as JSON")
    retention.set_defaults(run=_retention)


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _backup(args: argparse.Namespace) -> int:
    from phenix import app

    store = args.settings.store if args.store is None else args.store
    copied = _shown("copied", lambda tell: app.back_up(store, args.file, force=args.force, tell=tell))
    return _report(args, copied, f"{args.file} is a backup of the store")


def _restore(args: argparse.Namespace) -> int:
    from phenix import app

    store = args.settings.store if args.store is None else args.store
    copied = _shown("copied", lambda tell: app.restore(args.file, store, force=args.force, tell=tell))
    return _report(args, copied, f"the store is that of {args.file}")


def _shown(done: str, work: Callable[[Callable[[int, int], None]], Copied]) -> Copied:
    import time

    line, begun = Line(), time.monotonic()

    def tell(copied: int, total: int) -> None:
        if total and line.due():
            line.show(f"{done} {pace(copied // _MB, total // _MB or 1, 'MB', copied // _MB, time.monotonic() - begun)}")

    try:
        return work(tell)
    except KeyboardInterrupt:
        line.end()
        print("phenix: interrupted; nothing was changed", file=sys.stderr)
        raise
    finally:
        line.end()


def _report(args: argparse.Namespace, copied: Copied, what: str) -> int:
    if args.json:
        import json

        report: dict[str, Any] = {
            "rows": copied.rows,
            "rawWatermark": copied.raw_watermark,
            "watermark": copied.watermark,
            "savedQueries": copied.saved,
            "bytes": copied.size,
            "seconds": round(copied.seconds, 3),
        }
        print(json.dumps(report))
    else:
        saved = f"; {copied.saved:,} saved queries" if copied.saved else ""
        print(
            f"{what}: {copied.rows:,} rows up to seq {copied.raw_watermark:,}, enriched up to {copied.watermark:,}"
            f"{saved}; {copied.size / _MB:,.1f} MB, checked, in {copied.seconds:,.1f} s"
        )
    return CLEAN


def _retention(args: argparse.Namespace) -> int:
    import json
    import time
    from dataclasses import asdict

    from phenix import app

    store = args.settings.store if args.store is None else args.store
    held, leaving = app.choose_sessions(store, keep=args.keep_sessions, before=args.before)
    dates = {session.session_date for session in leaving}
    total = sum(session.rows for session in held if session.session_date in dates)
    line, begun = Line(), time.monotonic()

    def tell(rows: int) -> None:
        if line.due():
            line.show(f"removed {pace(rows, max(rows, total), 'rows', rows, time.monotonic() - begun)}")

    report: dict[str, Any] = {
        "removed": [date_text(date) for date in sorted(dates)],
        "kept": [date_text(session.session_date) for session in held if session.session_date not in dates],
        "rows": total,
        "dryRun": args.dry_run,
    }
    if not args.dry_run:
        try:
            figures = asdict(app.remove_sessions(store, leaving, tell))
        except KeyboardInterrupt:
            line.end()
            print("phenix: interrupted; a session is hidden or whole, and the same command completes the removal",
                  file=sys.stderr)  # fmt: skip
            raise
        finally:
            line.end()
        names = {"open_interest": "openInterest", "dead_letters": "deadLetters", "free": "freeBytes"}
        report |= {names.get(name, name): value for name, value in figures.items()}
    if args.compact and not args.dry_run:
        report["bytes"], report["freeBytes"] = app.compact(store), 0
    print(json.dumps(report) if args.json else "\n".join(_removed(report, held)))
    return CLEAN


def _removed(report: dict[str, Any], held: list[Held]) -> Iterator[str]:
    done = "would remove" if report["dryRun"] else "removed"
    rows = {date_text(session.session_date): session.rows for session in held}
    for date in report["removed"]:
        yield f"{done} {date}: {rows[date]:,} rows"
    if report["kept"]:
        yield f"kept {len(report['kept'])} sessions, {report['kept'][0]} to {report['kept'][-1]}"
    if not report["removed"]:
        yield "nothing to remove"
    if "quotes" in report:
        yield (
            f"in all {report['rows']:,} rows, {report['statistics']:,} lines of statistics,"
            f" {report['quotes']:,} quotes, {report['openInterest']:,} open interest,"
            f" {report['deadLetters']:,} dead letters, {report['gaps']:,} gaps"
        )
    if "bytes" in report:
        yield f"the store has {report['bytes'] / _MB:,.1f} MB now"
    elif report.get("freeBytes"):
        yield (
            f"{report['freeBytes'] / _MB:,.1f} MB of the file are free and will be used for new rows;"
            " --compact gives them to the system"
        )
