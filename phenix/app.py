"""The composition root: the only place that builds objects.

One section per part; each builder imports what it builds lazily, so that a command loads only the
parts it runs. Builders take :class:`phenix.config.Settings` and explicit overrides, and raise
what the part raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phenix.engine.store.base import Reader, Writer

__all__ = ["open_reader", "open_writer"]

# -- rules: bundles from the packaged rules, from files, or from the store


# -- store: the writer (one process) and readers (any)


def open_writer(store: str) -> Writer:
    """The one writer of the store at a URL; raises StoreError."""
    from phenix.engine.store import sqlite
    from phenix.engine.store.base import sqlite_path

    return sqlite.open_writer(sqlite_path(store))


def open_reader(store: str) -> Reader:
    """A reader of the store at a URL; raises StoreError."""
    from phenix.engine.store import sqlite
    from phenix.engine.store.base import sqlite_path

    return sqlite.open_reader(sqlite_path(store))


# -- ingest: normaliser, enricher and worker; the importer; the terminal client


# -- terminal: the stand-in, playing a tape or the generator


# -- server: REST, SSE and gRPC gateways over one reader
