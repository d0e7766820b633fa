"""``phenix import`` and ``phenix ingest``: prints into the store."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from phenix.cli.command import CLEAN, FINDINGS, CommandError, date_number, port, refuse
from phenix.cli.progress import Line, pace

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Sequence

    from phenix.engine.spans import Spans
    from phenix.engine.store.base import Writer
    from phenix.ingest.figures import Figures
    from phenix.ingest.importer import Progress, Summary
    from phenix.ingest.preflight import Report
    from phenix.ingest.recorder import Recorder

__all__ = ["add"]

T = TypeVar("T")

_WAIT_S: Final = 2.0
"""Who stores rules while no ingest runs is the writer for a moment."""
_APART_BYTES: Final = 4 * 2**20
"""From this size on files are read in a process of their own; below it would only take longer to start."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``import`` and ``ingest``."""
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
        "until stopped. Reconnects by itself; after any end the next run continues where the store stands. Exit 10 to "
        "14 for a failure with a name (docs/preflight.md).",
    )
    live.add_argument("--store", metavar="URL", help="store to write (PHENIX_STORE)")
    live.add_argument(
        "--date", type=date_number, help="day whose contracts are subscribed (default: the latest with any)"
    )
    live.add_argument("--once", action="store_true", help="end when the terminal says that the market has closed")
    live.add_argument("--stop-after", type=_count, metavar="N", help="end after N prints")
    live.add_argument(
        "--no-preflight", action="store_true", help="do not check the terminal first, nor wait for it to be connected"
    )
    live.add_argument(
        "--metrics-port", type=port, metavar="PORT",
        help="port of this machine for /metrics and /health; 0 takes a free one and logs it (PHENIX_METRICS_PORT)",
    )  # fmt: skip
    live.set_defaults(run=run_ingest, serves=True, bad_settings=_bad_settings)

    actions = live.add_subparsers(title="dead letters", metavar="ACTION")
    redrive = actions.add_parser(
        "redrive",
        help="read dead letters again, and store those that are understood now",
        description="Read dead letters again, as a later version may understand what an earlier one refused. What "
        "becomes a row is stored once and its letter marked, in one transaction; the others stay, and exit is 1.",
    )
    redrive.set_defaults(run=_redrive, serves=False)
    letters = actions.add_parser(
        "letters",
        help="list the dead letters",
        description="List the dead letters, oldest first: when, where, why, and the record as it came.",
    )
    letters.set_defaults(run=_letters, serves=False)
    for action in (redrive, letters):
        action.add_argument("--reason", default="", metavar="CODE", help="only letters of this reason")
        action.add_argument("--store", default=argparse.SUPPRESS, metavar="URL", help="the store (PHENIX_STORE)")
        action.add_argument("--json", action="store_true", help="print the report as JSON")


