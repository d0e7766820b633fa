"""Saved presets or alerts of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import orjson

from phenix.client.calls import FIRST_S, ask, error_of, pause, was_cut
from phenix.server._pb import saved_pb2, saved_pb2_grpc

__all__ = ["Alerts", "SavedQueries"]

_PAGE: Final = 1_000


class SavedQueries:
    """Entries of one kind. A filter is ``where``, an expression, or ``payload``, a V2 or a legacy object.

    Every call raises RequestError. A call that changes something is made once: one that was cut may have been done.
    """

    def __init__(self, channel: Any, kind: saved_pb2.SavedKind) -> None:
        self._stub = saved_pb2_grpc.SavedQueryServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        self._kind = kind

    async def list(self, *, timeout_s: float | None = None) -> AsyncIterator[saved_pb2.SavedQuery]:
        """Every entry in the order they were made; ``timeout_s`` is a page's."""
        token = ""
        while True:
            request = saved_pb2.SavedQueryServiceListRequest(kind=self._kind, page_size=_PAGE, page_token=token)
            page = await ask(self._stub.List, request, timeout_s)
            for entry in page.saved_queries:
                yield entry
            token = page.next_page_token
            if not token:
                return

    async def get(self, id_: str, *, timeout_s: float | None = None) -> saved_pb2.SavedQuery:
        """One entry by its id."""
        answer = await ask(self._stub.Get, saved_pb2.SavedQueryServiceGetRequest(id=id_), timeout_s)
        return _entry(answer)

    async def create(
        self, name: str = "", *, where: str | None = None, payload: Any = None, timeout_s: float | None = None
    ) -> saved_pb2.SavedQuery:
        """Store a new entry; a blank name is its id."""
        request = saved_pb2.SavedQueryServiceCreateRequest(kind=self._kind, name=name, **_filter(where, payload))
        return _entry(await ask(self._stub.Create, request, timeout_s, again=False))

    async def update(
        self,
        id_: str,
        *,
        name: str | None = None,
        where: str | None = None,
        payload: Any = None,
        etag: str = "",
        timeout_s: float | None = None,
    ) -> saved_pb2.SavedQuery:
        """Change an entry, which must still have the ``etag`` if one is given; what is None stays as it is."""
        request = saved_pb2.SavedQueryServiceUpdateRequest(id=id_, name=name, etag=etag, **_filter(where, payload))
        return _entry(await ask(self._stub.Update, request, timeout_s, again=False))

    async def delete(self, id_: str, *, etag: str = "", timeout_s: float | None = None) -> None:
        """Remove an entry, which must still have the ``etag`` if one is given."""
        request = saved_pb2.SavedQueryServiceDeleteRequest(id=id_, etag=etag)
        await ask(self._stub.Delete, request, timeout_s, again=False)


class Alerts(SavedQueries):
    """Saved alerts, and what they raise."""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel, saved_pb2.SAVED_KIND_ALERT)

    async def events(self, id_: str, *, timeout_s: float | None = None) -> AsyncIterator[saved_pb2.AlertEvent]:
        """What an alert raised, newest first, with how far each delivery is; ``timeout_s`` is a page's."""
        token = ""
        while True:
            request = saved_pb2.ListAlertEventsRequest(alert_id=id_, page_size=_PAGE, page_token=token)
            page = await ask(self._stub.ListAlertEvents, request, timeout_s)
            for event in page.events:
                yield event
            token = page.next_page_token
            if not token:
                return

    async def watch(self, id_: str = "", *, after_number: int | None = None) -> AsyncIterator[saved_pb2.AlertEvent]:
        """What all alerts raise as they do, or one: after the number of an event, or from now; resumed by itself."""
        request = saved_pb2.WatchAlertsRequest(alert_id=id_, after_number=after_number)
        delay = FIRST_S
        while True:
            call = self._stub.WatchAlerts(request)
            try:
                async for response in call:
                    delay = FIRST_S
                    for event in response.events:
                        yield event
                        request.after_number = event.number
                    request.after_number = response.number
            except grpc.aio.AioRpcError as error:
                if not was_cut(error):
                    raise error_of(error) from None
            finally:
                call.cancel()
            delay = await pause(delay)


def _filter(where: str | None, payload: Any) -> dict[str, str]:
    if where is not None and payload is not None:
        raise TypeError("a filter is `where` or `payload`, not both")
    if payload is not None:
        return {"payload_json": orjson.dumps(payload).decode()}
    return {} if where is None else {"where": where}


def _entry(answer: Any) -> saved_pb2.SavedQuery:
    entry: saved_pb2.SavedQuery = answer.saved_query
    return entry
