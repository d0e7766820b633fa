"""The client for who has an event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, Self, TypedDict, Unpack

import grpc

from phenix.client.calls import FIRST_S, ask, connect, error_of, pause, was_cut
from phenix.client.saved import Alerts, SavedQueries
from phenix.client.subscription import Subscription
from phenix.server._pb import (
    catalog_pb2,
    catalog_pb2_grpc,
    flow_pb2,
    flow_pb2_grpc,
    row_pb2,
    rules_pb2,
    rules_pb2_grpc,
    saved_pb2,
)

__all__ = ["Client", "Wanted"]

_PAGE: Final = 1_000
_FEW: Final = 4
_MANY: Final = 12
"""Times in a row that an export is begun, and gone on with, before a server counts as gone."""
_KINDS: Final = {"expression": rules_pb2.TEXT_KIND_EXPRESSION, "file": rules_pb2.TEXT_KIND_FILE}

TextKind = Literal["expression", "file"]


class Wanted(TypedDict, total=False):
    """What rows are wanted besides ``where``, all of it and-ed; ``parameters`` are those of ``GET /api/flow``."""

    chips: Sequence[str]
    not_chips: Sequence[str]
    parameters: Mapping[str, str]
    include_cancelled: bool


class Client:
    """A connection to a server's gRPC address, such as ``127.0.0.1:8601``; made within an event loop.

    ``token`` is sent with every call. ``tls`` speaks TLS; ``authority`` is the certificate it is to be signed by (PEM),
    where this machine does not know it. Every call raises RequestError.
    """

    def __init__(self, target: str, *, token: str = "", tls: bool = False, authority: bytes | None = None) -> None:
        self._channel = connect(target, token, tls=tls, authority=authority)
        self._flow = flow_pb2_grpc.FlowServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated
        self._rules = rules_pb2_grpc.RuleServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated
        self._catalog = catalog_pb2_grpc.CatalogServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated
        self.presets = SavedQueries(self._channel, saved_pb2.SAVED_KIND_PRESET)
        self.alerts = Alerts(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every call and the connection."""
        await self._channel.close()

    # -- rows

    async def query(
        self,
        where: str = "",
        *,
        order_by: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
        **wanted: Unpack[Wanted],
    ) -> flow_pb2.QueryResponse:
        """One page of rows; pass ``next_page_token`` with the same filter for the next."""
        request = flow_pb2.QueryRequest(
            filter=_filter(where, **wanted), order_by=order_by, page_size=page_size, page_token=page_token
        )
        page: flow_pb2.QueryResponse = await ask(self._flow.Query, request, timeout_s)
        return page

    async def rows(
        self,
        where: str = "",
        *,
        order_by: str = "",
        limit: int | None = None,
        timeout_s: float | None = None,
        **wanted: Unpack[Wanted],
    ) -> AsyncIterator[row_pb2.Row]:
        """Every matching row, or the first ``limit``, page after page as of the first; ``timeout_s`` is a page's."""
        token, left = "", limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = await self.query(
                where, order_by=order_by, page_size=size, page_token=token, timeout_s=timeout_s, **wanted
            )
            for row in page.rows:
                yield row
            left = None if left is None else left - len(page.rows)
            token = page.next_page_token
            if not token:
                return

    async def export(
        self, where: str = "", *, timeout_s: float | None = None, **wanted: Unpack[Wanted]
    ) -> AsyncIterator[row_pb2.Row]:
        """Every matching row in seq order as of the beginning, each once however often the connection is cut.

        ``timeout_s`` bounds the whole.
        """
        request = flow_pb2.ExportRequest(filter=_filter(where, **wanted))
        until = None if timeout_s is None else time.monotonic() + timeout_s
        delay, cuts, most = FIRST_S, 0, _FEW
        while True:
            call = self._flow.Export(request, timeout=None if until is None else max(0.0, until - time.monotonic()))
            try:
                async for part in call:
                    delay, cuts, most = FIRST_S, 0, _MANY
                    for row in part.rows:
                        yield row
                    request.page_token = part.next_page_token
                    if not part.next_page_token:
                        return
            except grpc.aio.AioRpcError as error:
                cuts += 1
                if not was_cut(error) or cuts == most:
                    raise error_of(error) from None
            finally:
                call.cancel()
            delay = await pause(delay)

    async def summarize(
        self, where: str = "", *, limit: int = 0, timeout_s: float | None = None, **wanted: Unpack[Wanted]
    ) -> flow_pb2.SummarizeResponse:
        """Sums over every matching row, with the ``limit`` symbols and contracts that have most premium."""
        request = flow_pb2.SummarizeRequest(filter=_filter(where, **wanted), limit=limit)
        summary: flow_pb2.SummarizeResponse = await ask(self._flow.Summarize, request, timeout_s)
        return summary

    async def facets(
        self, where: str = "", *, limit: int = 0, timeout_s: float | None = None, **wanted: Unpack[Wanted]
    ) -> flow_pb2.FacetsResponse:
        """How many matching rows have each value of what people filter by."""
        request = flow_pb2.FacetsRequest(filter=_filter(where, **wanted), limit=limit)
        facets: flow_pb2.FacetsResponse = await ask(self._flow.Facets, request, timeout_s)
        return facets

    async def get(self, row_id: str, *, timeout_s: float | None = None) -> row_pb2.Row:
        """One row by its id."""
        found: flow_pb2.GetResponse = await ask(self._flow.Get, flow_pb2.GetRequest(id=row_id), timeout_s)
        return found.row

    async def why(self, row_id: str, *, timeout_s: float | None = None) -> flow_pb2.WhyResponse:
        """Why a row has its chips: the conditions of each with their answers, and what would turn it on."""
        found: flow_pb2.WhyResponse = await ask(self._flow.Why, flow_pb2.WhyRequest(id=row_id), timeout_s)
        return found

    def subscribe(
        self, where: str = "", *, snapshot: int = 0, after_seq: int | None = None, **wanted: Unpack[Wanted]
    ) -> Subscription:
        """Rows as they come: the latest ``snapshot`` first, or everything after a seq."""
        return Subscription(self._flow, _filter(where, **wanted), snapshot, after_seq)

    # -- the language, and what there is to ask for

    async def catalog(self, *, timeout_s: float | None = None) -> catalog_pb2.GetCatalogResponse:
        """Fields, chips and parameters of the active rule version."""
        request = catalog_pb2.GetCatalogRequest()
        found: catalog_pb2.GetCatalogResponse = await ask(self._catalog.GetCatalog, request, timeout_s)
        return found

    async def check(
        self, text: str, *, kind: TextKind = "expression", name: str = "", timeout_s: float | None = None
    ) -> rules_pb2.CheckResponse:
        """What is wrong with a text: findings are the answer. A file is compiled in the place of the one so named."""
        request = rules_pb2.CheckRequest(text=text, kind=_KINDS[kind], name=name)
        found: rules_pb2.CheckResponse = await ask(self._rules.Check, request, timeout_s)
        return found

    async def format(
        self, text: str, *, kind: TextKind = "expression", timeout_s: float | None = None
    ) -> rules_pb2.FormatResponse:
        """A text in its one layout, comments kept."""
        request = rules_pb2.FormatRequest(text=text, kind=_KINDS[kind])
        found: rules_pb2.FormatResponse = await ask(self._rules.Format, request, timeout_s)
        return found

    async def explain(self, text: str, *, timeout_s: float | None = None) -> rules_pb2.ExplainResponse:
        """What an expression or a chip means, reads and becomes."""
        request = rules_pb2.ExplainRequest(text=text)
        found: rules_pb2.ExplainResponse = await ask(self._rules.Explain, request, timeout_s)
        return found

    async def estimate(
        self, text: str, *, sessions: int = 1, timeout_s: float | None = None
    ) -> rules_pb2.EstimateResponse:
        """How many rows of the latest sessions an expression hits."""
        request = rules_pb2.EstimateRequest(text=text, sessions=sessions)
        found: rules_pb2.EstimateResponse = await ask(self._rules.Estimate, request, timeout_s)
        return found


def _filter(where: str, **wanted: Unpack[Wanted]) -> flow_pb2.Filter:
    return flow_pb2.Filter(where=where, **wanted)
