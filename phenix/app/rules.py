"""Rules: bundles, packaged or from a store, and what changes rules, compares them and re-tags rows by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phenix.app.store import open_reader, open_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from phenix.config import Settings
    from phenix.engine.bundle import Bundle
    from phenix.engine.lifecycle import Lifecycle
    from phenix.engine.retagging import Retaggings
    from phenix.engine.shadow.bands import Bands
    from phenix.engine.shadow.comparisons import Comparisons
    from phenix.engine.store.base import Reader, Writer

__all__ = [
    "RulesError",
    "active_bundle",
    "bands",
    "comparisons",
    "lifecycle",
    "packaged_bundle",
    "retaggings",
    "stored_bundles",
]


class RulesError(Exception):
    """Rules that cannot be used; the message says which and why."""


def active_bundle(writer: Writer, params: Mapping[str, str] | None = None) -> Bundle:
    """The rules the store says are active; the packaged ones become its first version.

    Where ``params``, of settings, have other values in them, a version with these becomes the active one.
    Raises RulesError when the packaged rules do not compile or the stored ones are not what their checksum says.
    """
    import time

    from phenix.engine.lifecycle import begin

    try:
        return begin(writer, packaged_bundle, params or {}, time.time_ns() // 1_000_000)
    except ValueError as error:
        raise RulesError(str(error)) from error


def stored_bundles(reader: Reader, *known: Bundle) -> Callable[[str], Bundle | None]:
    """Rule versions of a store by their ids, compiled once each; None for one that is not there, or cannot be used."""
    import logging

    from phenix.engine.bundle import Bundle

    bundles: dict[str, Bundle | None] = {bundle.version: bundle for bundle in known}

    def bundle_of(version_id: str) -> Bundle | None:
        if version_id not in bundles:
            version = reader.rule_version(version_id)
            try:
                bundles[version_id] = Bundle.from_config(version.config_json, version.checksum) if version else None
            except ValueError as error:
                bundles[version_id] = None
                logging.getLogger("phenix.rules").error("rule version %s cannot be used: %s", version_id, error)  # noqa: TRY400
        return bundles[version_id]

    return bundle_of


def packaged_bundle() -> Bundle:
    """The rules shipped with the package. Raises RulesError when they do not compile."""
    from phenix.engine.bundle import load_bundle

    packaged, diagnostics = load_bundle()
    if packaged is None:
        raise RulesError("\n".join(["the packaged rules do not compile:", *(str(d.message) for d in diagnostics)]))
    return packaged


def lifecycle(store: str, bands: Bands | None = None) -> Lifecycle:
    """What changes the rules of the store at a URL; raises StoreError for an address that is none."""
    from functools import partial

    from phenix.engine.lifecycle import Lifecycle, compared
    from phenix.engine.store.base import sqlite_path
    from phenix.engine.store.sqlite_rules import SqliteLedger

    ledger, gate = SqliteLedger(sqlite_path(store)), partial(compared, bands=bands)
    return Lifecycle(partial(open_reader, store), partial(open_writer, store), ledger, gate=gate)


def bands(settings: Settings) -> Bands:
    """How far a rule version in shadow may be from the active one."""
    from phenix.engine.shadow.bands import Bands

    return Bands(settings.shadow_hits, settings.shadow_rows)


def comparisons(store: str, bands: Bands | None = None) -> Comparisons:
    """The comparisons of rule versions in the store at a URL; raises StoreError for an address that is none."""
    import time
    from functools import partial

    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.shadow.bands import Bands
    from phenix.engine.shadow.comparisons import Comparisons
    from phenix.engine.store.base import sqlite_path

    return Comparisons(
        sqlite_path(store), partial(open_reader, store), stored_bundles, Calendar.packaged(), bands or Bands(),
        lambda: time.time_ns() // 1_000_000,
    )  # fmt: skip


def retaggings(store: str) -> Retaggings:
    """What re-tags rows of the store at a URL; raises StoreError for an address that is none."""
    from phenix.engine.retagging import Retaggings
    from phenix.engine.store.base import sqlite_path

    return Retaggings(sqlite_path(store), lambda: open_reader(store), stored_bundles)
