"""The alert rules: of metrics that exist, right by promtool, firing in a real Prometheus while their cause is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from phenix.engine.durations import BOUNDS_MS
from phenix.engine.enrich.clock import utc_of
from phenix.engine.feed import Feed
from phenix.engine.flow import RAW
from phenix.engine.metrics import METRICS, Form
from phenix.engine.store.base import Batch
from phenix.server.errors import ERRORS
from phenix.server.status import REASONS
from tests.prometheus import prometheus
from tests.server.conftest import Server
from tests.server.rows import Store, made

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = (FOLDER / "phenix.rules.yml").read_text()
BOARD = json.loads((FOLDER.parent / "grafana" / "phenix.json").read_text())
WORDS = {"up", "on", "by", "sum", "without", "or", "rate", "increase", "topk", "job", "instance", "le", "status", "and",
         "histogram_quantile", "quantile_over_time"}  # fmt: skip
OF_A_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
needs = pytest.mark.skipif(shutil.which("promtool") is None, reason="prometheus is not installed")


def expressions() -> list[str]:
    """The expression of each rule, folded lines joined."""
    return [" ".join(found.split()) for found in re.findall(r"expr: (?:>-\n)?(.+?)\n        \w", RULES, re.DOTALL)]


def panels() -> list[str]:
    """The expressions of the dashboard."""
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def test_rules_and_panels_read_metrics_that_there_are() -> None:
    found = expressions()
    assert len(found) == RULES.count("- alert:") == RULES.count("todo:")
    assert len({panel["id"] for panel in BOARD["panels"]}) == len({p["title"] for p in BOARD["panels"]}) > 10
    names = set()
    for one in found + panels():
        names |= set(re.findall(r"[a-z_]{2,}", re.sub(r'"[^"]*"', "", one))) - WORDS
    series = {m.name + tail for m in METRICS for tail in (("_bucket",) if m.form is Form.HISTOGRAM else ("",))}
    assert names - series - OF_A_PROCESS - {label for m in METRICS for label in m.labels} == set()
    assert set(re.findall(r'reason="(\w+)"', RULES)) == set(REASONS)


def test_what_a_quantile_is_compared_with_is_a_bound_of_its_histogram() -> None:
    compared = [re.search(r"> ([\d.]+)$", one) for one in expressions() if "histogram_quantile" in one]
    assert compared
    assert {float(found[1]) for found in compared if found} <= set(map(float, BOUNDS_MS))


def test_an_error_that_is_ours_counts_at_both_doors() -> None:
    (expression,) = (one for one in expressions() if "api_requests_total" in one)
    codes = re.search(r'grpc_calls_total\{code=~"([A-Z_|]+)"', expression)
    assert codes
    ours, theirs = (
        {error.grpc for error in ERRORS.values() if (error.status >= 500) is of_us} for of_us in (True, False)
    )
    assert ours <= set(codes[1].split("|"))
    # What REST calls a request that came too slowly, gRPC has no word for but the one of its deadline.
    assert set(codes[1].split("|")) & theirs == {"DEADLINE_EXCEEDED"}


@needs
def test_promtool_finds_them_right() -> None:
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "phenix.rules.test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=FOLDER, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr


@needs
def test_alerts_fire_when_their_cause_is_there_and_end_with_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    store.add(5)
    server = Server(store.url)
    at_once = re.sub(r"for: \w+", "for: 0s", RULES)
    now = time.time_ns() // 1_000_000
    noon = utc_of(20260918, 12 * 3_600_000) - now  # a feed that plays a Friday's noon
    lost = Feed(now, True, False, now - 60_000, now, noon, False)
    try:
        with prometheus(tmp_path, {"phenix-serve": server.port, "phenix-ingest": server.port}, at_once) as ask:

            def firing(expected: set[str], *told: Feed) -> None:
                due, found = time.monotonic() + 60, {"not up"}
                while found != expected or not ask("up == 1"):
                    assert time.monotonic() < due, (expected, found)
                    for feed in told:  # ingest tells each second
                        now = time.time_ns() // 1_000_000
                        by = now - feed.at_utc
                        store.writer.put_feed(
                            replace(feed, at_utc=now, data_utc=feed.data_utc + by, quote_utc=feed.quote_utc + by)
                        )
                    time.sleep(0.2)
                    found = {labels["alertname"] for labels, _ in ask('ALERTS{alertstate="firing"}')}

            firing(set())
            for one in panels():  # each can be asked
                ask(one)
            firing({"PhenixFeedSilent", "PhenixTerminalDisconnected", "PhenixNotReady"}, lost)
            stale = replace(lost, terminal_connected=True, data_utc=lost.quote_utc, quote_utc=lost.data_utc)
            firing({"PhenixQuotesStale"}, stale)
            store.writer.append(Batch(rows=[made(9)[: len(RAW)]]))  # received long ago, and not enriched
            firing({"PhenixQuotesStale", "PhenixEnrichmentBehind", "PhenixNotReady"}, stale)
            server.end()
            firing_at = time.monotonic() + 60
            while not {labels["alertname"] for labels, _ in ask('ALERTS{alertstate="firing"}')} >= {"PhenixDown"}:
                assert time.monotonic() < firing_at
                time.sleep(0.2)
    finally:
        server.end()
        store.close()
