"""What ``phenix serve`` tells of itself on /metrics, and whether it is ready: from one measurement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from phenix.engine.metrics import Exposition, Process
from phenix.engine.query.request import Refusal
from phenix.server.service import FlowService
from phenix.server.status import DISCONNECTED, LAG, NO_DATA, REASONS, SILENCE_S, Status

__all__ = ["CHECKS", "ServeMetrics", "readiness"]

_T = TypeVar("_T")
CHECKS: Final = ("store", "terminal", "backlog", "log")
"""What has to hold for the server to be ready."""
_HEARD: Final = ("ingest", "data", "quotes")
_OF_THE_TERMINAL: Final = {
    NO_DATA: f"nothing came from the terminal for {SILENCE_S:.0f} s though the market is open",
    DISCONNECTED: "ingest is not connected to the terminal, or the terminal to its servers",
}


def readiness(status: Status | Refusal, log_failure: str) -> dict[str, dict[str, Any]]:
    """Each check with whether it holds, and the reason where it does not; the store alone where that is not read."""
    if isinstance(status, Refusal):
        return {"store": {"ok": False, "reason": status.detail}}
    checks: dict[str, dict[str, Any]] = {check: {"ok": True} for check in CHECKS}
    checks["backlog"] |= {"rows": status.backlog, "lagSeconds": round(status.lag_s, 3)}
    if LAG in status.degraded:
        reason = f"enrichment is {status.lag_s:.0f} s behind ({status.backlog} prints wait)"
        checks["backlog"] |= {"ok": False, "reason": reason}
    for reason, said in _OF_THE_TERMINAL.items():
        if reason in status.degraded:
            checks["terminal"] = {"ok": False, "reason": said}
    if log_failure:
        checks["log"] = {"ok": False, "reason": "the tail cannot read the store now"}
    return checks


class ServeMetrics:
    """The metrics of a serving process; what the store tells is missing from them while it cannot be read."""

    def __init__(self, service: FlowService) -> None:
        self._service = service
        self._status: Status | Refusal = Refusal("unavailable", "Nothing was measured yet.")
        self._bytes: int | Refusal = self._status
        self._failed: dict[str, int] = {}
        self._outbox: tuple[dict[str, int], float] | Refusal = self._status
        log, served, alerts = service.log, service.served, service.alerts
        self._exposition = Exposition(
            Process.SERVE,
            {
                "print_latency_ms": lambda: {"enriched_to_published": log.published, "published_to_sent": log.sent},
                "api_requests_total": lambda: served.requests,
                "grpc_calls_total": lambda: served.calls,
                "api_flow_latency_ms": lambda: served.reads,
                "api_flow_error_total": lambda: served.refused,
                "query_plans_total": lambda: served.plans,
                "streams_open": lambda: served.streams,
                "stream_rows_total": lambda: sum(log.sent.counts),
                "stream_overflows_total": lambda: log.overflows,
                "log_seq": lambda: log.position,
                "store_seq": lambda: self._of(lambda it: {"raw": it.watermark + it.backlog, "enriched": it.watermark}),
                "store_bytes": lambda: {} if isinstance(self._bytes, Refusal) else self._bytes,
                "enrichment_backlog_size": lambda: self._of(lambda it: it.backlog),
                "enrichment_lag_seconds": lambda: self._of(lambda it: it.lag_s),
                "feed_silence_seconds": lambda: self._of(lambda it: dict(zip(_HEARD, it.silent_s or (), strict=False))),
                "preflight_failed": lambda: self._failed,
                "degraded": lambda: self._of(lambda it: {reason: int(reason in it.degraded) for reason in REASONS}),
                "ready": self._ready,
                "alert_events_total": lambda: alerts.evaluator.events,
                "alert_deliveries_total": lambda: alerts.deliveries.results,
                "alert_delivery_latency_ms": lambda: alerts.deliveries.took,
                "alert_outbox_size": lambda: {} if isinstance(self._outbox, Refusal) else self._outbox[0],
                "alert_outbox_age_seconds": lambda: {} if isinstance(self._outbox, Refusal) else self._outbox[1],
                "alert_seq": lambda: alerts.evaluator.position,
                "alerts_not_understood": lambda: alerts.evaluator.unknown,
                "rules_active": lambda: {service.rules.bundle.version: 1},
            },
        )

    async def text(self, accept: str) -> tuple[bytes, str]:
        """The metrics now and their media type, the store measured anew."""
        self._status = await self._service.status()
        self._bytes = await self._service.size()
        self._failed = await asyncio.to_thread(self._service.failed_last)
        self._outbox = await self._service.alerts.outbox()
        return self._exposition.render(accept)

    def _of(self, read: Callable[[Status], _T]) -> _T | dict[str, float]:
        """Something of the status; no series while there is none."""
        return {} if isinstance(self._status, Refusal) else read(self._status)

    def _ready(self) -> dict[str, float]:
        checks = readiness(self._status, self._service.log.failure)
        return {check: int(one["ok"]) for check, one in checks.items()}
