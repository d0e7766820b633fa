"""What a running process tells over HTTP: its metrics, now and a moment before, and whether it is ready."""

from __future__ import annotations

import http.client
import json
import math
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from phenix.engine.metrics import METRICS, Process, Series, read_text

__all__ = ["Door", "Told", "UnreachedError"]

_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 16 * 2**20


class UnreachedError(Exception):
    """A process that does not tell; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one told, ``seconds`` after it told ``before``; ``ready`` holds the checks of /ready, where it has that."""

    now: Series
    before: Series = field(default_factory=dict)
    seconds: float = 0.0
    ready: Mapping[str, Any] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of the series with these labels; None of none."""
        return _sum(self.now, name, labels)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sum of the series for each value of a label."""
        return _by(self.now, name, label)

    def count(self, name: str, **labels: str) -> float:
        """The same of a counter, which has no series before the first."""
        return self.total(name, **labels) or 0.0

    def rate(self, name: str, **labels: str) -> float | None:
        """How much a counter grew a second; None where nothing was told before. One that began anew grew from 0."""
        if not self.seconds:
            return None
        return _grown(self.count(name, **labels), _sum(self.before, name, labels)) / self.seconds

    def rates(self, name: str, label: str) -> dict[str, float]:
        """The same for each value of a label."""
        if not self.seconds:
            return {}
        before, now = _by(self.before, name, label), self.by(name, label)
        return {value: _grown(count, before.get(value)) / self.seconds for value, count in now.items()}

    def quantile(self, share: float, name: str, **labels: str) -> float | None:
        """The bound of the bucket that this share of what was counted since before lies within; None of none."""
        now, before = _buckets(self.now, name, labels), _buckets(self.before, name, labels)
        counts = sorted((bound, count - before.get(bound, 0.0)) for bound, count in now.items())
        if not counts or counts[-1][1] <= 0:
            return None
        return next(bound for bound, count in counts if count >= share * counts[-1][1])


def _grown(now: float, before: float | None) -> float:
    return now if before is None or before > now else now - before


def _matching(series: Series, name: str, labels: Mapping[str, str]) -> list[tuple[dict[str, str], float]]:
    found = [(dict(key), value) for (one, key), value in series.items() if one == name]
    return [(key, value) for key, value in found if labels.items() <= key.items()]


def _sum(series: Series, name: str, labels: Mapping[str, str]) -> float | None:
    found = [value for _, value in _matching(series, name, labels)]
    return sum(found) if found else None


def _by(series: Series, name: str, label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in _matching(series, name, {}):
        found[key.get(label, "")] = found.get(key.get(label, ""), 0.0) + value
    return found


def _buckets(series: Series, name: str, labels: Mapping[str, str]) -> dict[float, float]:
    found: dict[float, float] = {}
    for key, value in _matching(series, f"{name}_bucket", labels):
        bound = math.inf if key["le"] == "+Inf" else float(key["le"])
        found[bound] = found.get(bound, 0.0) + value
    return found


def _read_ready(text: bytes) -> dict[str, Any]:
    """What /ready says. Raises ValueError for what it never does."""
    found = json.loads(text)
    checks = found.get("checks") if isinstance(found, dict) else None
    if not isinstance(checks, dict) or not all(isinstance(one, dict) and "ok" in one for one in checks.values()):
        raise ValueError("no checks")
    return dict(found)


class Door:
    """One process: ``what`` is its name, ``url`` where it tells, ``todo`` what to do where nobody answers."""

    def __init__(self, what: str, url: str, todo: str, *, token: str = "", ca: Path | None = None) -> None:
        self.what = what
        self.url = url.rstrip("/")
        self._todo = todo
        self._own = {metric.name for metric in METRICS if metric.told_by == (Process(what),)}
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._tls = ssl.create_default_context(cafile=ca) if self.url.startswith("https://") else None
        self._last: Series = {}
        self._at = 0.0

    def ask(self, *, ready: bool) -> Told:
        """What it tells now; ``ready`` asks for that, too. Raises UnreachedError."""
        try:
            now = read_text(self._get("/metrics").decode("utf-8", "replace"))
            at = time.monotonic()
            checks = _read_ready(self._get("/ready")) if ready else {}
        except ValueError:
            raise UnreachedError(self._is_other()) from None
        if not any(name in self._own for name, _ in now):
            raise UnreachedError(self._is_other())
        told = Told(now, self._last, at - self._at if self._at else 0.0, checks)
        self._last, self._at = now, at
        return told

    def _get(self, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=self._headers)  # noqa: S310 - http or https, checked
        try:
            try:
                answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._tls)  # noqa: S310 - as above
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                if answer.status == 200 or (path, answer.status) == ("/ready", 503):
                    return bytes(answer.read(_MOST_BYTES))
            raise UnreachedError(self._refused(answer.status, path))
        except (OSError, ValueError) as error:  # first: a line that is cut is both
            reason = getattr(error, "reason", error)
            said = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
            raise UnreachedError(f"{self.what} cannot be reached at {self.url} ({said}): {self._todo}") from None
        except http.client.HTTPException:
            raise UnreachedError(self._is_other()) from None

    def _is_other(self) -> str:
        return f"{self.what} at {self.url} does not answer as `phenix {self.what}` does: is that its address?"

    def _refused(self, status: int, path: str) -> str:
        if status in (401, 403):
            todo = "make one with `phenix token NAME --role reader`, and set PHENIX_TOKEN"
            return f"{self.what} at {self.url} wants a token: {todo}"
        return f"{self.what} at {self.url} answers {status} for {path}: is that the address of `phenix {self.what}`?"
