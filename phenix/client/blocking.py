"""The client for who has no event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Final, Self, TypeVar

from phenix.client.client import Client
from phenix.client.saved import Alerts, SavedQueries
from phenix.client.subscription import Notice
from phenix.server._pb import catalog_pb2, flow_pb2, row_pb2, rules_pb2, saved_pb2

__all__ = ["BlockingClient"]

_T = TypeVar("_T")
_MANY: Final = 1_000
"""Rows fetched from the other thread at once."""
_ENDING_S: Final = 5.0
"""How long what is being ended may take."""
_Run = Callable[[Coroutine[Any, Any, Any]], Any]
_Each = Callable[[AsyncIterator[Any]], Iterator[Any]]


class BlockingClient:
    """A :class:`Client` for who has no event loop: its own runs on a thread until it is closed."""

    def __init__(self, target: str, *, token: str = "", tls: bool = False, authority: bytes | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="phenix-client", daemon=True)
        self._thread.start()

        async def make() -> Client:
            return Client(target, token=token, tls=tls, authority=authority)

        self._client = self._run(make())
        self.presets = _BlockingSaved(self._client.presets, self._run, self._each)
        self.alerts = _BlockingAlerts(self._client.alerts, self._run, self._each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every call, the connection and the thread; closing twice is fine."""
        if self._loop.is_running():
            self._run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        """Close the client, and wait for what is still being ended: generators that were left, above all."""
        await self._client.close()
        await asyncio.sleep(0)  # so that what a collected generator asked of the loop has become a task
        await self._loop.shutdown_asyncgens()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, late = await asyncio.wait(left, timeout=_ENDING_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def query(self, where: str = "", **more: Any) -> flow_pb2.QueryResponse:
        """As :meth:`Client.query`."""
        return self._run(self._client.query(where, **more))

    def rows(self, where: str = "", **more: Any) -> Iterator[row_pb2.Row]:
        """As :meth:`Client.rows`."""
        return self._each(self._client.rows(where, **more), _MANY)

    def export(self, where: str = "", **more: Any) -> Iterator[row_pb2.Row]:
        """As :meth:`Client.export`."""
        return self._each(self._client.export(where, **more), _MANY)

    def summarize(self, where: str = "", **more: Any) -> flow_pb2.SummarizeResponse:
        """As :meth:`Client.summarize`."""
        return self._run(self._client.summarize(where, **more))

    def facets(self, where: str = "", **more: Any) -> flow_pb2.FacetsResponse:
        """As :meth:`Client.facets`."""
        return self._run(self._client.facets(where, **more))

    def get(self, row_id: str, *, timeout_s: float | None = None) -> row_pb2.Row:
        """As :meth:`Client.get`."""
        return self._run(self._client.get(row_id, timeout_s=timeout_s))

    def why(self, row_id: str, *, timeout_s: float | None = None) -> flow_pb2.WhyResponse:
        """As :meth:`Client.why`."""
        return self._run(self._client.why(row_id, timeout_s=timeout_s))

    def subscribe(self, where: str = "", **more: Any) -> Iterator[row_pb2.Row]:
        """As :meth:`Client.subscribe`; waits for each row."""
        return self._each(aiter(self._client.subscribe(where, **more)))

    def items(self, where: str = "", **more: Any) -> Iterator[flow_pb2.Event | Notice]:
        """As :meth:`Client.subscribe`, its events and notices; waits for each."""
        return self._each(self._client.subscribe(where, **more).items())

    def catalog(self, *, timeout_s: float | None = None) -> catalog_pb2.GetCatalogResponse:
        """As :meth:`Client.catalog`."""
        return self._run(self._client.catalog(timeout_s=timeout_s))

    def check(self, text: str, **more: Any) -> rules_pb2.CheckResponse:
        """As :meth:`Client.check`."""
        return self._run(self._client.check(text, **more))

    def format(self, text: str, **more: Any) -> rules_pb2.FormatResponse:
        """As :meth:`Client.format`."""
        return self._run(self._client.format(text, **more))

    def explain(self, text: str, *, timeout_s: float | None = None) -> rules_pb2.ExplainResponse:
        """As :meth:`Client.explain`."""
        return self._run(self._client.explain(text, timeout_s=timeout_s))

    def estimate(self, text: str, **more: Any) -> rules_pb2.EstimateResponse:
        """As :meth:`Client.estimate`."""
        return self._run(self._client.estimate(text, **more))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _each(self, rows: AsyncIterator[_T], most: int = 1) -> Iterator[_T]:
        """What comes, waited for one by one, or up to ``most`` at once of what ends."""

        async def step() -> list[_T]:
            found: list[_T] = []
            while len(found) < most and (row := await anext(rows, None)) is not None:
                found.append(row)
            return found

        try:
            while some := self._run(step()):
                yield from some
        finally:
            if isinstance(rows, AsyncGenerator) and self._loop.is_running():
                self._run(rows.aclose())


class _BlockingSaved:
    """:class:`SavedQueries` for who has no event loop."""

    def __init__(self, saved: SavedQueries, run: _Run, each: _Each) -> None:
        self._saved = saved
        self._run = run
        self._each = each

    def list(self, *, timeout_s: float | None = None) -> Iterator[saved_pb2.SavedQuery]:
        """As :meth:`SavedQueries.list`."""
        return self._each(self._saved.list(timeout_s=timeout_s))

    def get(self, id_: str, *, timeout_s: float | None = None) -> saved_pb2.SavedQuery:
        """As :meth:`SavedQueries.get`."""
        found: saved_pb2.SavedQuery = self._run(self._saved.get(id_, timeout_s=timeout_s))
        return found

    def create(self, name: str = "", **more: Any) -> saved_pb2.SavedQuery:
        """As :meth:`SavedQueries.create`."""
        made: saved_pb2.SavedQuery = self._run(self._saved.create(name, **more))
        return made

    def update(self, id_: str, **more: Any) -> saved_pb2.SavedQuery:
        """As :meth:`SavedQueries.update`."""
        changed: saved_pb2.SavedQuery = self._run(self._saved.update(id_, **more))
        return changed

    def delete(self, id_: str, **more: Any) -> None:
        """As :meth:`SavedQueries.delete`."""
        self._run(self._saved.delete(id_, **more))


class _BlockingAlerts(_BlockingSaved):
    """:class:`Alerts` for who has no event loop."""

    def __init__(self, alerts: Alerts, run: _Run, each: _Each) -> None:
        super().__init__(alerts, run, each)
        self._alerts = alerts

    def events(self, id_: str, *, timeout_s: float | None = None) -> Iterator[saved_pb2.AlertEvent]:
        """As :meth:`Alerts.events`."""
        return self._each(self._alerts.events(id_, timeout_s=timeout_s))

    def watch(self, id_: str = "", *, after_number: int | None = None) -> Iterator[saved_pb2.AlertEvent]:
        """As :meth:`Alerts.watch`; waits for each."""
        return self._each(self._alerts.watch(id_, after_number=after_number))
