"""A rule version in use."""

from __future__ import annotations

from dataclasses import dataclass

from phenix.engine.bundle import Bundle
from phenix.engine.encode import Encoder

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule version in use: its bundle and the encoder of its chips. ``stored`` is its id in the store, if any."""

    bundle: Bundle
    encoder: Encoder
    stored: str = ""

    @classmethod
    def of(cls, bundle: Bundle, stored: str = "") -> Rules:
        """A bundle with its encoder."""
        return cls(bundle, Encoder((chip.id, chip.bit) for chip in bundle.served), stored)
