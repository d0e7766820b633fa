"""Rows as they are printed: a table for people, lines of JSON, CSV, Arrow and Parquet."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from phenix.cli.command import CommandError

if TYPE_CHECKING:
    from phenix.server._pb import row_pb2

__all__ = ["FORMATS", "LINES", "Show", "output", "printer", "read_format"]

LINES: Final = ("table", "jsonl", "csv")
"""Formats of which a row is a line."""
FORMATS: Final = (*LINES, "arrow", "parquet")
_COLUMNS: Final = (
    ("tradeTsEt", 12), ("symbol", 6), ("expiration", 10), ("strike", 9), ("right", 4), ("side", 4), ("price", 9),
    ("size", 7), ("value", 14), ("chips", 0),
)  # fmt: skip
"""Columns of the table: key and width, numbers to the right."""
_WIDTHS: Final = dict(_COLUMNS)
_ROWS: Final = 10_000
"""Rows of a record batch."""

Show = Callable[["row_pb2.Row"], None]


def read_format(text: str) -> str:
    """A format by its name; ``ndjson`` is another of ``jsonl``. The ``type`` of an argument."""
    return "jsonl" if text == "ndjson" else text


@contextmanager
def output(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that is there only once it is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def printer(form: str, keys: Sequence[str], file: BinaryIO) -> Iterator[Show]:
    """A function that writes a row message; ``keys`` are the columns, none means all, of a table those that fit."""
    match form:
        case "table":
            yield _table(keys, file)
        case "jsonl":
            yield _jsonl(keys, file)
        case "csv":
            yield _csv(keys, file)
        case _:
            if file is sys.stdout.buffer and sys.stdout.isatty():
                raise CommandError(f"{form} is not for a terminal: name a file with --output, or use a pipe")
            with _arrow(form, keys, file) as show:
                yield show


def _jsonl(keys: Sequence[str], file: BinaryIO) -> Show:
    import orjson

    from phenix.server.grpc.rows import to_json

    def show(row: row_pb2.Row) -> None:
        found = to_json(row)
        file.write(orjson.dumps({key: found[key] for key in keys} if keys else found) + b"\n")

    return show


def _table(keys: Sequence[str], file: BinaryIO) -> Show:
    from phenix.server.grpc.rows import to_json

    columns = [(key, _WIDTHS.get(key, len(key))) for key in keys] or _COLUMNS

    def show(row: row_pb2.Row) -> None:
        found = to_json(row)
        line = "  ".join(_cell(found[key], key, width) for key, width in columns).rstrip()
        file.write(f"{line}\n".encode())

    return show


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


def _csv(keys: Sequence[str], file: BinaryIO) -> Show:
    from phenix.engine.encode import ROW_KEYS
    from phenix.server.grpc.rows import to_json

    columns = keys or ROW_KEYS
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)

    def show(row: row_pb2.Row) -> None:
        found = to_json(row)
        writer.writerow([_plain(found[key]) for key in columns])
        file.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()

    file.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()
    return show


def _plain(value: Any) -> Any:
    """A value in CSV: unknown is empty, lists are joined by semicolons, yes and no are those of JSON."""
    if isinstance(value, list):
        return ";".join(value)
    return str(value).lower() if isinstance(value, bool) else value


@contextmanager
def _arrow(form: str, keys: Sequence[str], file: BinaryIO) -> Iterator[Show]:
    from phenix.client import MissingExtraError, arrow_file

    held: list[row_pb2.Row] = []
    try:
        with arrow_file(form, file, keys) as write:

            def show(row: row_pb2.Row) -> None:
                held.append(row)
                if len(held) == _ROWS:
                    write(held)
                    held.clear()

            yield show
            write(held)
    except MissingExtraError as error:
        raise CommandError(str(error)) from None
