"""The composition root: the only place that builds objects.

One section per part; each builder imports what it builds lazily, so that a command loads only the
parts it runs. Builders take :class:`phenix.config.Settings` and explicit overrides, and raise
what the part raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from phenix.engine.store.base import Reader, Writer
    from phenix.ingest.terminal.events import Source
    from phenix.ingest.terminal.standin import StandIn
    from phenix.ingest.terminal.tape import FileTape

__all__ = ["open_reader", "open_writer", "tape", "terminal"]

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


def tape(trades: Sequence[Path], open_interest: Sequence[Path] = (), underlying: Sequence[Path] = ()) -> FileTape:
    """A tape of files in the vendor's layouts; raises TapeError."""
    from phenix.engine.enrich.roots import underlying as underlying_of
    from phenix.ingest.terminal.tape import FileTape

    return FileTape(trades, open_interest=open_interest, underlying=underlying, underlying_of=underlying_of)


def terminal(
    source: Source,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    stream_port: int = 0,
    options: str = "standard",
    stocks: str = "value",
    indices: str | None = None,
    speed: float = 1.0,
    lines: int = 1,
    settle_s: float = 0.5,
    wait_for_play: bool = False,
    on_disconnect: str = "pause",
    seed: int = 0,
) -> StandIn:
    """A stand-in terminal over a tape or a generated session, not listening yet; tiers by their names.

    Without ``indices`` an account that streams stocks streams indices too.
    """
    from phenix.ingest.terminal.entitlements import Entitlements, Tier
    from phenix.ingest.terminal.standin import StandIn, StandInOptions
    from phenix.ingest.terminal.standin_stream import Absence, PlayOptions

    stock_tier = Tier[stocks.upper()]
    index_tier = Tier[indices.upper()] if indices else Tier.PRO if stock_tier >= Tier.STANDARD else Tier.FREE
    play = PlayOptions(
        speed=speed,
        lines=lines,
        settle_s=settle_s,
        wait_for_play=wait_for_play,
        absence=Absence(on_disconnect),
        seed=seed,
    )
    entitlements = Entitlements(Tier[options.upper()], stock_tier, index_tier)
    return StandIn(source, StandInOptions(host, port, stream_port, entitlements, play))


# -- server: REST, SSE and gRPC gateways over one reader
