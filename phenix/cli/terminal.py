"""``phenix terminal``: the stand-in for the vendor's terminal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from phenix.cli.command import CLEAN, CommandError, port

if TYPE_CHECKING:
    from phenix.ingest.terminal.events import Source
    from phenix.ingest.terminal.standin import StandIn

__all__ = ["add"]

TIERS = ("free", "value", "standard", "pro")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``terminal``."""
    parser = commands.add_parser(
        "terminal",
        help="the stand-in terminal: plays a tape or a generated session",
        description="A stand-in for the vendor's terminal. It speaks the same REST and WebSocket protocol and plays "
        "a tape, or a generated session when no tape is given. Prints its two addresses on one line when it listens.",
    )
    tape = parser.add_argument_group("tape")
    tape.add_argument("--tape", nargs="+", type=Path, metavar="FILE", help="trade_quote CSV files to play")
    tape.add_argument(
        "--open-interest", nargs="+", type=Path, default=[], metavar="FILE", help="open_interest CSV files"
    )
    tape.add_argument("--underlying", nargs="+", type=Path, default=[], metavar="FILE", help="stock quote CSV files")
    session = parser.add_argument_group("generated session")
    session.add_argument("--seed", type=int, default=1, help="the same seed gives the same session (default 1)")
    session.add_argument("--symbols", type=_positive, default=200, help="how many underlyings (default 200)")
    session.add_argument("--prints", type=_positive, help="prints in the whole session (default 500000)")
    session.add_argument("--rate", type=_positive_number, help="prints a second on average, in place of --prints")
    session.add_argument("--date", type=_date, help="session date YYYY-MM-DD (default: the latest trading day)")
    session.add_argument("--extended", action="store_true",
                         help="from 20:15 the evening before to 17:00, for products that trade then")  # fmt: skip
    session.add_argument("--rush", type=_count, default=0, metavar="N",
                         help="prints a second more in the first minute, such as 6000")  # fmt: skip
    session.add_argument("--write-tape", type=Path, metavar="DIR", help="write the session as a tape and end")
    play = parser.add_argument_group("playback")
    play.add_argument("--speed", type=_speed, default=1.0, help="times real time; 0 is as fast as the client reads")
    play.add_argument("--lines", type=_positive, default=1, help="most JSON objects in one message (default 1)")
    play.add_argument("--settle", type=_speed, default=0.5, metavar="S",
                      help="playback begins when no request has come for this long (default 0.5)")  # fmt: skip
    play.add_argument("--wait-for-play", action="store_true", help="begin only after POST /control/play")
    play.add_argument("--on-disconnect", choices=("pause", "continue", "restart"), default="pause",
                      help="pause: wait, and repeat what the client did not confirm (default; a convenience of the "
                      "stand-in); continue: what is played meanwhile is lost, as with the real terminal; "
                      "restart: play from the start for each client")  # fmt: skip
    play.add_argument("--close-code", type=_close_code, default=1000, metavar="CODE",
                      help="close code of a client that another replaces, 1000 to 4999 (default 1000)")  # fmt: skip
    account = parser.add_argument_group("account")
    account.add_argument("--options", choices=TIERS, default="standard", help="options subscription (default standard)")
    account.add_argument("--stocks", choices=TIERS, default="value", help="stocks subscription (default value)")
    account.add_argument("--indices", choices=TIERS,
                         help="indices subscription (default: pro when stocks stream, else free)")  # fmt: skip
    rest = parser.add_argument_group("REST")
    rest.add_argument("--same-day", choices=("available", "locked"), default="available",
                      help="whether history of the day being played is served, or empty until midnight")  # fmt: skip
    rest.add_argument("--queue", type=_count, default=16, metavar="N",
                      help="requests that wait beyond those served at once; more get 429 (default 16)")  # fmt: skip
    rest.add_argument("--legacy-json", action="store_true", help="JSON of older accounts: arrays by column")
    rest.add_argument("--no-star-snapshots", action="store_false", dest="star_snapshots",
                      help="refuse snapshots of expiration=* below a Pro subscription")  # fmt: skip
    faults = parser.add_argument_group("faults")
    faults.add_argument("--fault", action="append", default=[], dest="faults", metavar="NAME[:KEY=VALUE,…]",
                        help="something that goes wrong, such as silent_feed:after=500,for=5s; may be repeated; the "
                        "same can be switched on and off at /control/faults while it plays. All of them: "
                        "phenix terminal --list-faults, or docs/terminal.md")  # fmt: skip
    faults.add_argument("--list-faults", action="store_true", help="list the faults and end")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=port, default=25503, help="REST port; 0 takes a free one (default 25503)")
    parser.add_argument("--stream-port", type=port, default=25520, help="WebSocket port (default 25520)")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _positive_number(text: str) -> float:
    value = _speed(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is not a number above 0")
    return value


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 10000")
    return int(text)


def _close_code(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1000 <= int(text) <= 4999:
        raise argparse.ArgumentTypeError(f"{text!r} is not a close code, 1000 to 4999")
    return int(text)


def _date(text: str) -> int:
    from datetime import date

    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-11-20") from None
    return day.year * 10_000 + day.month * 100 + day.day


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted, or write the tape and end."""
    import asyncio

    from phenix.ingest.terminal.tape import TapeError

    if args.list_faults:
        return _list_faults()
    try:
        source = _source(args)
    except (TapeError, ValueError) as error:
        raise CommandError(str(error)) from None
    if args.write_tape is not None:
        return _write(source, args.write_tape)
    return asyncio.run(_serve(source, args))


def _list_faults() -> int:
    from phenix.ingest.terminal.faults import FAULTS, MOMENTS

    for fault in FAULTS.values():
        shared = ", and ¹" if set(MOMENTS) <= set(fault.params) else ""
        print(f"{fault.name}  at each {fault.at}{shared}\n    {fault.doc}")
        for param in fault.own:
            print(f"    {param.name}={param.default}  {param.doc} ({param.range})")
    print("\n¹ which of them it takes:")
    for param in MOMENTS:
        print(f"    {param.name}={param.default}  {param.doc} ({param.range})")
    return CLEAN


def _source(args: argparse.Namespace) -> Source:
    from phenix import app

    if not args.tape:
        if args.open_interest or args.underlying:
            raise CommandError("--open-interest and --underlying go with --tape; name the tape to play")
        return app.session(
            seed=args.seed,
            symbols=args.symbols,
            prints=args.prints,
            rate=args.rate,
            date=args.date,
            extended=args.extended,
            rush=args.rush,
        )
    tape = app.tape(args.tape, args.open_interest, args.underlying)
    for line in tape.skipped[:10]:
        print(f"phenix: not played: {line}", file=sys.stderr)
    if len(tape.skipped) > 10:
        print(f"phenix: {len(tape.skipped) - 10} more lines are not played", file=sys.stderr)
    return tape


def _write(source: Source, folder: Path) -> int:
    from phenix.ingest.terminal.tape import write_tape

    try:
        counts = write_tape(source, folder)
    except OSError as error:
        raise CommandError(f"cannot write the tape to {folder}: {error.strerror}") from None
    for name, rows in counts.items():
        print(f"{folder / name}: {rows} rows")
    return CLEAN


async def _serve(source: Source, args: argparse.Namespace) -> int:
    import asyncio
    import signal

    from phenix.ingest.terminal.faults import FaultError
    from phenix.ingest.terminal.standin import PortInUseError

    try:
        terminal = _terminal(source, args)
    except FaultError as error:
        raise CommandError(f"--fault {error}") from None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, terminal.shutdown.set)
    try:
        async with terminal:
            print(f"terminal listening on {terminal.base_url} {terminal.stream_url}", flush=True)
            await terminal.shutdown.wait()
    except PortInUseError as error:
        raise CommandError(str(error)) from None
    return CLEAN


def _terminal(source: Source, args: argparse.Namespace) -> StandIn:
    from phenix import app

    return app.terminal(
        source,
        host=args.host,
        port=args.port,
        stream_port=args.stream_port,
        options=args.options,
        stocks=args.stocks,
        indices=args.indices,
        speed=args.speed,
        lines=args.lines,
        settle_s=args.settle,
        wait_for_play=args.wait_for_play,
        on_disconnect=args.on_disconnect,
        seed=args.seed,
        close_code=args.close_code,
        same_day=args.same_day,
        queue=args.queue,
        legacy_json=args.legacy_json,
        star_snapshots=args.star_snapshots,
        faults=args.faults,
    )
