"""Rows as tables: dictionaries, Arrow, Polars.

The columns are the keys of a row in the REST API, their types those of the catalog: money is exact decimals of
dollars, times are microseconds in UTC (``tradeTsEt`` the same instant on the New York clock), chips lists of their ids,
unknown is null.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from phenix.dsl.types import MONEY_SCALE, Kind
from phenix.engine.encode import ROW_KEYS
from phenix.engine.flow import BY_NAME
from phenix.server._pb import row_pb2
from phenix.server.grpc.rows import to_json

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = ["MissingExtraError", "arrow_batches", "arrow_file", "arrow_schema", "to_arrow", "to_dicts", "to_polars"]

_ROWS: Final = 10_000
"""Rows of a batch."""
_DIGITS: Final = 18
_US: Final = 1_000
"""Microseconds of a millisecond."""


class MissingExtraError(ImportError):
    """What a table is made with is not installed; the message says how to install it."""


def to_dicts(rows: Iterable[row_pb2.Row]) -> list[dict[str, Any]]:
    """Rows as the JSON objects of the REST API: dollars, ISO times, None where a value is unknown."""
    return [to_json(row) for row in rows]


def to_arrow(rows: Iterable[row_pb2.Row]) -> pa.Table:
    """Rows as an Arrow table. Raises MissingExtraError."""
    return _load("pyarrow", "arrow").Table.from_batches(arrow_batches(rows), arrow_schema())


def to_polars(rows: Iterable[row_pb2.Row]) -> pl.DataFrame:
    """Rows as a Polars frame. Raises MissingExtraError."""
    _load("pyarrow", "polars")
    frame: pl.DataFrame = _load("polars", "polars").from_arrow(to_arrow(rows))
    return frame


def arrow_schema() -> pa.Schema:
    """The columns of a table. Raises MissingExtraError."""
    arrow = _load("pyarrow", "arrow")
    return arrow.schema([arrow.field(c.key, _types(arrow)[c.kind], c.nullable) for c in _columns()])


def arrow_batches(rows: Iterable[row_pb2.Row], size: int = _ROWS) -> Iterator[pa.RecordBatch]:
    """Rows as Arrow record batches of up to ``size`` rows, each made when it is taken. Raises MissingExtraError."""
    arrow, schema, several = _load("pyarrow", "arrow"), arrow_schema(), iter(rows)
    while some := [_values(row) for row in islice(several, size)]:
        yield arrow.RecordBatch.from_arrays(
            [_array(arrow, c, [row.get(c.number, c.absent) for row in some]) for c in _columns()], schema=schema
        )


@contextmanager
def arrow_file(
    form: str, file: BinaryIO, keys: Sequence[str] = ()
) -> Iterator[Callable[[Iterable[row_pb2.Row]], None]]:
    """A function that writes rows to an ``arrow`` (IPC) or a ``parquet`` file, whole at the end of ``with``.

    ``keys`` are the columns, none means all. Raises MissingExtraError.
    """
    arrow = _load("pyarrow", "arrow")
    columns = list(keys) or list(ROW_KEYS)
    schema = arrow.schema([arrow_schema().field(key) for key in columns])
    sink = arrow.PythonFile(file, mode="w")
    if form == "parquet":
        made = _load("pyarrow.parquet", "arrow").ParquetWriter(sink, schema)
    else:
        made = _load("pyarrow.ipc", "arrow").new_file(sink, schema)

    def write(rows: Iterable[row_pb2.Row]) -> None:
        for batch in arrow_batches(rows):
            made.write_batch(batch.select(columns))

    with made:
        yield write


class _Column(NamedTuple):
    """A column: its key and kind, and the number of the field of a message that it is, with its value where absent."""

    key: str
    kind: str
    nullable: bool
    number: int
    absent: Any


def _values(row: row_pb2.Row) -> dict[int, Any]:
    """What a message has, by the numbers of its fields."""
    return {field.number: value for field, value in row.ListFields()}


@cache
def _columns() -> tuple[_Column, ...]:
    """The columns by the fields of a row message and what the catalog says of them."""
    found = {}
    fields = row_pb2.Row.DESCRIPTOR.fields_by_name
    for field in fields.values():
        known = BY_NAME.get(field.name)
        key = known.json if known and known.json else field.json_name
        kind: str = known.type.kind if known else Kind.TEXT
        number = field.number
        if field.is_repeated:
            kind = "list"
        elif field.name == "trade_ts_et":
            kind, number = "et", fields["trade_ts_utc"].number
        absent = [] if field.is_repeated else None if field.has_presence else field.default_value
        found[key] = _Column(key, kind, field.has_presence, number, absent)
    return tuple(found[key] for key in ROW_KEYS)


@cache
def _types(arrow: Any) -> dict[str, Any]:
    text, whole, real = arrow.string(), arrow.int64(), arrow.float64()
    return {
        Kind.BOOL: arrow.bool_(),
        Kind.INT: whole,
        Kind.MONEY: arrow.decimal128(_DIGITS, MONEY_SCALE),
        Kind.RATIO: real,
        Kind.PERCENT: real,
        Kind.ENUM: text,
        Kind.SYMBOL: text,
        Kind.TEXT: text,
        Kind.DATE: arrow.date32(),
        Kind.TS: arrow.timestamp("us", "UTC"),
        Kind.DURATION: whole,
        "et": arrow.timestamp("us", "America/New_York"),
        "list": arrow.list_(text),
    }


def _array(arrow: Any, column: _Column, values: list[Any]) -> Any:
    kind = _types(arrow)[column.kind]
    if column.kind == Kind.MONEY:
        # Ten-thousandths as whole numbers, times one ten-thousandth: exact, and no object a value.
        units = arrow.array(values, arrow.int64()).cast(arrow.decimal128(19, 0))
        one = arrow.scalar(Decimal(1).scaleb(-MONEY_SCALE), arrow.decimal128(MONEY_SCALE, MONEY_SCALE))
        return _load("pyarrow.compute", "arrow").multiply(units, one).cast(kind)
    if column.kind == "list":
        values = [list(value) for value in values]
    elif column.kind == Kind.DATE:
        values = [value if value is None else _date(value) for value in values]
    elif column.kind in (Kind.TS, "et"):
        values = [value if value is None else value * _US for value in values]
    return arrow.array(values, kind)


@cache
def _date(number: int) -> date:
    return date(number // 10_000, number // 100 % 100, number % 100)


def _load(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = error.name or name
        raise MissingExtraError(
            f"{missing} is not installed, which this needs: pip install 'phenix[{extra}]'", name=missing
        ) from error
