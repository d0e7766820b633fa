"""What both gateways tell of what they served: counts, and spans where these are sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

from phenix.engine.durations import Durations
from phenix.engine.logs import noted
from phenix.engine.spans import Span, Spans

__all__ = ["NONE", "Served", "end_span"]

NONE: Final = "none"
"""In place of a name that is not ours: what a client sent never becomes a label."""
_NOTED: Final = ("request_id", "client", "rule_version", "watermark")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Served:
    """Counts of one process; everything here happens on the loop."""

    def __init__(self) -> None:
        self.spans = Spans()
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """Route, method, status."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """gRPC method, code."""
        self.reads: defaultdict[tuple[str, str], Durations] = defaultdict(Durations)
        """Of what reads rows: protocol, route."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """Of what reads rows: protocol, status or code."""
        self.plans: Counter[str] = Counter()
        self.streams: Counter[str] = Counter({"sse": 0, "grpc": 0})
        """Open now, by protocol."""

    def request(self, route: str, method: str, status: int) -> tuple[str, str]:
        """Count a request; status 0 for one that was not answered. Method and status as they were counted."""
        told = method if method in _METHODS else NONE, str(status or NONE)
        self.requests[route, *told] += 1
        return told

    def read(self, protocol: str, route: str, took_ms: float | None, refused: str = "") -> None:
        """Count a request for rows; ``refused`` is the status or code of one that was, None the time of a stream."""
        if refused:
            self.refused[protocol, refused] += 1
        if took_ms is not None:
            self.reads[protocol, route].add(took_ms)


def end_span(span: Span, name: str, attributes: Mapping[str, Any], *, failed: bool) -> None:
    """End the span of a request with its own attributes and what was noted of it for the log."""
    known = noted()
    span.end(name, {**attributes, **{f"phenix.{one}": known[one] for one in _NOTED if one in known}}, failed=failed)
