"""Conditions with the chips, the score and the params of a rule version written out.

What comes of it reads the figures that rows are stored with, and nothing that another version tagged them with.
"""

from __future__ import annotations

from collections.abc import Mapping

from phenix.dsl import core as c
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME
from phenix.engine.tagger import by_reference
from phenix.engine.targets.reference import settle
from phenix.engine.unenriched import HAS_CHIPS

__all__ = ["Written"]


class Written:
    """Conditions of a bundle with its chips, score and params written out."""

    def __init__(self, bundle: Bundle) -> None:
        self._params = bundle.params
        score: c.Core = c.Const(BY_NAME["sig_score"].type.kind, None)
        self._fields: Mapping[str, c.Core] = {"sig_score": score}  # unknown while it is computed
        self._chips: dict[str, c.Core] = {}
        if bundle.score is not None:
            score = self._write(bundle.score.core)
        self._fields = {"sig_score": score, "cancelled": c.FALSE}  # of a chip: nothing is cancelled when it is tagged
        for chip in by_reference(bundle.chips):
            core = next(one.core for one in bundle.chips if one.id == chip.id)
            self._chips[chip.id] = c.And((HAS_CHIPS, self._write(core)))
        self._fields = {"sig_score": score}

    def of(self, core: c.Core) -> c.Core:
        """A checked condition of the bundle."""
        return settle(self._write(core), self._params)

    def _write(self, node: c.Core) -> c.Core:
        match node:
            case c.Field(name=name) if name in self._fields:
                return self._fields[name]
            case c.Chip(id=id_):
                return self._chips[id_]
            case c.Compare() | c.InSet() | c.Like() if c.reads(node) == {"score_quality"}:
                return self._of_quality(node)
        return c.rebuild(node, self._write)

    def _of_quality(self, node: c.Core) -> c.Core:
        """What is asked of the score's quality, asked of the score."""
        score = self._fields["sig_score"]
        complete, partial = (settle(_said(node, word), self._params) for word in ("complete", "partial"))
        return c.Or((c.And((c.IsNull(score, negated=True), complete)), c.And((c.IsNull(score), partial))))


def _said(node: c.Core, word: str) -> c.Core:
    if isinstance(node, c.Field):
        return c.Const(node.kind, word)
    return c.rebuild(node, lambda part: _said(part, word))
