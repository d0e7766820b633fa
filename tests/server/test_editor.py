"""What editors ask, over REST and gRPC on real sockets: answers, findings with places, and bodies of every bad kind."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from phenix.engine.bundle import Bundle
from phenix.server._pb import catalog_pb2, catalog_pb2_grpc, rules_pb2, rules_pb2_grpc
from phenix.server.editor import Editor
from phenix.server.editor_body import Question
from phenix.server.errors import ERRORS
from tests.dsl.corpus import HOSTILE
from tests.server.conftest import Server
from tests.server.rows import Store

Session = tuple[Store, Server]
JSON = "application/json"


def send(server: Server, path: str, body: bytes | None, kind: str = JSON) -> tuple[int, str, dict[str, Any]]:
    """Status, content type and JSON of what a POST is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", path, body, {"content-type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"], json.loads(answer.read())
    finally:
        connection.close()


def ask(server: Server, what: str, **members: Any) -> dict[str, Any]:
    status, _, body = send(server, f"/api/dsl/{what}", json.dumps(members).encode())
    assert status == 200, body
    data: dict[str, Any] = body["data"]
    return data


def call(server: Server, work: Callable[[Any], Awaitable[Any]], stub: Any = None) -> Any:
    async def run() -> Any:
        async with grpc.aio.insecure_channel(server.target) as channel:
            return await work((stub or rules_pb2_grpc.RuleServiceStub)(channel))

    return asyncio.run(run())


def shown(message: Any) -> Any:
    return MessageToDict(message, always_print_fields_with_no_presence=True)


# -- check


def test_an_expression_that_compiles(session: Session) -> None:
    found = ask(session[1], "check", text="value>=250k and iso or side=ask")
    assert (found["ok"], found["canonical"]) == (True, "(value >= 250k and iso) or side = ask")
    assert [(d["code"], d["severity"]) for d in found["diagnostics"]] == [("PHX201", "warning")]


def test_spellings_from_elsewhere_have_safe_fixes(session: Session) -> None:
    found = ask(session[1], "check", text="value>=250k && side==ask")
    assert [(d["code"], d["line"], d["column"]) for d in found["diagnostics"]] == [("PHX002", 1, 13), ("PHX002", 1, 20)]
    assert found["diagnostics"][0]["suggestion"] == {
        "text": "and", "safe": True, "safety": "safe", "line": 1, "column": 13, "endLine": 1, "endColumn": 15,
    }  # fmt: skip


def test_an_expression_that_does_not(session: Session) -> None:
    found = ask(session[1], "check", text="value >= 5m\n  and @wales")
    assert (found["ok"], found["canonical"]) == (False, "")
    unit, chip = found["diagnostics"]
    assert (unit["code"], unit["severity"], unit["source"]) == ("PHX104", "error", "text")
    assert (unit["line"], unit["column"], unit["endLine"], unit["endColumn"]) == (1, 10, 1, 12)
    assert unit["suggestion"]["text"] == "5M"
    assert unit["labels"]
    assert (chip["code"], chip["line"], chip["column"]) == ("PHX102", 2, 7)
    assert (chip["suggestion"]["text"], chip["suggestion"]["safety"]) == ("@whales", "unsafe")


def test_a_rule_file_alone_and_among_the_rules(session: Session) -> None:
    text = 'chip urgent "Urgent" = value >= $urgent_value doc "Big."'
    alone = ask(session[1], "check", text=text, kind="file")
    assert [d["code"] for d in alone["diagnostics"]] == ["PHX103"]
    among = ask(session[1], "check", text=text, kind="file", name="mine.phx")
    assert [d["code"] for d in among["diagnostics"]] == ["PHX111"]  # the name is taken by advanced.phx
    own = ask(session[1], "check", text=text.replace("chip urgent", "chip own"), kind="file", name="mine.phx")
    assert [d["code"] for d in own["diagnostics"]] == ["PHX111"]  # and so is the label
    fresh = text.replace('chip urgent "Urgent"', "chip own")
    assert ask(session[1], "check", text=fresh, kind="file", name="mine.phx")["diagnostics"] == []


def test_the_packaged_rules_have_nothing_wrong(session: Session, bundle: Bundle) -> None:
    for source in bundle.program.sources:
        found = ask(session[1], "check", text=source.text, kind="file", name=source.name)
        assert (found["ok"], found["diagnostics"]) == (True, []), source.name
    worse = next(source for source in bundle.program.sources if source.name == "advanced.phx")
    text = worse.text.replace("dte <= 7 and otm_pct >= 5%", "dte <= 7 and dte >= 21")
    found = ask(session[1], "check", text=text, kind="file", name=worse.name)
    assert "PHX210" in {d["code"] for d in found["diagnostics"]}  # the lints see it: never true
    assert {d["source"] for d in found["diagnostics"]} == {worse.name}


