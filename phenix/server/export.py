"""An export as it goes on: rows a page at a time, each read when the one before it was taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from phenix.engine.flow import Row
from phenix.engine.live.index import LiveIndex
from phenix.engine.query.export import Export, begin_export, next_rows
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.store.base import Reader
from phenix.server.rules import Rules

__all__ = ["Exported", "export"]


@dataclass(frozen=True, slots=True)
class Exported:
    """Rows of an export, perhaps none, where it stands after them, and the rules that it is made with."""

    rows: list[Row]
    export: Export
    rules: Rules


async def export(
    run: Callable[[Callable[[Reader], Any]], Awaitable[Any]],
    walking: Callable[[Reader, FlowRequest], Rules],
    live: LiveIndex,
    request: FlowRequest,
    limit_s: Callable[[], float],
) -> AsyncIterator[Exported | Refusal]:
    """The parts of an export: the first has no rows, a refusal is the last.

    ``run`` calls a function with a reader on another thread, ``walking`` gives the rules of a request, ``limit_s`` how
    long a read may take.
    """

    def begin(reader: Reader) -> Exported | Refusal:
        rules = walking(reader, request)
        begun = begin_export(reader, request, rules.bundle)
        return begun if isinstance(begun, Refusal) else Exported([], begun, rules)

    def further(reader: Reader) -> Exported | Refusal:
        assert isinstance(part, Exported)
        found = next_rows(reader, part.export, live=live, timeout_s=limit_s())
        return found if isinstance(found, Refusal) else Exported(*found, part.rules)

    part: Exported | Refusal = await run(begin)
    yield part
    while isinstance(part, Exported) and not part.export.done:
        part = await run(further)
        yield part
