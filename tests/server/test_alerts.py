"""Alerts at work over REST: settings, events, delivery, retractions, tests, dead letters and what is kept secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from phenix.engine.encode import row_id
from phenix.engine.flow import INDEX
from phenix.engine.store.sqlite_saved import open_saved
from tests.server.asking import ALERTS, Answer, ask, saved_file, text
from tests.server.conftest import Server, run
from tests.server.receiver import Receiver, until
from tests.server.rows import Store, made

ALLOWED = {"PHENIX_ALERT_ALLOW": "127.0.0.1", "PHENIX_ALERT_RETRY_BASE_MS": "10", "PHENIX_ALERT_TRIES": "3"}
TS, ID, ET = INDEX["trade_ts_utc"], INDEX["trade_id"], INDEX["trade_ts_et"]
Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Servers that may send to this machine, and end with the test."""
    started: list[Server] = []

    def begin(store: Store, **environ: str) -> Server:
        started.append(Server(store.url, environ={**ALLOWED, **environ}))
        return started[-1]

    yield begin
    for server in started:
        server.end()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Server]]:
    made_store = Store(tmp_path_factory.mktemp("alerts") / "flow.sqlite")
    made_store.add(50)
    server = Server(made_store.url, environ=ALLOWED)
    yield made_store, server
    server.end()
    made_store.close()


@pytest.fixture
def shared(kept: tuple[Store, Server]) -> Iterator[tuple[Store, Server]]:
    """A store of some rows and a server; alerts end with the test."""
    yield kept
    for one in ask(kept[1], "GET", f"{ALERTS}?limit=1000").data:
        assert ask(kept[1], "DELETE", f"{ALERTS}/{one['id']}").status == 204


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def alert(server: Server, where: str = "size >= 1", **settings: Any) -> str:
    """The path of a new alert with these settings."""
    path = f"{ALERTS}/{ask(server, 'POST', ALERTS, {'name': 'Wake', 'dsl': where}).data['id']}"
    assert ask(server, "PUT", f"{path}/delivery", settings).status == 200
    return path


def hook(receiver: Receiver, path: str = "/hook", **more: str) -> dict[str, str]:
    return {"type": "webhook", "url": receiver.url + path, **more}


def events(server: Server, path: str, count: int = 1) -> list[dict[str, Any]]:
    """The alert's events, oldest first, once there are so many and none of them waits to be sent."""

    def found() -> list[dict[str, Any]] | None:
        answer = ask(server, "GET", f"{path}/events?limit=1000")
        settled = all(sending["state"] != "waiting" for one in answer.data for sending in one["deliveries"])
        return list(reversed(answer.data)) if len(answer.data) >= count and settled else None

    found_events: list[dict[str, Any]] = until(found)
    return found_events


def ids(rows: list[list[Any]]) -> list[str]:
    return [row_id(row[TS], row[ID]) for row in rows]


# -- events and their delivery


def test_a_match_is_sent_once_signed_and_taken_back_under_its_id(
    shared: tuple[Store, Server], receiver: Receiver
) -> None:
    store, server = shared
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    path = alert(server, "value >= 0", targets=[hook(receiver, secret=secret)])
    (row,) = store.add(1)
    (sent,) = receiver.until(1)
    (event,) = events(server, path)
    delivery = event.pop("deliveries")
    assert sent.json == event
    assert (event["kind"], event["seq"], event["flow"]["id"], event["alertName"]) == (
        "matched", row[0], *ids([row]), "Wake",
    )  # fmt: skip
    assert (sent.path, sent.headers["content-type"]) == ("/hook", "application/json")
    id_, at = sent.headers["webhook-id"], sent.headers["webhook-timestamp"]
    signed = hmac.new(b"k" * 32, f"{id_}.{at}.".encode() + sent.body, hashlib.sha256).digest()
    assert sent.headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"
    assert id_ == sent.headers["idempotency-key"] == event["id"]
    assert [(one["state"], one["attempts"], one["problem"]) for one in delivery] == [("delivered", 1, None)]
    record = store.cancel(row)
    *_, back = receiver.until(2)
    assert (back.json["id"], back.json["kind"], back.json["seq"]) == (event["id"], "retracted", record[0])
    assert back.json["flow"]["cancelled"] is True
    assert back.headers["webhook-id"] == f"{event['id']}:retracted"
    assert [one["kind"] for one in events(server, path, 2)] == ["matched", "retracted"]


