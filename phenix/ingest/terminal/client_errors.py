"""What can go wrong at the terminal, by the vendor's status codes and texts, and whether to try again."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "BusyError",
    "InvalidRequestError",
    "NoDataError",
    "NotEntitledError",
    "ServerFaultError",
    "SessionLostError",
    "StartingError",
    "TerminalError",
    "TooLargeError",
    "UnreachableError",
    "UnreadableError",
    "UpstreamDownError",
    "error_in",
    "error_of",
]


class TerminalError(Exception):
    """The terminal did not answer with data; ``code`` is the HTTP status, 0 when there was none."""

    retry = False

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class NotEntitledError(TerminalError):
    """The subscription does not include the request (471, 403)."""


class NoDataError(TerminalError):
    """Nothing for the request (472)."""


class InvalidRequestError(TerminalError):
    """A parameter or a path the terminal refuses (404, 410, 473, 475, 476)."""


class BusyError(TerminalError):
    """The terminal's queue is full (429)."""

    retry = True


class UpstreamDownError(TerminalError):
    """The terminal has lost its own connection (474)."""

    retry = True


class SessionLostError(TerminalError):
    """Another terminal logged in with the same account (478): a person must decide."""


class TooLargeError(TerminalError):
    """Too much data asked at once (570): split the request."""


class StartingError(TerminalError):
    """The terminal or its backend is starting (571)."""

    retry = True


class ServerFaultError(TerminalError):
    """A fault of the server (470, 572, other 5xx)."""

    retry = True


class UnreachableError(TerminalError):
    """No connection, a timeout, or a connection that broke in the middle."""

    retry = True


class UnreadableError(TerminalError):
    """An answer with status 200 that is not the table that was asked for."""


_ERRORS: Final[dict[int, type[TerminalError]]] = {
    403: NotEntitledError,
    404: InvalidRequestError,
    410: InvalidRequestError,
    429: BusyError,
    470: ServerFaultError,
    471: NotEntitledError,
    472: NoDataError,
    473: InvalidRequestError,
    474: UpstreamDownError,
    475: InvalidRequestError,
    476: InvalidRequestError,
    478: SessionLostError,
    570: TooLargeError,
    571: StartingError,
    572: ServerFaultError,
}

_TEXTS: Final[tuple[tuple[re.Pattern[str], type[TerminalError]], ...]] = (
    (re.compile(r"no data", re.IGNORECASE), NoDataError),
    (re.compile(r"subscription|permission|entitle", re.IGNORECASE), NotEntitledError),
    (re.compile(r"SERVER_STARTING"), StartingError),
    (re.compile(r"too many requests|queue", re.IGNORECASE), BusyError),
)
"""Error texts that came with a status that does not say so, or with none."""


def error_of(code: int, text: str) -> TerminalError:
    """The error an answer with a status other than 200 is."""
    text = text.strip()[:500]
    known = _ERRORS.get(code)
    if known is None:
        known = next((kind for pattern, kind in _TEXTS if pattern.search(text)), ServerFaultError)
    return known(f"the terminal answered {code}: {text}", code)


def error_in(text: str, where: str) -> TerminalError:
    """The error that stands where a table belongs."""
    kind = next((kind for pattern, kind in _TEXTS if pattern.search(text)), UnreadableError)
    return kind(f"{where} in the answer: {text.strip()[:500]}", 200)
