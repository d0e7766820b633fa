"""Answers of the REST side: tables in the vendor's formats, refusals as plain text, bodies slow or cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import orjson
from starlette.responses import Response, StreamingResponse

from phenix.ingest.terminal.faults_active import ActiveFault
from phenix.ingest.terminal.layouts import price_text, strike_text
from phenix.ingest.terminal.standin_params import Refusal
from phenix.ingest.terminal.standin_world import Table

__all__ = ["FORMATS", "refused", "shaped", "table_answer", "text_answer"]

_ROWS_A_CHUNK: Final = 2_000
_CONTRACT: Final = ("symbol", "strike", "right", "expiration")


def text_answer(text: str, status: int = 200) -> Response:
    """Plain text."""
    return Response(text, status, headers={"content-type": "text/plain"})


def refused(refusal: Refusal) -> Response:
    """An error as the vendor sends it."""
    return text_answer(refusal.text, refusal.code)


def table_answer(table: Table, form: str, *, legacy: bool) -> Response:
    """A table in one of :data:`FORMATS`; ``legacy`` is the JSON of accounts made before November 2025."""
    media_type, write = FORMATS[form]
    if form == "json" and legacy:
        write = _legacy_json
    return StreamingResponse(_paced(write(table)), headers={"content-type": media_type})


async def _paced(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)  # the stream's playback gets its turn


# -- bodies that come slowly, or end too early


async def shaped(answer: Response, shapes: Sequence[ActiveFault], break_off: Callable[[], Awaitable[None]]) -> Response:
    """An answer as the faults have it; ``break_off`` ends its connection."""
    if not shapes:
        return answer
    if isinstance(answer, StreamingResponse):
        body = b"".join([bytes(chunk) async for chunk in answer.body_iterator if not isinstance(chunk, str)])
    else:
        body = bytes(answer.body)
    parts, torn = [body], False
    for active in shapes:
        if active.fault.name == "truncated_body":
            torn = torn or active.text("end") == "reset"
            parts = [body[: int(len(body) * active.number_of("keep"))]]
    slow = [active for active in shapes if active.fault.name == "slow_body"]
    for active in slow:
        size = active.whole("bytes")
        parts = [part[start : start + size] for part in parts for start in range(0, max(1, len(part)), size)]

    async def come() -> AsyncIterator[bytes]:
        for place, part in enumerate(parts):
            for active in slow:
                await asyncio.sleep(active.number_of("pause" if place else "wait"))
            yield part
        if torn:
            await break_off()

    return StreamingResponse(come(), answer.status_code, headers={"content-type": answer.headers["content-type"]})


# -- formats


def _plain(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _texts(table: Table) -> Iterator[list[str]]:
    kinds = [
        strike_text if name == "strike" else price_text if name in table.money else _plain for name in table.columns
    ]
    for row in table.rows:
        yield [kind(value) for kind, value in zip(kinds, row, strict=True)]


def _csv(table: Table) -> Iterator[bytes]:
    lines = [",".join(table.columns)]
    for row in _texts(table):
        lines.append(",".join(row))
        if len(lines) >= _ROWS_A_CHUNK:
            yield ("\r\n".join(lines) + "\r\n").encode()
            lines.clear()
    if lines:
        yield ("\r\n".join(lines) + "\r\n").encode()


def _objects(table: Table) -> Iterator[dict[str, Any]]:
    columns = table.columns
    money = [i for i, name in enumerate(columns) if name in table.money]
    for row in table.rows:
        values: list[Any] = [None if value == "" else value for value in row]
        for i in money:
            values[i] /= 10_000
        yield dict(zip(columns, values, strict=True))


def _ndjson(table: Table) -> Iterator[bytes]:
    for item in _objects(table):
        yield orjson.dumps(item) + b"\n"


def _json(table: Table) -> Iterator[bytes]:
    items: list[dict[str, Any]] = []
    if table.grouped:
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for item in _objects(table):
            groups.setdefault(tuple(item.pop(name) for name in _CONTRACT), []).append(item)
        items = [
            {"contract": dict(zip(_CONTRACT, contract, strict=True)), "data": data} for contract, data in groups.items()
        ]
    else:
        items = list(_objects(table))
    yield orjson.dumps({"response": items})


def _legacy_json(table: Table) -> Iterator[bytes]:
    items = list(_objects(table))
    yield orjson.dumps({name: [item[name] for item in items] for name in table.columns})


def _html(table: Table) -> Iterator[bytes]:
    yield b"<table>\n<tr>" + "".join(f"<th>{name}</th>" for name in table.columns).encode() + b"</tr>\n"
    for row in _texts(table):
        yield ("<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>\n").encode()
    yield b"</table>\n"


FORMATS: Final[dict[str, tuple[str, Callable[[Table], Iterator[bytes]]]]] = {
    "csv": ("text/csv", _csv),
    "json": ("application/json", _json),
    "ndjson": ("application/x-ndjson", _ndjson),
    "html": ("text/html", _html),
}
"""Content type and writer by the value of ``format``."""