def test_an_alert_counts_from_its_save_and_so_does_every_change(shared: tuple[Store, Server]) -> None:
    store, server = shared
    path = alert(server, "size >= 1")
    first = store.add(3)
    assert [one["seq"] for one in events(server, path, 3)] == [row[0] for row in first]
    changed = ask(server, "PUT", path, {"dsl": "size < 0"})
    assert changed.status == 200
    store.add(3)
    ask(server, "PUT", path, {"dsl": "size >= 1"})
    last = store.add(2)
    found = events(server, path, 5)
    assert [one["seq"] for one in found] == [row[0] for row in [*first, *last]]
    assert [one["revision"] for one in found] == [1, 1, 1, 3, 3]
    assert ask(server, "GET", f"{path}/delivery").data["sinceSeq"] == last[0][0] - 1


def test_nothing_is_lost_or_doubled_while_no_server_runs(store: Store, start: Start, receiver: Receiver) -> None:
    store.add(5)
    server = start(store)
    path = alert(server, targets=[hook(receiver)])
    before = store.add(3)
    events(server, path, 3)
    server.end(signal.SIGKILL)
    between = store.add(4)
    store.cancel(before[0])
    server.start()
    after = store.add(2)
    found = events(server, path, 10)
    assert [one["flow"]["id"] for one in found if one["kind"] == "matched"] == ids([*before, *between, *after])
    assert [one["flow"]["id"] for one in found if one["kind"] == "retracted"] == ids(before[:1])
    assert len({(one["id"], one["kind"]) for one in found}) == 10
    assert {sent.headers["webhook-id"].partition(":")[0] for sent in receiver.sent} == {one["id"] for one in found}


def test_what_a_refusing_receiver_gets_is_put_aside_and_can_be_sent_again(
    shared: tuple[Store, Server], receiver: Receiver
) -> None:
    store, server = shared
    path = alert(server, targets=[hook(receiver)])
    receiver.status = 503
    store.add(1)
    ((delivery,),) = [one["deliveries"] for one in events(server, path)]
    assert (delivery["state"], delivery["attempts"]) == ("dead", 3)
    assert delivery["problem"] == "the receiver answered 503"
    assert len({sent.body for sent in receiver.until(3)}) == 1
    receiver.status = 200
    assert ask(server, "POST", f"{path}/retry").data == {"messages": 1}
    receiver.until(4)
    ((delivery,),) = [one["deliveries"] for one in events(server, path)]
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    assert ask(server, "POST", f"{path}/retry").data == {"messages": 0}


def test_a_target_that_takes_nothing_is_not_tried_with_everything(
    store: Store, start: Start, receiver: Receiver
) -> None:
    store.add(1)
    server = start(store, PHENIX_ALERT_RETRY_BASE_MS="600000", PHENIX_ALERT_TRIES="100")
    receiver.status = 500
    path = alert(server, targets=[hook(receiver)])
    store.add(40)
    receiver.until(1)
    other = alert(server, targets=[hook(receiver, "/other")])
    store.add(1)
    until(lambda: any(sent.path == "/other" for sent in receiver.sent))
    tried = [sending["attempts"] for one in ask(server, "GET", f"{path}/events").data for sending in one["deliveries"]]
    assert len(tried) == 41
    assert 1 <= sum(tried) <= 20
    assert ask(server, "GET", f"{other}/events").json["page"]["total"] == 1


def test_a_receiver_that_answers_late_holds_up_no_other(store: Store, start: Start, receiver: Receiver) -> None:
    """However many alerts send to it: they have one receiver."""
    store.add(1)
    server = start(store, PHENIX_ALERT_TIMEOUT_MS="60000")
    with Receiver() as late:
        late.answers.clear()
        for number in range(6):
            alert(server, targets=[hook(late, f"/{number}")])
        store.add(20)
        late.until(16)
        prompt = alert(server, targets=[hook(receiver)])
        store.add(10)
        assert len(events(server, prompt, 10)) == len(receiver.until(10)) == 10
        assert len(late.sent) == 16


