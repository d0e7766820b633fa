"""The rule versions a server answers by: the active one, and earlier ones that a walk or a stream still needs."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from phenix.engine.bundle import Bundle
from phenix.engine.logs import note
from phenix.engine.query.cursor import Cursor
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.rollout import Rollout
from phenix.engine.store.base import Reader
from phenix.server.finding import ParameterFinding
from phenix.server.reading import shorten
from phenix.server.rules import Rules

__all__ = ["Active", "Rulebook"]

_logger = logging.getLogger(__name__)

_ACTIVE: Final = "SELECT version_id, activated_seq FROM filter_rule_versions WHERE is_active = 1"
_KEPT: Final = 8
"""Versions kept compiled: going back is what must be quick."""


class Active(NamedTuple):
    """The rules that are active; rows after ``seq`` are tagged by them."""

    rules: Rules
    seq: int


class Rulebook:
    """Loads rule versions out of the store, the latest ones once each; ``packaged`` are the rules while the store names
    none, ``rollout`` says which chips are served.

    The last good ones stay when new ones do not load. Methods raise StoreError.
    """

    def __init__(self, packaged: Bundle, rollout: Rollout) -> None:
        self._rollout = rollout
        self.packaged = Rules.of(packaged.rolled_out(rollout))
        self.active = Active(self.packaged, 0)
        """What was active a moment ago."""
        self._kept: OrderedDict[str, Rules | None] = OrderedDict()
        """By version; None of one that does not load."""
        self._loading = threading.Lock()

    def current(self, reader: Reader) -> Rules:
        """The active rules."""
        active = self.active
        if _active(reader) != (active.rules.stored, active.seq):
            with self._loading:
                active = self.active = self._loaded(reader, self.active)
        note(rule_version=active.rules.bundle.version)
        return active.rules

    def under(self, reader: Reader, version: str) -> Rules:
        """The rules of a version; the active ones where they cannot be had."""
        rules = self.current(reader)
        if version in (rules.stored, rules.bundle.version):
            return rules
        with self._loading:
            found = self._load(reader, version)
        note(rule_version=found.bundle.version)
        return found

    def walking(self, reader: Reader, request: FlowRequest) -> Rules:
        """The rules that a request's walk began with; the active ones where it begins, or they cannot be had."""
        if request.rules:
            return self.under(reader, request.rules)
        cursor = Cursor.decode(request.cursor) if request.cursor else None
        return self.current(reader) if cursor is None else self.under(reader, cursor.rule_version)

    def read_by(self, reader: Reader, pairs: Sequence[tuple[str, str]]) -> Bundle | Refusal:
        """The rules that parameters are read by: the active ones, or those that `rules` names among them."""
        named = [text for name, text in pairs if name == "rules" and text]
        found = self.under(reader, named[0]) if named else self.active.rules
        if named and found.bundle.version != named[0]:
            message = f"`rules` is {shorten(named[0])!r}; expected a rule version of the store"
            hint = "`GET /api/rules/versions` lists them"
            return Refusal("invalid_query", f"{message}.", (ParameterFinding("PHX402", "rules", message, None, hint),))
        return found.bundle

    def _loaded(self, reader: Reader, active: Active) -> Active:
        """What is active by now: others may be activated while some are loaded."""
        while (named := _active(reader)) != (active.rules.stored, active.seq):
            version, seq = named
            same = version == active.rules.stored
            active = Active(active.rules if same else self._load(reader, version), seq)
        return active

    def _load(self, reader: Reader, version: str) -> Rules:
        if version not in self._kept:
            packaged = version in ("", self.packaged.bundle.version)
            stored = None if packaged else reader.rule_version(version)
            if stored is None:
                return Rules(self.packaged.bundle, self.packaged.encoder, version)
            try:
                bundle = Bundle.from_config(stored.config_json, stored.checksum).rolled_out(self._rollout)
                self._kept[version] = Rules.of(bundle, version)
            except ValueError as error:
                _logger.error("rule version %s does not load, the one before stays: %s", version, error)  # noqa: TRY400
                self._kept[version] = None
        self._kept.move_to_end(version)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[version] or Rules(self.active.rules.bundle, self.active.rules.encoder, version)


def _active(reader: Reader) -> tuple[str, int]:
    """The id of the version the store says is active, and the seq since which it is."""
    found = reader.execute(_ACTIVE)
    version, seq = found[0] if found else ("", 0)
    return version, seq
