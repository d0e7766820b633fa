"""The functions of the language: one row each, the same spelling on every target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FUNCTIONS", "Function"]


@dataclass(frozen=True, slots=True)
class Function:
    """A signature: least and most arguments, and one line of documentation."""

    name: str
    least: int
    most: int
    signature: str
    doc: str


FUNCTIONS: Final = {
    f.name: f
    for f in (
        Function("abs", 1, 1, "abs(x)", "Magnitude."),
        Function("min", 2, 8, "min(a, b, …)", "Smallest; unknown if any is unknown."),
        Function("max", 2, 8, "max(a, b, …)", "Largest; unknown if any is unknown."),
        Function("clamp", 3, 3, "clamp(x, lo, hi)", "x held within lo and hi."),
        Function("tent", 4, 4, "tent(x, a, b, c)", "0 outside (a, c), rising linearly to 1 at b and falling again."),
        Function("coalesce", 2, 2, "coalesce(x, d)", "x if known, else d; also written `x ?? d`."),
    )
}
"""Name -> signature; a test compares this with what each target implements."""
