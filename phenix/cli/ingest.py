"""``phenix import``, ``phenix ingest`` and ``phenix preflight``: prints into the store."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from phenix.cli.command import CLEAN, FINDINGS, CommandError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from phenix.ingest.importer import Progress, Summary
    from phenix.ingest.preflight import Report
    from phenix.ingest.recorder import Recorder
    from phenix.ingest.worker import Figures

__all__ = ["add"]

T = TypeVar("T")

_APART_BYTES: Final = 4 * 2**20
"""From this size on files are read in a process of their own; below it would only take longer to start."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``import``, ``ingest`` and ``preflight``."""
    files = commands.add_parser(
        "import",
        help="store prints of trade_quote files",
        description="Store the prints of trade_quote files in the order of trade time, enrich and tag them. Importing "
        "again adds nothing, so an interrupted import is completed by running it again. Lines that are no prints are "
        "kept as dead letters with their reason.",
    )
    files.add_argument("files", nargs="+", type=Path, metavar="FILE", help="trade_quote files: CSV, or .ndjson")
    files.add_argument("--open-interest", action="append", nargs="+", type=Path, default=[], metavar="FILE",
                       help="open_interest files of the same days")  # fmt: skip
    files.add_argument("--underlying", action="append", nargs="+", type=Path, default=[], metavar="FILE",
                       help="quotes of the underlyings, with their symbol")  # fmt: skip
    files.add_argument("--store", metavar="URL", help="store to write (PHENIX_STORE)")
    files.add_argument("--json", action="store_true", help="print the summary as JSON")
    files.set_defaults(run=run_import)

    live = commands.add_parser(
        "ingest",
        help="store prints as the terminal streams them",
        description="Subscribe the contracts of the universe at the terminal, store their prints, enrich and tag them, "
        "until stopped. Reconnects by itself; after any end the next run continues where the store stands.",
    )
    live.add_argument("--store", metavar="URL", help="store to write (PHENIX_STORE)")
    live.add_argument("--date", type=_date, help="day whose contracts are subscribed (default: the latest with any)")
    live.add_argument("--once", action="store_true", help="end when the terminal says that the market has closed")
    live.add_argument("--stop-after", type=_count, metavar="N", help="end after N prints")
    live.add_argument("--no-preflight", action="store_true", help="do not wait for the terminal to be connected")
    live.set_defaults(run=run_ingest)

    checks = commands.add_parser(
        "preflight",
        help="check the terminal before ingest",
        description="Check that the terminal answers, is connected and lists options. Prints a JSON report.",
    )
    checks.set_defaults(run=run_preflight)


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def _date(text: str) -> int:
    from datetime import date

    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-11-20") from None
    return day.year * 10_000 + day.month * 100 + day.day


def run_import(args: argparse.Namespace) -> int:
    """Import files; exit 0 with dead letters too, they are kept and counted."""
    from phenix import app
    from phenix.engine.store.base import StoreError
    from phenix.ingest.importer import import_parts
    from phenix.ingest.layout import LayoutError
    from phenix.ingest.reading import Sources, check_sources, read_parts, read_parts_apart

    sources = Sources(
        tuple(args.files),
        tuple(path for paths in args.open_interest for path in paths),
        tuple(path for paths in args.underlying for path in paths),
    )
    # The collector would walk millions of rows' state again and again to find no cycle in it.
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)
    shown = _Progress()
    try:
        check_sources(sources)
        size = sum(path.stat().st_size for path in sources.trades)
        read = read_parts_apart if size >= _APART_BYTES else read_parts
        with app.open_writer(args.settings.store if args.store is None else args.store) as writer:
            summary = import_parts(read(sources), app.recorder(writer), shown.tell)
    except KeyboardInterrupt:
        shown.end()
        print(
            "phenix: interrupted; what was shown as stored is stored, and the same command continues", file=sys.stderr
        )
        raise
    except (LayoutError, StoreError, app.RulesError, ChildProcessError) as error:
        shown.end()
        raise CommandError(str(error)) from error
    except OSError as error:
        shown.end()
        raise CommandError(f"{error.filename or 'a file'} cannot be read: {error.strerror}") from error
    shown.end()
    print(_as_json(summary) if args.json else _as_text(summary))
    return CLEAN


def run_ingest(args: argparse.Namespace) -> int:
    """Take prints from the terminal until stopped; prints what was stored at the end."""
    import asyncio

    from phenix import app
    from phenix.engine.store.base import StoreError
    from phenix.ingest.terminal.client import TerminalError
    from phenix.ingest.universe import UniverseError, load_universe

    _log_to_stderr()
    try:
        load_universe(args.settings.ingest_symbols, args.settings.universe)
        with app.open_writer(args.settings.store if args.store is None else args.store) as writer:
            figures = asyncio.run(_ingest(args, app.recorder(writer)))
    except (StoreError, TerminalError, UniverseError, app.RulesError) as error:
        raise CommandError(str(error)) from error
    print(
        f"stored {figures.stored:,}, duplicates {figures.duplicates:,}, dead letters {figures.dead_letters:,},"
        f" dropped messages {figures.dropped_messages:,}, connections {figures.connections:,},"
        f" batches {figures.batches:,}"
    )
    return CLEAN


