"""The stand-in terminal, playing a tape or the generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from phenix.ingest.terminal.events import Source
    from phenix.ingest.terminal.generator import Session
    from phenix.ingest.terminal.standin import StandIn
    from phenix.ingest.terminal.tape import FileTape

__all__ = ["session", "tape", "terminal"]


def tape(trades: Sequence[Path], open_interest: Sequence[Path] = (), underlying: Sequence[Path] = ()) -> FileTape:
    """A tape of files in the vendor's layouts; raises TapeError."""
    from phenix.engine.enrich.roots import underlying as underlying_of
    from phenix.ingest.terminal.tape import FileTape

    return FileTape(trades, open_interest=open_interest, underlying=underlying, underlying_of=underlying_of)


def session(
    *,
    seed: int = 1,
    symbols: int = 200,
    prints: int | None = None,
    rate: float | None = None,
    date: int | None = None,
    extended: bool = False,
    rush: int = 0,
) -> Session:
    """A generated session of the latest trading day, or of ``date``; ``rate`` is prints a second on average.

    ``extended`` adds what trades outside regular hours, ``rush`` prints a second in the first minute.

    Raises ValueError for a date without trading and for more symbols than there are.
    """
    import time

    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.enrich.clock import et_of
    from phenix.ingest.terminal.generator import DEFAULT_PRINTS, Session

    calendar = Calendar.packaged()
    if date is None:
        today, _ = et_of(time.time_ns() // 1_000_000)
        date = today if calendar.is_trading_day(today) else calendar.previous(today)
    if prints is None:
        prints = DEFAULT_PRINTS if rate is None else max(1, round(rate * 6.5 * 3600))
    return Session(date, calendar, seed=seed, symbols=symbols, prints=prints, extended=extended, rush=rush)


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
    close_code: int = 1000,
    same_day: str = "available",
    queue: int = 16,
    legacy_json: bool = False,
    star_snapshots: bool = True,
    faults: Sequence[str] = (),
) -> StandIn:
    """A stand-in terminal over a tape or a generated session, not listening yet; tiers by their names.

    Without ``indices`` an account that streams stocks streams indices too. ``faults`` are ``NAME[:key=value,…]`` of
    :data:`phenix.ingest.terminal.faults.FAULTS`. Raises FaultError for one that cannot be read.
    """
    from phenix.engine.enrich.calendar import Calendar
    from phenix.ingest.terminal.entitlements import Entitlements, Tier
    from phenix.ingest.terminal.faults import parse_fault
    from phenix.ingest.terminal.standin import StandIn, StandInOptions
    from phenix.ingest.terminal.standin_play import Absence, PlayOptions
    from phenix.ingest.terminal.standin_rest import RestOptions
    from phenix.ingest.terminal.standin_world import SameDay

    stock_tier = Tier[stocks.upper()]
    index_tier = Tier[indices.upper()] if indices else Tier.PRO if stock_tier >= Tier.STANDARD else Tier.FREE
    play = PlayOptions(
        speed=speed,
        lines=lines,
        settle_s=settle_s,
        wait_for_play=wait_for_play,
        absence=Absence(on_disconnect),
        seed=seed,
        replaced=close_code,
    )
    entitlements = Entitlements(Tier[options.upper()], stock_tier, index_tier)
    rest = RestOptions(same_day=SameDay(same_day), queue=queue, legacy_json=legacy_json, star_snapshots=star_snapshots)
    settings = tuple(parse_fault(text) for text in faults)
    behaviour = StandInOptions(host, port, stream_port, entitlements, play, rest, settings)
    return StandIn(source, Calendar.packaged(), behaviour)
