"""Messages to people through Apprise, an extra: ``pip install 'phenix[alerts]'``. Its one door.

Only services whose host is theirs and fixed: a URL of Apprise may name any host, read files and follow options, so that
what is not known to be harmless is refused. What is sent with is made of the very parse that was judged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from phenix.server.alerts.sent import Outcome
from phenix.server.alerts.threads import Threads

__all__ = ["SERVICES", "check_service", "notify"]

SERVICES: Final = {
    "discord": "Discord", "gchat": "Google Chat", "opsgenie": "Opsgenie", "pagerduty": "PagerDuty",
    "pbul": "Pushbullet", "pover": "Pushover", "slack": "Slack", "tgram": "Telegram", "twilio": "Twilio",
    "wxteams": "Webex",
}  # fmt: skip
"""Schemes of Apprise's URLs that may be used, and whose they are."""
_OPTIONS: Final = frozenset({"priority", "region", "silent", "sound", "thread", "topic"})
_PREFIXED: Final = ("qsd+", "qsd-", "qsd:")
"""Where Apprise's parse has options that begin with a sign: headers, templates' values and the like."""
_LONGEST_URL: Final = 1_000
_MISSING: Final = "Apprise is not installed here: `pip install 'phenix[alerts]'`, or use a webhook"
_OLD: Final = "Apprise here is older than 2.0: `pip install -U apprise`, or use a webhook"
_UNREADABLE: Final = "Apprise cannot read the rest of the URL"
_WRONG_OPTIONS: Final = f"options of the URL are {', '.join(sorted(_OPTIONS))}, no others"
_THREADS: Final = Threads(24, "phenix-apprise")
"""As many as messages are sent at once; queries and the like need asyncio's own."""


def check_service(url: str) -> str:
    """What is wrong with a URL of Apprise, "" where it may be saved."""
    try:
        _service(url)
    except ValueError as error:
        return str(error)
    return ""


async def notify(url: str, title: str, text: str, timeout_s: float) -> Outcome:
    """Send a message once. What is under way when the time is over may arrive nevertheless."""
    until = time.monotonic() + timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.wrap_future(_THREADS.submit(_send, url, title, text, until))
    except TimeoutError:
        return Outcome(f"no answer within {timeout_s:g} s", answered=False)


def _send(url: str, title: str, text: str, until: float) -> Outcome:
    if time.monotonic() >= until:  # it counts as failed, and is sent again
        return Outcome("not sent: no thread was free in time", answered=False)
    try:
        service = _service(url)
    except ValueError as error:
        return Outcome(f"not sent: {error}", again=False)
    apprise = _apprise()
    found = apprise.Apprise(asset=service.asset)
    found.add(service)
    arrived = found.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT)
    return Outcome() if arrived else Outcome("the service did not take it")


def _service(url: str) -> Any:
    """The one service that a URL names. Raises ValueError, which says what is wrong with the URL."""
    scheme, colon, _ = url.partition("://")
    scheme = scheme.lower()
    if not colon or scheme not in SERVICES:
        raise ValueError(f"the URL begins with one of {', '.join(f'{name}://' for name in SERVICES)}")
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise ValueError(f"a URL has up to {_LONGEST_URL:,} printable characters and no spaces")
    if any(sign in url for sign in ",;#"):  # Apprise reads several URLs, options and no fragment
        raise ValueError("a URL of one service has no `,`, `;` or `#`: write `%2C`, `%3B` or `%23`")
    try:
        query = urlsplit(url).query
    except ValueError:
        raise ValueError("the URL cannot be read") from None
    if {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)} - _OPTIONS:
        raise ValueError(_WRONG_OPTIONS)
    if find_spec("apprise") is None:
        raise ValueError(_MISSING)
    apprise = _apprise()
    try:
        # Without a time limit of its own it sends on the calling thread, not on some that everybody shares.
        asset = apprise.AppriseAsset(http_redirects=False, service_timeout=0)
    except AttributeError:
        raise ValueError(_OLD) from None
    try:
        parsed = apprise.plugins.url_to_dict(url)
    except Exception:  # noqa: BLE001 - its services trip over what they did not think of
        parsed = None
    if not parsed or parsed["schema"] != scheme:
        raise ValueError(_UNREADABLE)
    if parsed["qsd"].keys() - _OPTIONS or any(parsed[prefixed] for prefixed in _PREFIXED):
        raise ValueError(_WRONG_OPTIONS)
    if (service := apprise.Apprise.instantiate(parsed, asset=asset)) is None:
        raise ValueError(_UNREADABLE)
    return service


def _apprise() -> Any:
    import apprise

    logging.getLogger("apprise").disabled = True  # what it logs has URLs in it, and with them tokens
    return apprise
