"""The picture that ``phenix top`` draws: one table of figures, as lines for a terminal of any width and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from phenix.cli.scraped import Told

__all__ = ["FIGURES", "Figure", "Moment", "Panel", "as_json", "picture"]

_WIDE: Final = 100
_CHIPS: Final = 8
_ROUTES: Final = 6
_WATCHING: Final = frozenset({"/metrics", "/ready", "/health"})
_LAG_S: Final = 5.0
_SLOW_MS: Final = 350.0
_SILENT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the processes told; None of one that did not, and why in ``problems``."""

    serve: Told | None
    ingest: Told | None
    problems: Mapping[str, str] = field(default_factory=dict)


class Panel(StrEnum):
    """Which figures stand together."""

    FEED = "Feed"
    INGEST = "Ingest"
    ENRICHMENT = "Enrichment"
    SERVING = "Serving"
    CLIENTS = "Clients"
    ALERTS = "Saved alerts"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: its name in JSON, its words and unit on the screen, where it is read, and from where on it is bad."""

    panel: Panel
    name: str
    words: str
    unit: str
    process: str
    read: Callable[[Told], float | None]
    bad: float = math.inf


def _ingest(panel: Panel, name: str, words: str, unit: str, read: Callable[[Told], float | None],
            bad: float = math.inf) -> Figure:  # fmt: skip
    return Figure(panel, name, words, unit, "ingest", read, bad)


def _serve(panel: Panel, name: str, words: str, unit: str, read: Callable[[Told], float | None],
           bad: float = math.inf) -> Figure:  # fmt: skip
    return Figure(panel, name, words, unit, "serve", read, bad)


def _total(name: str, **labels: str) -> Callable[[Told], float | None]:
    return lambda told: told.total(name, **labels)


def _count(name: str) -> Callable[[Told], float | None]:
    return lambda told: told.count(name)


def _rate(name: str, **labels: str) -> Callable[[Told], float | None]:
    return lambda told: told.rate(name, **labels)


def _share(share: float, name: str, **labels: str) -> Callable[[Told], float | None]:
    return lambda told: told.quantile(share, name, **labels)


def _asked(told: Told) -> dict[str, float]:
    """Requests a second by route, without those of whoever watches it, as we do."""
    return {route: rate for route, rate in told.rates("api_requests_total", "route").items() if route not in _WATCHING}


FIGURES: Final[tuple[Figure, ...]] = (
    _serve(Panel.FEED, "dataSilenceSeconds", "print or quote, ago", "s",
           _total("feed_silence_seconds", of="data"), _SILENT_S),
    _serve(Panel.FEED, "quoteSilenceSeconds", "underlying's quote, ago", "s",
           _total("feed_silence_seconds", of="quotes"), _SILENT_S),
    _ingest(Panel.FEED, "streamsSubscribed", "streams subscribed", "", _total("ingest_streams", answer="subscribed")),
    _ingest(Panel.FEED, "streamsRefused", "streams refused", "", _total("ingest_streams", answer="refused")),
    _ingest(Panel.FEED, "disconnections", "lost connections", "", _count("ingest_disconnections_total")),
    _ingest(Panel.INGEST, "eventsPerSecond", "messages", "/s", _rate("ingest_events_total")),
    _ingest(Panel.INGEST, "printsPerSecond", "prints stored", "/s", _rate("ingest_prints_total", outcome="stored")),
    _ingest(Panel.INGEST, "ingestLagSeconds", "exchange to store", "s", _total("ingest_lag_seconds"), _LAG_S),
    _ingest(Panel.INGEST, "queuedMessages", "messages waiting", "", _total("ingest_queue_messages")),
    _ingest(Panel.INGEST, "droppedMessages", "messages dropped", "", _count("ingest_dropped_total"), 1),
    _ingest(Panel.INGEST, "deadLetters", "dead letters", "", _count("ingest_parse_failures_total")),
    _ingest(Panel.INGEST, "gaps", "gaps", "", _count("ingest_gaps_total")),
    _serve(Panel.ENRICHMENT, "backlogRows", "prints waiting", "", _total("enrichment_backlog_size")),
    _serve(Panel.ENRICHMENT, "enrichmentLagSeconds", "oldest of them", "s", _total("enrichment_lag_seconds"), 30.0),
    _ingest(Panel.ENRICHMENT, "storedToEnrichedMs95", "store to row, 95 %", "ms",
            _share(0.95, "print_latency_ms", step="stored_to_enriched")),
    _ingest(Panel.ENRICHMENT, "receivedToEnrichedMs95", "receipt to row, 95 %", "ms",
            _share(0.95, "print_latency_ms", step="received_to_enriched")),
    _serve(Panel.ENRICHMENT, "watermark", "last seq enriched", "", _total("store_seq", part="enriched")),
    _serve(Panel.ENRICHMENT, "storeBytes", "store", "B", _total("store_bytes")),
    _serve(Panel.SERVING, "requestsPerSecond", "requests", "/s", lambda told: sum(_asked(told).values())),
    _serve(Panel.SERVING, "callsPerSecond", "gRPC calls", "/s", _rate("grpc_calls_total")),
    _serve(Panel.SERVING, "flowMs50", "rows asked for, half", "ms", _share(0.5, "api_flow_latency_ms")),
    _serve(Panel.SERVING, "flowMs95", "rows asked for, 95 %", "ms", _share(0.95, "api_flow_latency_ms"), _SLOW_MS + 1),
    _serve(Panel.SERVING, "refusedPerSecond", "refused", "/s", _rate("api_flow_error_total")),
    _serve(Panel.CLIENTS, "sseStreams", "streams, SSE", "", _total("streams_open", protocol="sse")),
    _serve(Panel.CLIENTS, "grpcStreams", "streams, gRPC", "", _total("streams_open", protocol="grpc")),
    _serve(Panel.CLIENTS, "rowsSentPerSecond", "rows sent", "/s", _rate("stream_rows_total")),
    _serve(Panel.CLIENTS, "publishedToSentMs95", "offer to sent, 95 %", "ms",
           _share(0.95, "print_latency_ms", step="published_to_sent")),
    _serve(Panel.CLIENTS, "slowReaders", "times one was too slow", "", _count("stream_overflows_total")),
    _serve(Panel.ALERTS, "alertEventsPerSecond", "events", "/s", _rate("alert_events_total")),
    _serve(Panel.ALERTS, "alertMessagesWaiting", "messages waiting", "", _total("alert_outbox_size", state="waiting")),
    _serve(Panel.ALERTS, "alertMessageAgeSeconds", "oldest of them", "s", _total("alert_outbox_age_seconds"), 600.0),
    _serve(Panel.ALERTS, "alertMessagesPutAside", "put aside", "", _total("alert_outbox_size", state="dead"), 1),
)  # fmt: skip
"""Each figure once."""


def _state(moment: Moment) -> dict[str, Any]:
    """What is no number: readiness, reasons, the line, the rules."""
    state: dict[str, Any] = {}
    if moment.serve is not None:
        checks = moment.serve.ready.get("checks", {})
        state["ready"] = moment.serve.ready.get("status") == "ready"
        state["notReady"] = {check: one.get("reason", "") for check, one in checks.items() if not one["ok"]}
        state["degraded"] = [reason for reason, on in moment.serve.by("degraded", "reason").items() if on]
        state["ruleVersion"] = next(iter(moment.serve.by("rules_active", "version")), "")
    if moment.ingest is not None:
        lines = moment.ingest.by("feed_connected", "line")
        state["connected"] = {line: bool(on) for line, on in lines.items()}
    return state


def _values(moment: Moment) -> dict[str, float | None]:
    told = {"serve": moment.serve, "ingest": moment.ingest}
    found: dict[str, float | None] = {}
    for one in FIGURES:
        process = told[one.process]
        value = None if process is None else one.read(process)
        found[one.name] = value if value is not None and math.isfinite(value) else None
    return found


def _most(rates: Mapping[str, float], count: int) -> list[tuple[str, float]]:
    return sorted(((key, rate) for key, rate in rates.items() if rate > 0), key=lambda one: (-one[1], one[0]))[:count]


def as_json(moment: Moment) -> dict[str, Any]:
    """The figures by name, null where nobody tells; chips and routes by prints and requests a second."""
    return {
        **_state(moment),
        **_values(moment),
        "chipsPerSecond": dict(_most(_chips(moment), 1_000)),
        "routesPerSecond": dict(_most(_routes(moment), 1_000)),
        "problems": dict(moment.problems),
    }


def _chips(moment: Moment) -> dict[str, float]:
    return moment.ingest.rates("filter_hits_total", "chip") if moment.ingest else {}


def _routes(moment: Moment) -> dict[str, float]:
    if moment.serve is None:
        return {}
    return {**_asked(moment.serve), **moment.serve.rates("grpc_calls_total", "method")}


def picture(moment: Moment, width: int, *, at: str, colour: bool) -> list[str]:
    """The lines, none longer than ``width`` columns; ``at`` is the time shown, ``colour`` whether bad ones are red."""
    red, bold, plain = ("\x1b[31m", "\x1b[1m", "\x1b[0m") if colour else ("", "", "")

    def cut(text: str, room: int) -> str:
        text = "".join(c if c.isprintable() else "?" for c in text)  # what a process tells must not steer the terminal
        return text if len(text) <= room else text[: room - 1] + "…"

    def bad(text: str) -> str:
        return f"{red}{cut(text, width)}{plain}"

    lines = [f"{bold}{cut(_headline(moment, at), width)}{plain}"]
    lines += [bad(part) for problem in moment.problems.values() for part in _wrapped(f"! {problem}", width)]
    lines += [bad(part) for trouble in _troubles(moment) for part in _wrapped(f"! {trouble}", width)]
    columns = 2 if width >= _WIDE else 1
    room = (width - 3 * (columns - 1)) // columns
    blocks = []
    for title, rows in _panels(moment):
        block = [f"{bold}{cut(title, room):<{room}}{plain}"]
        for words, value, wrong in rows:
            left = max(1, room - len(value) - 1)
            text = cut(f"{cut(words, left):<{left}} {value}", room)
            block.append(f"{red}{text:<{room}}{plain}" if wrong else f"{text:<{room}}")
        blocks.append(block)
    for row in range(0, len(blocks), columns):
        beside = blocks[row : row + columns]
        lines.append("")
        for number in range(max(map(len, beside))):
            lines.append("   ".join(block[number] if number < len(block) else " " * room for block in beside).rstrip())
    return lines


def _headline(moment: Moment, at: str) -> str:
    state = _state(moment)
    said = [f"phenix {at}"]
    if "ready" in state:
        said.append("ready" if state["ready"] else "NOT READY")
        said.append(f"rules {state['ruleVersion'][:12]}" if state["ruleVersion"] else "no rules")
    return "  ".join(said)


def _troubles(moment: Moment) -> list[str]:
    state = _state(moment)
    found = [f"not ready, {check}: {reason}" for check, reason in state.get("notReady", {}).items()]
    found += [f"degraded: {reason}" for reason in state.get("degraded", ())]
    found += [f"the line is down: {line}" for line, up in state.get("connected", {}).items() if not up]
    return found


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(10, width), subsequent_indent="  ")


def _panels(moment: Moment) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    values = _values(moment)
    panels: list[tuple[str, list[tuple[str, str, bool]]]] = []
    for panel in Panel:
        rows = [(one.words, _shown(values[one.name], one.unit), (values[one.name] or 0) >= one.bad)
                for one in FIGURES if one.panel is panel]  # fmt: skip
        panels.append((panel, rows))
    for title, rates, count in (("Chips", _chips(moment), _CHIPS), ("Asked", _routes(moment), _ROUTES)):
        found = [(name, _shown(rate, "/s"), False) for name, rate in _most(rates, count)]
        panels.append((title, found or [("none in this moment", "", False)]))
    return panels


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "B":
        for name in ("B", "kB", "MB", "GB"):
            if value < 1000 or name == "GB":
                return f"{value:,.{0 if name == 'B' else 1}f} {name}"
            value /= 1000
    digits = 0 if value >= 100 or value == int(value) else 1
    return f"{value:,.{digits}f}{'' if unit == '/s' else ' ' if unit else ''}{unit}"
