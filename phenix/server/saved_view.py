"""A saved query as it is shown: its payload in one version, and how near that comes to what it means."""

from __future__ import annotations

import json
from dataclasses import dataclass

from phenix.dsl.codes import Severity
from phenix.engine.bundle import Bundle
from phenix.engine.saved import v2_to_legacy
from phenix.engine.store.saved import Entry
from phenix.engine.targets.payload import Fidelity

__all__ = ["View", "view"]


@dataclass(frozen=True, slots=True)
class View:
    """An entry in one payload version; ``payload`` is JSON text, ``null`` where that version cannot say it."""

    entry: Entry
    legacy: bool
    payload: str
    fidelity: str
    reasons: tuple[str, ...]

    def shows(self, payload: object) -> bool:
        """Whether a payload is this one, types and all."""
        sent, shown = (json.dumps(one, sort_keys=True) for one in (payload, json.loads(self.payload)))
        return sent == shown


def view(entry: Entry, bundle: Bundle | None, active: Bundle, *, legacy: bool) -> View:
    """How an entry is shown; ``bundle`` is the rule version it was saved under, None where that cannot be read."""
    if not legacy:
        return View(entry, False, entry.v2_json, entry.fidelity, entry.reasons)
    flat = v2_to_legacy(json.loads(entry.v2_json), bundle or active)
    reasons = flat.reasons + tuple(one.message for one in flat.findings if one.severity is Severity.ERROR)
    if bundle is None:
        gone = f"the rule version {entry.rule_version} it was saved under cannot be read; these thresholds are of now"
        reasons += (gone,)
    payload = json.dumps(flat.result, ensure_ascii=False, separators=(",", ":"))
    return View(entry, True, payload, str(flat.fidelity if flat.result is not None else Fidelity.UNSUPPORTED), reasons)
