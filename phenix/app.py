"""The composition root: the only place that builds objects.

One section per part; each builder imports what it builds lazily, so that a command loads only the
parts it runs. Builders take :class:`phenix.config.Settings` and explicit overrides, and raise
what the part raises.
"""

from __future__ import annotations

__all__: list[str] = []

# -- rules: bundles from the packaged rules, from files, or from the store


# -- store: the writer (one process) and readers (any)


# -- ingest: normaliser, enricher and worker; the importer; the terminal client


# -- terminal: the stand-in, playing a tape or the generator


# -- server: REST, SSE and gRPC gateways over one reader