STATEMENTS = (
    {"text": "@urgent and value >= 250k and dte in 21..180"},
    {"text": 'chip x = dte < 3 and iso doc "X."', "kind": "file"},
)


@pytest.mark.parametrize("members", STATEMENTS, ids=str)
def test_one_statement_is_checked_at_once(session: Session, members: dict[str, str]) -> None:
    ask(session[1], "check", **members)
    best = min(ask(session[1], "check", **members)["elapsedMs"] for _ in range(5))
    assert best < 50


def test_lints_that_take_too_long_are_given_up_and_it_is_said(session: Session) -> None:
    found = ask(session[1], "check", text=HOSTILE.replace('doc "x."', "", 1), kind="file")
    assert (found["ok"], found["complete"]) == (True, False)
    assert [d["code"] for d in found["diagnostics"]] == ["PHX203"]  # what the compiler says is there
    assert ask(session[1], "check", text='chip x = dte < 3 doc "X."', kind="file")["complete"] is True
    request = rules_pb2.CheckRequest(text='chip x = dte < 3 doc "X."', kind=rules_pb2.TEXT_KIND_FILE)
    assert call(session[1], lambda stub: stub.Check(request)).complete is True


def test_lints_end_when_who_asked_has_left(bundle: Bundle) -> None:
    """They have an hour, and both threads: only one that ended early leaves a thread for whoever comes after."""

    async def scenario() -> bool:
        editor = Editor(lints_s=3_600)
        asked = [asyncio.create_task(editor.check(Question(HOSTILE, file=True), bundle)) for _ in range(3)]
        await asyncio.sleep(0)  # now they are asked, the third waits for a thread
        after = asyncio.create_task(editor.check(Question('chip x = dte < 3 doc "X."', file=True), bundle))
        await asyncio.sleep(0)
        for one in asked:
            one.cancel()
        found = await after
        assert [one.cancelled() for one in asked] == [True, True, True]
        await asyncio.to_thread(editor.close)  # waits for both threads
        return found.complete

    assert asyncio.run(scenario()) is True


# -- complete, format, explain


def test_completion(session: Session) -> None:
    found = ask(session[1], "complete", text="side = a and iso", offset=8)
    assert (found["from"], found["to"]) == (7, 8)
    assert [item["insert"] for item in found["items"]] == ["AA", "ASK"]
    at_the_end = ask(session[1], "complete", text="@wha")
    assert at_the_end["items"] == [{
        "label": "@whales", "kind": "chip", "insert": "@whales", "detail": "value >= $whales_min",
        "doc": "Premium of at least $500,000.",
    }]  # fmt: skip
    own = ask(session[1], "complete", text="let near = dte < 5\nchip x = nea", kind="file")
    assert [item["insert"] for item in own["items"]] == ["near"]


def test_layout(session: Session) -> None:
    found = ask(session[1], "format", text="value>=250k # big\nand iso")
    assert found == {"text": "value >= 250k  # big\nand iso", "changed": True}
    assert ask(session[1], "format", text=found["text"]) == {"text": found["text"], "changed": False}
    file = ask(session[1], "format", text='chip  x=iso   doc "X."\nchip y = = 5\n', kind="file")
    assert file == {"text": 'chip x = iso\n  doc "X."\nchip y = = 5\n', "changed": True}


def test_explanation(session: Session) -> None:
    found = ask(session[1], "explain", text="@unusual or (oi ?? 0) > 100")
    assert found["rule"] == "@unusual or oi ?? 0 > 100"
    assert found["english"] == "The chip Unusual is on or open interest (or 0 where missing) is above 100."
    assert [field["name"] for field in found["fields"]] == ["oi"]
    assert found["chips"] == [{"id": "unusual", "label": "Unusual", "rule": "value >= 100k and vol_oi_ratio >= 2.0"}]
    assert (found["chip"], found["canBeUnknown"], found["unknownWithout"]) == (None, True, ["@unusual", "oi"])
    assert found["sql"]["text"].count("?") == len(found["sql"]["parameters"]) > 0
    chip = ask(session[1], "explain", text="vol>oi")
    assert (chip["chip"], chip["rule"]) == ("vol_oi", "vol_oi_ratio > 1.0")
    assert ask(session[1], "explain", text="@urgent")["params"] == [{
        "name": "urgent_value", "value": 250_000, "doc": "Smallest premium that counts as urgent.",
        "text": 'urgent_value: money = 250k in 50k..5M doc "Smallest premium that counts as urgent."',
    }]  # fmt: skip


