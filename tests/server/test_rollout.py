"""FLOW_FILTERS_V2: chips that are not rolled out are tagged and stored, and not served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from phenix import app
from phenix.engine.flow import INDEX
from phenix.engine.rollout import CORE, Mode, Rollout, State, read_rollout
from phenix.server._pb import catalog_pb2, catalog_pb2_grpc, flow_pb2, flow_pb2_grpc
from tests.server.conftest import Server, run
from tests.server.rows import Store, other_rules


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("on", {"whales": State.ON, "sweeps": State.ON, "floor": State.ON}),
        ("core", {"whales": State.ON, "sweeps": State.SHADOW, "floor": State.SHADOW}),
        ("Core, sweeps", {"whales": State.ON, "sweeps": State.ON, "floor": State.SHADOW}),
        ("shadow", {"whales": State.ON, "sweeps": State.SHADOW, "floor": State.SHADOW}),
        ("off,floor", {"whales": State.ON, "sweeps": State.OFF, "floor": State.ON}),
    ],
)
def test_a_chip_is_as_far_as_the_setting_says(text: str, states: dict[str, State]) -> None:
    rollout = read_rollout(text)
    assert {chip: rollout.state(chip) for chip in states} == states


@pytest.mark.parametrize("text", ["", "yes", "core;sweeps", "core,", "sweeps", "core,a b"])
def test_another_setting_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="off, shadow, core or on"):
        read_rollout(text)
    assert Rollout().mode is Mode.ON


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Server]]:
    """A store whose rows have many chips, and a server that serves the core and Sweeps."""
    store = Store(tmp_path_factory.mktemp("core") / "flow.sqlite")
    store.add(60)
    server = Server(store.url, environ={"FLOW_FILTERS_V2": "core,sweeps"})
    yield store, server
    server.end()
    store.close()


SERVED = {*CORE, "sweeps"}


def test_rows_facets_and_catalog_show_what_is_served(core: tuple[Store, Server]) -> None:
    store, server = core
    body = server.get("/api/flow?limit=60")[1]
    on = {chip for row in body["data"] for chip in row["chips"]}
    shown = on | {chip for row in body["data"] for chip in row["chipsUnknown"]}
    rows = store.writer.reads.rows_after(0, 100)
    stored = {chip for row in rows for chip in store.bundle.ids(row[INDEX["chips_set"]])}
    assert stored - SERVED
    assert on == stored & SERVED
    assert shown <= SERVED
    assert {one["value"] for one in server.get("/api/flow/facets")[1]["data"]["chip"]} <= SERVED
    chips = server.get("/api/flow/filters/catalog")[1]["chips"]
    assert {chip["id"] for chip in chips if chip["rollout"] == "on"} == SERVED
    assert {chip["rollout"] for chip in chips} == {"on", "shadow"}


@pytest.mark.parametrize(
    "query", ["chips=blocks", "notChips=blocks", "where=@blocks", "where=value%20>%201%20and%20not%20@Blocks"]
)
def test_a_filter_by_a_chip_that_is_not_served_says_so(core: tuple[Store, Server], query: str) -> None:
    status, body = core[1].get(f"/api/flow?{query}")
    assert (status, [finding["code"] for finding in body["errors"]]) == (400, ["PHX102"])
    assert body["detail"] == "chip `blocks` is not served: its rollout is `shadow`"
    assert "FLOW_FILTERS_V2=core" in body["errors"][0]["help"]
    assert core[1].get(f"/api/flow?{query.replace('blocks', 'sweeps').replace('Blocks', 'Sweeps')}")[0] == 200


def test_the_same_over_grpc(core: tuple[Store, Server]) -> None:
    async def rows() -> set[str]:
        async with grpc.aio.insecure_channel(core[1].target) as channel:
            answer = await flow_pb2_grpc.FlowServiceStub(channel).Query(flow_pb2.QueryRequest(page_size=60))
            return {chip for row in answer.rows for chip in row.chips}

    assert asyncio.run(rows()) <= SERVED


def test_a_chip_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    store.close()
    done = run("serve", "--store", store.url, "--port", "0", "--grpc-port", "0",
               environ={"FLOW_FILTERS_V2": "core,sweep"})  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2, "phenix: FLOW_FILTERS_V2 names sweep: there is no such chip; write its id, as in `sweeps`\n",
    )  # fmt: skip


def test_the_catalog_says_which_version_is_in_shadow_and_how_it_stands(core: tuple[Store, Server]) -> None:
    store, server = core
    other = other_rules()
    store.keep(other)

    def shadow() -> dict[str, Any] | None:
        found: dict[str, Any] | None = server.get("/api/flow/filters/catalog")[1]["shadow"]
        return found

    def over_grpc() -> catalog_pb2.GetCatalogResponse:
        with grpc.insecure_channel(server.target) as channel:
            return catalog_pb2_grpc.CatalogServiceStub(channel).GetCatalog(catalog_pb2.GetCatalogRequest())

    desk = app.comparisons(store.url)
    assert shadow() is None
    assert not over_grpc().HasField("shadow")
    assert {chip.rollout for chip in over_grpc().chips} == {"on", "shadow"}
    desk.name(other.version)
    named = shadow()
    assert named is not None
    assert named.pop("since")
    needed = (
        "whole sessions are compared and 3 are needed: leave the version in shadow, or compare stored sessions with "
    )
    assert named == {
        "version": other.version, "outcome": "insufficient", "reason": f"0 {needed}`phenix rules compare`", "rows": 0,
        "sessions": 0, "sessionsRequired": 3,
    }  # fmt: skip
    assert [step.done for _, step in desk.compare(other.version, 1)][-1] == 60
    compared = shadow()
    assert compared is not None
    assert (compared["outcome"], compared["rows"], compared["sessions"]) == ("outside", 60, 1)
    assert MessageToDict(over_grpc().shadow) == {**compared, "rows": "60"}
    desk.name(None)
    assert shadow() is None