def test_a_target_that_was_refused_is_tried_again_whatever_else_its_receiver_is_sent(
    store: Store, start: Start, receiver: Receiver
) -> None:
    store.add(1)
    server = start(store, PHENIX_ALERT_TIMEOUT_MS="60000", PHENIX_ALERT_RETRY_BASE_MS="1000")
    refused = alert(server, targets=[hook(receiver, "/refused")])
    receiver.status, receiver.late = 500, {"/late"}
    store.add(1)
    receiver.until(1)
    receiver.status = 200
    receiver.answers.clear()
    alert(server, targets=[hook(receiver, "/late")])
    store.add(3)
    assert [one["deliveries"][0]["state"] for one in events(server, refused, 4)] == ["delivered"] * 4
    assert sum(sent.path == "/late" for sent in receiver.sent) == 3


def test_a_receiver_that_is_not_there_is_not_tried_with_everything_and_a_test_is(
    store: Store, start: Start, receiver: Receiver
) -> None:
    store.add(1)
    server = start(store, PHENIX_ALERT_RETRY_BASE_MS="600000", PHENIX_ALERT_TRIES="100")
    with Receiver() as gone:
        url = gone.url
    paths = [alert(server, targets=[{"type": "webhook", "url": f"{url}/{number}"}]) for number in range(3)]
    beside = alert(server, targets=[hook(receiver)])
    store.add(40)
    assert len(events(server, beside, 40)) == 40

    def tried() -> int:
        answers = [ask(server, "GET", f"{path}/events?limit=1000") for path in paths]
        return sum(one["attempts"] for answer in answers for event in answer.data for one in event["deliveries"])

    assert 4 <= until(lambda: tried() >= 4 and tried()) <= 20
    (tested,) = ask(server, "POST", f"{paths[0]}/test").data["deliveries"]  # at once, for somebody waits for it
    assert (tested["attempts"], tested["problem"]) == (1, "the connection failed: Connection refused")
    server.end(signal.SIGTERM)
    now = time.time_ns() // 1_000_000
    with closing(open_saved(saved_file(store), writing=True)) as file:
        assert file.alerts.put_aside(0, {url}, "took nothing", now + 86_400_000) == 0
        assert file.alerts.put_aside(now + 1, {receiver.url}, "took nothing", now + 86_400_000) == 0
        assert file.alerts.put_aside(now + 1, {url}, "took nothing", now + 86_400_000) == 121
    server.start()
    assert ask(server, "POST", f"{paths[1]}/retry").data == {"messages": 40}


def test_what_is_old_is_forgotten_in_steps_and_what_waits_is_kept(
    store: Store, start: Start, receiver: Receiver
) -> None:
    store.add(1)
    server = start(store, PHENIX_ALERT_RETRY_BASE_MS="600000", PHENIX_ALERT_TRIES="100")
    path = alert(server, targets=[hook(receiver)])
    store.add(5)
    events(server, path, 5)
    receiver.status = 500
    store.add(2)
    receiver.until(7)
    until(lambda: ask(server, "GET", f"{path}/events").data[0]["deliveries"][0]["attempts"])
    server.end(signal.SIGTERM)
    later = time.time_ns() // 1_000_000 + 1
    with closing(open_saved(saved_file(store), writing=True)) as file:
        assert [file.alerts.forget(later, 3) for _ in range(3)] == [3, 2, 0]
    server.start()
    assert [one["seq"] for one in ask(server, "GET", f"{path}/events").data] == [8, 7]


def test_a_redirect_is_not_followed(shared: tuple[Store, Server], receiver: Receiver) -> None:
    _, server = shared
    path = alert(server, targets=[hook(receiver)])
    receiver.status, receiver.headers = 307, {"location": f"{receiver.url}/inside"}
    tested = ask(server, "POST", f"{path}/test").data
    assert [one["problem"] for one in tested["deliveries"]] == [
        "the receiver answered 307, a redirect: these are not followed"
    ]
    assert [sent.path for sent in receiver.sent] == ["/hook"]


