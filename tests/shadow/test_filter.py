"""``shadow=1``: a filter under the active rules and under the candidate, over the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from phenix.client import Client
from phenix.dsl.types import Value
from phenix.engine.bundle import Bundle
from phenix.engine.encode import row_id
from phenix.engine.flow import INDEX, STORED
from phenix.engine.live.index import LiveIndex
from phenix.engine.predicate import Predicate
from phenix.engine.query.page import compile_filter, fetch_page
from phenix.engine.query.plan import sees_cancelled
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.query.shadow import NAMED, ShadowDiff, fetch_shadow
from phenix.engine.store.base import Batch
from phenix.engine.store.sqlite import open_reader, open_writer
from phenix.engine.store.sqlite_shadow import set_candidate
from phenix.engine.targets.reference import evaluate
from tests.enrich.prints import CALENDAR
from tests.enrich.test_batches import morning
from tests.server.conftest import Server, serve
from tests.shadow.test_follower import Enricher, Recorder, Tagging, candidate_of, evaluated, new_store, packaged

__all__ = ["serve"]

Compared = tuple[Path, Bundle, list[Any]]
SAME_FIGURES = ("thresholds", "new chips and a lost one", "other bits", "the score")
FILTERS = (
    "", "@whales", "not @whales", "@blocks and right = call", "@whales or @blocks", "@whales is unknown",
    "not (@urgent is true)", "sig_score >= 0.25", "sig_score is null or @high_sig", "score_quality = complete",
    "@whales and cancelled", "cancelled or @blocks", "value >= $whales_min", "@whales and session_date >= 2026-08-17",
    "session_date = 2026-08-18 and not @blocks", "time_et >= 09:31 ET and @blocks", "@sweeps or not @aa", "@floor",
)  # fmt: skip


@pytest.fixture(scope="module", params=SAME_FIGURES)
def compared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Bundle, list[Any]]:
    """A store of two sessions, a candidate, and what the candidate says of each row by the definition."""
    active, other = packaged(), candidate_of(request.param)
    store = new_store(tmp_path_factory.mktemp("compared"), active, other)
    with open_writer(store) as writer:
        taking = Recorder(writer, Enricher(CALENDAR, Tagging(active), writer.reads.session_raw, lambda: 0))
        taking.record(Batch(rows=morning(700, 21)))
        raws = writer.reads.raw_rows(0, 10_000)
    set_candidate(store, other.version)
    return store, other, evaluated(other, raws)


def expected(
    rows: list[Any], where: Predicate, other: Predicate, tags: list[Any], request: FlowRequest, as_of: int
) -> ShadowDiff:
    """The rows that a request looks at, under either version, one after the other."""
    bounded = {"session_date", "trade_ts_utc"} & where.reads
    latest = max(row[INDEX["session_date"]] for row in rows)
    counts, added, removed = [0, 0], [], []
    for row in rows:
        cell = dict(zip((field.name for field in STORED), row, strict=True))
        taken_back = cell["cancelled_seq"] is not None and cell["cancelled_seq"] <= as_of
        shown = sees_cancelled(request, where) or not (cell["cancel_record"] or taken_back)
        if not shown or (request.sessions == 0 and cell["session_date"] != latest and not bounded):
            continue
        chips, score = tags[cell["seq"] - 1]
        fields: dict[str, Value] = cell | {
            "time_et": cell["trade_ts_et"] % 86_400_000, "cancelled": taken_back, "sig_score": score,
            "score_quality": "partial" if score is None else "complete",
        }  # fmt: skip
        was = where.matches(row, as_of)
        is_ = evaluate(other.checked, fields.__getitem__, other.bundle.params, chips.__getitem__) is True
        counts[0] += was
        counts[1] += is_
        id_ = row_id(cell["trade_ts_utc"], cell["trade_id"])
        if is_ and not was:
            added.append(id_)
        if was and not is_:
            removed.append(id_)
    found = ShadowDiff(
        where.bundle.version, other.bundle.version, counts[0], len(added), len(removed), tuple(added[:NAMED]),
        tuple(removed[:NAMED]),
    )  # fmt: skip
    assert found.shadow_count == counts[1]
    return found


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_filter_is_what_either_version_makes_of_it(compared: Compared, cancelled: bool) -> None:
    store, candidate, tags = compared
    active, moved = packaged(), 0
    with open_reader(store) as reader:
        rows = reader.rows_after(0, 10_000)
        lives = [None, LiveIndex()]
        for place, text in enumerate(FILTERS):
            sessions = place % 2 * 2  # the latest where it bounds none, or both
            request = FlowRequest((("where", text),) if text else (), sessions, include_cancelled=cancelled)
            old, new = (compile_filter(request.parts, bundle) for bundle in (active, candidate))
            assert isinstance(old, Predicate), text
            if isinstance(new, Refusal):
                assert text == "@floor" and candidate.chip("floor") is None
                continue
            wanted = expected(rows, old, new, tags, request, reader.watermark())
            moved += wanted.added_count + wanted.removed_count
            for live in lives:
                if live is not None:
                    live.follow(reader)
                page = fetch_page(reader, request, active, live=live)
                assert not isinstance(page, Refusal)
                assert fetch_shadow(reader, request, page, active, candidate, live=live) == wanted, text
    assert bool(moved) == (candidate in (candidate_of("thresholds"), candidate_of("the score")))


def test_a_filter_the_candidate_does_not_understand_is_refused(compared: Compared) -> None:
    store, candidate, _ = compared
    request = FlowRequest((("where", "@floor"),))
    with open_reader(store) as reader:
        page = fetch_page(reader, request, packaged())
        assert not isinstance(page, Refusal)
        found = fetch_shadow(reader, request, page, packaged(), candidate)
    if "floor" in candidate.bits and candidate.chip("floor"):
        assert isinstance(found, ShadowDiff)
    else:
        assert isinstance(found, Refusal)
        assert found.code == "invalid_query"
        assert found.detail.startswith(f"Rule version {candidate.version}, which is in shadow, does not understand")


def test_over_rest_and_grpc(tmp_path: Path, serve: Callable[..., Server]) -> None:
    active, other, raws = packaged(), candidate_of("thresholds"), morning(2_500, 22)
    store = new_store(tmp_path, active, other)
    with open_writer(store) as writer:
        taking = Recorder(writer, Enricher(CALENDAR, Tagging(active), writer.reads.session_raw, lambda: 0))
        taking.record(Batch(rows=[row for row in raws if row[INDEX["session_date"]] == 20260817]))
        count = writer.reads.watermark()
    server = serve(f"sqlite:{store}")

    def ask(query: str) -> tuple[int, Any]:
        return server.get(f"/api/flow?{query}")

    status, problem = ask("shadow=1&chips=blocks")
    assert (status, problem["code"]) == (400, "invalid_query")
    (finding,) = problem["errors"]
    assert (finding["code"], finding["source"], finding["message"], finding["help"]) == (
        "PHX406", "shadow", "no rule version is in shadow",
        "put one there with `phenix rules shadow VERSION`, or leave `shadow` out",
    )  # fmt: skip
    status, body = ask("shadowCompare=1&chips=blocks")
    assert status == 200 and "shadow" not in body["meta"]

    set_candidate(store, other.version)
    status, body = ask("shadow=1&chips=blocks&total=exact&limit=1")
    shadow = body["meta"]["shadow"]
    assert (status, shadow["activeVersion"], shadow["shadowVersion"]) == (200, active.version, other.version)
    assert shadow["activeCount"] == body["page"]["total"]
    assert shadow["shadowCount"] == shadow["activeCount"] + shadow["addedCount"] - shadow["removedCount"]
    assert len(shadow["addedByShadow"]) == NAMED < shadow["addedCount"]
    assert shadow["truncated"] == {"addedByShadow": True, "removedByShadow": False}
    # What the candidate would add is what its definition says: blocks from three contracts on.
    where = quote("not adjusted and not multi_leg and size >= 3 and size < $block_size_min and not compression")
    status, same = ask(f"where={where}&sortOrder=asc&limit={NAMED}&total=exact")
    assert status == 200 and same["page"]["total"] == shadow["addedCount"]
    assert [row["id"] for row in same["data"]] == shadow["addedByShadow"]
    # A walk is of its own rows; older clients get the same under their name; without it there is none.
    status, second = ask(f"shadow=1&chips=blocks&total=exact&limit=1&cursor={body['page']['nextCursor']}")
    assert status == 200 and second["meta"]["shadow"] == shadow
    assert ask("shadowCompare=1&chips=blocks")[1]["meta"]["shadow"] == shadow
    assert "shadow" not in ask("chips=blocks")[1]["meta"]
    assert "shadow" not in ask("shadow=0&chips=blocks")[1]["meta"]
    status, problem = server.get("/api/flow/summary?shadow=1")
    assert (status, problem["errors"][0]["code"]) == (400, "PHX406")

    async def query() -> Any:
        async with Client(server.target) as client:
            return (await client.query("@blocks", parameters={"shadow": "1"})).meta.shadow

    over = asyncio.run(query())
    assert (over.active_count, over.shadow_count, over.added_count, list(over.added_by_shadow)) == (
        shadow["activeCount"], shadow["shadowCount"], shadow["addedCount"], shadow["addedByShadow"],
    )  # fmt: skip
    assert count > 2_000
