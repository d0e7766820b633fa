"""Who may do what: tokens with roles, and how often.

A file of tokens has a line for each, ``NAME ROLE sha256:HEX [until YYYY-MM-DD]``; what is kept is a hash, so that who
reads the file cannot use it. Tokens are 256 random bits: a plain hash of one cannot be guessed back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import IntEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from phenix.engine.query.request import Refusal

__all__ = [
    "Access",
    "AccessError",
    "Limits",
    "Role",
    "Tls",
    "Token",
    "Tokens",
    "TokensError",
    "is_this_machine",
    "new_token",
    "open_access",
    "role_of_call",
    "role_of_request",
]

_LINE: Final = re.compile(r"(\S{1,64})\s+(\S+)\s+sha256:([0-9a-f]{64})(?:\s+until\s+(\S+))?")
_SEEN_MOST: Final = 10_000


class AccessError(Exception):
    """Access that cannot be given like that; the message says what to do."""


class TokensError(Exception):
    """A file of tokens that cannot be used; the message says where and what is expected."""


class Role(IntEnum):
    """What a token allows; each role allows what those before it do."""

    READER = 1
    """Rows, streams, and questions about rule texts."""
    AUTHOR = 2
    """Presets and alerts, too."""
    OPERATOR = 3
    """Rule versions, too."""


_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN: Final = ("/health", "/ready", "/login")
_ASKING: Final = (
    "Get", "List", "Query", "Summarize", "Facets", "Why", "Subscribe", "Export", "Check", "Complete", "Format",
    "Explain", "Estimate", "Convert", "Watch", "Diff", "Certify", "ServerReflection",
)  # fmt: skip
_WRITING: Final = ("Create", "Update", "Delete")


def role_of_request(method: str, path: str) -> Role | None:
    """The role that a request needs; None where it needs no token."""
    if path in _OPEN or path.startswith("/assets/"):
        return None
    path = path.removeprefix("/api/v1").removeprefix("/api")
    if method in _SAFE or path.startswith("/dsl/") or path == "/rules/diff":
        return Role.READER
    return Role.OPERATOR if path.startswith("/rules/") else Role.AUTHOR


def role_of_call(method: str) -> Role | None:
    """The role that a gRPC method such as ``/phenix.v1.FlowService/Query`` needs; what is new needs the highest."""
    if method.startswith("/grpc.health.v1."):
        return None
    name = method.rpartition("/")[2]
    return Role.READER if name.startswith(_ASKING) else Role.AUTHOR if name.startswith(_WRITING) else Role.OPERATOR


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a certificate, with what it is signed by, and of its key; PEM."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Raise OSError or ValueError for files that cannot be used together."""
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.certificate, self.key)


