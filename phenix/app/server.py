"""The server: REST, SSE and gRPC gateways over one store, also for this process alone; and replay."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from phenix.app.rules import RulesError, bands, comparisons, lifecycle, packaged_bundle
from phenix.app.store import open_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from phenix.client import Client
    from phenix.config import Settings
    from phenix.engine.bundle import Bundle
    from phenix.engine.replay import Replay
    from phenix.engine.rollout import Rollout
    from phenix.engine.spans import Spans
    from phenix.engine.store.base import Reader
    from phenix.engine.watch import Batch
    from phenix.server.alerts.desk import Alerts
    from phenix.server.auth import Access
    from phenix.server.readers import Readers
    from phenix.server.rulebook import Rulebook
    from phenix.server.saved import SavedQueries
    from phenix.server.service import FlowService

__all__ = ["access", "alerts", "local", "replay", "service"]

_LOCAL_S: Final = 3_600.0
"""A statement of one's own, on a store that nobody else asks."""


def service(
    store: str,
    *,
    progress_s: float = 5.0,
    timeout_s: float = 5.0,
    clock: Callable[[], float] | None = None,
    sealed: int = 0,
    rollout: Rollout | None = None,
    settings: Settings | None = None,
    spans: Spans | None = None,
) -> FlowService:
    """What both gateways serve, over readers of the store at a URL; not following the store yet.

    ``clock`` takes the place of this machine's (seconds since 1970) where lag is measured; of the sessions before the
    latest, ``sealed`` are kept open for searches. ``settings`` say how alerts are delivered and
    what bands rules in shadow have.
    Raises RulesError when the packaged rules do not compile.
    """
    import time
    from functools import partial

    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.live.file import blocks_of
    from phenix.engine.live.index import LiveIndex
    from phenix.engine.log import Log
    from phenix.engine.preflight import failed_last
    from phenix.engine.rollout import Rollout
    from phenix.engine.store.base import sqlite_path
    from phenix.engine.store.sqlite_saved import open_saved, saved_beside
    from phenix.server.editor import Editor
    from phenix.server.readers import Readers
    from phenix.server.rule_desk import RuleDesk
    from phenix.server.rulebook import Rulebook
    from phenix.server.saved import SavedQueries
    from phenix.server.service import FlowService
    from phenix.server.status import Gauge

    packaged, rollout = packaged_bundle(), rollout or Rollout()
    if missing := rollout.missing(chip.id for chip in packaged.chips):
        raise RulesError(
            f"FLOW_FILTERS_V2 names {', '.join(missing)}: there is no such chip; write its id, as in `sweeps`"
        )
    opened = partial(open_reader, store)
    queries, replays, followers = Readers(opened, 4), Readers(opened, 2), Readers(opened, 2)
    path = sqlite_path(store)
    live = LiveIndex(blocks_of(path), sealed=sealed)

    def take(batch: Batch) -> None:
        live.take(batch.after, batch.upto, batch.rows, batch.taken_back, batch.columns)

    saved, limits = saved_beside(path), bands(settings) if settings else None
    writer = Readers(partial(open_saved, saved, writing=True), 1)
    kept = SavedQueries(writer, Readers(partial(open_saved, saved, writing=False), 2), queries)
    speaking = alerts(saved, opened, queries, kept, partial(Rulebook, packaged, rollout), progress_s, settings)
    made = FlowService(
        queries, replays, followers, Log(opened, replays.run, also=take), live, packaged, kept, Editor(),
        RuleDesk(lifecycle(store, limits), comparisons(store, limits)), speaking,
        Gauge(Calendar.packaged(), clock or time.time),
        timeout_s=timeout_s, progress_s=progress_s, rollout=rollout,
    )  # fmt: skip
    made.served.spans = spans or made.served.spans
    made.failed_last = partial(failed_last, path)
    return made


def alerts(
    path: Path,
    open_rows: Callable[[], Reader],
    rows: Readers[Reader],
    saved: SavedQueries,
    rulebook: Callable[[], Rulebook],
    progress_s: float,
    settings: Settings | None = None,
) -> Alerts:
    """Alerts of the file of saved queries at a path, which is made when the first is saved; ``saved`` serves it, too.

    ``settings`` say how they are delivered.
    """
    from functools import partial

    from phenix.config import load
    from phenix.engine.store.sqlite_saved import open_saved
    from phenix.server.alerts.addresses import parse_allowed
    from phenix.server.alerts.delivery import Deliveries, Retries
    from phenix.server.alerts.desk import Alerts
    from phenix.server.alerts.evaluator import Evaluator
    from phenix.server.alerts.webhook import Webhooks
    from phenix.server.readers import Readers

    settings = settings or load({})
    allowed, timeout_s = parse_allowed(settings.alert_allow), settings.alert_timeout_ms / 1000
    webhooks, outbox = Webhooks(allowed, timeout_s), Readers(partial(open_saved, path, writing=True, make=False), 1)
    retries = Retries(settings.alert_tries, settings.alert_retry_base_ms / 1000, timeout_s)
    return Alerts(
        saved, Evaluator(path, partial(open_saved, path, writing=True), open_rows, rulebook),
        Deliveries(outbox, webhooks, retries), (webhooks.close, outbox.close), allowed, rows, progress_s,
    )  # fmt: skip


def access(settings: Settings, host: str) -> Access:
    """How the doors of a server on ``host`` are kept. Raises AccessError."""
    from phenix.server.auth import open_access

    limits = settings.rate_limit, settings.stream_limit
    return open_access(host, settings.tokens, (settings.tls_certificate, settings.tls_key), limits)


@contextmanager
def replay(
    store: str, session_date: int, *, verify: bool = False, rules: str | Bundle | None = None
) -> Iterator[Replay]:
    """A stored session to recompute, inside ``with``; ``rules``, or the stored version so called, are evaluated beside.

    Raises StoreError, and RulesError when rules cannot be used.
    """
    with open_reader(store) as reader:
        from functools import cache

        from phenix.engine.bundle import Bundle
        from phenix.engine.enrich.calendar import Calendar
        from phenix.engine.replay import Replay

        @cache
        def bundle_of(version_id: str) -> Bundle | None:
            version = reader.rule_version(version_id)
            try:
                return Bundle.from_config(version.config_json, version.checksum) if version else None
            except ValueError as error:
                raise RulesError(f"rule version {version_id} of the store cannot be used: {error}") from error

        if isinstance(rules, str):
            versions = [v.version_id for v in reader.rule_versions() if v.version_id.startswith(rules)]
            if len(versions) != 1:
                several = f"it begins {', '.join(versions)}" if versions else "nor is there such a file or folder"
                raise RulesError(f"{rules} is not one rule version of the store: {several}")
            rules = bundle_of(versions[0])
        yield Replay(reader, session_date, Calendar.packaged(), bundle_of, verify=verify, other=rules)


@asynccontextmanager
async def local(store: str) -> AsyncIterator[Client]:
    """A client of the store at a URL, through a server in this process that answers it alone; nothing is written.

    Raises StoreError, and RulesError when the packaged rules do not compile.
    """
    from phenix.client import Client
    from phenix.server.local import serve_locally

    async with (
        serve_locally(service(store, timeout_s=_LOCAL_S)) as (target, token),
        Client(target, token=token) as client,
    ):
        yield client
