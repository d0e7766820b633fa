"""``phenix top``: what ingest and serve are doing, in a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from phenix.cli.command import CLEAN, CommandError

if TYPE_CHECKING:
    from phenix.cli.dashboard import Moment
    from phenix.cli.scraped import Door

__all__ = ["add"]

_COLUMNS: Final = 100
_LINES: Final = 1_000
"""As wide and high as it is drawn where no terminal says how much it shows."""
_NO_METRICS: Final = "start it with PHENIX_METRICS_PORT, and name its address with --ingest"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "top",
        help="what ingest and serve are doing, live in the terminal",
        description="Show rates, lag, backlog, chips, the feed, clients, latencies and errors of a running ingest and "
        "serve, from their /metrics and /ready, until q is typed or it is interrupted. Rates and latencies are of the "
        "time since the picture before. The token of a server that asks for one: PHENIX_TOKEN.",
    )
    parser.add_argument("--serve", type=_address, metavar="URL", help="where `phenix serve` is (its settings say)")
    parser.add_argument(
        "--ingest", type=_address, metavar="URL", help="where the metrics of `phenix ingest` are (PHENIX_METRICS_PORT)"
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="certificate that vouches for the server's, PEM")
    parser.add_argument(
        "--every", type=_seconds, default=2.0, metavar="SECONDS", help="time from one picture to the next (default: 2)"
    )
    parser.add_argument("--once", action="store_true", help="print one picture, of one such time, and end")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, one object a picture")
    parser.add_argument("--plain", action="store_true", help="no colours (also NO_COLOR)")
    parser.set_defaults(run=run)


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is none
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if known and not set(text) & set("?#@ ") and text.isprintable():
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no address such as http://127.0.0.1:8600")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0.1 <= seconds <= 3600:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600")


def run(args: argparse.Namespace) -> int:
    """Draw until told to stop; with ``--once`` exit 2 when nobody tells anything."""
    import json

    from phenix.cli.dashboard import as_json, picture

    doors = _doors(args)
    moment = _ask(doors)
    drawing = sys.stdout.isatty() and not args.once and not args.json
    colour = sys.stdout.isatty() and not args.plain and not os.environ.get("NO_COLOR")

    def lines() -> list[str]:
        columns, most = _size()  # asked once a picture: it may change at any time
        found = picture(moment, columns, at=time.strftime("%H:%M:%S"), colour=colour)
        return found[:most] if drawing else found

    if args.once:
        if moment.serve is None and moment.ingest is None:
            raise CommandError("\n".join(moment.problems.values()))
        time.sleep(args.every)
        moment = _ask(doors)
        print(json.dumps(as_json(moment)) if args.json else "\n".join(lines()))
        return CLEAN
    with _screen() if drawing else _page() as (show, wait):
        while True:
            show(json.dumps(as_json(moment)).splitlines() if args.json else lines())
            if wait(args.every):
                return CLEAN
            moment = _ask(doors)


def _doors(args: argparse.Namespace) -> list[Door]:
    from phenix.cli.scraped import Door

    settings = args.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    ours = f"{'https' if settings.tls_certificate else 'http'}://{host}:{settings.port}"
    todo = "start `phenix serve`, or name its address with --serve"
    try:
        doors = [Door("serve", args.serve or ours, todo, token=settings.token, ca=args.ca)]
        ingest = args.ingest or (f"http://127.0.0.1:{settings.metrics_port}" if settings.metrics_port else "")
        if ingest:
            doors.append(Door("ingest", ingest, f"is it running? If so, {_NO_METRICS}", ca=args.ca))
    except OSError as error:
        raise CommandError(f"{args.ca} cannot be used: {error.strerror or error}") from None
    return doors


def _ask(doors: list[Door]) -> Moment:
    from phenix.cli.dashboard import Moment
    from phenix.cli.scraped import UnreachedError

    told, problems = {}, {}
    for door in doors:
        try:
            told[door.what] = door.ask(ready=door.what == "serve")
        except UnreachedError as error:
            problems[door.what] = str(error)
    if all(door.what != "ingest" for door in doors):
        problems["ingest"] = f"ingest is not asked: {_NO_METRICS}"
    return Moment(told.get("serve"), told.get("ingest"), problems)


def _size() -> tuple[int, int]:
    """Columns and lines of the terminal."""
    try:
        found = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return _COLUMNS, _LINES
    return max(20, found.columns or _COLUMNS), found.lines or _LINES


_Shown = tuple[Callable[[list[str]], None], Callable[[float], bool]]


@contextmanager
def _page() -> Iterator[_Shown]:
    """One picture after another, where nobody draws over what is there."""

    def show(lines: list[str]) -> None:
        print("\n".join(lines), flush=True)

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    yield show, wait


@contextmanager
def _screen() -> Iterator[_Shown]:
    """A screen of its own, given back at the end as it was."""
    import select
    import signal
    import termios
    import tty

    keys = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = termios.tcgetattr(keys) if keys is not None else None

    def show(lines: list[str]) -> None:
        sys.stdout.write("\x1b[H" + "\n".join(line + "\x1b[K" for line in lines) + "\x1b[J")
        sys.stdout.flush()

    def wait(seconds: float) -> bool:
        until = time.monotonic() + seconds
        while keys is not None and (left := until - time.monotonic()) > 0:
            if select.select([keys], [], [], left)[0] and os.read(keys, 1) in (b"q", b"Q", b""):
                return True
        time.sleep(max(0.0, until - time.monotonic()))
        return False

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda found, _: sys.exit(128 + found))
    try:
        if keys is not None:
            tty.setcbreak(keys)
        sys.stdout.write("\x1b[?1049h\x1b[?25l")
        yield show, wait
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        if keys is not None and before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
