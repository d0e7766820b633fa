"""REST: every parameter, every refusal, pages, rows, the catalog, operations."""

from __future__ import annotations

import http.client
from urllib.parse import parse_qsl, quote

import pytest

from phenix.dsl.codes import CODES, Form
from phenix.engine.bundle import Bundle
from phenix.engine.encode import ROW_KEYS
from phenix.engine.flow import FIELDS
from phenix.engine.predicate import Predicate
from phenix.engine.query.page import compile_filter
from phenix.engine.query.request import Refusal
from phenix.server.errors import ERRORS
from phenix.server.params import PARAMETERS, read
from tests.server.cases import check
from tests.server.conftest import Server
from tests.server.rows import Store

Session = tuple[Store, Server]


def test_filters_become_one_expression(bundle: Bundle, rewriting: bool) -> None:
    def answer(query: str) -> str:
        asked = read(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True), bundle, {"preset_x": "@otm or @aa"})
        assert not isinstance(asked, Refusal), asked.detail
        predicate = compile_filter(asked.request.parts, bundle)
        assert isinstance(predicate, Predicate), predicate
        again = compile_filter((("where", predicate.text),) if predicate.text else (), bundle)
        assert isinstance(again, Predicate)
        assert again.text == predicate.text
        return predicate.text or "(everything)"

    queries = check("filters.txt", answer, rewriting=rewriting)
    seen = {name for query in queries for name, _ in parse_qsl(query, keep_blank_values=True)}
    assert seen == set(PARAMETERS)


def test_refusals(session: Session, rewriting: bool) -> None:
    server = session[1]
    codes = set()

    def answer(path: str) -> str:
        status, body = server.get(path)
        assert body["status"] == status
        assert ERRORS[body["code"]].status == status
        assert body["error"] == {"code": body["code"], "message": body["detail"], "details": body["errors"]}
        lines = [f"{status} {body['code']}: {body['detail']}"]
        for found in body["errors"]:
            codes.add(found["code"])
            place = f"{found['column']}-{found['endColumn']}" if found["line"] else "-"
            help_ = f" | {found['help']}" if "help" in found else ""
            fix = f" | {found['suggestion']['text']!r}" if "suggestion" in found else ""
            lines.append(f"{found['code']} {found['name']} {found['source']} {place} {found['message']}{help_}{fix}")
        return "\n".join(lines).replace("\0", "\\0")

    check("errors.txt", answer, rewriting=rewriting)
    assert {code.id for code in CODES.values() if code.form is Form.PARAMETER} <= codes


def test_error_content_type(session: Session) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", session[1].port, timeout=30)
    connection.request("POST", "/api/flow")
    answer = connection.getresponse()
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.headers["content-type"] == "application/problem+json"
    assert b'"method_not_allowed"' in answer.read()
    connection.close()


@pytest.mark.parametrize("size", [70_000, 300_000, 10_000_000], ids=["statement", "query", "10 MB"])
def test_a_where_too_long(session: Session, size: int) -> None:
    status, body = session[1].get("/api/flow?where=" + "a" * size)
    assert (status, body["code"]) == (422, "too_complex")


def test_a_request_larger_than_is_read(session: Session) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", session[1].port, timeout=30)
    # Sent in pieces, so that the answer is not lost to a connection closed under our hands.
    connection.connect()
    connection.sock.sendall(b"GET /api/flow?where=" + b"a" * (16 * 1024 * 1024 + 1))
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()
    assert answer.status == 422
    assert b'"too_complex"' in answer.read()
    connection.close()


def test_no_request_at_all(session: Session) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", session[1].port, timeout=30)
    connection.connect()
    connection.sock.sendall(b"\x00\xff garbage\r\n\r\n")
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()
    assert answer.status == 400
    assert b'"invalid_query"' in answer.read()
    connection.close()


def test_deep_nesting(session: Session) -> None:
    status, body = session[1].get("/api/flow?where=" + quote("(" * 500 + "value > 1" + ")" * 500))
    assert (status, body["code"]) == (422, "too_complex")


def test_rows_have_every_key(session: Session) -> None:
    _, body = session[1].get("/api/flow")
    assert len(body["data"]) == 50
    for row in body["data"]:
        assert set(row) == set(ROW_KEYS)
    assert body["page"] == {
        "limit": 50, "hasMore": True, "nextCursor": body["page"]["nextCursor"],
        "sortBy": "seq", "sortOrder": "desc", "total": None,
    }  # fmt: skip
    meta = body["meta"]
    assert (meta["asOfSeq"], meta["watermark"], meta["sessionDate"]) == (410, 410, "2026-09-18")
    assert (meta["where"], meta["degraded"], meta["degradedReason"]) == ("", False, [])
    assert meta["ruleVersion"] == session[0].bundle.version
    assert meta["ruleChecksum"] == session[0].bundle.checksum


def test_cancelled_rows_are_left_out_unless_asked_for(session: Session) -> None:
    server = session[1]

    def total(query: str) -> int:
        return int(server.get(f"/api/flow?total=exact&limit=1&{query}")[1]["page"]["total"])

    assert total("") == 390
    assert total("includeCancelled=1") == 410
    assert total("where=cancelled") == 10
    assert total("where=cancel_record") == 10
    assert total("where=not%20cancel_record") == 400
    assert total("where=not%20cancelled%20and%20not%20cancel_record") == 390