# -- estimate


@pytest.mark.parametrize("text", ["right = call", "@otm", "not @vol_oi", "cancelled", "cancel_record", "value < 0",
                                  "session_date = 2026-09-18", "oi is null"])  # fmt: skip
def test_an_estimate_is_the_total(session: Session, text: str) -> None:
    server = session[1]
    found = ask(server, "estimate", text=text)
    total = server.get(f"/api/flow?limit=1&total=exact&sessions=1&where={text.replace(' ', '%20')}")[1]["page"]["total"]
    cancelled = text.startswith("cancel")
    assert (found["hits"], found["rows"]) == (total, 410 if cancelled else 390)
    assert found["share"] == pytest.approx(total / found["rows"])
    assert found["sessions"] == [{
        "date": "2026-09-18", "hits": total, "rows": found["rows"], "share": found["share"],
    }]  # fmt: skip
    assert (found["complete"], found["asOfSeq"]) == (True, 410)


def test_estimates_over_sessions(store: Store) -> None:
    for date, count in ((20260916, 7), (20260917, 5), (20260918, 9)):
        rows = store.add(count, session_date=date)
        store.cancel(rows[0])  # a record of the default date
    server = Server(store.url)
    try:
        found = ask(server, "estimate", text="true", sessions=2)
        assert [(one["date"], one["hits"], one["rows"]) for one in found["sessions"]] == [
            ("2026-09-18", 8, 8), ("2026-09-17", 4, 4)
        ]  # fmt: skip
        assert (found["hits"], found["rows"], found["share"], found["complete"]) == (12, 12, 1.0, True)
        assert len(ask(server, "estimate", text="true", sessions=30)["sessions"]) == 3
        for date in (18, 17, 16):
            where = f"right%20=%20call%20and%20session_date%20=%202026-09-{date}"
            total = server.get(f"/api/flow?total=exact&limit=1&where={where}")[1]["page"]["total"]
            one = ask(server, "estimate", text="right = call", sessions=3)["sessions"][18 - date]
            assert (one["date"], one["hits"]) == (f"2026-09-{date}", total)
    finally:
        server.end()


def test_an_estimate_of_an_empty_store(store: Store) -> None:
    server = Server(store.url)
    try:
        found = ask(server, "estimate", text="iso", sessions=5)
        assert (found["hits"], found["rows"], found["share"], found["sessions"]) == (0, 0, None, [])
    finally:
        server.end()


# -- bodies

