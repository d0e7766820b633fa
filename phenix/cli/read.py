"""``phenix query``, ``phenix tail`` and ``phenix export``: rows on standard output."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from phenix.cli.command import CLEAN, CommandError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from phenix.client import Client, RequestError

__all__ = ["add"]

_PAGE: Final = 1000
_COLUMNS: Final = (
    ("tradeTsEt", 12), ("symbol", 6), ("expiration", 10), ("strike", 9), ("right", 4), ("side", 4), ("price", 9),
    ("size", 7), ("value", 14), ("chips", 0),
)  # fmt: skip
"""Columns of the table: key and width, numbers to the right."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the commands."""
    query = commands.add_parser(
        "query",
        help="print matching rows of a running server",
        description="Print the rows that match, newest first, asked of a running server over gRPC.",
    )
    _filters(query)
    query.add_argument("--order-by", default="", metavar="FIELD", help="such as 'value desc' (default: 'seq desc')")
    query.add_argument("--limit", type=_count, default=50, metavar="N", help="rows at most (default: 50)")
    query.add_argument("--format", choices=("table", "ndjson"), default="table")
    query.set_defaults(run=_query)

    tail = commands.add_parser(
        "tail",
        help="print matching rows as they come",
        description="Print rows as they come, from a running server over gRPC, until stopped. A cut connection is "
        "resumed without loss; a print taken back is printed again, cancelled.",
    )
    _filters(tail)
    tail.add_argument("--snapshot", type=_whole, default=0, metavar="N", help="begin with the latest N rows")
    tail.add_argument("--after", type=_whole, metavar="SEQ", help="begin after this seq; 0 is the first row stored")
    tail.add_argument("--limit", type=_count, metavar="N", help="end after N rows")
    tail.add_argument("--format", choices=("table", "ndjson"), default="ndjson")
    tail.set_defaults(run=_tail)

    export = commands.add_parser(
        "export",
        help="write every stored row",
        description="Write every stored row in seq order, cancelled prints and cancel records included, read from the "
        "store itself.",
    )
    export.add_argument("--store", metavar="URL", help="the store (default: PHENIX_STORE)")
    export.add_argument("--format", choices=("ndjson",), default="ndjson")
    export.add_argument("--where", default="", metavar="E", help="only rows that match, as in '@whales'")
    export.set_defaults(run=_export)


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="HOST:PORT", help="gRPC address (default: PHENIX_HOST, PHENIX_GRPC_PORT)")
    parser.add_argument("--where", default="", metavar="E", help="an expression, as in '@whales and symbol = SPY'")
    parser.add_argument("--chips", default="", metavar="CHIPS", help="chips a row must have, separated by commas")
    parser.add_argument("--not-chips", default="", metavar="CHIPS", help="chips a row must not have")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a query parameter, as in symbol=SPY,-QQQ"
    )
    parser.add_argument("--include-cancelled", action="store_true", help="with cancelled prints and cancel records")


def _whole(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number")


def _count(text: str) -> int:
    if _whole(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError("one row or more")


def _wanted(args: argparse.Namespace) -> dict[str, Any]:
    parameters = {}
    for given in args.param:
        name, sign, value = given.partition("=")
        if not sign:
            raise CommandError(f"--param {given}: write NAME=VALUE")
        parameters[name] = value
    return {
        "where": args.where,
        "chips": [chip for chip in args.chips.split(",") if chip],
        "not_chips": [chip for chip in args.not_chips.split(",") if chip],
        "parameters": parameters,
        "include_cancelled": args.include_cancelled,
    }


def _client(args: argparse.Namespace) -> Client:
    from phenix.client import Client

    settings = args.settings
    return Client(args.server or f"{settings.host}:{settings.grpc_port}")


def _run(work: Coroutine[Any, Any, None], args: argparse.Namespace) -> int:
    import asyncio

    from phenix.client import RequestError

    try:
        asyncio.run(work)
    except RequestError as error:
        raise CommandError(_reason(error, args)) from None
    return CLEAN


def _reason(error: RequestError, args: argparse.Namespace) -> str:
    if error.code == "UNAVAILABLE" and not error.reason:
        where = args.server or f"{args.settings.host}:{args.settings.grpc_port}"
        return f"no server answers at {where}: start `phenix serve`, or name its gRPC address with --server"
    return "\n".join((error.message, *(f"  {found.field}: {found.message}" for found in error.findings)))


def _query(args: argparse.Namespace) -> int:
    async def work() -> None:
        left, token, show = args.limit, "", _printer(args.format)
        async with _client(args) as client:
            while left > 0:
                page = await client.query(
                    **_wanted(args), order_by=args.order_by, page_size=min(left, _PAGE), page_token=token
                )
                for row in page.rows:
                    show(row)
                left, token = left - len(page.rows), page.next_page_token
                if not token:
                    break

    return _run(work(), args)


def _tail(args: argparse.Namespace) -> int:
    async def work() -> None:
        left, show = args.limit, _printer(args.format)
        async with _client(args) as client:
            await client.query(**_wanted(args), page_size=1)  # a server that is not there is said, not waited for
            async for row in client.subscribe(**_wanted(args), snapshot=args.snapshot, after_seq=args.after):
                show(row)
                sys.stdout.flush()
                left = None if left is None else left - 1
                if left == 0:
                    return

    return _run(work(), args)


def _export(args: argparse.Namespace) -> int:
    from phenix import app
    from phenix.engine.store.base import StoreError

    write = sys.stdout.buffer.write
    try:
        with app.export(args.settings.store if args.store is None else args.store, args.where) as lines:
            if isinstance(lines, str):
                raise CommandError(lines)
            for line in lines:
                write(line)
            sys.stdout.buffer.flush()
    except StoreError as error:
        raise CommandError(error.message) from None
    except app.RulesError as error:
        raise CommandError(str(error)) from None
    return CLEAN


def _printer(form: str) -> Any:
    """A function that prints a row message."""
    import orjson

    from phenix.server.grpc.rows import to_json

    if form == "ndjson":
        return lambda row: print(orjson.dumps(to_json(row)).decode())
    return lambda row: print("  ".join(_cell(to_json(row)[key], key, width) for key, width in _COLUMNS).rstrip())


def _cell(value: Any, key: str, width: int) -> str:
    if value is None:
        text = "-"
    elif key == "tradeTsEt":
        text = value[11:23]
    elif isinstance(value, list):
        text = ", ".join(value)
    else:
        text = f"{value:,.2f}" if isinstance(value, float) else str(value)
    return text.rjust(width) if isinstance(value, int | float) else text.ljust(width)
