"""Log lines: one set-up for every command, as JSON or for people to read, each with what it belongs to.

Modules say what happened to the loggers of the standard library. A line gets besides what its request noted (who asked,
under which id, of which route) and what its process tells of itself (the watermark, the active rules). Nothing of a
query is noted, and what looks like a secret is taken out of every line before it is written.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TextIO

__all__ = ["FIELDS", "HEADER", "LEVELS", "Form", "Logs", "kept", "note", "noted", "take_request", "without_secrets"]

FIELDS: Final[dict[str, str]] = {
    "at": "When, UTC.",
    "level": "`debug`, `info`, `warning`, `error` or `critical`.",
    "logger": "The part of the program that says it.",
    "message": "What happened, in a sentence.",
    "request_id": "The id of the request that it belongs to: what its client sent as `X-Request-Id` (over gRPC as the "
    "metadata `x-request-id`) where that is 1 to 128 letters, digits and `._:-`, else one made here. Answers bear it.",
    "trace_id": "The trace of OpenTelemetry that the request belongs to, where traces are sent.",
    "protocol": "`rest` or `grpc`.",
    "method": "The method of HTTP, `none` for one that there is not.",
    "route": "The route as the API describes it, or the method of gRPC; `none` where nothing is there. Never what was "
    "asked for.",
    "status": "The status of HTTP, `none` where the client left before, or the code of gRPC.",
    "ms": "How long it took, to the last byte; of a stream, how long it was open.",
    "client": "The name of the token that asked; the address where there are no tokens.",
    "rule_version": "The rule version of the answer; where there is none, the one that is active.",
    "watermark": "The last enriched `seq` when it was answered; of ingest, the last it enriched.",
    "code": "The name of a failure of preflight or bootstrap (docs/preflight.md).",
    "error": "The traceback.",
}
"""What a line can hold: each name once; docs/logs.md is generated from this table."""

HEADER: Final = "x-request-id"
LEVELS: Final = ("debug", "info", "warning", "error")
_SANE: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TOKEN: Final = re.compile(r"phx_[A-Za-z0-9_-]+")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_ASSIGNED: Final = re.compile(r"(?i)\b(token|password|passwd|secret|api[_-]?key|cookie|authorization)(['\"]?\s*[=:]\s*)"
                              r"(?!\s*(?:bearer|basic)\b)"
                              r"(?:\"(?:[^\"\\\n]|\\.)+\"?|'(?:[^'\\\n]|\\.)+'?|[^\s'\"&,;)}\]]+)")  # fmt: skip
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)"
                         r"(?:(?P<unclear>[^\s/?#'\"]*[/?#](?:(?!://)[^\s'\"])*@[^\s'\"]*)|(?:[^\s/?#'\"]*@)?"
                         r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:?#'\"<>)\]}]+)(?P<port>:\d+)?"
                         r"(?P<path>/[^\s?#'\"<>)\]}]*)?(?P<query>[?#][^\s'\"<>)\]}]*)?)")  # fmt: skip
_HERE: Final = re.compile(r"127(\.\d+){3}|localhost|\[::1\]")
_request: ContextVar[dict[str, Any] | None] = ContextVar("request", default=None)


class Form(StrEnum):
    """How a line looks."""

    JSON = "json"
    PRETTY = "pretty"


class Logs:
    """The lines of a process; ``about`` is called for what each tells of the process, once it is known."""

    def __init__(self) -> None:
        self.about: Callable[[], Mapping[str, Any]] = dict


@contextmanager
def kept(form: Form, level: str, stream: TextIO) -> Iterator[Logs]:
    """Write lines to a stream inside ``with``: ours of ``level`` and above, other libraries' warnings at least."""
    logs = Logs()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lines(form, logs))
    root, ours = logging.getLogger(), logging.getLogger("phenix")
    before = root.level, ours.level
    lowest = logging.getLevelNamesMapping()[level.upper()]
    root.addHandler(handler)
    root.setLevel(max(lowest, logging.WARNING))
    ours.setLevel(lowest)
    try:
        yield logs
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])


def take_request(offered: str) -> str:
    """Begin a request on this task, under the id its client offers where that is sane; returns the id.

    Whatever the task and the threads it asks say from then on bears it: also what is said of a failure, once the
    request is over.
    """
    sane = _SANE.fullmatch(offered) is not None and not _TOKEN.search(offered)
    found = offered if sane else secrets.token_hex(8)
    _request.set({"request_id": found})
    return found


def note(**said: Any) -> None:
    """Add to what the lines of the request under way say; nothing where there is none. Names are those of FIELDS."""
    noted = _request.get()
    if noted is not None:
        noted.update(said)


def noted() -> Mapping[str, Any]:
    """What was noted of the request under way."""
    return _request.get() or {}


def without_secrets(text: str) -> str:
    """The text without tokens, passwords, queries of URLs, and paths of URLs elsewhere: a webhook's is its secret."""
    if "phx_" in text:
        text = _TOKEN.sub("phx_…", text)
    if "://" in text:
        text = _URL.sub(_bare, text)
    return _ASSIGNED.sub(r"\1\2…", _BEARER.sub(r"\1 …", text))


def _bare(url: re.Match[str]) -> str:
    if url["unclear"]:  # what is before an @ behind a slash may be a path, or a password with a slash
        return f"{url['scheme']}…"
    path, query = url["path"] or "", "?…" if url["query"] else ""
    if len(path) > 1 and not _HERE.fullmatch(url["host"]):
        path, query = "/…", ""
    return f"{url['scheme']}{url['host']}{url['port'] or ''}{path}{query}"


class _Lines(logging.Formatter):
    """One object of JSON a line, or a line with what it belongs to behind it; only a traceback takes more of them."""

    def __init__(self, form: Form, logs: Logs) -> None:
        super().__init__()
        self._write = self._json if form is Form.JSON else self._pretty
        self._logs = logs

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        error = ""
        if record.exc_info and record.exc_info[1] is not None:
            error = without_secrets("".join(traceback.format_exception(record.exc_info[1])).rstrip())
        more = {**self._logs.about(), **noted()}
        if code := getattr(record, "code", ""):
            more["code"] = code
        return self._write(record, without_secrets(record.getMessage()), more, error)

    def _json(self, record: logging.LogRecord, message: str, more: Mapping[str, Any], error: str) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": message}
        line |= {name: more[name] for name in FIELDS if name in more}
        return json.dumps(line | {"error": error} if error else line)

    def _pretty(self, record: logging.LogRecord, message: str, more: Mapping[str, Any], error: str) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        said = "  ".join(f"{name}={more[name]}" for name in FIELDS if name in more)
        # What came from elsewhere must not steer the terminal.
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in message)
        shown = f"{at} {record.levelname.lower():<8} {record.name}  {line}{'  ' if said else ''}{said}"
        return f"{shown}\n{error}" if error else shown