def test_a_test_says_what_came_of_it(shared: tuple[Store, Server], receiver: Receiver) -> None:
    store, server = shared
    quiet = alert(server)
    assert ask(server, "POST", f"{quiet}/test").data["deliveries"] == []
    rows = store.add(2)
    path = alert(server, targets=[hook(receiver, "/one"), hook(receiver, "/two")], digest="1d")
    tested = ask(server, "POST", f"{path}/test").data
    assert (tested["kind"], tested["flow"]["id"]) == ("test", ids(rows)[1])
    assert [(one["state"], one["digest"]) for one in tested["deliveries"]] == [("delivered", False)] * 2
    assert sorted(sent.path for sent in receiver.sent) == ["/one", "/two"]
    assert {sent.json["kind"] for sent in receiver.sent} == {"test"}


def test_a_digest_is_one_message_with_counts(shared: tuple[Store, Server], receiver: Receiver) -> None:
    store, server = shared
    path = alert(server, targets=[hook(receiver)], digest="1s")
    rows = store.add(30)
    store.cancel(rows[3])
    (sent, *more) = receiver.until(1)
    total = [sent.json, *(one.json for one in more)]
    if sum(one["matched"] + one["retracted"] for one in total) < 31:  # the cancel came after the first was sent
        total = [one.json for one in receiver.until(2)]
    found = events(server, path, 31)
    assert sum(one["matched"] for one in total) == 30
    assert sum(one["retracted"] for one in total) == 1
    assert [one["id"] for one in total[0]["events"]] == [one["id"] for one in found[:20]]
    assert all(one["digest"] for event in found for one in event["deliveries"])


# -- when a match speaks


def test_cooldown_quiet_hours_and_cap_go_by_the_rows(shared: tuple[Store, Server]) -> None:
    store, server = shared
    minute = 60_000
    contract = {"symbol": "SPY", "root": "SPY", "strike": 6_500_000, "right": "CALL", "expiration": 20260918}
    times = [0, 1, 2, 3, 5, 6, 29, 30, 31, 40, 50]  # minutes from 09:30 in New York
    cooled = alert(server, cooldown="3m", per="symbol")
    quiet = alert(server, quiet={"from": "09:35", "to": "10:01"})
    over_midnight = alert(server, quiet={"from": "09:59", "to": "09:33"})
    capped = alert(server, dailyCap=4)
    start_ms = made(0)[TS]
    rows = [made(1_000 + number, trade_ts_utc=start_ms + at * minute, trade_ts_et=made(0)[ET] + at * minute, **contract)
            for number, at in enumerate(times)]  # fmt: skip
    stored = store.put(rows)

    def spoke(path: str, count: int) -> list[int]:
        at = {row[0]: time for row, time in zip(stored, times, strict=True)}
        return [at[one["seq"]] for one in events(server, path, count)]

    assert spoke(cooled, 6) == [0, 3, 6, 29, 40, 50]
    assert spoke(quiet, 7) == [0, 1, 2, 3, 31, 40, 50]
    assert spoke(over_midnight, 3) == [3, 5, 6]
    assert spoke(capped, 4) == [0, 1, 2, 3]


def test_a_statement_brings_its_cooldown_and_severity(shared: tuple[Store, Server]) -> None:
    store, server = shared
    assert text(server, ALERTS, "alert wake where size >= 1 cooldown 3m per symbol severity high").status == 201
    path = f"{ALERTS}/alert_wake"
    effective = ask(server, "GET", f"{path}/delivery").data["effective"]
    assert effective == {"cooldown": "3m", "per": "symbol", "quiet": None, "dailyCap": 1000, "severity": "high"}
    store.put([made(2_000 + number, symbol="SPY") for number in range(3)])
    (event,) = events(server, path)
    assert event["severity"] == "high"
    answer = ask(server, "PUT", f"{path}/delivery", {"cooldown": "0s"})
    assert answer.data["effective"]["cooldown"] == "0s"
    store.put([made(3_000 + number, symbol="SPY") for number in range(3)])
    assert len(events(server, path, 4)) == 4


# -- settings