async def _ingest(args: argparse.Namespace, recorder: Recorder) -> Figures:
    import asyncio
    import signal

    from phenix import app
    from phenix.ingest.preflight import wait_healthy
    from phenix.ingest.worker import Figures

    settings = args.settings
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with app.terminal_client(settings) as terminal:
        if not args.no_preflight:
            check = await _unless(
                stop, wait_healthy(terminal, settings.health_path, settings.connect_timeout_ms / 1000)
            )
            if check is None:
                return Figures()
            if not check.ok:
                raise CommandError(f"{check.code}: {check.detail}")
        worker = await _unless(
            stop,
            app.worker(settings, recorder, terminal, date=args.date, once=args.once, stop_after=args.stop_after),
        )
        return await worker.run(stop) if worker else Figures()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work; None when the stop came first."""
    import asyncio

    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return await task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


def run_preflight(args: argparse.Namespace) -> int:
    """Check the terminal; exit 1 when something is not as ingest needs it."""
    import asyncio
    import json

    from phenix import app
    from phenix.ingest.preflight import preflight

    settings = args.settings

    async def look() -> Report:
        async with app.terminal_client(settings) as terminal:
            return await preflight(terminal, settings.health_path, settings.connect_timeout_ms / 1000)

    report = asyncio.run(look())
    print(json.dumps(report.to_dict(), indent=1))
    return CLEAN if report.ok else FINDINGS


def _log_to_stderr() -> None:
    import logging

    class Lines(logging.Formatter):
        """One JSON object a line."""

        def format(self, record: logging.LogRecord) -> str:
            import json

            at = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}"
            line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
            if record.exc_info:
                line["error"] = self.formatException(record.exc_info)
            return json.dumps(line)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logger = logging.getLogger("phenix")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


class _Progress:
    """One line on standard error: rewritten on a terminal, repeated every few seconds elsewhere."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._every = 0.2 if self._tty else 5.0
        self._next = time.monotonic() + self._every
        self._open = False
        self._since: tuple[int, float] | None = None

    def tell(self, progress: Progress) -> None:
        if progress.phase == "read" and self._since is None:
            self._since = (progress.done, progress.seconds)
        now = time.monotonic()
        if now < self._next or not progress.total:
            return
        self._next = now + self._every
        share = f"{progress.done / progress.total:4.0%}"
        if progress.phase == "read" and self._since is not None:
            lines, seconds = progress.done - self._since[0], progress.seconds - self._since[1]
            rate = lines / seconds if seconds > 0 else 0.0
            left = f", {(progress.total - progress.done) / rate:,.0f} s left" if rate else ""
            text = f"stored {progress.done:,} of {progress.total:,} lines ({share}), {rate:,.0f} a second{left}"
        else:
            text = f"finding the order of the files ({share})"
        self._open = self._tty
        print(f"\r{text:<100}" if self._tty else text, end="" if self._tty else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._open:
            print(file=sys.stderr)
            self._open = False


def _as_text(summary: Summary) -> str:
    letters = sum(summary.dead_letters.values())
    lines = [
        (
            f"read {summary.read:,}: stored {summary.stored:,}, duplicates {summary.duplicates:,},"
            f" dead letters {letters:,} in {summary.seconds:,.1f} s ({summary.rate:,.0f} prints/s)"
        )
    ]
    lines += [f"  {count:>8,}  {reason}" for reason, count in sorted(summary.dead_letters.items())]
    if summary.quotes or summary.open_interest:
        lines.append(f"underlying quotes {summary.quotes:,}, open interest {summary.open_interest:,}")
    if summary.unmatched_cancels:
        lines.append(f"cancels without an original {summary.unmatched_cancels:,}")
    if summary.caught_up:
        lines.append(f"enriched first, left by an earlier run: {summary.caught_up:,}")
    return "\n".join(lines)


def _as_json(summary: Summary) -> str:
    import json

    return json.dumps(
        {
            "read": summary.read,
            "stored": summary.stored,
            "duplicates": summary.duplicates,
            "deadLetters": dict(sorted(summary.dead_letters.items())),
            "underlyingQuotes": summary.quotes,
            "openInterest": summary.open_interest,
            "unmatchedCancels": summary.unmatched_cancels,
            "caughtUp": summary.caught_up,
            "seconds": round(summary.seconds, 3),
            "printsPerSecond": round(summary.rate),
        }
    )
