"""Rows for the language's tests: a plain one, and those of the proof, at and around every constant of the rules."""

from __future__ import annotations

import random
from typing import Any

from phenix.engine.bundle import Bundle
from phenix.engine.certify.engines import DERIVED
from phenix.engine.certify.rows import PLAIN, draw_rows, plain
from phenix.engine.flow import BY_NAME, INDEX

__all__ = ["PLAIN", "plain", "random_rows", "read"]


def random_rows(bundle: Bundle, count: int, seed: int) -> list[list[Any]]:
    """Rows with nulls wherever the catalog allows them, values at and next to the constants of the bundle's chips."""
    rng = random.Random(seed)
    return draw_rows(rng, count, [chip.core for chip in bundle.chips], bundle.params, count // 2)


def read(row: list[Any], name: str, as_of: int = 2**53) -> Any:
    """A field of a row, derived ones included, computed apart from the product's own accessors."""
    derived = DERIVED.get(name)
    return derived(row, as_of) if derived else row[INDEX[BY_NAME[name].name]]
