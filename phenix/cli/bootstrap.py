"""``phenix preflight`` and ``phenix bootstrap``: the terminal checked, and brought up."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from phenix.cli.command import CLEAN, FINDINGS, CommandError, date_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phenix.ingest.preflight import Report

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the commands."""
    preflight = commands.add_parser(
        "preflight",
        help="check the terminal before ingest",
        description="Check credentials, universe and terminal, then ask it a few things: lists, data of the "
        "subscription, data that must be refused, prints for ingest, and of the same day. Prints a JSON report with "
        "every answer as observed. Exit 1 when a check failed, 10 to 14 for a failure with a name (docs/preflight.md).",
    )
    preflight.add_argument("--date", type=date_number, help="day to ask data of (default: the latest with any)")
    preflight.add_argument("--no-smoke", action="store_true", help="ask nothing but health and the option list")
    preflight.set_defaults(run=_preflight)

    bootstrap = commands.add_parser(
        "bootstrap",
        help="start the terminal, its program fetched if need be",
        description="Start the vendor's terminal and wait until it is connected; one that is up already is left alone. "
        "It keeps running when this command ends. Prints a JSON report. Exit 10 to 14 for a failure with a name "
        "(docs/preflight.md).",
    )
    bootstrap.add_argument("--timeout", type=_seconds, default=60.0, metavar="S", help="longest wait (%(default)g s)")
    bootstrap.add_argument("--dry-run", action="store_true", help="say what would be fetched and started, do neither")
    bootstrap.set_defaults(run=_bootstrap)

    for command in (preflight, bootstrap):
        command.add_argument("--report", type=Path, metavar="FILE", help="write the report to a file, too")
        command.set_defaults(bad_settings=_bad_settings)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0 < seconds <= 3600:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to 3600")


def _preflight(args: argparse.Namespace) -> int:
    import asyncio

    from phenix import app

    return _end(args, asyncio.run(app.preflight(args.settings, date=args.date, smoke=not args.no_smoke)))


def _bootstrap(args: argparse.Namespace) -> int:
    import asyncio

    from phenix import app

    report = asyncio.run(app.bootstrap(args.settings, timeout_s=args.timeout, dry_run=args.dry_run))
    return _end(args, report, kept=not args.dry_run)


def _bad_settings(args: argparse.Namespace, problems: Sequence[str]) -> int:
    from phenix.ingest.preflight import of_settings

    return _end(args, of_settings(problems), kept=False)


def _end(args: argparse.Namespace, report: Report, *, kept: bool = True) -> int:
    from phenix.cli.preflight import tell
    from phenix.engine.preflight import FAILURES

    text = json.dumps(report.to_dict(), indent=1)
    print(text)
    if args.report is not None:
        try:
            args.report.write_text(f"{text}\n", "utf-8")
        except OSError as error:
            raise CommandError(f"the report cannot be written to {args.report}: {error.strerror}") from error
    tell(report, args.settings.store if kept else None)
    failed = report.failed
    if failed is None:
        return CLEAN
    return FAILURES[failed.code].exit if failed.code else FINDINGS
