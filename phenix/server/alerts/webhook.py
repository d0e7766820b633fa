"""Messages to a webhook: signed, sent to a public address and nowhere else. The one door of the HTTP library.

Headers and signature are those of https://www.standardwebhooks.com: ``webhook-signature`` is ``v1,`` and the Base64 of
the HMAC-SHA256 of ``ID.TIMESTAMP.BODY`` under the secret's bytes, so that receivers find a library for it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import hmac
import os
import secrets
import ssl
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore

from phenix.server.alerts.addresses import Allowed, RefusedError, check, is_literal, is_name, resolve
from phenix.server.alerts.sent import Outcome

__all__ = ["Webhooks", "check_secret", "check_url", "new_secret", "sign"]

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = (24, 64)
_CONNECTIONS: Final = 32
_ANSWER_BYTES: Final = 16_384
"""What is read of an answer, so that its connection can be used again."""
_LONGEST_URL: Final = 2_000
_LONGEST_RETRY_S: Final = 3_600


def new_secret() -> str:
    """A secret nobody knows."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> str:
    """What is wrong with a secret, "" where it is one."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    low, high = _SECRET_BYTES
    if secret.startswith(_PREFIX) and low <= len(key) <= high:
        return ""
    return f"a secret is `{_PREFIX}` and the Base64 of {low} to {high} bytes; leave it out, and one is made"


def sign(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    """The signature of a message."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    content = b"%b.%d.%b" % (id_.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def check_url(url: str, allowed: Allowed) -> str:
    """What is wrong with a webhook's URL, "" where it may be saved; what its name leads to is judged at sending."""
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > _LONGEST_URL:
        return f"a URL has up to {_LONGEST_URL:,} printable ASCII characters and no spaces"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "the URL cannot be read"
    if parts.scheme.lower() not in ("https", "http") or not host:
        return "a webhook's URL is `https://HOST/…`, or http"
    if "@" in parts.netloc:
        return "a URL with a name or password in it is not sent to: the signature says who sends"
    if parts.fragment:
        return "a URL to send to has no `#`"
    if port == 0:
        return "nothing listens at port 0: leave the port out, or write the receiver's"
    literal = is_literal(host)
    if not literal and not is_name(host):
        return (
            "the host is neither a name nor an address: write a name such as `hooks.example.com`, whose last part is "
            "no number, or all of an address, such as `1.1.1.1` or `[2606:4700::1111]`"
        )
    local = f".{host.removesuffix('.')}".endswith(".localhost")
    try:
        check(host, [host if literal else "127.0.0.1" if local else "1.1.1.1"], allowed)
    except RefusedError as refused:
        return f"nothing can be sent to this host: {refused}"
    return ""


class Webhooks:
    """Sends to webhooks, redirects followed nowhere; ``timeout_s`` is the longest from the look-up to the answer."""

    def __init__(self, allowed: Allowed, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=_CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=_Guarded(allowed),
        )

    async def send(self, url: str, secret: str, id_: str, body: bytes, now_s: int) -> Outcome:
        """Send a message once; ``id_`` is the same each time it is sent. What counts of an answer is its head."""
        outcome: Outcome | None = None
        headers = [
            ("content-type", "application/json"),
            ("user-agent", "phenix-alerts"),
            ("webhook-id", id_),
            ("webhook-timestamp", str(now_s)),
            ("webhook-signature", sign(secret, id_, now_s, body)),
            ("idempotency-key", id_),
        ]
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._pool.stream("POST", url, headers=headers, content=body) as answer:
                    outcome = _judged(answer.status, dict(answer.headers))
                    read = 0
                    async for chunk in answer.aiter_stream():
                        read += len(chunk)
                        if read > _ANSWER_BYTES:
                            break
                return outcome
        except RefusedError as refused:  # what a name leads to may be something else the next time
            return Outcome(f"not sent: {refused}", again=not is_literal(urlsplit(url).hostname or ""), answered=False)
        except TimeoutError:
            return outcome or Outcome(f"no answer within {self._timeout_s:g} s", answered=False)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            return outcome or Outcome(_why(error), answered=False)
        except (ValueError, httpcore.UnsupportedProtocol):  # what the library cannot make a request of
            return Outcome("not sent: the URL cannot be used", again=False)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._pool.aclose()


def _judged(status: int, headers: dict[bytes, bytes]) -> Outcome:
    """What an answer's status means."""
    if 200 <= status < 300:
        return Outcome()
    if 300 <= status < 400:
        return Outcome(f"the receiver answered {status}, a redirect: these are not followed", again=False)
    if status == 410:
        return Outcome("the receiver answered 410: it is gone for good", again=False)
    named = {name.lower(): value for name, value in headers.items()}
    wait = named.get(b"retry-after", b"").strip()
    wait_s = min(int(wait), _LONGEST_RETRY_S) if wait.isdigit() and len(wait) < 10 else 0
    return Outcome(f"the receiver answered {status}", wait_s=wait_s)


def _why(error: BaseException) -> str:
    """Words for what failed, without anything of the URL in it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {seen.verify_message}"
        if isinstance(seen, ssl.SSLError):
            return "TLS failed"
        if isinstance(seen, OSError) and seen.strerror:  # asyncio writes the address into its own words
            said = os.strerror(seen.errno) if seen.errno and seen.errno in errno.errorcode else seen.strerror
            return f"the connection failed: {said}"
        seen = seen.__cause__ or seen.__context__
    kind = "took too long" if isinstance(error, httpcore.TimeoutException) else "broke"
    return f"the connection {kind}"


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that were judged, whatever the name leads to a moment later."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of a host's addresses. Raises RefusedError, OSError and what the library raises."""
        failed: BaseException = OSError("no address")
        for address in await resolve(host, port, self._allowed):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 - the library's signature
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Never. Raises RefusedError."""
        raise RefusedError("it is no address of a network")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)
