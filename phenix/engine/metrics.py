"""The metrics: one table of what a process tells of itself, and its text for Prometheus.

What is counted lies with who counts it, as numbers; a process names a function for each metric of its own, and those
are called when somebody asks. Labels hold words of this program only (routes of the table, codes, chips of the rules),
never what a client or the tape sent, so that the number of series is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from phenix.engine.durations import Durations

__all__ = ["METRICS", "Exposition", "Form", "Metric", "Process", "Read", "Series", "Value", "read_text"]

_PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"
_OPEN: Final = "application/openmetrics-text"


class Form(StrEnum):
    """What a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Process(StrEnum):
    """Who tells of it."""

    INGEST = "ingest"
    SERVE = "serve"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: ``help`` is a sentence, ``labels`` what its series differ in, ``told_by`` who has it."""

    name: str
    form: Form
    labels: tuple[str, ...]
    help: str
    told_by: tuple[Process, ...]


def _ingest(name: str, form: Form, help_: str, *labels: str) -> Metric:
    return Metric(name, form, labels, help_, (Process.INGEST,))


def _serve(name: str, form: Form, help_: str, *labels: str) -> Metric:
    return Metric(name, form, labels, help_, (Process.SERVE,))


METRICS: Final[tuple[Metric, ...]] = (
    _ingest("ingest_events_total", Form.COUNTER, "Messages of the stream that were read.", "kind"),
    _ingest("ingest_prints_total", Form.COUNTER,
            "Prints: stored, there already (duplicate), found in history after a gap (recovered), or left without "
            "enrichment by an earlier run (caught_up).", "outcome"),
    _ingest("ingest_parse_failures_total", Form.COUNTER, "Records that became no row, kept as dead letters.", "reason"),
    _ingest("ingest_dropped_total", Form.COUNTER, "Messages dropped because the store did not keep up.", "reason"),
    _ingest("ingest_gaps_total", Form.COUNTER, "Times in which prints may have been missed.", "cause"),
    _ingest("ingest_connections_total", Form.COUNTER, "Times the terminal's stream was connected to."),
    _ingest("ingest_disconnections_total", Form.COUNTER,
            "Times the terminal's stream was lost, or could not be connected to."),
    _ingest("ingest_queue_messages", Form.GAUGE, "Messages that wait to be read."),
    _ingest("ingest_batch_rows", Form.HISTOGRAM, "Prints stored by one transaction."),
    _ingest("ingest_lag_seconds", Form.GAUGE,
            "From the exchange to the store, of the latest print stored; from its receipt where the feed plays another "
            "day."),
    _ingest("ingest_cpu_seconds_total", Form.COUNTER, "CPU time of the store's thread.", "stage"),
    _ingest("ingest_streams", Form.GAUGE, "Streams of contracts and underlyings that were asked for, by the answer.",
            "answer"),
    _ingest("feed_connected", Form.GAUGE,
            "1 while the terminal's stream is connected, and while the terminal says that its own line is.", "line"),
    _ingest("enrichment_latency_ms", Form.HISTOGRAM, "From the store to the enriched row, of each print streamed."),
    _ingest("filter_hits_total", Form.COUNTER, "Prints that a chip is on for.", "chip"),
    Metric("print_latency_ms", Form.HISTOGRAM, ("step",),
           "The latency ledger: how long each print took for a step of its way. ingest tells exchange_to_received, "
           "received_to_stored, stored_to_enriched and received_to_enriched; serve enriched_to_published (once a "
           "print, while anyone follows) and published_to_sent (once a print and stream).",
           (Process.INGEST, Process.SERVE)),
    _serve("api_requests_total", Form.COUNTER,
           "Requests of REST and the page; the route is `none` where the door refused or nothing is there, the status "
           "`none` where the client left before.", "route", "method", "status"),
    _serve("grpc_calls_total", Form.COUNTER,
           "Calls of gRPC, questions about health left out; the method is `none` for one that does not exist.",
           "method", "code"),
    _serve("api_flow_latency_ms", Form.HISTOGRAM,
           "From the request to the last byte of the answer, of what reads rows.", "protocol", "route"),
    _serve("api_flow_error_total", Form.COUNTER, "Refused requests of what reads rows, streams included.",
           "protocol", "code"),
    _serve("query_plans_total", Form.COUNTER, "Pages found in memory or in the store.", "plan"),
    _serve("streams_open", Form.GAUGE, "Streams that are open; over gRPC exports, too.", "protocol"),
    _serve("stream_rows_total", Form.COUNTER, "Rows sent by streams."),
    _serve("stream_overflows_total", Form.COUNTER,
           "Times a stream was too slow and went on from the store instead of its queue."),
    _serve("log_seq", Form.GAUGE, "Last seq that streams were offered."),
    _serve("store_seq", Form.GAUGE, "Last seq of the store; `enriched` is the watermark.", "part"),
    _serve("store_bytes", Form.GAUGE, "Size of the store's file."),
    _serve("enrichment_backlog_size", Form.GAUGE, "Prints stored and not enriched yet."),
    _serve("enrichment_lag_seconds", Form.GAUGE, "Age of the oldest of them; 0 when none waits."),
    _serve("feed_silence_seconds", Form.GAUGE,
           "How long ago ingest told of the feed, a print or quote came, and a new quote of an underlying; none before "
           "any ingest.", "of"),
    _serve("preflight_failed", Form.GAUGE,
           "1 for what the terminal's last check ended with, by `phenix preflight`, `phenix bootstrap` or the start of "
           "`phenix ingest` (docs/preflight.md; `other` has no name there); none before any.", "code"),
    _serve("degraded", Form.GAUGE, "1 while answers lag behind the tape for that reason.", "reason"),
    _serve("ready", Form.GAUGE, "1 while the check of /ready holds.", "check"),
    _serve("alert_events_total", Form.COUNTER, "Events that alerts raised, and took back, as judged by this process."),
    _serve("alert_deliveries_total", Form.COUNTER,
           "Tries to deliver a message of an alert: delivered, failed (tried again later), or put aside (dead).",
           "result"),
    _serve("alert_delivery_latency_ms", Form.HISTOGRAM, "From the latest event of a message to its delivery."),
    _serve("alert_outbox_size", Form.GAUGE, "Messages of alerts that wait, and those put aside.", "state"),
    _serve("alert_outbox_age_seconds", Form.GAUGE,
           "Age of the oldest message that waits, digests left out; 0 when none does."),
    _serve("alert_seq", Form.GAUGE, "Last seq that alerts were judged on by this process."),
    _serve("alerts_not_understood", Form.GAUGE, "Alerts whose filter the rules of the latest rows do not know."),
    _serve("rules_active", Form.GAUGE, "1 for the rule version that is active.", "version"),
)  # fmt: skip
"""Each metric once; docs/metrics.md is generated from this table."""

Value: TypeAlias = float | Durations
Read: TypeAlias = Callable[[], Value | Mapping[Any, Value]]
"""What a metric is now: a value, or one for each value of its label (a tuple, of its labels where there are more)."""

Series: TypeAlias = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""What a process told, by name and labels."""