def _spare_rows() -> None:
    """Have the collector look seldom: it would walk millions of rows' state again and again to find no cycle in it."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


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
    _spare_rows()
    shown = _Progress()
    try:
        check_sources(sources)
        size = sum(path.stat().st_size for path in sources.trades)
        read = read_parts_apart if size >= _APART_BYTES else read_parts
        with app.open_writer(_store(args)) as writer:
            summary = import_parts(read(sources), _recorder(args, writer), shown.tell)
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
    import os

    from phenix import app
    from phenix.engine.preflight import CONFIG
    from phenix.engine.spans import sending
    from phenix.engine.store.base import StoreError
    from phenix.ingest.preflight import Check, Report
    from phenix.ingest.terminal.client import TerminalError
    from phenix.ingest.universe import UniverseError, load_universe

    try:
        load_universe(args.settings.ingest_symbols, args.settings.universe)
    except UniverseError as error:
        raise _failed(args, Report([Check("universe", False, str(error), CONFIG)])) from error
    try:
        with sending("phenix-ingest", os.environ) as spans, app.open_writer(_store(args), wait_s=_WAIT_S) as writer:
            recorder = _recorder(args, writer, spans)
            _spare_rows()
            args.logs.about = lambda: {"rule_version": recorder.rule_version, "watermark": recorder.watermark}
            figures = asyncio.run(_ingest(args, recorder))
    except (StoreError, TerminalError, UniverseError, app.RulesError) as error:
        raise CommandError(str(error)) from error
    print(
        f"stored {figures.stored:,}, duplicates {figures.duplicates:,}, dead letters {figures.dead_letters:,},"
        f" dropped messages {figures.dropped_messages:,}, connections {figures.connections:,},"
        f" batches {sum(figures.batches.counts):,}\nlatency: {figures.latency}"
    )
    return CLEAN


def _store(args: argparse.Namespace) -> str:
    return str(args.settings.store if args.store is None else args.store)


def _recorder(args: argparse.Namespace, writer: Writer, spans: Spans | None = None) -> Recorder:
    from phenix import app

    artifacts = app.comparisons(_store(args), app.bands(args.settings))
    return app.recorder(writer, artifacts, args.settings.params, spans)


def _failed(args: argparse.Namespace, report: Report) -> CommandError:
    """What ingest ends with after a report of a failure, told to operators, too."""
    from phenix.cli.preflight import tell
    from phenix.ingest.preflight import exit_of

    failed = report.failed
    assert failed is not None
    tell(report, _store(args))
    return CommandError(f"{failed.code}: {failed.detail}" if failed.code else failed.detail, exit_of(failed))


def _bad_settings(_: argparse.Namespace, problems: Sequence[str]) -> int:
    from phenix.cli.preflight import tell
    from phenix.engine.preflight import CONFIG, FAILURES
    from phenix.ingest.preflight import of_settings

    tell(of_settings(problems), None)
    return refuse("\n".join(f"{CONFIG}: {problem}" for problem in problems), FAILURES[CONFIG].exit)


async def _ingest(args: argparse.Namespace, recorder: Recorder) -> Figures:
    import asyncio
    import logging
    import signal
    from contextlib import ExitStack

    from phenix import app
    from phenix.cli.preflight import tell
    from phenix.engine.preflight import forget_report
    from phenix.engine.store.base import sqlite_path
    from phenix.ingest.figures import Figures
    from phenix.ingest.preflight import preflight

    settings = args.settings
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with app.terminal_client(settings) as terminal:
        if args.no_preflight:
            forget_report(sqlite_path(_store(args)))  # what was found before says nothing of this run
        else:
            report = await _unless(stop, preflight(terminal, settings.health_path, settings.connect_timeout_ms / 1000))
            if report is None:
                return Figures()
            if report.failed is not None:
                raise _failed(args, report)
            tell(report, _store(args))
        worker = await _unless(
            stop,
            app.worker(settings, recorder, terminal, date=args.date, once=args.once, stop_after=args.stop_after),
        )
        if worker is None:
            return Figures()
        metrics_port = settings.metrics_port if args.metrics_port is None else args.metrics_port
        with ExitStack() as open_now:
            if metrics_port is not None:
                try:
                    found = open_now.enter_context(app.ingest_metrics(metrics_port, worker, recorder))
                except OSError as error:
                    raise CommandError(
                        f"cannot listen on 127.0.0.1:{metrics_port} for metrics ({error.strerror or error}): choose"
                        " another port with --metrics-port, 0 takes a free one"
                    ) from None
                logging.getLogger("phenix.ingest").info("metrics at http://127.0.0.1:%s/metrics", found)
            return await worker.run(stop)


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


def _redrive(args: argparse.Namespace) -> int:
    import json

    from phenix import app

    try:
        done = app.redrive(args.settings.store if args.store is None else args.store, reason=args.reason)
    except app.RulesError as error:
        raise CommandError(str(error)) from error
    left = sum(done.left.values())
    if args.json:
        report = {
            "letters": done.letters,
            "stored": done.stored,
            "duplicates": done.duplicates,
            "left": dict(done.left),
        }
        print(json.dumps(report))
    else:
        print(f"read {done.letters:,} again: stored {done.stored:,}, duplicates {done.duplicates:,}, left {left:,}")
        for reason, count in sorted(done.left.items()):
            print(f"  {count:>8,}  {reason}")
    return FINDINGS if left else CLEAN


def _letters(args: argparse.Namespace) -> int:
    import json
    from datetime import UTC, datetime

    from phenix import app

    after = 0
    with app.open_reader(args.settings.store if args.store is None else args.store) as reader:
        while page := reader.dead_letters(after_id=after):
            after = page[-1][0]
            for number, letter in page:
                if args.reason and letter.reason != args.reason:
                    continue
                at = datetime.fromtimestamp(letter.at_utc / 1000, UTC).isoformat(timespec="seconds")
                record = letter.snippet.decode("utf-8", "backslashreplace").rstrip("\r\n")
                line = {"number": number, "at": at, "stream": letter.stream, "place": letter.place,
                        "reason": letter.reason, "detail": letter.detail, "record": record}  # fmt: skip
                # JSON escapes what could steer a terminal, so the record stands in its form in both.
                shown = f"{number:>6}  {at}  {letter.place or letter.stream}  {letter.reason}: {letter.detail}"
                print(json.dumps(line) if args.json else f"{shown}\n        {json.dumps(record)}")
    return CLEAN


class _Progress(Line):
    """How far an import is."""

    def __init__(self) -> None:
        super().__init__()
        self._since: tuple[int, float] | None = None

    def tell(self, progress: Progress) -> None:
        """Show it when it is time to."""
        if progress.phase == "read" and self._since is None:
            self._since = (progress.done, progress.seconds)
        if not progress.total or not self.due():
            return
        if progress.phase == "read" and self._since is not None:
            done, seconds = progress.done - self._since[0], progress.seconds - self._since[1]
            self.show(f"stored {pace(progress.done, progress.total, 'lines', done, seconds)}")
        else:
            self.show(f"finding the order of the files ({progress.done / progress.total:4.0%})")


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
            "cpuSeconds": {stage: round(seconds, 3) for stage, seconds in summary.cpu.items()},
        }
    )
