"""Saved queries over REST: every route, both payload versions, tags, lists, imports, kills and broken files."""

from __future__ import annotations

import http.client
import json
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.members import JsonError, read_json
from phenix.engine.saved import SavedPayload, convert, save, v2_to_legacy
from phenix.engine.saved_text import read_statements
from phenix.engine.store.base import RuleVersion
from phenix.server.saved_body import LONGEST_NAME, MAX_BODY, Body, read_body
from tests.dsl.corpus import CASES, read
from tests.server.asking import ALERTS, PRESETS, SPY, Answer, ask, text, total, walk
from tests.server.conftest import Server
from tests.server.rows import Store

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose saved queries any test may add to."""
    store = Store(tmp_path_factory.mktemp("saved") / "flow.sqlite")
    store.add(200)
    server = Server(store.url)
    yield server
    server.end()
    store.close()


# -- every route


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
@pytest.mark.parametrize("kind", ["preset", "alert"])
def test_every_route(shared: Server, prefix: str, kind: str) -> None:
    path = f"{prefix}/flow/{kind}s"
    made = ask(shared, "POST", path, {"name": " Big  ", "payload": SPY})
    entry = made.data
    assert made.status == 201
    one = f"{path}/{entry['id']}"
    assert made.headers["location"] == one
    assert entry["id"].startswith(f"{kind}_")
    v2 = {"version": 2, "combinator": "and", "clauses": [
        {"field": "symbol", "op": "eq", "value": "SPY"}, {"field": "canonical.premium", "op": "gte", "value": 500_000},
    ]}  # fmt: skip
    assert entry == {
        "id": entry["id"], "name": "Big", "payloadVersion": "v2", "payload": v2, "queryDslV2": v2,
        "where": "symbol = SPY and value >= 500000", "fidelity": "exact", "reasons": [],
        "ruleVersion": entry["ruleVersion"], "createdAt": entry["createdAt"], "updatedAt": entry["createdAt"],
    }  # fmt: skip
    legacy = {**entry, "payloadVersion": "legacy", "payload": SPY}
    by_default, other = (legacy, "v2") if prefix == "/api/v1" else (entry, "legacy")
    got = ask(shared, "GET", one)
    assert (got.data, got.etag, got.headers["cache-control"]) == (by_default, made.etag, "no-cache")
    assert ask(shared, "GET", f"{one}?payloadVersion={other}").data["payloadVersion"] == other
    assert by_default in [row for page in walk(shared, path, 1_000) for row in page]
    assert ask(shared, "HEAD", one).body == b""
    put = ask(shared, "PUT", one, {"name": "", "query": "not @calls"}, if_match=made.etag)
    assert (put.data["name"], put.data["where"], put.data["payloadVersion"]) == (entry["id"], "not @calls", "v2")
    assert (put.data["createdAt"], put.data["updatedAt"] > entry["updatedAt"]) == (entry["createdAt"], True)
    word = {"preset": "query", "alert": "alert"}[kind]
    exported = ask(shared, "GET", f"{one}/export")
    assert exported.body.decode() == f'{word} {entry["id"].partition("_")[2]} "{entry["id"]}"\n  where not @calls\n'
    assert exported.headers["content-type"] == "text/plain; charset=utf-8"
    assert exported.body in ask(shared, "GET", f"{path}/export").body
    elsewhere = path.replace(kind, {"preset": "alert", "alert": "preset"}[kind])
    for method in ("GET", "PUT", "DELETE"):
        missing = ask(shared, method, f"{elsewhere}/{entry['id']}", {} if method == "PUT" else None)
        assert missing.codes == ["404", "not_found"], method
    gone = ask(shared, "DELETE", one, if_match=put.etag)
    assert (gone.status, gone.body) == (204, b"")
    assert [ask(shared, method, one, SPY).codes for method in ("GET", "PUT", "DELETE")] == [["404", "not_found"]] * 3
    assert ask(shared, "GET", f"{one}/export").codes == ["404", "not_found"]


def test_methods_and_parameters(shared: Server) -> None:
    for path, allowed in (("", "GET, HEAD, POST"), ("/export", "GET, HEAD"), ("/x", "DELETE, GET, HEAD, PUT")):
        refused = ask(shared, "PATCH", PRESETS + path)
        assert (refused.codes, refused.headers["allow"]) == (["405", "method_not_allowed"], allowed)
    made = ask(shared, "POST", PRESETS, {}).data
    one = f"{PRESETS}/{made['id']}"
    for method, path in (
        ("GET", f"{PRESETS}?limits=5"), ("GET", f"{one}?limit=5"), ("GET", f"{one}/export?x=1"),
        ("GET", f"{one}?%ff=1"), ("POST", f"{PRESETS}?cursor=x"), ("PUT", f"{one}?limit=1"),
        ("DELETE", f"{one}?payloadVersion=v2"),
    ):  # fmt: skip
        assert ask(shared, method, path, {} if method in ("POST", "PUT") else None).codes[:2] == [
            "400",
            "invalid_query",
        ]
    bad = {"limit=0": "PHX402", "limit=x": "PHX402", "payloadVersion=v3": "PHX402", "limit=1&limit=2": "PHX404"}
    for query, code in bad.items():
        assert ask(shared, "GET", f"{PRESETS}?{query}").codes == ["400", "invalid_query", code]
    for cursor in ("x", "W10", "WyJhbGVydCIsMV0", "WyJwcmVzZXQiLC0xXQ", "a" * 5_000, "%00"):
        assert ask(shared, "GET", f"{PRESETS}?cursor={cursor}").codes == ["400", "cursor_mismatch"], cursor
    assert ask(shared, "GET", f"{PRESETS}?limit=100000").json["page"]["limit"] == 1_000
    assert ask(shared, "GET", one).data == made


def test_a_page_of_somebody_else_changes_nothing(shared: Server) -> None:
    before = total(shared)
    for site in ("cross-site", "same-site"):
        assert ask(shared, "POST", PRESETS, {}, sec_fetch_site=site).codes == ["403", "forbidden"]
        assert ask(shared, "DELETE", f"{PRESETS}/x", sec_fetch_site=site).codes == ["403", "forbidden"]
    assert total(shared) == before
    assert ask(shared, "POST", PRESETS, {}, sec_fetch_site="same-origin").status == 201


# -- bodies

BODIES = (
    ({"payload": SPY, "query": "false", "dsl": "false"}, "symbol = SPY and value >= 500000"),
    ({"payload": None, "query": "@otm", "dsl": "false"}, "@otm"),
    ({"query": None, "dsl": {"where": "@otm or @calls"}}, "@otm or @calls"),
    ({"dsl": "size > 5"}, "size > 5"),
    ({"where": "size > 5"}, "size > 5"),
    ({"name": "n", "where": "size > 5"}, "size > 5"),
    (SPY, "symbol = SPY and value >= 500000"),
    ({"name": "n", **SPY}, "symbol = SPY and value >= 500000"),
    ({"version": 2, "combinator": "or", "clauses": [{"field": "dte", "op": "lte", "value": "7"}]}, "dte <= 7"),
    ({"name": "n", "version": 2, "combinator": "and", "clauses": None, "where": "not @otm"}, "not @otm"),
    ("size > 5", "size > 5"),
    ({}, ""),
    ({"name": None}, ""),
    ({"payload": {}}, ""),
)


@pytest.mark.parametrize(("body", "where"), BODIES, ids=range(len(BODIES)))
def test_bodies(shared: Server, body: Any, where: str) -> None:
    assert ask(shared, "POST", PRESETS, body).data["where"] == where
    as_a_browser_sends_it = text(shared, PRESETS, " " + json.dumps(body))
    assert as_a_browser_sends_it.data["where"] == where


@pytest.mark.parametrize("id_", ["%ff", "%00", "%F0%9F%98%80", "x" * 5_000, "preset_%27%20OR%201=1", "export%20"])
def test_ids_that_are_none(shared: Server, id_: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert ask(shared, method, f"{PRESETS}/{id_}", {} if method == "PUT" else None).codes == ["404", "not_found"]


NESTED = b"[" * 100_000
REFUSED = (
    (b"", ["400", "invalid_json"]),
    (b"{", ["400", "invalid_json"]),
    (b"\xff{}", ["400", "invalid_json"]),
    (b'{"symbol": "SPY", "symbol": "QQQ"}', ["400", "invalid_json"]),
    (b'{"minValue": NaN}', ["400", "invalid_json"]),
    (b'{"status": 1e400}', ["400", "invalid_json"]),
    (b'{"seq": ' + b"9" * 5_000 + b"}", ["400", "invalid_json"]),
    (NESTED, ["400", "invalid_json"]),
    (b"null", ["422", "invalid_payload", "PHX501"]),
    (b"[]", ["422", "invalid_payload", "PHX501"]),
    (b"5", ["422", "invalid_payload", "PHX501"]),
    (b'{"payload": [1]}', ["422", "invalid_payload", "PHX501"]),
    (b'{"payload": {}, "minValue": 5}', ["422", "invalid_payload", "PHX501"]),
    (b'{"payload": {}, "nmae": "x", "cooldown": 5}', ["422", "invalid_payload", "PHX501", "PHX501"]),
    (b'{"name": 5}', ["422", "invalid_payload", "PHX501"]),
    (b'{"name": "a\\u0000b"}', ["422", "invalid_payload", "PHX501"]),
    (b'{"name": "a\\nb"}', ["422", "invalid_payload", "PHX501"]),
    (b'{"name": "\\ud800"}', ["422", "invalid_payload", "PHX501"]),
    (b'{"name": "' + b"x" * (LONGEST_NAME + 1) + b'"}', ["422", "invalid_payload", "PHX501"]),
    (b'{"\\ud800": 1}', ["422", "invalid_payload", "PHX502"]),
    (b'{"status": "\\ud800"}', ["422", "invalid_payload", "PHX505"]),
    (b'{"wales": 1}', ["422", "invalid_payload", "PHX502"]),
    (b'{"chips": "wales"}', ["422", "invalid_payload", "PHX102"]),
    (b'{"minDte": "soon"}', ["422", "invalid_payload", "PHX505"]),
    (b'{"where": "valu > 5"}', ["422", "invalid_payload", "PHX101"]),
    (b'{"version": 2, "combinator": "any", "clauses": []}', ["422", "invalid_payload", "PHX504"]),
    (b'{"version": 2, "combinator": "and", "clauses": [{"field": "side", "op": "gte", "value": "AA"}]}',
     ["422", "invalid_payload", "PHX503"]),
    (b" " * (MAX_BODY + 1), ["413", "too_large"]),
    (b" " * 3 * MAX_BODY, ["413", "too_large"]),
)  # fmt: skip


@pytest.mark.parametrize(("body", "codes"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_is_not_stored(shared: Server, body: bytes, codes: list[str]) -> None:
    made = ask(shared, "POST", PRESETS, {"name": "kept"})
    one, before = f"{PRESETS}/{made.data['id']}", total(shared)
    assert ask(shared, "POST", PRESETS, body).codes == codes
    assert ask(shared, "PUT", one, body).codes == codes
    assert (total(shared), ask(shared, "GET", one).etag) == (before, made.etag)


def test_a_body_in_pieces_and_one_that_never_ends(shared: Server) -> None:
    def pieces(size: int) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=30)
        body = (b'{"status": "' if i == 0 else b"x" * 1_000 for i in range(size))
        try:
            connection.request("POST", PRESETS, body, {"content-type": "application/json"}, encode_chunked=True)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    assert pieces(3).codes == ["400", "invalid_json"]
    assert pieces(2_000).codes == ["413", "too_large"]


def test_a_body_cut_off_is_not_stored(shared: Server) -> None:
    before = total(shared)
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=30)
    connection.putrequest("POST", PRESETS)
    connection.putheader("content-length", "100")
    connection.endheaders(b'{"name": "half"}')
    connection.close()
    assert total(shared) == before


def test_the_largest_body_is_read(shared: Server) -> None:
    body = b'{"name": "full", "symbol": "SPY"}'
    made = ask(shared, "POST", PRESETS, body + b" " * (MAX_BODY - len(body)))
    assert made.data["where"] == "symbol = SPY"


NAMES = (
    "Größe ≥ 5",
    "期权",
    "👨‍👩‍👧 ⚡",
    "עברית",
    '"quoted" \\ back',
    "<b>&amp;</b>",
    "%00",
    "a" * LONGEST_NAME,
    "e\u0301",
    "\u00a0x",
)


@pytest.mark.parametrize("name", NAMES)
def test_names(shared: Server, name: str) -> None:
    made = ask(shared, "POST", ALERTS, {"name": name, "payload": SPY})
    assert made.data["name"] == name.strip()
    exported = ask(shared, "GET", f"{ALERTS}/{made.data['id']}/export").body.decode()
    again = text(shared, ALERTS, exported)
    assert again.data == [made.data]
    assert ask(shared, "GET", f"{ALERTS}/{made.data['id']}").etag == made.etag


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_reading_a_body_never_fails(data: bytes) -> None:
    assert isinstance(read_body(data), Body) or read_body(data).code in ("invalid_json", "invalid_payload")  # type: ignore[union-attr]


# -- the conversions, over the wire


def test_every_case_of_the_conversions(shared: Server, bundle: Bundle) -> None:
    """What is answered is what the pure conversions say, of every payload there is a case of."""
    cases = [case for path in sorted(CASES.glob("payload*.txt")) for case in read(path.name)]
    assert len(cases) >= 180
    stored = before = total(shared)
    for case in cases:
        body = json.dumps(case.input).encode() if case.directive.startswith("where") else case.input.encode()
        try:
            payload = read_json(body.decode())
        except JsonError:
            assert ask(shared, "POST", PRESETS, body).codes == ["400", "invalid_json"], case
            continue
        answer = ask(shared, "POST", PRESETS, b'{"payload": ' + body + b"}")
        expected = save(payload, bundle)
        if not isinstance(expected, SavedPayload):
            assert answer.codes == ["422", "invalid_payload", *(finding.code for finding in expected)], case
            assert answer.json["errors"] == json.loads(json.dumps([finding.to_dict() for finding in expected])), case
            continue
        stored += 1
        entry = answer.data
        assert (read_json(json.dumps(entry["queryDslV2"])), entry["where"]) == (expected.v2, expected.where), case
        assert (entry["fidelity"], entry["reasons"]) == (expected.fidelity, list(expected.reasons)), case
        flat = v2_to_legacy(expected.v2, bundle)
        legacy = ask(shared, "GET", f"/api/v1/flow/presets/{entry['id']}").data
        assert json.dumps(legacy["payload"]) == json.dumps(flat.result), case
        assert (legacy["fidelity"], legacy["reasons"]) == (flat.fidelity, list(flat.reasons)), case
        if flat.result is not None:  # what an older client reads it may send back
            again = ask(shared, "PUT", f"{PRESETS}/{entry['id']}?payloadVersion=legacy", legacy).data
            assert again["payload"] == convert(flat.result, "legacy", bundle).result, case
    assert total(shared) == stored > before


def test_what_was_read_can_be_sent_back(shared: Server) -> None:
    """Under another name, in either version: the filter stays, with all that a legacy object cannot say."""
    for payload in (
        {"minDte": "7", "status": "open", "calls": 1},
        SPY,
        "not @otm and seq != 5 and size > 5",
        "@otm or @aa",
    ):
        made = ask(shared, "POST", PRESETS, {"name": "n", "payload": payload})
        one = f"{PRESETS}/{made.data['id']}"
        for version in ("v2", "legacy"):
            got = ask(shared, "GET", f"{one}?payloadVersion={version}")
            assert ask(shared, "PUT", one, got.body, if_match=got.etag).status == 422  # the answer, not its data
            assert ask(shared, "PUT", one, got.data, if_match=got.etag).etag == got.etag
            renamed = ask(shared, "PUT", one, {**got.data, "name": version}, if_match=got.etag)
            assert renamed.data == {**made.data, "name": version, "updatedAt": renamed.data["updatedAt"]}
    wider = ask(shared, "POST", PRESETS, "symbol = SPY and size > 5").data
    legacy = ask(shared, "GET", f"/api/v1/flow/presets/{wider['id']}").data
    assert (legacy["fidelity"], legacy["payload"]) == ("wider", {"symbol": "SPY", "minSize": 5})
    changed = ask(shared, "PUT", f"{PRESETS}/{wider['id']}", {"payload": {"symbol": "SPY", "minSize": "5"}}).data
    assert changed["where"] == "symbol = SPY and size >= 5"


def test_a_name_alone_keeps_the_filter(shared: Server) -> None:
    made = ask(shared, "POST", PRESETS, {"name": "n", "payload": SPY})
    one = f"{PRESETS}/{made.data['id']}"
    renamed = ask(shared, "PUT", one, {"name": "m"})
    assert renamed.data == {**made.data, "name": "m", "updatedAt": renamed.data["updatedAt"]}
    assert renamed.etag != made.etag
    assert ask(shared, "PUT", one, {"payload": None}).etag == renamed.etag
    assert ask(shared, "POST", PRESETS, {"payload": None}).codes == ["422", "invalid_payload", "PHX501"]
    emptied = ask(shared, "PUT", one, {"payload": {}}).data
    assert (emptied["name"], emptied["where"]) == ("m", "")


# -- rule versions


def activate(store: Store, change: Callable[[str], str]) -> Bundle:
    """Make the packaged rules with a change in their text the active version."""
    sources = [Source(source.name, change(source.text)) for source in read_rules()]
    made, found = compile_bundle(sources, store.bundle.bits)
    assert made is not None, found
    record = RuleVersion(made.version, made.config_json, made.checksum, False, 1, None, None)
    store.writer.put_rule_version(record, activate=True, now_utc=2)
    return made


def test_thresholds_are_those_it_was_saved_under(store: Store, serve: Serve) -> None:
    store.add(5)
    server = serve(store.url)
    old = ask(server, "POST", PRESETS, SPY).data
    kept = ask(server, "POST", PRESETS, "value >= 500k and symbol = SPY or value >= $whales_min").data
    newer = activate(store, lambda text: text.replace("whales_min: money = 500k", "whales_min: money = 600k"))
    assert newer.version != old["ruleVersion"]
    new = ask(server, "POST", PRESETS, SPY).data
    assert (new["ruleVersion"], new["where"]) == (newer.version, "symbol = SPY and value >= 600000")

    def legacy(entry: dict[str, Any]) -> dict[str, Any]:
        return dict(ask(server, "GET", f"/api/v1/flow/presets/{entry['id']}").data)

    assert [legacy(entry)["payload"] for entry in (old, new)] == [SPY, SPY]
    assert legacy(kept)["fidelity"] == "unsupported"
    assert ask(server, "PUT", f"{PRESETS}/{old['id']}", {"name": "n"}).data["ruleVersion"] == old["ruleVersion"]
    server.end(signal.SIGTERM)
    with sqlite3.connect(store.path) as connection:
        connection.execute("DELETE FROM filter_rule_versions WHERE version_id = ?", (old["ruleVersion"],))
    connection.close()
    server.start()
    gone = legacy(old)
    assert gone["payload"] == {"symbol": "SPY", "minValue": 500_000}
    assert gone["reasons"] == [
        f"the rule version {old['ruleVersion']} it was saved under cannot be read; these thresholds are of now"
    ]
    assert [row["payload"] for row in ask(server, "GET", "/api/v1/flow/presets").data][::2] == [gone["payload"], SPY]


def test_a_chip_that_is_gone(store: Store, serve: Serve) -> None:
    """A preset that names a chip of its own rule version is still shown, and says what is wrong when it filters."""
    store.add(5)
    server = serve(store.url)
    made = ask(server, "POST", PRESETS, {"name": "n", "payload": "@grenade and not @otm"}).data
    activate(store, lambda text: re.sub("(?i)grenade", "blast", text))
    assert "grenade" not in {chip["id"] for chip in server.get("/api/flow/filters/catalog")[1]["chips"]}
    one = f"{PRESETS}/{made['id']}"
    legacy = ask(server, "GET", f"{one}?payloadVersion=legacy").data
    assert (legacy["payload"], legacy["fidelity"]) == ({"chips": "grenade", "notChips": "otm"}, "exact")
    status, body = server.get(f"/api/flow?preset={made['id']}")
    assert (status, [(found["code"], found["source"]) for found in body["errors"]]) == (400, [("PHX102", "preset")])
    assert ask(server, "PUT", one, {**legacy, "name": "m"}).data["where"] == made["where"]
    assert ask(server, "PUT", one, {"payload": made["where"]}).codes == ["422", "invalid_payload", "PHX102"]


# -- tags


def test_tags(shared: Server) -> None:
    made = ask(shared, "POST", PRESETS, {"name": "a"})
    one, tag = f"{PRESETS}/{made.data['id']}", made.etag
    for header in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        same = ask(shared, "GET", one, if_none_match=header)
        assert (same.status, same.body, same.etag) == (304, b"", tag), header
    for header in ('"x"', "x", ""):
        assert ask(shared, "GET", one, if_none_match=header).status == 200
    for header in ('"x"', f"W/{tag}", "x", tag.strip('"'), ""):
        for method, body in (("PUT", {"name": "b"}), ("DELETE", None)):
            stale = ask(shared, method, one, body, if_match=header)
            assert stale.codes == ["412", "precondition_failed"], header
            assert tag in stale.json["detail"]
    assert ask(shared, "GET", one).etag == tag
    renamed = ask(shared, "PUT", one, {"name": "b"}, if_match=f'"x", {tag}')
    assert renamed.status == 200
    assert ask(shared, "PUT", one, {"name": "c"}, if_match=tag).codes == ["412", "precondition_failed"]
    assert ask(shared, "PUT", one, {"name": "b"}, if_match="*").etag == renamed.etag
    assert ask(shared, "PUT", one, {"name": "c"}, if_none_match="*").codes == ["412", "precondition_failed"]
    back = ask(shared, "PUT", one, {"name": "a"})  # the same content again, and yet another change
    assert len({tag, renamed.etag, back.etag}) == 3
    assert ask(shared, "DELETE", one, if_match=renamed.etag).codes == ["412", "precondition_failed"]
    assert ask(shared, "DELETE", one, if_match=back.etag).status == 204


# -- text


def test_what_was_exported_comes_back(shared: Server) -> None:
    made = text(shared, PRESETS, (
        '# ours\nquery hot_calls "Hot calls" where @calls or @otm since 2026-01-05\n'
        '  order by value limit 20 doc "Why." group mine\n'
        "query plain where $whales_min <= value\n"
    ))  # fmt: skip
    hot, plain = made.data
    assert made.status == 201
    assert (hot["id"], hot["name"], hot["where"]) == (
        "preset_hot_calls", "Hot calls", "(@calls or @otm) and session_date >= 2026-01-05",
    )  # fmt: skip
    assert (plain["id"], plain["name"]) == ("preset_plain", "plain")
    assert plain["reasons"] == ["$whales_min is kept as 500000, its value now"]
    one = f"{PRESETS}/preset_hot_calls"
    exported = ask(shared, "GET", f"{one}/export").body.decode()
    assert exported == (
        'query hot_calls "Hot calls"\n  where (@calls or @otm) and session_date >= 2026-01-05\n'
        '  order by value asc nulls last\n  limit 20\n  group mine\n  doc "Why."\n'
    )
    tag = ask(shared, "GET", one).etag
    assert text(shared, PRESETS, exported).data == [hot]
    assert ask(shared, "GET", one).etag == tag
    ask(shared, "PUT", one, {"name": "Renamed", "payload": SPY})  # what the statement said besides is kept
    changed = ask(shared, "GET", f"{one}/export").body.decode()
    assert changed == exported.replace("Hot calls", "Renamed").replace(
        "(@calls or @otm) and session_date >= 2026-01-05", "symbol = SPY and value >= 500000"
    )
    assert text(shared, PRESETS, exported).data == [{**hot, "updatedAt": ask(shared, "GET", one).data["updatedAt"]}]
    alert = "alert wake\n  where @whales\n  cooldown 3m per symbol\n  severity high\n"
    assert text(shared, ALERTS, alert).data[0]["id"] == "alert_wake"
    assert ask(shared, "GET", f"{ALERTS}/alert_wake/export").body.decode() == alert


TEXTS = (
    ("", ["PHX501"]),
    ("# nothing", ["PHX501"]),
    ("query a where value > 1\nquery b where valu > 1\nquery c where size >", ["PHX001", "PHX101"]),
    ("query a where value > 1\nalert b where value > 1", ["PHX501"]),
    ("chip a = value > 1", ["PHX501"]),
    ("query a where value > 1\nquery a where value > 2", ["PHX111"]),
    ("query a where value > 1 order by nothing", ["PHX101"]),
    ("query _a where value > 1", ["PHX501"]),
    (f"query {'a' * 65} where value > 1", ["PHX501"]),
    ('query a "tab\tbed" where value > 1', ["PHX501"]),
    (f'query a "{"x" * 201}" where value > 1', ["PHX501"]),
    ("\n".join(f"query q{i} where true" for i in range(1_001)), ["PHX004"]),
    ("query a where " + "value > 1 or " * 7_000 + "true", ["PHX004"]),
    ("(" * 100_000, None),
)


@pytest.mark.parametrize(("statements", "codes"), TEXTS, ids=range(len(TEXTS)))
def test_texts_that_are_refused(shared: Server, statements: str, codes: list[str] | None) -> None:
    before = total(shared)
    refused = text(shared, PRESETS, statements)
    assert refused.codes[:2] == ["422", "invalid_payload"]
    assert codes is None or sorted(refused.codes[2:]) == codes
    assert total(shared) == before


def test_a_text_that_takes_too_long_is_refused(bundle: Bundle) -> None:
    refused = read_statements("query a where value > 1\nquery b where value > 2", "preset", bundle, timeout_s=0)
    assert isinstance(refused, tuple)
    assert [finding.message for finding in refused] == [
        "reading up to here took 0 seconds, as long as an import may take"
    ]


def test_a_finding_of_a_text_says_where(shared: Server) -> None:
    (finding,) = text(shared, PRESETS, "query a where value > 1\n\nquery b\n  where valu > 1").json["errors"]
    assert (finding["source"], finding["line"], finding["column"], finding["endColumn"]) == ("import", 4, 9, 13)
    assert text(shared, PRESETS, "\ufeffquery a where value > 1").status == 201
    assert ask(shared, "POST", PRESETS, b'"value > 1 -- \\ud800"').codes[:2] == ["422", "invalid_payload"]
    assert ask(shared, "POST", PRESETS, b"\xff", content_type="text/plain").codes == ["400", "invalid_json"]


# -- a saved query as a parameter


def test_the_catalog_names_the_presets(store: Store, serve: Serve) -> None:
    store.add(1)
    server = serve(store.url)

    def presets() -> Any:
        return server.get("/api/flow/filters/catalog")[1]["presets"]

    assert presets() == []
    made = ask(server, "POST", PRESETS, {"name": "Big", "payload": SPY}).data
    ask(server, "POST", ALERTS, SPY)
    assert presets() == [{"id": made["id"], "name": "Big", "where": made["where"]}]
    ask(server, "PUT", f"{PRESETS}/{made['id']}", {"name": "Bigger"})
    assert presets()[0]["name"] == "Bigger"


def test_a_preset_filters(shared: Server) -> None:
    made = ask(shared, "POST", PRESETS, "@calls or symbol = QQQ").data
    alert = ask(shared, "POST", ALERTS, {"symbol": "SPY"}).data
    everything = ask(shared, "POST", PRESETS, {}).data
    for route in ("/api/flow", "/api/v1/flow"):
        got = shared.get(f"{route}?preset={made['id']}&right=PUT&limit=1000")[1]
        assert got["meta"]["where"] == "(@calls or symbol = QQQ) and right = PUT"
        assert got["data"] == shared.get("/api/flow?where=symbol=QQQ&right=PUT&limit=1000")[1]["data"] != []
    both = shared.get(f"/api/flow/stream?transport=json&preset={alert['id']}")[1]
    assert {row["symbol"] for row in both["events"][0]["data"]} == {"SPY"}
    count = shared.get(f"/api/flow/summary?preset={alert['id']}")[1]
    assert count["data"] == shared.get("/api/flow/summary?symbol=SPY")[1]["data"]
    assert shared.get(f"/api/flow?preset={everything['id']}")[1]["meta"]["where"] == ""
    cancelled = ask(shared, "POST", PRESETS, "cancelled").data
    assert shared.get(f"/api/flow?preset={cancelled['id']}")[1]["meta"]["where"] == "cancelled"
    for query, code in (("preset=preset_nope", "PHX402"), ("preset=", "PHX402"), ("preset=a&preset=b", "PHX404")):
        status, body = shared.get(f"/api/flow?{query}")
        assert (status, [finding["code"] for finding in body["errors"]][-1]) == (400, code)