NOT_PUBLIC = (
    "nothing can be sent to this host: its address is not public, and PHENIX_ALERT_ALLOW names neither it nor its host"
)
SERVICES = (
    "the URL begins with one of discord://, gchat://, opsgenie://, pagerduty://, pbul://, pover://, slack://,"
    " tgram://, twilio://, wxteams://"
)
REFUSED = [
    ([], "settings of a delivery are an object, this is a list"),
    ({"cooldwn": "3m"}, "there is no member `cooldwn` here"),
    ({"cooldown": "3 m"}, "a cooldown is a duration of up to 30 days, such as `3m`"),
    ({"cooldown": "31d"}, "a cooldown is a duration of up to 30 days, such as `3m`"),
    ({"per": "row"}, "a cooldown counts per contract or symbol"),
    ({"quiet": {"from": "16:00"}},
     'quiet hours are `{"from": "16:00", "to": "09:30"}`, two different times in New York'),
    ({"quiet": {"from": "9:00", "to": "10:00"}},
     'quiet hours are `{"from": "16:00", "to": "09:30"}`, two different times in New York'),
    ({"dailyCap": 0}, "a daily cap is a whole number from 1 to 10,000"),
    ({"dailyCap": True}, "a daily cap is a whole number from 1 to 10,000"),
    ({"digest": "500ms"}, "a digest is a duration from 1 s to 1 day: `5m`"),
    ({"targets": {}}, "targets are a list of up to 10"),
    ({"targets": ["x"]}, "a target is an object"),
    ({"targets": [{"type": "email", "url": "x"}]}, "a target's `type` is one of webhook, apprise"),
    ({"targets": [{"type": "webhook"}]}, "a target has a `url`"),
    ({"targets": [{"type": "webhook", "url": 3}]}, "`url` is a text, this is a number"),
    ({"targets": [{"type": "webhook", "url": "ftp://example.com/"}]}, "a webhook's URL is `https://HOST/…`, or http"),
    ({"targets": [{"type": "webhook", "url": "https://a:b@example.com/"}]},
     "a URL with a name or password in it is not sent to: the signature says who sends"),
    ({"targets": [{"type": "webhook", "url": "https://example.com:99999/"}]}, "the URL cannot be read"),
    ({"targets": [{"type": "webhook", "url": "https://10.0.0.1/"}]}, NOT_PUBLIC),
    ({"targets": [{"type": "webhook", "url": "https://[::1]/"}]}, NOT_PUBLIC),
    ({"targets": [{"type": "webhook", "url": "https://example.com/", "secret": "hunter2"}]},
     "a secret is `whsec_` and the Base64 of 24 to 64 bytes; leave it out, and one is made"),
    ({"targets": [{"id": "target_x", "type": "webhook", "url": "https://example.com/"}]},
     "this alert has no target of that id: leave it out, and one is made"),
    ({"targets": [{"type": "apprise", "url": "json://127.0.0.1/"}]}, SERVICES),
    ({"targets": [{"type": "apprise", "url": "slack://a/b/c?template=/etc/passwd"}]},
     "options of the URL are priority, region, silent, sound, thread, topic, no others"),
]  # fmt: skip


@pytest.fixture
def settled(shared: tuple[Store, Server]) -> tuple[Server, str]:
    """A server and the path of an alert with settings."""
    return shared[1], alert(shared[1], cooldown="3m")


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_settings_that_cannot_be_are_refused(settled: tuple[Server, str], body: Any, message: str) -> None:
    server, path = settled
    refused = ask(server, "PUT", f"{path}/delivery", body)
    assert refused.status == 422
    assert [one["message"] for one in refused.json["errors"]] == [message]
    assert "hunter2" not in refused.body.decode()
    assert ask(server, "GET", f"{path}/delivery").data["cooldown"] == "3m"


def test_every_route_knows_alerts_only(settled: tuple[Server, str]) -> None:
    server, _ = settled
    preset = ask(server, "POST", "/api/flow/presets", {"dsl": "size > 1"}).data["id"]
    for id_ in ("alert_none", preset):
        for method, part, body in (("GET", "delivery", None), ("PUT", "delivery", {}), ("GET", "events", None),
                                   ("POST", "test", None), ("POST", "retry", None)):  # fmt: skip
            assert ask(server, method, f"{ALERTS}/{id_}/{part}", body).codes == ["404", "not_found"]


