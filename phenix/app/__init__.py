"""The composition root: the only place that builds objects.

One module per part; each builder imports what it builds lazily, so that a command loads only the
parts it runs. Builders take :class:`phenix.config.Settings` and explicit overrides, and raise
what the part raises.
"""

from __future__ import annotations

from phenix.app.ingest import (
    bootstrap,
    ingest_metrics,
    preflight,
    recorder,
    redrive,
    terminal_client,
    trading_day,
    worker,
)
from phenix.app.rules import (
    RulesError,
    active_bundle,
    bands,
    comparisons,
    lifecycle,
    packaged_bundle,
    retaggings,
    stored_bundles,
)
from phenix.app.server import (
    access,
    alerts,
    local,
    replay,
    service,
)
from phenix.app.standin import (
    session,
    tape,
    terminal,
)
from phenix.app.store import (
    back_up,
    choose_sessions,
    compact,
    open_reader,
    open_writer,
    remove_sessions,
    restore,
)

__all__ = [
    "RulesError",
    "access",
    "active_bundle",
    "alerts",
    "back_up",
    "bands",
    "bootstrap",
    "choose_sessions",
    "compact",
    "comparisons",
    "ingest_metrics",
    "lifecycle",
    "local",
    "open_reader",
    "open_writer",
    "packaged_bundle",
    "preflight",
    "recorder",
    "redrive",
    "remove_sessions",
    "replay",
    "restore",
    "retaggings",
    "service",
    "session",
    "stored_bundles",
    "tape",
    "terminal",
    "terminal_client",
    "trading_day",
    "worker",
]
