"""The vendor's text tables: columns by name, each with its grammar, and a strict reader of their lines.

A layout is built from a file's header. Its regular expression accepts exactly the well-formed lines, so a line that
matches needs no second look; one that does not is taken apart to say which column is wrong and why. Nothing goes
through binary floating point: ``4.15`` is 41500 ten-thousandths.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from phenix.ingest.normalize import Refusal

__all__ = [
    "LINE_BYTES",
    "OPEN_INTEREST",
    "TRADE_QUOTE",
    "UNDERLYING",
    "Layout",
    "LayoutError",
    "Table",
    "ndjson_values",
]

LINE_BYTES: Final = 8_192
"""Longest line that can be a row."""

_SYMBOL: Final = rb"[A-Z0-9][A-Z0-9./^_-]{0,15}"
_DATE: Final = rb"\d{4}-\d\d-\d\d|\d{8}"
_TIME: Final = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?"
_MONEY: Final = rb"\d{1,12}(?:\.\d{1,4})?"
_ANY_MONEY: Final = rb"\d{1,12}(?:\.\d{1,20})?"
_INT: Final = rb"-?\d{1,18}"
_COUNT: Final = rb"\d{1,18}"
_RIGHT: Final = rb"CALL|PUT|C|P"
_OTHER: Final = rb"[ -+\--~]*"
"""A column nobody reads: printable, no comma."""

_EXPECTED: Final = {
    _SYMBOL: "a symbol of up to 16 capital letters and digits",
    _DATE: "a date such as 2024-11-08",
    _TIME: "a time such as 2024-11-04T09:30:00.471",
    _MONEY: "an amount in dollars such as 4.15",
    _ANY_MONEY: "an amount in dollars such as 187.835",
    _INT: "a whole number",
    _COUNT: "a whole number, not negative",
    _RIGHT: "CALL or PUT",
    _OTHER: "printable text",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A kind of file: the columns it must have, in the order a line's values are given back.

    ``optional`` names columns whose value may be empty (unknown).
    """

    name: str
    columns: dict[str, bytes]
    optional: frozenset[str] = frozenset()


TRADE_QUOTE: Final = Table(
    "trade_quote",
    {
        "symbol": _SYMBOL,
        "expiration": _DATE,
        "strike": _MONEY,
        "right": _RIGHT,
        "trade_timestamp": _TIME,
        "quote_timestamp": _TIME,
        "sequence": _INT,
        "condition": _INT,
        "size": _INT,
        "exchange": _INT,
        "price": _MONEY,
        "bid": _MONEY,
        "ask": _MONEY,
    },
    frozenset({"quote_timestamp", "bid", "ask"}),
)
OPEN_INTEREST: Final = Table(
    "open_interest",
    {
        "symbol": _SYMBOL,
        "expiration": _DATE,
        "strike": _MONEY,
        "right": _RIGHT,
        "timestamp": _TIME,
        "open_interest": _COUNT,
    },
)
UNDERLYING: Final = Table(
    "underlying quote", {"timestamp": _TIME, "symbol": _SYMBOL, "bid": _ANY_MONEY, "ask": _ANY_MONEY}
)


class LayoutError(Exception):
    """A file that is not the table it is given as; the message names what was expected and found."""