def test_pages_of_events(shared: tuple[Store, Server]) -> None:
    store, server = shared
    path = alert(server)
    rows = store.add(7)
    events(server, path, 7)
    seqs, cursor = [], ""
    for _ in range(3):
        page = ask(server, "GET", f"{path}/events?limit=3{cursor}").json
        seqs += [one["seq"] for one in page["data"]]
        assert page["page"]["total"] == 7
        cursor = f"&cursor={page['page']['nextCursor']}"
    assert (seqs, page["page"]["hasMore"]) == ([row[0] for row in reversed(rows)], False)
    assert ask(server, "GET", f"{path}/events?cursor=nonsense").codes == ["400", "cursor_mismatch"]
    assert ask(server, "GET", f"{path}/events?limit=0").codes[:2] == ["400", "invalid_query"]


def test_a_target_keeps_what_is_not_said_of_it(shared: tuple[Store, Server], receiver: Receiver) -> None:
    _, server = shared
    path = alert(server)
    first = ask(server, "PUT", f"{path}/delivery", {"targets": [hook(receiver, "/secret-path")]}).data["targets"][0]
    assert first["secret"].startswith("whsec_")
    shown = ask(server, "GET", f"{path}/delivery").data
    assert shown["targets"] == [{"id": first["id"], "type": "webhook", "url": f"{receiver.url}/…"}]
    again = ask(server, "PUT", f"{path}/delivery", {**shown, "cooldown": "5m"})
    assert again.data["targets"] == shown["targets"]
    ask(server, "POST", f"{path}/test")
    (sent,) = receiver.until(1)
    id_, at = sent.headers["webhook-id"], sent.headers["webhook-timestamp"]
    key = base64.b64decode(first["secret"].removeprefix("whsec_"))
    signed = hmac.new(key, f"{id_}.{at}.".encode() + sent.body, hashlib.sha256).digest()
    assert (sent.path, sent.headers["webhook-signature"]) == ("/secret-path", f"v1,{base64.b64encode(signed).decode()}")


def test_secrets_are_in_no_answer_export_or_log(
    store: Store, receiver: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store.add(1)
    server = Server(store.url, environ=ALLOWED)
    secret = "whsec_" + base64.b64encode(b"top secret" * 3).decode()
    path = alert(server, targets=[hook(receiver, "/token-in-path", secret=secret)])
    receiver.status = 500
    store.add(1)
    events(server, path)
    answers = [ask(server, "GET", f"{path}{part}") for part in ("", "/delivery", "/events", "/export")]
    answers += [ask(server, "PUT", f"{path}/delivery", {"targets": [hook(receiver, "/token-in-path", secret=secret)]})]
    answers += [ask(server, "GET", ALERTS), ask(server, "GET", f"{ALERTS}/export"), ask(server, "GET", "/metrics")]
    server.end(signal.SIGTERM)
    said = capfd.readouterr()
    assert "was not delivered in 3 tries: the receiver answered 500" in said.err
    for told in (*(answer.body.decode() for answer in answers), said.out, said.err):
        assert secret not in told
        assert "token-in-path" not in told
    assert oct(saved_file(store).stat().st_mode & 0o777) == "0o600"


def test_a_backup_has_alerts_whole(store: Store, start: Start, tmp_path: Path) -> None:
    store.add(1)
    server = start(store)
    path = alert(server)
    store.add(2)
    found = events(server, path, 2)
    server.end(signal.SIGTERM)
    copy = tmp_path / "copy" / "flow.sqlite"
    copy.parent.mkdir()
    assert run("backup", "--store", store.url, str(copy)).returncode == 0
    assert oct(copy.with_name("flow.saved.sqlite").stat().st_mode & 0o777) == "0o600"
    again = Server(f"sqlite:{copy}", environ=ALLOWED)
    try:
        assert events(again, path, 2) == found
    finally:
        again.end()


# -- files of before, and of elsewhere


def test_an_alert_saved_before_there_was_anybody_to_judge_it(store: Store, start: Start, tmp_path: Path) -> None:
    store.add(3)
    server = start(store)
    path = alert(server)
    server.end(signal.SIGTERM)
    with closing(sqlite3.connect(saved_file(store))) as connection, connection:
        for table in ("state", "revisions", "delivery", "targets", "events", "outbox"):
            connection.execute(f"DROP TABLE alert_{table}")
        connection.execute("DELETE FROM schema_migrations WHERE version > 1")
        connection.execute("PRAGMA user_version = 1")
    saved_file(store).chmod(0o644)
    backup = tmp_path / "before.sqlite"
    assert run("backup", "--store", store.url, str(backup)).returncode == 0
    assert run("restore", str(backup), "--store", f"sqlite:{tmp_path / 'again.sqlite'}").returncode == 0
    server.start()
    until(lambda: ask(server, "GET", f"{path}/delivery").data["sinceSeq"] == 3)
    rows = store.add(2)
    assert [one["seq"] for one in events(server, path, 2)] == [row[0] for row in rows]
    assert oct(saved_file(store).stat().st_mode & 0o777) == "0o600"


def test_a_store_that_ends_earlier_is_gone_on_with(store: Store, start: Start) -> None:
    store.add(3)
    server = start(store)
    path = alert(server)
    store.add(1)
    events(server, path)
    server.end(signal.SIGTERM)
    with closing(sqlite3.connect(saved_file(store))) as connection, connection:
        connection.execute("UPDATE alert_state SET seq = 1000")
        connection.execute("UPDATE alert_revisions SET since_seq = 1000")
    server.start()
    until(lambda: at_seq(server) == 4)
    store.add(1)
    assert [one["seq"] for one in events(server, path, 2)] == [4, 5]


def at_seq(server: Server) -> int:
    lines = ask(server, "GET", "/metrics").body.decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("alert_seq "))))


