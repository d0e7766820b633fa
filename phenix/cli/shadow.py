"""``phenix rules shadow``, ``compare`` and ``report``: a rule version beside the active one, before it is activated."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenix.cli.command import CLEAN, FINDINGS, CommandError, date_text
from phenix.cli.progress import Line, pace
from phenix.cli.rules import count_sessions, named_version, replace_file, store_of, tell

if TYPE_CHECKING:
    from phenix.engine.shadow.comparisons import Comparisons

__all__ = ["add_actions"]

Action = Callable[..., argparse.ArgumentParser]
_OFF = "off"


def add_actions(action: Action) -> None:
    """Register them; ``action`` makes the parser of an action from its name, what it runs and what it does."""
    shadow = action("shadow", _shadow, "compare a version with the active one on every row from now on",
                    " Ingest counts what would change, from the beginning of the running session on; what is served "
                    "stays as it is. Without a version it is said which one is in shadow.")  # fmt: skip
    shadow.add_argument("version", nargs="?", help=f"its id, or how that begins; `{_OFF}` for none")
    compare = action("compare", _compare, "compare a version with the active one on stored sessions",
                     " Both are evaluated over the stored rows. The sessions count as those compared live do, and the "
                     "report says so. What was done when it is interrupted is kept.")  # fmt: skip
    compare.add_argument("version", help="its id, or how that begins")
    compare.add_argument(
        "--sessions", type=count_sessions, default=3, metavar="N", help="the latest so many (default: 3)"
    )
    report = action("report", _report, "say what a version in shadow would change, and whether it is within the bands",
                    " Exit 1 unless it is, over enough sessions.")  # fmt: skip
    report.add_argument("version", nargs="?", help="its id, or how that begins (default: the one in shadow)")
    report.add_argument("--sessions", type=count_sessions, metavar="N", help="only the latest so many (default: all)")
    report.add_argument("--html", type=Path, metavar="FILE", help="write it as a page with plots")


def _comparisons(args: argparse.Namespace) -> Comparisons:
    from phenix import app

    return app.comparisons(store_of(args), app.bands(args.settings))


def _shadow(args: argparse.Namespace) -> int:
    desk = _comparisons(args)
    version = None if args.version in (None, _OFF) else named_version(args)
    if args.version is not None:
        try:
            before = desk.name(version)
        except LookupError as error:
            raise CommandError(str(error)) from error
        if version is None:
            text = f"{before.version_id} is in shadow no more" if before else "no version was in shadow"
            return tell(args, {"shadow": None}, [text])
    named = desk.named()
    if named is None:
        return tell(args, {"shadow": None}, ["no version is in shadow: `phenix rules shadow VERSION` puts one there"])
    data = {"shadow": named.version_id, "afterSeq": named.after_seq, "countedSeq": named.counted_seq}
    counted = f"rows after seq {named.after_seq:,} count, counted up to {named.counted_seq:,}"
    return tell(args, data, [f"{named.version_id} is in shadow; {counted}"])


def _compare(args: argparse.Namespace) -> int:
    version, desk, shown = named_version(args), _comparisons(args), Line()
    found = []
    try:
        for date, step in desk.compare(version, args.sessions):
            if step.found is not None:
                found.append(step.found)
            elif step.lost:
                shown.end()
                print(f"phenix: {date_text(date)} is not compared: {step.lost}", file=sys.stderr)
            elif shown.due():
                shown.show(f"{date_text(date)}: {pace(step.done, max(1, step.expected), 'rows', 0, 0.0)}")
        shown.end()
        files = desk.artifacts(found)
    except LookupError as error:
        shown.end()
        raise CommandError(str(error)) from error
    except KeyboardInterrupt:
        shown.end()
        done = ", ".join(date_text(one.session_date) for one in found) or "no session"
        print(f"phenix: interrupted; {done} compared, the same command continues", file=sys.stderr)
        raise
    except OSError as error:
        raise CommandError(
            f"{error.filename}: {error.strerror}: the comparison is stored, its files are not"
        ) from error
    told = desk.report(version, args.sessions)
    told["files"] = [str(file) for file in files]
    return _verdict(args, told, [*_lines(told), *(f"wrote {file}" for file in told["files"])])


def _report(args: argparse.Namespace) -> int:
    from phenix.engine.shadow.page import render

    desk = _comparisons(args)
    if args.version is None:
        named = desk.named()
        if named is None:
            raise CommandError("no version is in shadow: name one, as in `phenix rules report VERSION`")
        version = named.version_id
    else:
        version = named_version(args)
    try:
        told = desk.report(version, args.sessions)
    except LookupError as error:
        raise CommandError(str(error)) from error
    lines = _lines(told)
    if args.html is not None:
        replace_file(args.html, render(told).encode())
        lines.append(f"wrote {args.html}")
    return _verdict(args, told, lines)


def _verdict(args: argparse.Namespace, told: dict[str, Any], lines: list[str]) -> int:
    tell(args, told, lines)
    return CLEAN if told["verdict"]["outcome"] == "within" else FINDINGS


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [f"{told['candidate']} beside {told['active']}: {told['verdict']['outcome']}: {told['verdict']['reason']}"]
    for session in told["sessions"]:
        how = "afterwards" if session["computedAfterwards"] else "live"
        reason = f": {session['reason']}" if session["reason"] else ""
        lines.append(
            f"{session['sessionDate']}  {session['outcome']}  {session['rows']:,} rows, {session['changedRows']:,} "
            f"changed ({how}){reason}"
        )
        lines += [
            f"  @{chip['id']:<20} {chip['old']:>9,} -> {chip['new']:>9,}   +{chip['added']:,} -{chip['removed']:,}"
            for chip in session["chips"] if chip["added"] or chip["removed"]
        ]  # fmt: skip
    return lines
