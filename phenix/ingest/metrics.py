"""Ingest's own /metrics and /health, on this machine alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from phenix.engine.metrics import Exposition, Process
from phenix.engine.store.base import Cause
from phenix.ingest.recorder import Recorder
from phenix.ingest.worker import Worker

__all__ = ["exposition", "listening"]

_HOST: Final = "127.0.0.1"
_PLAIN: Final = "text/plain; charset=utf-8"


def exposition(worker: Worker, recorder: Recorder) -> Exposition:
    """What a worker and its recorder tell."""
    figures = worker.figures
    return Exposition(
        Process.INGEST,
        {
            "ingest_events_total": lambda: figures.events,
            "ingest_prints_total": lambda: {
                "stored": figures.stored,
                "duplicate": figures.duplicates,
                "recovered": figures.recovered,
                "caught_up": figures.caught_up,
            },
            "ingest_parse_failures_total": lambda: figures.refused,
            "ingest_dropped_total": lambda: {"overflow": figures.dropped_messages},
            # Each cause from the beginning: Prometheus sees no increase in a series that begins with its first.
            "ingest_gaps_total": lambda: {cause.value: figures.gaps[cause.value] for cause in Cause},
            "ingest_connections_total": lambda: figures.connections,
            "ingest_disconnections_total": lambda: figures.disconnections,
            "ingest_queue_messages": lambda: worker.queued,
            "ingest_batch_rows": lambda: figures.batches,
            "ingest_lag_seconds": lambda: figures.lag_ms / 1000,
            "ingest_cpu_seconds_total": lambda: {
                stage.replace(" ", "_"): seconds for stage, seconds in recorder.cpu.copy().items()
            },
            "ingest_streams": lambda: figures.streams,
            "feed_connected": lambda: {
                "stream": int(worker.feed.stream_connected),
                "terminal": int(worker.feed.terminal_connected),
            },
            "enrichment_latency_ms": lambda: figures.latency.steps["stored to enriched"],
            "filter_hits_total": lambda: {chip: recorder.hits[bit] for bit, chip in recorder.chips.items()},
            "print_latency_ms": lambda: {
                step.replace(" ", "_"): durations for step, durations in figures.latency.steps.items()
            },
        },
    )


@contextmanager
def listening(port: int, metrics: Exposition) -> Iterator[int]:
    """Answer on a port of this machine, 0 for a free one, inside ``with``; gives the port. Raises OSError."""

    def answer(environ: Mapping[str, Any], start: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
        status, kind, body = "200 OK", _PLAIN, b""
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"Use GET here.\n"
        elif environ["PATH_INFO"] == "/metrics":
            body, kind = metrics.render(environ.get("HTTP_ACCEPT", ""))
        elif environ["PATH_INFO"] == "/health":
            body, kind = b'{"status":"ok"}', "application/json"
        else:
            status, body = "404 Not Found", b"Here are /metrics and /health.\n"
        headers = [("content-type", kind), ("content-length", str(len(body))), ("cache-control", "no-store")]
        start(status, headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    with make_server(_HOST, port, answer, _Server, _Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request: one that is slow to ask keeps nobody else waiting."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Says nothing of requests, and waits so many seconds for one."""

    timeout = 5.0

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
