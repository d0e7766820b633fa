"""Spans for OpenTelemetry: of requests, calls and what ingest stores. The one door to it, and nothing while it is off.

It is on where the extra ``otel`` is installed and the standard variables name a receiver; everything else of it
(sampling, headers, resource, batches) is set by its own variables, too. What a span says is what the log says of the
same: names of this program, never what was asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

__all__ = ["Kind", "Span", "Spans", "sending"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_FLUSH_S: Final = 2.0
"""Longest wait for a receiver at the end; what it has not taken by then is lost."""
_CONTEXT: Final = ("traceparent", "tracestate")
_logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """What a span is of."""

    SERVER = "SERVER"
    CONSUMER = "CONSUMER"


class Span:
    """Something that takes time; ``trace_id`` is 32 hexadecimal digits, "" where spans are not sent."""

    def __init__(self, span: Any = None) -> None:
        self._span = span
        self.trace_id = f"{span.get_span_context().trace_id:032x}" if span else ""

    def end(self, name: str, attributes: Mapping[str, Any], *, failed: bool = False) -> None:
        """It is over, and this is what it was."""
        if self._span is None:
            return
        from opentelemetry.trace import Status, StatusCode

        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


_NOTHING: Final = Span()


class Spans:
    """Where spans begin; without a tracer they are nothing."""

    def __init__(self, tracer: Any = None) -> None:
        self._tracer = tracer

    def begin(self, kind: Kind, carrier: Iterable[tuple[Any, Any]] = ()) -> Span:
        """A span from now on, within the trace that headers (pairs of bytes or text) name."""
        if self._tracer is None:
            return _NOTHING
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = {_text(name): _text(value) for name, value in carrier if _text(name) in _CONTEXT}
        parent = TraceContextTextMapPropagator().extract(named)
        return Span(self._tracer.start_span("unnamed", context=parent, kind=SpanKind[kind]))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@contextmanager
def sending(service: str, environ: Mapping[str, str]) -> Iterator[Spans]:
    """The spans of a process so called, sent inside ``with`` where the environment says to where."""
    provider = _provider(service, environ)
    if provider is None:
        yield Spans()
        return
    try:
        yield Spans(provider.get_tracer("phenix"))
    finally:
        # On a thread of its own: a receiver that is gone is tried again for as long as its settings say.
        ending = threading.Thread(target=provider.shutdown, name="spans", daemon=True)
        ending.start()
        ending.join(_FLUSH_S)


def _provider(service: str, environ: Mapping[str, str]) -> Any:
    """What sends spans; None while it is off, with a line that says why where it was asked for."""
    asked = next((name for name in _ENDPOINTS if environ.get(name)), "")
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if not asked or off:
        return None
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        told = "no spans are sent: they can be over http/protobuf only, not %s, usually on port 4318"
        _logger.warning(told, protocol)
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _logger.warning("no spans are sent, though %s is set: pip install 'phenix[otel]'", asked)
        return None
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _logger.info("spans are sent")
    return provider
