"""The contract a print is of."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Contract"]


class Contract(NamedTuple):
    """Root, expiration YYYYMMDD, strike in ten-thousandths of a dollar, right CALL or PUT."""

    root: str
    expiration: int
    strike: int
    right: str
