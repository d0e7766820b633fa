"""Messages to people through Apprise, an extra: ``pip install 'phenix[alerts]'``. Its one door.

Only services whose host is theirs and fixed: a URL of Apprise may name any host, read files and follow options, so that
what is not known to be harmless is refused.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from phenix.server.alerts.sent import Outcome

__all__ = ["SERVICES", "check_service", "notify"]

SERVICES: Final = {
    "discord": "Discord", "gchat": "Google Chat", "opsgenie": "Opsgenie", "pagerduty": "PagerDuty",
    "pbul": "Pushbullet", "pover": "Pushover", "slack": "Slack", "tgram": "Telegram", "twilio": "Twilio",
    "wxteams": "Webex",
}  # fmt: skip
"""Schemes of Apprise's URLs that may be used, and whose they are."""
_OPTIONS: Final = frozenset({"priority", "region", "silent", "sound", "thread", "topic"})
_LONGEST_URL: Final = 1_000
_MISSING: Final = "Apprise is not installed here: `pip install 'phenix[alerts]'`, or use a webhook"


def check_service(url: str) -> str:
    """What is wrong with a URL of Apprise, "" where it may be saved."""
    scheme, colon, _ = url.partition("://")
    if not colon or scheme.lower() not in SERVICES:
        return f"the URL begins with one of {', '.join(f'{name}://' for name in SERVICES)}"
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        return f"a URL has up to {_LONGEST_URL:,} printable characters and no spaces"
    try:
        query = urlsplit(url).query
    except ValueError:
        return "the URL cannot be read"
    options = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
    if options - _OPTIONS:
        return f"options of the URL are {', '.join(sorted(_OPTIONS))}, no others"
    if find_spec("apprise") is None:
        return _MISSING
    apprise = _apprise()
    return "" if apprise.Apprise.instantiate(url) is not None else "Apprise cannot read the rest of the URL"


async def notify(url: str, title: str, text: str) -> Outcome:
    """Send a message once."""
    if problem := await asyncio.to_thread(check_service, url):
        return Outcome(f"not sent: {problem}", again=False)
    arrived = await asyncio.to_thread(_notify, url, title, text)
    return Outcome() if arrived else Outcome("the service did not take it")


def _notify(url: str, title: str, text: str) -> bool:
    apprise = _apprise()
    found = apprise.Apprise()
    found.add(url)
    return bool(found.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT))


def _apprise() -> Any:
    import apprise

    logging.getLogger("apprise").disabled = True  # what it logs has URLs in it, and with them tokens
    return apprise