class Layout:
    """How the lines of one file are read: ``columns`` is its header, in order."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self.table = table
        self.columns = tuple(columns)
        self._index = {name: i for i, name in enumerate(columns)}
        parts = []
        for name in columns:
            pattern = table.columns.get(name)
            if pattern is None:
                parts.append(_OTHER)
            else:
                parts.append(b"((?:" + pattern + b")" + (b"?" if name in table.optional else b"") + b")")
        self._match = re.compile(b",".join(parts) + rb"\r?\n?").fullmatch
        found = [name for name in columns if name in table.columns]
        self._order = None if found == list(table.columns) else [found.index(name) for name in table.columns]

    @classmethod
    def of_header(cls, table: Table, header: bytes, where: str) -> Layout:
        """Read a CSV header line; raises LayoutError when a column is missing or named twice."""
        text = header.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").strip()
        columns = [name.strip().strip('"').lower() for name in text.split(",")] if text else []
        shown = _printable(", ".join(columns)[:600]) or "an empty file"
        if header.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise LayoutError(f"{where} is UTF-16: save it as UTF-8")
        if b"\r" in header.rstrip():
            raise LayoutError(f"{where} ends its lines with CR alone: save it with LF or CR LF")
        missing = [name for name in table.columns if name not in columns]
        if missing:
            raise LayoutError(
                f"{where} is no {table.name} file: no column {', '.join(missing)};"
                f" expected a header with {', '.join(table.columns)}; found {shown}"
            )
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise LayoutError(f"{where} names the column {', '.join(twice)} more than once; found {shown}")
        return cls(table, columns)

    def column(self, name: str) -> int:
        """Position of a column in a line."""
        return self._index[name]

    def values(self, line: bytes) -> Sequence[bytes] | Refusal:
        """The texts of the table's columns, each of its grammar, in the table's order; or what is wrong."""
        match = self._match(line)
        if match is None:
            return self._second_look(line)
        groups = match.groups()
        return groups if self._order is None else [groups[i] for i in self._order]

    def _second_look(self, line: bytes) -> Sequence[bytes] | Refusal:
        """Lines in the full CSV grammar, or the reason why it is none."""
        if len(line) > LINE_BYTES:
            return Refusal("line_too_long", f"the line has more than {LINE_BYTES} bytes")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            return Refusal("encoding", f"byte {error.start + 1} of the line is not UTF-8")
        text = text.rstrip("\r\n")
        if "\0" in text:
            return Refusal("encoding", "the line holds a NUL byte")
        if '"' in text:
            try:
                fields = next(csv.reader([text], strict=True), [])
            except csv.Error as error:
                return Refusal("malformed", f"the quoting is broken: {error}")
            return self.fields(fields)
        return self._explain(text.split(","))

    def fields(self, fields: Iterable[str]) -> Sequence[bytes] | Refusal:
        """As :meth:`values`, of a line already split."""
        texts = list(fields)
        if not any("," in text for text in texts):
            line = ",".join(texts).encode("utf-8", "replace")
            match = self._match(line)
            if match is not None and len(texts) == len(self.columns):
                groups = match.groups()
                return groups if self._order is None else [groups[i] for i in self._order]
        return self._explain(texts)

    def _explain(self, fields: list[str]) -> Refusal:
        if len(fields) != len(self.columns):
            return Refusal("columns", f"the line has {len(fields)} columns, the header {len(self.columns)}")
        for name, text in zip(self.columns, fields, strict=True):
            pattern = self.table.columns.get(name, _OTHER)
            raw = text.encode("utf-8", "replace")
            if re.fullmatch(pattern, raw) or (not raw and name in self.table.optional):
                continue
            return (
                Refusal(*_number_problem(name, text, pattern))
                if pattern in _NUMBERS
                else Refusal(f"{name}_malformed", f"{name} is {_short(text)}; expected {_EXPECTED[pattern]}")
            )
        return Refusal("malformed", "the line is not a row of this table")


_NUMBERS: Final = {_MONEY, _ANY_MONEY, _INT, _COUNT}


def _number_problem(name: str, text: str, pattern: bytes) -> tuple[str, str]:
    if re.fullmatch(r"[+-]?(nan|inf|infinity)", text, re.IGNORECASE):
        return f"{name}_not_finite", f"{name} is {_short(text)}: not a finite number"
    if re.fullmatch(r"-\d+(\.\d*)?", text, re.ASCII):
        return f"{name}_negative", f"{name} is {_short(text)}: negative"
    whole = pattern in (_INT, _COUNT)
    if re.fullmatch(r"\d{1,12}\.\d{5,}", text, re.ASCII) and not whole:
        return f"{name}_decimals", f"{name} is {_short(text)}: more than four decimals"
    if re.fullmatch(r"\d+" if whole else r"\d+(\.\d+)?", text, re.ASCII):
        return f"{name}_out_of_range", f"{name} is {_short(text)}: beyond any real value"
    return f"{name}_malformed", f"{name} is {_short(text)}; expected {_EXPECTED[pattern]}"


def _printable(text: str) -> str:
    """A text for a terminal: what a binary file holds must not steer it."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _short(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def ndjson_values(layout: Layout, line: bytes) -> Sequence[bytes] | Refusal:
    """As :meth:`Layout.values` for a line of flat JSON; absent keys and nulls are empty."""
    if len(line) > LINE_BYTES:
        return Refusal("line_too_long", f"the line has more than {LINE_BYTES} bytes")
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Refusal("malformed", f"broken JSON: {error}")
    if not isinstance(value, dict):
        return Refusal("malformed", "the line is not a JSON object")
    texts = []
    for name in layout.columns:
        item = value.get(name)
        if item is None:
            texts.append("")
        elif isinstance(item, str):
            texts.append(item)
        elif isinstance(item, bool | list | dict):
            return Refusal(f"{name}_malformed", f"{name} is not a number or a text")
        else:
            texts.append(repr(item))  # the shortest decimal that reads back as this double: the digits on the wire
    return layout.fields(texts)