def read_text(text: str) -> Series:
    """What a text for Prometheus tells. Raises ValueError for what is none."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Exposition(Collector):
    """The metrics of a process; ``reads`` has a function for each that the table names for it, and no other.

    Raises ValueError where it has not.
    """

    def __init__(self, process: Process, reads: Mapping[str, Read]) -> None:
        self._metrics = [metric for metric in METRICS if process in metric.told_by]
        if wrong := {metric.name for metric in self._metrics} ^ reads.keys():
            raise ValueError(f"metrics of {process} without a function, or no metrics of it: {sorted(wrong)}")
        self._reads = reads
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def collect(self) -> Iterable[Family]:
        """Each metric with its samples now."""
        for metric in self._metrics:
            yield _family(metric, self._reads[metric.name]())

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its media type: OpenMetrics where an ``Accept`` header asks for it, else Prometheus'."""
        if _OPEN in accept:
            text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call] # the library's
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), _PLAIN


def _family(metric: Metric, found: Value | Mapping[Any, Value]) -> Family:
    # A copy at once, for others may be counting on another thread.
    values = dict(found) if isinstance(found, Mapping) else {(): found}
    histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    kind = GaugeMetricFamily if metric.form is Form.GAUGE else CounterMetricFamily
    plain: GaugeMetricFamily | CounterMetricFamily = kind(metric.name, metric.help, labels=metric.labels)
    for key, value in values.items():
        labels = (key,) if isinstance(key, str) else key
        if isinstance(value, Durations):
            histogram.add_metric(labels, _buckets(value), value.total)
        else:
            plain.add_metric(labels, value)
    return histogram if metric.form is Form.HISTOGRAM else plain


def _buckets(took: Durations) -> list[tuple[str, float]]:
    bounds = (*map(str, took.bounds), "+Inf")
    return list(zip(bounds, accumulate(list(took.counts)), strict=True))