@dataclass(frozen=True, slots=True)
class Access:
    """How the doors are kept: tokens, if any are needed, limits, and TLS, if it is spoken."""

    tokens: Tokens | None
    limits: Limits
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept; ``until`` is the last day it counts, UTC."""

    name: str
    role: Role
    digest: bytes
    until: date | None = None

    @property
    def line(self) -> str:
        """Its line in the file."""
        until = f" until {self.until.isoformat()}" if self.until else ""
        return f"{self.name} {self.role.name.lower()} sha256:{self.digest.hex()}{until}"


def new_token(name: str, role: Role, until: date | None = None) -> tuple[str, Token]:
    """A new token: what its owner is given, and what is kept."""
    secret = f"phx_{secrets.token_urlsafe(32)}"
    return secret, Token(name, role, _digest(secret), until)


class Tokens:
    """The tokens of a file."""

    def __init__(self, tokens: Iterable[Token], today: Callable[[], date] = lambda: datetime.now(UTC).date()) -> None:
        self._tokens = tuple(tokens)
        self._today = today

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """The tokens of a file. Raises TokensError naming the line."""
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise TokensError(f"the tokens {path} cannot be read: {reason}") from error
        tokens: list[Token] = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                tokens.append(_token(line.strip(), f"{path}:{number}", {token.name for token in tokens}))
        if not tokens:
            raise TokensError(f"the tokens {path} hold none: `phenix token NAME --role reader` makes one")
        return cls(tokens)

    def check(self, secret: str, role: Role) -> Token | Refusal:
        """Whose token it is, if it allows what the role does."""
        if not secret:
            return Refusal("unauthorized", "This needs a token: send it as `Authorization: Bearer …`.")
        digest = _digest(secret)
        found = None
        for token in self._tokens:  # every one, so that the time taken says nothing
            if hmac.compare_digest(token.digest, digest):
                found = token
        if found is None:
            return Refusal("unauthorized", "This token is not known here.")
        if found.until is not None and self._today() > found.until:
            return Refusal("unauthorized", f"This token ended with {found.until.isoformat()}; ask for a new one.")
        if found.role < role:
            wanted, has = role.name.lower(), found.role.name.lower()
            return Refusal("forbidden", f"This needs a token with the role {wanted}; yours has {has}.")
        return found


class Limits:
    """How much one client may ask: requests a second, with some in hand, and streams at a time. 0 is no limit."""

    def __init__(self, rate: int, streams: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._streams = streams
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        self._open: dict[str, int] = {}

    def ask(self, client: str) -> Refusal | None:
        """Count a request; a refusal when there were too many."""
        if not self._rate:
            return None
        now, most = self._clock(), 4.0 * self._rate
        if len(self._left) > _SEEN_MOST:  # who has been silent for that long has all in hand again
            self._left = {name: (left, at) for name, (left, at) in self._left.items() if now - at < 4}
        left, at = self._left.get(client, (most, now))
        left = min(most, left + (now - at) * self._rate)
        self._left[client] = (left - 1 if left >= 1 else left), now
        if left >= 1:
            return None
        return Refusal("rate_limited", f"More than {self._rate} requests a second; wait a second and go on.")

    def enter(self, client: str) -> Refusal | None:
        """Begin a stream, to be ended by :meth:`leave` unless it is refused."""
        count = self._open.get(client, 0)
        if self._streams and count >= self._streams:
            return Refusal("rate_limited", f"{count} streams are open already; close one, or share them.")
        self._open[client] = count + 1
        return None

    def leave(self, client: str) -> None:
        """A stream ended."""
        count = self._open.get(client, 0) - 1
        if count > 0:
            self._open[client] = count
        else:
            self._open.pop(client, None)


def open_access(
    host: str, tokens: Path | None, tls: tuple[Path | None, Path | None], limits: tuple[int, int]
) -> Access:
    """The doors of a server on ``host``: a file of tokens, certificate and key, requests a second and streams.

    Raises AccessError.
    """
    if tokens is None and not is_this_machine(host):
        raise AccessError(
            f"will not listen on {host} without tokens: the API would be open to everyone who reaches it; make one with"
            " `phenix token NAME --role reader` and name its file in PHENIX_API_TOKENS, or use 127.0.0.1"
        )
    spoken = None
    match tls:
        case (Path() as certificate, Path() as key):
            spoken = Tls(certificate, key)
            try:
                spoken.check()
            except (OSError, ValueError) as error:
                raise AccessError(f"PHENIX_TLS_CERT and PHENIX_TLS_KEY cannot be used: {error}") from error
        case (Path(), None) | (None, Path()):
            raise AccessError("PHENIX_TLS_CERT and PHENIX_TLS_KEY belong together: set both, or neither")
    try:
        return Access(Tokens.read(tokens) if tokens is not None else None, Limits(*limits), spoken)
    except TokensError as error:
        raise AccessError(str(error)) from error


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _token(line: str, where: str, taken: set[str]) -> Token:
    match = _LINE.fullmatch(line)
    if match is None:
        raise TokensError(f"{where}: not a token; expected NAME ROLE sha256:HEX [until YYYY-MM-DD]")
    name, role, digest, until = match.groups()
    if role.upper() not in Role.__members__:
        roles = ", ".join(one.name.lower() for one in Role)
        raise TokensError(f"{where}: {role!r} is no role; there are {roles}")
    if name in taken:
        raise TokensError(f"{where}: there is a token {name!r} before; give each its own name")
    try:
        last = date.fromisoformat(until) if until else None
    except ValueError:
        raise TokensError(f"{where}: {until!r} is no day; write 2026-12-31") from None
    return Token(name, Role[role.upper()], bytes.fromhex(digest), last)


def is_this_machine(host: str) -> bool:
    """Whether a host is nobody but this machine; a name is only believed to be when it is ``localhost``."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
