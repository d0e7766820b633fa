"""What a route is: one row of the table that requests are passed on by and the API is described from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from phenix.server.reading import Parameter
from phenix.server.rest.leaving import answer_unless_left

__all__ = ["JSON", "Endpoint", "Methods", "Operation", "routes", "under"]

Endpoint = Callable[[Request], Awaitable[Response]]
JSON: Final = "application/json"
_OF_ROWS: Final = frozenset({"FlowPage", "FlowSummary", "FlowFacets", "FlowRow", "FlowWhy", "Events"})


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path.

    ``answer`` names the schema of what it answers, "" where there is none, in ``media``; ``statuses`` are those of an
    answer that is no refusal. ``body`` is the schema of a request's body by its media type, "" for any text;
    ``id_pattern`` what the id in its path looks like. ``refuses`` are codes of the error table beside those that any
    operation of its kind can be refused with. ``hears`` are headers it heeds, ``tells`` those of its answers.
    ``reads`` says that it changes nothing: it ends when its client leaves, as every GET does.
    """

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    answer: str
    takes: Mapping[str, Parameter] = field(default_factory=dict)
    refuses: tuple[str, ...] = ()
    body: Mapping[str, str] = field(default_factory=dict)
    media: tuple[str, ...] = (JSON,)
    statuses: tuple[int, ...] = (200,)
    id_pattern: str = ""
    hears: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    reads: bool = False


def under(prefix: str, operations: Iterable[Operation]) -> list[Operation]:
    """The same operations with their paths under a prefix."""
    return [replace(one, path=prefix + one.path) for one in operations]


def routes(operations: Iterable[Operation]) -> list[Route]:
    """One route a path, in the order they are first named."""
    paths: dict[str, dict[str, Operation]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = one
    return [Route(path, Methods(path, methods)) for path, methods in paths.items()]


class Methods:
    """The endpoints of one path; any other method is told which there are. ``reads_rows`` is whether it answers any.

    An endpoint finds the parameters that its operation takes as ``takes`` in the request's scope.
    """

    def __init__(self, path: str, operations: Mapping[str, Operation]) -> None:
        self.path = path
        self.reads_rows = any(one.answer in _OF_ROWS for one in operations.values())
        self._operations = {**operations, **({"HEAD": operations["GET"]} if "GET" in operations else {})}
        self.methods = frozenset(self._operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._operations.get(scope["method"])
        if operation is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._operations))})
        scope["takes"] = operation.takes
        if operation.reads or operation.method == "GET":
            response = await answer_unless_left(operation.endpoint, scope, receive, reads_body=bool(operation.body))
        else:
            response = await operation.endpoint(Request(scope, receive))
        if response is not None:
            await response(scope, receive, send)
