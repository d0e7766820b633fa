"""``phenix import``, ``phenix ingest`` and ``phenix preflight``: prints into the store."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phenix.cli.command import CLEAN, CommandError

if TYPE_CHECKING:
    from phenix.ingest.importer import Progress, Summary

__all__ = ["add"]

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
    shown = _Progress()
    try:
        check_sources(sources)
        size = sum(path.stat().st_size for path in sources.trades)
        read = read_parts_apart if size >= _APART_BYTES else read_parts
        with app.open_writer(args.store or args.settings.store) as writer:
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
            f"read {summary.read:,}: stored {summary.stored:,}, duplicates {summary.duplicates:,}, dead letters {letters:,}"
            f" in {summary.seconds:,.1f} s ({summary.rate:,.0f} prints/s)"
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
