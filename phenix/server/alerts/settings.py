"""What an alert asks for beside its filter, as JSON that somebody wrote and as it is shown; targets without secrets."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from phenix.dsl.diagnostics import Diagnostic, closest
from phenix.dsl.statements import LONGEST_COOLDOWN_MS, PER
from phenix.engine.members import at_member, cut, kind_of
from phenix.engine.query.request import Refusal
from phenix.engine.store.alerts import DAILY_CAP, Delivery, Per, Target, Terms
from phenix.server.alerts.addresses import Allowed
from phenix.server.alerts.notify import check_service
from phenix.server.alerts.webhook import check_secret, check_url, new_secret
from phenix.server.saved_body import invalid

__all__ = ["DELIVERY", "MOST_TARGETS", "TARGET", "read_delivery", "show_delivery", "show_target"]

MOST_TARGETS: Final = 10
_MOST_EVENTS: Final = 10_000
_LONGEST_DIGEST_MS: Final = 86_400_000
_SHORTEST_DIGEST_MS: Final = 1_000
_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_MINUTE: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_KINDS: Final = ("webhook", "apprise")
DELIVERY: Final = {
    "cooldown": "A duration such as `3m`, `0s` for none: a match so soon after one that spoke is silent. Null or "
    "absent: what the alert's statement says.",
    "per": "`contract` or `symbol`: what the cooldown counts for. Null or absent: as the statement says.",
    "quiet": "`{\"from\": \"16:00\", \"to\": \"09:30\"}`, New York time: matches of trades in between are silent.",
    "dailyCap": f"Events of a session date, 1 to {_MOST_EVENTS:,}; {DAILY_CAP:,} when not said.",
    "digest": "A duration from `1s` to `1d`: one message for all events within it, from the first.",
    "targets": f"Where events go, up to {MOST_TARGETS}.",
}  # fmt: skip
"""Members of the settings, and what they say."""
TARGET: Final = {
    "id": "Of a target that is there already: what is not said of it stays.",
    "type": "`webhook` or `apprise`.",
    "url": "Where to: `https://…`, or a URL of Apprise such as `slack://…`. Shown without what is secret in it.",
    "secret": "Of a webhook: `whsec_` and the Base64 of 24 to 64 bytes. Made when it is not said, and shown once.",
}
"""Members of a target, and what they say."""
_READ_OVER: Final = ("sinceSeq", "effective")


class _Finding(Exception):  # noqa: N818 - a finding, which becomes a diagnostic
    """Something wrong with a member."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def read_delivery(value: object, known: Delivery, allowed: Allowed) -> Delivery | Refusal:
    """The settings of a JSON object; ``known`` are those it takes the place of, whose targets it may name by id."""
    if not isinstance(value, Mapping):
        message = f"settings of a delivery are an object, this is {kind_of(value)}"
        return invalid((at_member("PHX501", message, "delivery", {"": value}),))
    found: list[Diagnostic] = _unknown(value, (*DELIVERY, *_READ_OVER), "delivery")
    read: dict[str, Any] = {}
    for name, reader in _READERS.items():
        try:
            read[name] = None if value.get(name) is None else reader(value[name])
        except _Finding as finding:
            found.append(at_member("PHX505", finding.message, name, {name: value[name]}, name))
    targets, more = _targets(value.get("targets"), known, allowed)
    if found or more:
        return invalid((*found, *more)[:100])
    return Delivery(
        read["cooldown"], cast("Per | None", read["per"]), read["quiet"], read["dailyCap"], read["digest"], targets
    )


def _targets(value: object, known: Delivery, allowed: Allowed) -> tuple[tuple[Target, ...], list[Diagnostic]]:
    if value is None:
        return (), []
    if not isinstance(value, list) or len(value) > MOST_TARGETS:
        message = f"targets are a list of up to {MOST_TARGETS}"
        return (), [at_member("PHX501", message, "targets", {"targets": value}, "targets")]
    before = {target.id: target for target in known.targets}
    made: dict[str, Target] = {}
    found: list[Diagnostic] = []
    for number, one in enumerate(value):
        place = f"targets[{number}]"
        if not isinstance(one, Mapping):
            found.append(at_member("PHX501", "a target is an object", place, {"": one}))
            continue
        found += (wrong := _unknown(one, tuple(TARGET), place))
        try:
            target = _target(one, before, allowed)
        except _Finding as finding:
            # What was sent is not shown back: a URL of Apprise is a secret as a whole.
            found.append(at_member("PHX505", finding.message, place, {"type": cut(one.get("type"))}))
            continue
        if target.id in made:
            found.append(at_member("PHX505", "this target is named twice", place, {"id": target.id}, "id"))
        elif not wrong:
            made[target.id] = target
    return tuple(made.values()), found


