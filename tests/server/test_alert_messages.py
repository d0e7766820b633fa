"""What people read of an alert, and the services it may go to."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from phenix.engine.encode import Encoder
from phenix.engine.store.alerts import AlertEvent, Message, Target
from phenix.server.alerts.message import message_body, message_id, message_text
from phenix.server.alerts.notify import SERVICES, check_service
from tests.server.rows import made

ROW = made(3, symbol="SPY", root="SPY", right="CALL", strike=6_500_000, expiration=20260919, price=21_100, size=1_000,
           value=2_110_000_000, side="AA", chips_set=0, chips_known=0)  # fmt: skip
EVENT = AlertEvent(
    "evt_1", "matched", "alert_wake", 1, 7, 1, 2, "k", 20260918, "high", Encoder(()).encode(ROW, 7).decode(), 5, "Wake",
    1_000,
)  # fmt: skip
LINE = "SPY 2026-09-19 650 CALL: 1,000 at 2.11 = $211,000 (AA), 2026-09-18T09:30:00.120-04:00"


def message(*events: AlertEvent, digest: bool = False) -> Message:
    kinds = [event.kind for event in events]
    target = Target("target_1", "apprise", "slack://")
    return Message(9, "alert_wake", target, digest, 0, events, kinds.count("matched"), kinds.count("retracted"))


def test_messages_for_people() -> None:
    assert message_text(message(EVENT)) == ("[high] Wake", LINE)
    back = replace(EVENT, kind="retracted", severity="")
    assert message_text(message(back)) == ("Wake (taken back)", f"Taken back: {LINE}")
    bare = replace(EVENT, kind="test", row_json="{}")
    assert message_text(message(bare)) == ("[high] Wake (test)", "A test without a row: nothing is stored yet.")
    many = replace(message(EVENT, back, digest=True), matched=30)
    assert message_text(many) == (
        "[high] Wake: 30 matches, 1 taken back", f"{LINE}\nTaken back: {LINE}\nand 29 more",
    )  # fmt: skip


def test_ids_of_messages_and_a_digest_for_programs() -> None:
    back = replace(EVENT, kind="retracted", number=6)
    digest = message(EVENT, back, digest=True)
    assert [message_id(message(EVENT)), message_id(message(back)), message_id(digest)] == [
        "evt_1", "evt_1:retracted", "evt_1:digest:9",
    ]  # fmt: skip
    body = orjson.loads(message_body(digest))
    assert [(one["id"], one["kind"]) for one in body.pop("events")] == [("evt_1", "matched"), ("evt_1", "retracted")]
    assert body == {
        "id": "evt_1:digest:9", "kind": "digest", "alertId": "alert_wake", "alertName": "Wake", "severity": "high",
        "matched": 1, "retracted": 1,
    }  # fmt: skip


URLS = {
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "gchat": "gchat://bunch/of/tokens",
    "opsgenie": "opsgenie://a9d3c8b0-1111-2222-3333-444455556666",
    "pagerduty": "pagerduty://integrationkey@apikey",
    "pbul": "pbul://a1234567890",
    "pover": "pover://user@token",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "tgram": "tgram://123456789:abcdefg_hijklmnop/12315544/",
    "twilio": "twilio://AC735c30abcdef:token@12025550123/12025550124",
    "wxteams": f"wxteams://{'a' * 80}",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that Apprise imports
@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_one_that_apprise_knows(service: str) -> None:
    pytest.importorskip("apprise")
    assert check_service(URLS[service]) == ""
    assert check_service(f"{service}://") == "Apprise cannot read the rest of the URL"
    assert check_service(f"{URLS[service]}{'&' if '?' in URLS[service] else '?'}priority=1&SOUND=") == ""


@pytest.mark.parametrize(
    "url", ["json://hooks.example.com/", "mailto://a:b@example.com", "file:///etc/passwd", "slack"]
)
def test_no_other_scheme_is_taken(url: str) -> None:
    assert check_service(url).startswith("the URL begins with one of discord://, ")
    assert "no others" in check_service("discord://1/2?template=/etc/passwd")
    assert check_service("slack://[x") == "the URL cannot be read"


OPTIONS = "options of the URL are priority, region, silent, sound, thread, topic, no others"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        *((f"?thread=1{sign}verify=no", "a URL of one service has no `,`, `;` or `#`") for sign in (",", ";", "#")),
        *((f"?{option}=1", OPTIONS) for option in (
            "rto", "VERIFY", "v%65rify", "%20thread", "+thread", "%2Bthread", "-thread", ":thread", "%3Athread", "&rto",
            "thread=1&rto", "thread=1&redirect", "thread=1&amp%3Brto", "thread%00", "%E2%80%83thread", "?thread", "",
        )),
        ("?thread=1%3Brto=9", ""),
        ("?Thread=1", ""),
        ("/%23thread", ""),
        ("?", "Apprise cannot read the rest of the URL"),
    ],
)  # fmt: skip
def test_options_are_judged_however_they_are_written(rest: str, problem: str) -> None:
    pytest.importorskip("apprise")
    found = check_service(URLS["discord"] + rest)
    assert found.startswith(problem) if problem else found == ""


def test_what_a_service_trips_over_is_said() -> None:
    pytest.importorskip("apprise")
    assert check_service("tgram://1:") == "Apprise cannot read the rest of the URL"
