"""``phenix query``, ``phenix tail`` and ``phenix export``: rows of a running server, or of a store itself."""

from __future__ import annotations

import argparse
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from phenix.cli.command import CLEAN, CommandError, date_text
from phenix.cli.rows import FORMATS, LINES, output, printer, read_format

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from phenix.client import Client, Finding, RequestError
    from phenix.server._pb import row_pb2

    Rows = Callable[[Client, dict[str, Any]], AsyncGenerator[row_pb2.Row]]

__all__ = ["add"]

_BOUNDS: Final = frozenset({"sessions", "from", "to", "date"})
"""Without any of these an export is of all sessions."""
_OPTIONS: Final = {
    "limit": "limit", "fields": "fields", "sortBy": "order_by", "sortOrder": "order_by", "snapshot": "snapshot",
    "watermark": "after", "cursor": "", "total": "", "batch": "", "named": "", "transport": "",
}  # fmt: skip
"""Parameters that do not filter rows: the option that is for them here, if there is one."""
_EXAMPLE: Final = "As in: phenix {}"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the commands."""
    query = commands.add_parser(
        "query",
        help="print matching rows",
        description="Print the rows that match, newest first, of a running server or of a store file.",
        epilog=_EXAMPLE.format("query symbol=SPY,QQQ minValue=100000 --where '@whales' --order-by 'value desc'"),
    )
    _filters(query)
    query.add_argument("--order-by", default="", metavar="FIELD", help="such as 'value desc' (default: 'seq desc')")
    query.add_argument("--limit", type=_count, default=50, metavar="N", help="rows at most (default: 50)")
    _form(query, "table", FORMATS)
    query.add_argument("--output", "-o", type=Path, metavar="FILE", help="write to a file")
    query.add_argument("--plan", action="store_true", help="print how the first page is found, instead of its rows")
    query.set_defaults(run=_query)

    tail = commands.add_parser(
        "tail",
        help="print matching rows as they come",
        description="Print rows as they come, of a running server or of a store file, until stopped. A cut connection "
        "is resumed without loss; a print taken back is printed again, cancelled.",
        epilog=_EXAMPLE.format("tail chips=sweeps symbol=-SPX --snapshot 10"),
    )
    _filters(tail)
    tail.add_argument("--snapshot", type=_whole, default=0, metavar="N", help="begin with the latest N rows")
    tail.add_argument("--after", type=_whole, metavar="SEQ", help="begin after this seq; 0 is the first row stored")
    tail.add_argument("--limit", type=_count, metavar="N", help="end after N rows")
    _form(tail, "jsonl", LINES)
    tail.set_defaults(run=_tail, output=None)

    export = commands.add_parser(
        "export",
        help="write every matching row",
        description="Write every row that matches in seq order, as of the newest when it begins: of all sessions, "
        "cancelled prints and cancel records included, but not prints that wait for enrichment. Of a store file, "
        "unless a server is named.",
        epilog=_EXAMPLE.format("export date=2026-09-18 --format parquet --output day.parquet"),
    )
    _filters(export, cancelled=True)
    _form(export, "jsonl", FORMATS)
    export.add_argument("--output", "-o", type=Path, metavar="FILE", help="write to a file")
    export.set_defaults(run=_export)


def _filters(parser: argparse.ArgumentParser, *, cancelled: bool = False) -> None:
    parser.add_argument(
        "parameters", nargs="*", metavar="NAME=VALUE",
        help="parameters of GET /api/flow (docs/parameters.md), as in symbol=SPY,-QQQ",
    )  # fmt: skip
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--server", metavar="ADDRESS", help="gRPC address: HOST:PORT, or https://HOST:PORT for TLS"
                       " (default: PHENIX_HOST, PHENIX_GRPC_PORT)")  # fmt: skip
    asked.add_argument("--store", metavar="URL", help="a store file instead, as in sqlite:data/flow.sqlite"
                       + (" (default: PHENIX_STORE)" if cancelled else ""))  # fmt: skip
    parser.add_argument("--tls", action="store_true", help="speak TLS")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="speak TLS, with a server that this certificate signed")
    parser.add_argument("--where", default="", metavar="E", help="an expression, as in '@whales and symbol = SPY'")
    parser.add_argument("--chips", default="", metavar="CHIPS", help="chips a row must have, separated by commas")
    parser.add_argument("--not-chips", default="", metavar="CHIPS", help="chips a row must not have")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="the same as NAME=VALUE")
    parser.add_argument("--fields", default="", metavar="KEYS", help="only these keys of a row, separated by commas")
    parser.add_argument(
        "--include-cancelled", action=argparse.BooleanOptionalAction, default=cancelled,
        help="with cancelled prints and cancel records",
    )  # fmt: skip


def _form(parser: argparse.ArgumentParser, default: str, choices: tuple[str, ...]) -> None:
    parser.add_argument(
        "--format", type=read_format, choices=choices, default=default,
        help=f"{', '.join(choices)} (default: {default})"
        + ("; the last two need pip install 'phenix[arrow]'" if "arrow" in choices else ""),
    )  # fmt: skip


def _whole(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number")


def _count(text: str) -> int:
    if _whole(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError("one row or more")


def _wanted(args: argparse.Namespace) -> dict[str, Any]:
    """What rows are wanted, as the client takes it."""
    parameters: dict[str, str] = {}
    for given in (*args.parameters, *args.param):
        name, sign, value = given.partition("=")
        if not sign:
            raise CommandError(f"{given}: write NAME=VALUE")
        if name in parameters:
            raise CommandError(f"{name} is given more than once: separate values by commas")
        if name in _OPTIONS:
            option = f"--{_OPTIONS[name].replace('_', '-')}"
            here = _OPTIONS[name] and hasattr(args, _OPTIONS[name])
            raise CommandError(f"{given}: {name} filters no rows; " + (f"use {option}" if here else "leave it out"))
        parameters[name] = value
    return {
        "where": args.where,
        "chips": [chip for chip in args.chips.split(",") if chip],
        "not_chips": [chip for chip in args.not_chips.split(",") if chip],
        "parameters": parameters,
        "include_cancelled": args.include_cancelled,
    }


def _keys(args: argparse.Namespace) -> list[str]:
    from phenix.dsl.diagnostics import closest
    from phenix.engine.encode import ROW_KEYS

    keys = [key.strip() for key in args.fields.split(",") if key.strip()]
    for key in keys:
        if key not in ROW_KEYS:
            near = closest(key, ROW_KEYS)
            more = f"write `{near}`" if near else f"there are {', '.join(ROW_KEYS)}"
            raise CommandError(f"--fields: there is no key {key!r} of a row ({more})")
    return list(dict.fromkeys(keys))


def _address(args: argparse.Namespace) -> tuple[str, bool]:
    """The gRPC address, and whether to speak TLS with it."""
    text = args.server or f"{args.settings.host}:{args.settings.grpc_port}"
    scheme, found, rest = text.partition("://")
    if not found:
        return text, args.tls
    host = rest.rstrip("/")
    if scheme not in ("http", "https") or not host or "/" in host:
        raise CommandError(f"--server {text}: write HOST:PORT, http://HOST:PORT, or https://HOST:PORT for TLS")
    return host, args.tls or scheme == "https"


def _client(args: argparse.Namespace, store: str | None) -> AbstractAsyncContextManager[Client]:
    """A client of the server that is named, or of a store."""
    if store is not None:
        from phenix import app

        return app.local(store)
    from phenix.client import Client

    try:
        authority = args.ca.read_bytes() if args.ca else None
    except OSError as error:
        raise CommandError(f"--ca {args.ca} cannot be read: {error.strerror}") from None
    target, tls = _address(args)
    return Client(target, token=args.settings.token, tls=tls, authority=authority)


def _ask(args: argparse.Namespace, store: str | None, work: Callable[[Client, dict[str, Any]], Awaitable[None]]) -> int:
    """Do a work with a client and what is wanted of it, and say what was refused."""
    import asyncio

    from phenix import app

    wanted = _wanted(args)
    if store is not None:
        app.open_reader(store).close()  # a store that is not there is said without loading a server
    from phenix.client import RequestError

    async def ask() -> None:
        async with _client(args, store) as client:
            await work(client, wanted)

    try:
        asyncio.run(ask())
    except RequestError as error:
        raise CommandError(_reason(error, args, wanted)) from None
    except app.RulesError as error:
        raise CommandError(str(error)) from None
    return CLEAN


def _run(args: argparse.Namespace, rows: Rows, store: str | None, *, flush: bool = False) -> int:
    """Write what ``rows`` gives of a client and what is wanted; ``flush`` each row as it comes."""
    from contextlib import aclosing

    keys = _keys(args)

    async def write(client: Client, wanted: dict[str, Any]) -> None:
        async with aclosing(rows(client, wanted)) as found:
            row = await anext(found, None)  # what is refused leaves no file behind
            left = getattr(args, "limit", None)
            with output(args.output) as file, printer(args.format, keys, file) as show:
                while row is not None:
                    show(row)
                    if flush:
                        file.flush()
                    left = None if left is None else left - 1
                    row = None if left == 0 else await anext(found, None)

    return _ask(args, store, write)


def _reason(error: RequestError, args: argparse.Namespace, wanted: dict[str, Any]) -> str:
    if error.code == "UNAVAILABLE" and not error.reason:
        return (
            f"no server answers at {_address(args)[0]}: start `phenix serve`, name its gRPC address with --server, or "
            "a store with --store"
        )
    texts = {"where": args.where, **wanted["parameters"]}
    return "\n".join((error.message, *(line for found in error.findings for line in _shown(found, texts))))


def _shown(found: Finding, texts: dict[str, str]) -> list[str]:
    """A finding, its code and its place in the text that it is about."""
    code = f"{found.code} " if found.code else ""
    lines = texts.get(found.field, "").splitlines()
    if not 0 < found.line <= len(lines) or found.end_column <= found.column:
        return [f"  {code}{found.field}: {found.message}"]
    mark = " " * (found.column - 1) + "^" * (found.end_column - found.column)
    place = f"{found.field}:{found.line}:{found.column}"
    return [f"  {code}{place}: {found.message}", f"    {lines[found.line - 1]}", f"    {mark}"]


def _query(args: argparse.Namespace) -> int:
    async def rows(client: Client, wanted: dict[str, Any]) -> AsyncGenerator[row_pb2.Row]:
        async for row in client.rows(**wanted, order_by=args.order_by, limit=args.limit):
            yield row

    return _ask(args, args.store, partial(_plan, args)) if args.plan else _run(args, rows, args.store)


async def _plan(args: argparse.Namespace, client: Client, wanted: dict[str, Any]) -> None:
    """Print what an answer's first page is made from."""
    page = await client.query(**wanted, order_by=args.order_by, page_size=args.limit)
    meta = page.meta
    lines = {
        "where": meta.where or "every row",
        "rules": meta.rule_version,
        "session": date_text(meta.session_date) if meta.session_date else "bounded by the filter",
        "as of": f"seq {meta.as_of_seq:,}",
        "rows": f"{len(page.rows):,}{' and more' if page.next_page_token else ''}",
        "plan": f"{meta.plan}; {meta.elapsed_ms:.1f} ms",
        "lags": ", ".join(meta.degraded_reasons),
    }
    with output(args.output) as file:
        file.write("".join(f"{name:<7}  {text}\n" for name, text in lines.items() if text).encode())


def _tail(args: argparse.Namespace) -> int:
    async def rows(client: Client, wanted: dict[str, Any]) -> AsyncGenerator[row_pb2.Row]:
        await client.query(**wanted, page_size=1)  # a server that is not there is said, not waited for
        async for row in client.subscribe(**wanted, snapshot=args.snapshot, after_seq=args.after):
            yield row

    return _run(args, rows, args.store, flush=True)


def _export(args: argparse.Namespace) -> int:
    from phenix.server.params import MAX_SESSIONS

    async def rows(client: Client, wanted: dict[str, Any]) -> AsyncGenerator[row_pb2.Row]:
        if not _BOUNDS & set(wanted["parameters"]):
            wanted["parameters"]["sessions"] = str(MAX_SESSIONS)
        async for row in client.export(**wanted):
            yield row

    return _run(args, rows, None if args.server else args.store or args.settings.store)