def _target(one: Mapping[str, Any], before: Mapping[str, Target], allowed: Allowed) -> Target:
    for name in TARGET:
        if not isinstance(one.get(name), str | None):
            raise _Finding(f"`{name}` is a text, this is {kind_of(one[name])}")
    old = before.get(one.get("id") or "")
    if one.get("id") and old is None:
        raise _Finding("this alert has no target of that id: leave it out, and one is made")
    kind = one.get("type") or (old.kind if old else "")
    if kind not in _KINDS:
        raise _Finding(f"a target's `type` is one of {', '.join(_KINDS)}")
    url, secret = one.get("url"), one.get("secret")
    if old is not None and (url is None or url == show_target(old)["url"]):
        if kind != old.kind:
            raise _Finding("the type of a target stays as it is: leave the id out, and another is made")
        url = old.url
    if not url:
        raise _Finding("a target has a `url`")
    if problem := check_url(url, allowed) if kind == "webhook" else check_service(url):
        raise _Finding(problem)
    if kind == "webhook":
        secret = secret or (old.secret if old else "") or new_secret()
        if problem := check_secret(secret):
            raise _Finding(problem)
    elif secret:
        raise _Finding("only a webhook has a secret: that of a service stands in its URL")
    return Target(old.id if old else f"target_{secrets.token_hex(6)}", kind, url, secret or "")


def _unknown(value: Mapping[str, Any], known: tuple[str, ...], place: str) -> list[Diagnostic]:
    found = []
    for name in value:
        if name not in known:
            near = closest(cut(name), known) or ""
            message = f"there is no member `{cut(name)}` here"
            hint = f"it has {', '.join(known)}"
            found.append(at_member("PHX501", message, place, {name: None}, name, hint, near, of_name=True))
    return found


def _duration(low: int, high: int, expected: str) -> Callable[[object], int]:
    def read(value: object) -> int:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        ms = int(match[1]) * _UNITS[match[2]] if match else -1
        if not low <= ms <= high:
            raise _Finding(expected)
        return ms

    return read


def _quiet(value: object) -> tuple[int, int]:
    if isinstance(value, Mapping) and set(value) == {"from", "to"}:
        found = [_MINUTE.fullmatch(text) for text in value.values() if isinstance(text, str)]
        if len(found) == 2 and all(found) and value["from"] != value["to"]:
            start, end = (60 * int(value[name][:2]) + int(value[name][3:]) for name in ("from", "to"))
            return start, end
    raise _Finding('quiet hours are `{"from": "16:00", "to": "09:30"}`, two different times in New York')


def _cap(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_EVENTS:
        return value
    raise _Finding(f"a daily cap is a whole number from 1 to {_MOST_EVENTS:,}")


def _per(value: object) -> str:
    if value in PER:
        return str(value)
    raise _Finding(f"a cooldown counts per {' or '.join(PER)}")


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "cooldown": _duration(0, LONGEST_COOLDOWN_MS, "a cooldown is a duration of up to 30 days, such as `3m`"),
    "per": _per,
    "quiet": _quiet,
    "dailyCap": _cap,
    "digest": _duration(_SHORTEST_DIGEST_MS, _LONGEST_DIGEST_MS, "a digest is a duration from 1 s to 1 day: `5m`"),
}


def show_delivery(delivery: Delivery, terms: Terms, since: int | None) -> dict[str, Any]:
    """Settings as they are answered, with what counts in all, and the seq after which it does."""
    return {
        "cooldown": _duration_text(delivery.cooldown_ms),
        "per": delivery.per,
        "quiet": _quiet_text(delivery.quiet),
        "dailyCap": delivery.daily_cap,
        "digest": _duration_text(delivery.digest_ms),
        "targets": [show_target(target) for target in delivery.targets],
        "effective": {
            "cooldown": _duration_text(terms.cooldown_ms),
            "per": terms.per,
            "quiet": _quiet_text(terms.quiet),
            "dailyCap": terms.daily_cap,
            "severity": terms.severity or None,
        },
        "sinceSeq": since,
    }


def show_target(target: Target, *, secret: bool = False) -> dict[str, Any]:
    """A target as it is answered: of its URL the scheme, and of a webhook the host and port."""
    parts = urlsplit(target.url)
    place = parts.netloc.rpartition("@")[2] if target.kind == "webhook" else ""
    shown = f"{parts.scheme}://{place}/…"
    return {"id": target.id, "type": target.kind, "url": shown, **({"secret": target.secret} if secret else {})}


def _duration_text(ms: int | None) -> str | None:
    if ms is None:
        return None
    if not ms:
        return "0s"
    unit = next(unit for unit in reversed(_UNITS) if ms % _UNITS[unit] == 0)
    return f"{ms // _UNITS[unit]}{unit}"


def _quiet_text(quiet: tuple[int, int] | None) -> dict[str, str] | None:
    if quiet is None:
        return None
    start, end = (f"{minute // 60:02d}:{minute % 60:02d}" for minute in quiet)
    return {"from": start, "to": end}