ROUTES = ("check", "complete", "format", "explain", "estimate")
DEEP = "(" * 5_000 + "iso" + ")" * 5_000
BODIES: tuple[tuple[str, bytes | None, str, int, str], ...] = (
    ("no body", None, JSON, 400, "invalid_json"),
    ("no JSON", b"value > 5", JSON, 400, "invalid_json"),
    ("cut JSON", b'{"text": "val', JSON, 400, "invalid_json"),
    ("a key twice", b'{"text": "iso", "text": "iso"}', JSON, 400, "invalid_json"),
    ("no object", b'["iso"]', JSON, 400, "invalid_json"),
    ("no UTF-8", b'{"text": "\xff"}', JSON, 400, "invalid_json"),
    ("deep JSON", b"[" * 100_000, JSON, 400, "invalid_json"),
    ("no text", b"{}", JSON, 400, "invalid_query"),
    ("a null text", b'{"text": null}', JSON, 400, "invalid_query"),
    ("a number", b'{"text": 5}', JSON, 400, "invalid_query"),
    ("half a character", b'{"text": "\\ud800"}', JSON, 400, "invalid_query"),
    ("an unknown member", b'{"text": "iso", "txet": 1}', JSON, 400, "invalid_query"),
    ("half a character as member", b'{"text": "iso", "\\ud800": 1}', JSON, 400, "invalid_query"),
    ("another kind of body", b'{"text": "iso"}', "text/plain", 415, "unsupported_media_type"),
    ("a form", b"text=iso", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ("no kind", b'{"text": "iso"}', "", 415, "unsupported_media_type"),
    ("a text too long", json.dumps({"text": "a" * 65_537}).encode(), JSON, 422, "too_complex"),
    ("a text too long in bytes", json.dumps({"text": "é" * 40_000}).encode(), JSON, 422, "too_complex"),
    ("a body too large", b'{"text": "' + b"a" * 1_100_000 + b'"}', JSON, 413, "too_large"),
)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
@pytest.mark.parametrize(("body", "kind", "status", "code"), [case[1:] for case in BODIES], ids=[c[0] for c in BODIES])
def test_bodies_that_are_refused(
    session: Session, prefix: str, route: str, body: bytes | None, kind: str, status: int, code: str
) -> None:
    found, content, answer = send(session[1], f"{prefix}/dsl/{route}", body, kind)
    assert (found, content, answer["code"]) == (status, "application/problem+json", code)
    assert ERRORS[code].status == answer["status"] == status
    assert answer["error"] == {"code": code, "message": answer["detail"], "details": answer["errors"]}
    assert bool(answer["errors"]) == (code in ("invalid_query", "too_complex"))


REFUSED = (
    ("check", {"text": "iso", "kind": "rule"}, "kind", "`kind` is 'rule'; expected expression or file"),
    ("check", {"text": "iso", "kind": ["file"]}, "kind", "`kind` is a list; expected expression or file"),
    ("check", {"text": "iso", "name": "a\0"}, "name",
     "`name` is 'a\\x00'; expected the name of a rule file, up to 200 characters"),
    ("check", {"text": "iso", "offset": 1}, "offset", "there is no member `offset`"),
    ("complete", {"text": "iso", "offset": 4}, "offset", "`offset` is 4; expected a number of characters, 0 to 3 here"),
    ("complete", {"text": "iso", "offset": -1}, "offset",
     "`offset` is -1; expected a number of characters, 0 to 3 here"),
    ("complete", {"text": "iso", "offset": True}, "offset",
     "`offset` is True; expected a number of characters, 0 to 3 here"),
    ("estimate", {"text": "iso", "sessions": 0}, "sessions", "`sessions` is 0; expected a whole number, 1 to 30"),
    ("estimate", {"text": "iso", "sessions": 1.5}, "sessions",
     "`sessions` is a number; expected a whole number, 1 to 30"),
    ("estimate", {"text": "iso", "session": 1}, "session", "there is no member `session`"),
)  # fmt: skip


@pytest.mark.parametrize(("route", "members", "source", "message"), REFUSED, ids=range(len(REFUSED)))
def test_members_that_are_refused(
    session: Session, route: str, members: dict[str, Any], source: str, message: str
) -> None:
    status, _, body = send(session[1], f"/api/dsl/{route}", json.dumps(members).encode())
    assert (status, body["code"]) == (400, "invalid_query")
    assert [(found["source"], found["message"]) for found in body["errors"]] == [(source, message)]


@pytest.mark.parametrize("route", ROUTES)
def test_parameters_and_methods(session: Session, route: str) -> None:
    server = session[1]
    assert send(server, f"/api/dsl/{route}?text=iso", b'{"text": "iso"}')[0] == 400
    status, body = server.get(f"/api/dsl/{route}")
    assert (status, body["code"]) == (405, "method_not_allowed")


TEXTS = (
    DEEP, "not " * 4_000 + "iso", "-" * 9_000 + "1", "dte in {" + "1," * 9_000 + "1}", '"' * 65_000, "@" * 65_000,
    "\0", "\x1b[31m", "value > \0 5", "~" * 1_000, "value >= " + "9" * 60_000, "é" * 30_000, "", "   ", "# only", '"""',
    " or ".join(f"value > {i}" for i in range(1_500)), "chip x = iso", "1 = 1 = 1", "\u202eiso", "value\r\n>\r\n5",
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_texts_of_every_bad_kind(session: Session, number: int) -> None:
    """A check answers with findings, whatever the text; the others with an answer, or with findings as a problem."""
    server, text = session[1], TEXTS[number]
    for kind in ("expression", "file"):
        ask(server, "check", text=text, kind=kind)
        ask(server, "complete", text=text, kind=kind)
    ok = ask(server, "check", text=text)["ok"]
    body = json.dumps({"text": text}).encode()
    for route in ("explain", "estimate", "format"):
        status, _, answer = send(server, f"/api/dsl/{route}", body)
        if status == 200:
            assert ok or route == "format"
        else:
            assert (status, answer["code"]) in ((400, "invalid_query"), (422, "too_complex")), (route, answer)
            assert answer["errors"]
    assert send(server, "/api/dsl/format", json.dumps({"text": text, "kind": "file"}).encode())[0] == 200


def test_the_editor_holds_up_nobody(session: Session) -> None:
    """While texts are read that take long, health goes on being answered."""
    server = session[1]
    body = json.dumps({"text": " or ".join(f"value > {i}" for i in range(4_000))}).encode()
    with ThreadPoolExecutor(6) as callers:
        busy = [callers.submit(send, server, "/api/dsl/check", body) for _ in range(6)]
        answered = 0
        while not any(check.done() for check in busy):
            assert server.get("/health")[0] == 200
            answered += 1
        assert answered > 1  # the last may have waited for the first of the texts
        assert all(check.result()[0] == 200 for check in busy)


# -- gRPC


def test_the_same_over_grpc(session: Session) -> None:
    server = session[1]

    async def work(stub: Any) -> list[Any]:
        return [
            await stub.Check(rules_pb2.CheckRequest(text="value >= 5m and\n@wales")),
            await stub.Check(rules_pb2.CheckRequest(text="chip x = iso", kind=rules_pb2.TEXT_KIND_FILE, name="x.phx")),
            await stub.Format(rules_pb2.FormatRequest(text="value>5")),
            await stub.Format(rules_pb2.FormatRequest(text="chip  x=iso", kind=rules_pb2.TEXT_KIND_FILE)),
            await stub.Explain(rules_pb2.ExplainRequest(text="@urgent and cancelled")),
            await stub.Estimate(rules_pb2.EstimateRequest(text="right = call", sessions=3)),
        ]

    asked = (
        ("check", {"text": "value >= 5m and\n@wales"}),
        ("check", {"text": "chip x = iso", "kind": "file", "name": "x.phx"}),
        ("format", {"text": "value>5"}), ("format", {"text": "chip  x=iso", "kind": "file"}),
        ("explain", {"text": "@urgent and cancelled"}), ("estimate", {"text": "right = call", "sessions": 3}),
    )  # fmt: skip
    for answer, (what, members) in zip(call(server, work), asked, strict=True):
        other, rest = shown(answer), ask(server, what, **members)
        for side in (other, rest):
            side.pop("elapsedMs", None)
        assert alike(other) == alike(rest), what


def alike(value: Any) -> Any:
    """A JSON value without what is empty, and whole numbers as such: messages write 64 bits as text."""
    if isinstance(value, dict):
        return {key: found for key, item in value.items() if (found := alike(item)) not in (None, "", [], {})}
    if isinstance(value, list):
        return [alike(item) for item in value]
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return value


CALLS = (
    ("Check", rules_pb2.CheckRequest(text="a" * 65_537), "INVALID_ARGUMENT"),
    ("Check", rules_pb2.CheckRequest(text="iso", kind=7), "INVALID_ARGUMENT"),  # type: ignore[arg-type]
    ("Format", rules_pb2.FormatRequest(text="value >"), "INVALID_ARGUMENT"),
    ("Explain", rules_pb2.ExplainRequest(text="@wales"), "INVALID_ARGUMENT"),
    ("Explain", rules_pb2.ExplainRequest(text=DEEP), "INVALID_ARGUMENT"),
    ("Estimate", rules_pb2.EstimateRequest(text="value >= 5m"), "INVALID_ARGUMENT"),
    ("Estimate", rules_pb2.EstimateRequest(text="iso", sessions=31), "INVALID_ARGUMENT"),
    ("Estimate", rules_pb2.EstimateRequest(text="iso", sessions=-1), "INVALID_ARGUMENT"),
)


@pytest.mark.parametrize(("method", "request_", "code"), CALLS, ids=range(len(CALLS)))
def test_calls_that_are_refused(session: Session, method: str, request_: Any, code: str) -> None:
    async def work(stub: Any) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await getattr(stub, method)(request_)
        return str(raised.value.code().name)

    assert call(session[1], work) == code


def test_a_deadline_bounds_an_estimate(session: Session) -> None:
    async def work(stub: Any) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Estimate(rules_pb2.EstimateRequest(text="iso", sessions=30), timeout=1e-6)
        return str(raised.value.code().name)

    assert call(session[1], work) == "DEADLINE_EXCEEDED"


def test_parts_of_the_catalog(session: Session) -> None:
    async def work(stub: Any) -> tuple[Any, Any, Any]:
        return (
            await stub.GetCatalog(catalog_pb2.GetCatalogRequest()),
            await stub.ListFields(catalog_pb2.ListFieldsRequest()),
            await stub.ListChips(catalog_pb2.ListChipsRequest()),
        )

    whole, fields, chips = call(session[1], work, catalog_pb2_grpc.CatalogServiceStub)
    assert list(fields.fields) == list(whole.fields)
    assert list(chips.chips) == list(whole.chips)
    assert (chips.rule_version, chips.rule_checksum) == (whole.rule_version, whole.rule_checksum)
    assert len(whole.fields) > 40
