"""The runbooks: one for each alert, in the same four steps, of commands, units and metrics that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from phenix.cli.main import parser
from phenix.config import SETTINGS, load
from phenix.engine.live.file import blocks_of
from phenix.engine.metrics import METRICS
from phenix.engine.store.base import sqlite_path

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "deploy/prometheus/phenix.rules.yml").read_text()
PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("runbooks.md", "upgrade.md")}
ALERTS = re.findall(r"- alert: (\w+)", RULES)
SECTIONS = dict(re.findall(r"^## (Phenix\w+)\n(.*?)(?=^## |\Z)", PAGES["runbooks.md"], re.MULTILINE | re.DOTALL))
OF_A_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
NO_METRICS = {
    "exchange_to_received",
    "received_to_stored",
    "no_live_data",
    "quote_feed_stale",
    "resume_expired",
    "request_id",
}
"""Labels, reasons and codes, which have the form of a metric's name."""


def commands(text: str) -> list[str]:
    """What is to be typed: code within a line, and the lines of blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def test_each_alert_leads_to_its_section() -> None:
    assert list(SECTIONS) == ALERTS
    assert re.findall(r"runbook_url: (\S+)", RULES) == [f"docs/runbooks.md#{name.lower()}" for name in ALERTS]


@pytest.mark.parametrize("name", ALERTS)
def test_a_section_says_what_it_means_where_it_shows_what_to_do_and_when_it_is_over(name: str) -> None:
    paragraphs = SECTIONS[name].strip().split("\n\n")
    assert re.findall(r"^\*\*(\w+)\.\*\*", SECTIONS[name], re.MULTILINE) == ["Means", "See", "Do", "Over"]
    assert all(re.match(r"\*\*\w+\.\*\* \w|\*\*\w+\.\*\* `", paragraph) for paragraph in paragraphs)
    assert [
        target for target in re.findall(r"\(#(\w+)\)", SECTIONS[name]) if target not in map(str.lower, ALERTS)
    ] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_phenix_are_understood(page: str) -> None:
    typed = commands(PAGES[page] + (RULES if page == "runbooks.md" else ""))
    found = [re.match(r"(?:.*/bin/)?phenix ([^|;>]+?)(?: [|;>#].*)?$", line) for line in typed]
    ours = [shlex.split(match[1]) for match in found if match and " " in match[1]]  # a name alone is spoken of
    assert len(ours) >= 3
    for argv in ours:
        parser().parse_args(argv)  # exits where it is not understood


@pytest.mark.parametrize("page", PAGES)
def test_units_settings_and_metrics_of_a_page_exist(page: str) -> None:
    units = {path.stem for path in (ROOT / "deploy/systemd").glob("*.*") if path.suffix in (".service", ".timer")}
    metrics = {m.name for m in METRICS} | OF_A_PROCESS
    for line in commands(PAGES[page]):
        if re.match(r"(sudo )?(systemctl|journalctl)", line):
            assert set(re.findall(r"phenix-\w+", line)) - units == set(), line
        found = re.match(r"^(?:rate\()?([a-z]+(?:_[a-z]+)+)(?:\[\w+\]\))?$", line)
        assert not found or found[1] in metrics | NO_METRICS, line
    settings = {setting.name for setting in SETTINGS}
    assert set(re.findall(r"`((?:PHENIX|THETADATA|INGEST)_[A-Z_]+)", PAGES[page])) - settings == set()


def test_a_full_disk_is_first_given_room_without_the_store() -> None:
    """Retention needs some room itself."""
    done = SECTIONS["PhenixDown"]
    blocks = blocks_of(sqlite_path(load({"PHENIX_CONFIG": str(ROOT / "deploy/phenix.toml")}).store))
    folder = re.search(r"StateDirectory=(\S+)", (ROOT / "deploy/systemd/phenix-backup.service").read_text())
    assert folder
    freed = [f"`/var/lib/{folder[1]}`", "`systemctl stop phenix-serve`", f"`rm -r {blocks}`"]
    places = [done.find(part) for part in (*freed, "`phenix retention --keep-sessions 30`", "--compact`")]
    assert -1 not in places
    assert places == sorted(places)


def test_an_upgrade_stops_nothing_before_the_new_environment_is_there() -> None:
    upgrade = PAGES["upgrade.md"].partition("## Upgrade\n")[2].partition("\n## ")[0]
    typed = [" ".join(line.split()[:3]) for line in commands(upgrade)]
    assert typed[:3] == ["sudo python3.11 -m", "sudo systemctl stop", "phenix backup --force"]
