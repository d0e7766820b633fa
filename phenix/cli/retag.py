"""``phenix rules retag``: the chips and the score of a rule version for rows that another one tagged, kept beside."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from phenix.cli.command import CLEAN, CommandError, date_text
from phenix.cli.progress import Line, pace
from phenix.cli.rules import count_sessions, named_version, store_of, tell

if TYPE_CHECKING:
    from phenix.engine.retagging import Retaggings

__all__ = ["add_action"]


def add_action(action: Callable[..., argparse.ArgumentParser]) -> None:
    """Register it; ``action`` makes the parser of an action from its name, what it runs and what it does."""
    retag = action("retag", _retag, "tag stored rows by another version, beside the tags they have",
                   " Queries with `rules=VERSION` read them out of the store then, and can sort by them. Rows keep the "
                   "version that set their chips. Ingest and serve go on meanwhile; what was done when it is "
                   "interrupted is kept. Without a version it is said what there is.")  # fmt: skip
    retag.add_argument("version", nargs="?", help="its id, or how that begins")
    retag.add_argument("--sessions", type=count_sessions, metavar="N", help="the latest so many (default: all)")
    how = retag.add_mutually_exclusive_group()
    how.add_argument("--follow", action="store_true", help="go on with rows that come, until it is interrupted")
    how.add_argument("--remove", action="store_true", help="remove what this version tagged beside")


def _retag(args: argparse.Namespace) -> int:
    from phenix import app

    if args.version is None:
        if args.follow or args.remove or args.sessions:
            raise CommandError("name the version, as in `phenix rules retag VERSION`; without one it only lists")
        return _listed(args, None)
    version, desk = named_version(args), app.retaggings(store_of(args))
    if args.remove:
        if args.sessions:
            raise CommandError("--remove is of all that the version tagged beside: leave --sessions out")
        removed = desk.remove(version)
        return tell(args, {"version": version, "removedRows": removed}, [f"removed the tags of {removed:,} rows"])
    _make(args, desk, version)
    return _listed(args, version)


def _make(args: argparse.Namespace, desk: Retaggings, version: str) -> None:
    import time

    shown, begun, fresh, before = Line(), time.monotonic(), 0, (0, 0)
    try:
        for found, rows in desk.make(version, args.sessions, follow=args.follow):
            date, done = found.session_date, found.rows
            fresh += done - before[1] if date == before[0] else 0
            before = date, done
            if shown.due():
                shown.show(f"{date_text(date)}: {pace(done, max(1, rows), 'rows', fresh, time.monotonic() - begun)}")
    except KeyboardInterrupt:
        shown.end()
        print("phenix: interrupted; what was tagged is kept, the same command continues", file=sys.stderr)
        raise
    except LookupError as error:
        shown.end()
        raise CommandError(str(error)) from error
    shown.end()


def _listed(args: argparse.Namespace, version: str | None) -> int:
    """What there is, of one version where it is named."""
    from phenix import app
    from phenix.engine.lifecycle import retagging_json

    found = [retagging_json(one, rest) for one, rest in app.lifecycle(store_of(args)).retaggings()]
    told = [one for one in found if version in (None, one["version"])]
    tell(args, told, [_line(one) for one in told] or ["nothing is re-tagged: `phenix rules retag VERSION` does it"])
    return CLEAN


def _line(one: dict[str, Any]) -> str:
    rows = f"{one['rows']:,} of {one['rows'] + one['waitingRows']:,} rows"
    return f"{one['version']}  {one['sessionDate']}  {one['state']:<8}  {rows}"
