"""A bundle as the enricher takes it: constants of the formulas, and tags for rows by column."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

import numpy as np

from phenix.dsl import core as c
from phenix.engine.block_tagger import Tags, compile_block_tagger
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX
from phenix.engine.targets.arrays import Column, Words

__all__ = ["Tagging"]

_QUALITY: Final = Words(("partial", "complete"))


class Tagging:
    """Implements the enricher's tagger for a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self.version: str = bundle.version
        self.aa_floor: int = bundle.aa_floor
        self.aa_spread: Fraction = bundle.aa_spread
        self.packages_are_neutral: bool = bundle.packages_are_neutral
        self._tags = compile_block_tagger(bundle)
        read = c.reads(bundle.score.core) if bundle.score else frozenset()
        self._inputs = sorted(name for name in read if name in INDEX and BY_NAME[name].nullable)

    def tag(self, block: Block) -> Mapping[str, Column]:
        """Score, quality, missing metrics and chips of rows."""
        tags = self._tags(block)
        complete = np.ones(block.rows, np.bool_) if tags.score_known is None else tags.score_known
        return {
            "sig_score": Column(tags.score, tags.score_known),
            "score_quality": Column(complete.view(np.uint8), None, _QUALITY),
            "missing_metrics": self._missing(block, tags),
            "chips_set": Column(tags.chips_set),
            "chips_known": Column(tags.chips_known),
        }

    def _missing(self, block: Block, tags: Tags) -> Column:
        """Names of the unknown inputs where there is no score."""
        lacking = np.zeros(block.rows, np.int64)
        if tags.score_known is not None:
            for bit, name in enumerate(self._inputs):
                known = block.stored(name).known
                if known is not None:
                    lacking |= (~known & ~tags.score_known).astype(np.int64) << bit
        sets, which = np.unique(lacking, return_inverse=True)
        names = [",".join(n for bit, n in enumerate(self._inputs) if lack >> bit & 1) for lack in sets.tolist()]
        return Column(which, None, Words(names))
