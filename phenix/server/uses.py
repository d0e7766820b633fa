"""What rows are asked for as."""

from __future__ import annotations

from enum import Enum

__all__ = ["Use"]


class Use(Enum):
    """What a request is for, which says what parameters it has.

    Those by the name of a gRPC method are what a filter has as ``parameters`` there.
    """

    PAGE = "a page"
    SUMS = "sums"
    STREAM = "a stream"
    ROW = "one row"
    QUERY = "Query"
    SUBSCRIBE = "Subscribe"
    EXPORT = "Export"