def test_a_deleted_alert_sends_nothing_more(store: Store, start: Start, receiver: Receiver) -> None:
    store.add(1)
    server = start(store, PHENIX_ALERT_RETRY_BASE_MS="600000", PHENIX_ALERT_TRIES="100")
    receiver.status = 500
    path = alert(server, targets=[hook(receiver)])
    store.add(1)
    receiver.until(1)
    assert ask(server, "DELETE", path).status == 204
    lines = ask(server, "GET", "/metrics").body.decode().splitlines()
    assert 'alert_outbox_size{state="waiting"} 0.0' in lines
    assert ask(server, "GET", f"{path}/events").status == 404


def test_readers_may_look_and_authors_change(store: Store, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    secrets = {}
    for role in ("reader", "author"):
        made_token = run("token", role, "--role", role, "--file", str(tokens))
        assert made_token.returncode == 0, made_token.stderr
        secrets[role] = next(word for word in made_token.stdout.split() if word.startswith("phx_"))
    store.add(1)
    server = Server(store.url, environ={**ALLOWED, "PHENIX_API_TOKENS": str(tokens)})
    try:

        def asked(role: str, method: str, path: str, body: Any = None) -> Answer:
            return ask(server, method, path, body, authorization=f"Bearer {secrets[role]}")

        path = f"{ALERTS}/{asked('author', 'POST', ALERTS, {'dsl': 'size > 1'}).data['id']}"
        assert [asked("reader", "GET", f"{path}/{part}").status for part in ("delivery", "events")] == [200, 200]
        changes: list[tuple[str, str, Any]] = [("PUT", "delivery", {}), ("POST", "test", None), ("POST", "retry", None)]
        for method, part, body in changes:
            assert asked("reader", method, f"{path}/{part}", body).codes == ["403", "forbidden"]
            assert asked("author", method, f"{path}/{part}", body).status == 200
            foreign = ask(server, method, f"{path}/{part}", body, sec_fetch_site="cross-site",
                          authorization=f"Bearer {secrets['author']}")  # fmt: skip
            assert foreign.codes == ["403", "forbidden"]
    finally:
        server.end()


def test_without_apprise_its_targets_are_refused(settled: tuple[Server, str]) -> None:
    server, path = settled
    body = {"targets": [{"type": "apprise", "url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"}]}
    answer = ask(server, "PUT", f"{path}/delivery", body)
    try:
        import apprise  # noqa: F401
    except ModuleNotFoundError:
        assert [one["message"] for one in answer.json["errors"]] == [
            "Apprise is not installed here: `pip install 'phenix[alerts]'`, or use a webhook"
        ]
    else:
        assert [(one["type"], one["url"]) for one in answer.data["targets"]] == [("apprise", "slack:///…")]
        assert "TIiajkdn" not in json.dumps(answer.json)