def test_one_row(session: Session) -> None:
    store, server = session
    _, body = server.get("/api/flow?limit=1000&includeCancelled=1&sortOrder=asc")
    for row in body["data"][::50]:
        assert server.get(f"/api/flow/{row['id'].upper()}?fields=seq")[1]["data"] == {"seq": row["seq"]}
        status, one = server.get(f"/api/flow/{row['id']}")
        assert status == 200
        assert one["data"] == row
    cancelled = [row["seq"] for row in body["data"] if row["cancelled"]]
    assert cancelled == list(range(11, 401, 40))
    assert store.writer.reads.watermark() == 410


def test_projection(session: Session) -> None:
    _, body = session[1].get("/api/flow?fields=value,seq,otm_pct&limit=2")
    assert [list(row) for row in body["data"]] == [["value", "seq", "otmPct"]] * 2


def test_both_prefixes(session: Session) -> None:
    for path in ("/flow?limit=3", "/flow/filters/catalog", "/flow/stream?transport=json&snapshot=2"):
        first, second = (session[1].get(f"{prefix}{path}")[1] for prefix in ("/api", "/api/v1"))
        for body in (first, second):
            body.get("meta", {}).pop("elapsedMs", None)
        assert first == second


def test_catalog(session: Session) -> None:
    store, server = session
    _, body = server.get("/api/flow/filters/catalog")
    assert body["ruleVersion"] == store.bundle.version
    assert {chip["id"] for chip in body["chips"]} == {chip.id for chip in store.bundle.chips}
    assert [p["name"] for p in body["parameters"]] == list(PARAMETERS)
    by_name = {field["name"]: field for field in body["fields"]}
    assert set(by_name) == {f.name for f in FIELDS if f.filterable or f.json}
    assert by_name["value"] == {
        "name": "value", "json": "value", "label": "Premium", "type": "money", "nullable": False,
        "doc": "Premium: price x size x 100, dollars.",
        "operators": ["=", "!=", "<", "<=", ">", ">=", "in", "not in"], "enum": None,
        "range": {"min": 0.0, "max": 100_000_000_000.0}, "minParam": "minValue", "maxParam": "maxValue",
        "sortable": True, "filterable": True,
    }  # fmt: skip
    assert by_name["side"]["enum"] == ["AA", "ASK", "BID", "MID"]
    assert by_name["side"]["operators"] == ["=", "!=", "in", "not in", "is null", "is not null"]


def test_every_operator_of_the_catalog_compiles(session: Session, bundle: Bundle) -> None:
    _, body = session[1].get("/api/flow/filters/catalog")
    samples = {
        "bool": "true", "enum": None, "symbol": "SPY", "text": '"A*"', "date": "2026-09-18", "time": "09:30 ET",
        "ts": "2026-09-18T13:30:00Z", "duration": "3s",
    }  # fmt: skip
    for field in body["fields"]:
        sample = samples.get(field["type"], "1") or field["enum"][0]
        for operator in field["operators"]:
            value = {"in": f" {{{sample}}}", "not in": f" {{{sample}}}", "like": ' "A*"'}.get(operator, f" {sample}")
            text = f"{field['name']} {operator}{'' if operator.startswith('is') else value}"
            assert isinstance(compile_filter((("where", text),), bundle), Predicate), text


def test_operations(session: Session) -> None:
    server = session[1]
    assert server.get("/health") == (200, {"status": "ok"})
    status, body = server.get("/ready")
    assert (status, body["status"]) == (200, "ready")
    assert body["checks"] == {
        "store": {"ok": True}, "terminal": {"ok": True}, "backlog": {"ok": True, "rows": 0, "lagSeconds": 0.0},
        "log": {"ok": True},
    }  # fmt: skip


def test_every_answer_has_secure_headers(session: Session) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", session[1].port, timeout=30)
    for path in ("/", "/api/flow", "/api/flow?x=1", "/nothing", "/health"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.headers["content-security-policy"].startswith("default-src 'self'"), path
        assert answer.headers["x-content-type-options"] == "nosniff"
    connection.close()


def test_sessions(store: Store) -> None:
    for date in (20260916, 20260917, 20260918):
        store.add(3, session_date=date)
    server = Server(store.url)
    try:

        def seqs(query: str, path: str = "") -> list[int]:
            return [row["seq"] for row in server.get(f"/api/flow{path}?{query}")[1]["data"]]

        assert seqs("") == [9, 8, 7]
        assert seqs("sessions=2") == [9, 8, 7, 6, 5, 4]
        assert seqs("sessions=9") == list(range(9, 0, -1))
        assert seqs("", "/historical") == list(range(9, 0, -1))
        assert seqs("from=2026-09-16&sessions=2", "/historical") == seqs("from=2026-09-16&sessions=2")
        assert seqs("date=2026-09-16") == [3, 2, 1]
        assert seqs("to=2026-09-17") == [6, 5, 4, 3, 2, 1]
        assert seqs("from=2026-09-17") == [9, 8, 7, 6, 5, 4]
        assert seqs("where=" + quote("session_date < 2026-09-17")) == [3, 2, 1]
        assert seqs("sessions=1&date=2026-09-16") == []
    finally:
        server.end()
