"""Stored sessions compared afterwards, the report over them, and the commands."""

from __future__ import annotations

import json
import resource
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from phenix.cli.main import main
from phenix.engine.retention import choose_sessions
from phenix.engine.shadow import sessions as compared_afterwards
from phenix.engine.shadow.counts import Counts
from phenix.engine.shadow.follower import Follower
from phenix.engine.shadow.report import artifacts_of
from phenix.engine.shadow.sessions import compare_session
from phenix.engine.store.base import Batch
from phenix.engine.store.shadow import STORED, comparisons
from phenix.engine.store.sqlite import open_reader, open_writer
from phenix.engine.store.sqlite_reader import SqliteReader
from phenix.engine.store.sqlite_retention import held_sessions, remove_sessions
from tests.enrich.prints import CALENDAR
from tests.enrich.test_batches import morning
from tests.operate.stores import day, days, phenix
from tests.shadow.test_follower import (
    EDITS,
    Enricher,
    Recorder,
    Tagging,
    bundles_of,
    by_date,
    candidate_of,
    desk,
    exact,
    expected,
    new_store,
    packaged,
    version,
)


@pytest.mark.parametrize("edit", EDITS)
def test_a_stored_session_is_compared_as_a_live_one(tmp_path: Path, edit: str) -> None:
    active, other, raws = packaged(), candidate_of(edit), morning(900, 12)
    between = candidate_of("what makes a fill AA")  # which tagged some of the rows
    store = new_store(tmp_path, active, other)
    with open_writer(store) as writer:
        enricher = Enricher(CALENDAR, Tagging(active), writer.reads.session_raw, lambda: 0)
        taking = Recorder(writer, enricher)
        taking.record(Batch(rows=raws[:400]))
        enricher.activate(Tagging(between))
        taking.record(Batch(rows=raws[400:500]))
        enricher.activate(Tagging(active))
        taking.record(Batch(rows=raws[500:]))
    bundles = bundles_of(active, other, between)
    with open_reader(store) as reader:
        for date, rows in by_date(raws).items():
            *_, last = compare_session(reader, date, active, other, bundles, CALENDAR, lambda: 9)
            found = last.found
            assert found is not None and (last.done, last.expected) == (len(rows), len(rows))
            assert (found.rows, found.missed, found.origin, found.upto_seq) == (len(rows), 0, STORED, rows[-1][0])
            assert exact(Counts.from_json(found.counts)) == exact(expected(active, other, rows))
            # Where the version that tagged rows is gone they are enriched anew, to the same end.
            *_, last = compare_session(reader, date, active, other, lambda _version: None, CALENDAR, lambda: 9)
            assert last.found is not None
            assert exact(Counts.from_json(last.found.counts)) == exact(Counts.from_json(found.counts))


class Page(HTMLParser):
    """A page's elements, texts and plots; what is not closed as it was opened is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.style = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif data.strip():
            self.texts.append(data.strip())


def ran(*argv: object, code: int = 0, **environ: str) -> Any:
    done = phenix("rules", *argv, "--json", **environ)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.timeout(300)  # some twenty commands, each a process
def test_from_a_candidate_to_its_report(tmp_path: Path) -> None:
    store = days(tmp_path, "2024-11-04", "2024-11-05", "2024-11-06", prints=600, cancels=5)
    where = ("--store", f"sqlite:{store}")
    other = ran("set", "block_size_min=400", *where)["version"]
    assert ran("shadow", *where) == {"shadow": None}
    assert ran("report", other, *where, code=1)["verdict"]["outcome"] == "insufficient"
    refused = phenix("rules", "report", *where)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "no version is in shadow: name one" in refused.stderr
    assert ran("shadow", other[:6], *where) == {"shadow": other, "afterSeq": 1200, "countedSeq": 1200}

    wide = {"PHENIX_SHADOW_HITS_PCT": "100000", "PHENIX_SHADOW_ROWS_PCT": "50"}
    two = ran("compare", other, "--sessions", "2", *where, code=1, **wide)
    assert [one["sessionDate"] for one in two["sessions"]] == ["2024-11-05", "2024-11-06"]
    assert [Path(file).name for file in two["files"]] == [
        f"2024-11-0{day}-{other}.{kind}" for day in (5, 6) for kind in ("json", "html")
    ]
    told = ran("compare", other, *where, code=0, **wide)
    assert told["verdict"] == {
        "outcome": "within", "reason": "3 sessions are within the bands", "sessionsRequired": 3,
    }  # fmt: skip
    for session in told["sessions"]:
        assert (session["rows"], session["whole"], session["computedAfterwards"]) == (600, True, True)
        chip = next(chip for chip in session["chips"] if chip["id"] == "blocks")
        assert chip["added"] == chip["new"] - chip["old"] == len(chip["addedIds"]) > 0
        assert session["symbols"] == [{"symbol": "XYZ", "rows": 600, "changedRows": session["changedRows"]}]
        assert sum(one["rows"] for one in session["times"]) == 600

    # One session's artifact is what the report has of it; on the page stand the same numbers.
    (one,) = json.loads((artifacts_of(store) / f"2024-11-05-{other}.json").read_text())["sessions"]
    assert one == next(session for session in told["sessions"] if session["sessionDate"] == "2024-11-05")
    file = tmp_path / "report.html"
    narrow = {"PHENIX_SHADOW_HITS_PCT": "0", "PHENIX_SHADOW_ROWS_PCT": "0"}
    outside = ran("report", "--html", file, *where, code=1, **narrow)
    assert outside["verdict"]["outcome"] == "outside"
    for page in (file, artifacts_of(store) / f"2024-11-05-{other}.html"):
        shown(page, outside if page == file else {"sessions": [one]})
    assert "outside" in Page(file.read_text("utf-8")).texts

    line = phenix("rules", "report", *where, **wide)
    assert line.returncode == 0
    assert f"{other} beside" in line.stdout and "within" in line.stdout and "@blocks" in line.stdout
    # A session that comes while the version is in shadow is counted live, and its artifact is there at its end.
    files = day(tmp_path / "more", "2024-11-07", 300)
    more = phenix("import", *files.trades, "--open-interest", *files.open_interest, "--underlying", *files.underlying,
                  *where)  # fmt: skip
    assert more.returncode == 0, more.stderr
    (live,) = json.loads((artifacts_of(store) / f"2024-11-07-{other}.json").read_text())["sessions"]
    assert (live["rows"], live["missedRows"], live["computedAfterwards"]) == (300, 0, False)
    assert ran("report", *where, code=0, **wide)["sessions"][-1] == live
    # The same verdict keeps a version from being activated, or lets it through.
    kept = phenix("rules", "activate", other, *where, **narrow)
    assert kept.returncode == 2
    assert "3 of 4 sessions are outside the bands; the latest, 2024-11-06: @blocks" in kept.stderr
    assert ran("activate", other, *where, **wide)["version"] == other
    assert ran("shadow", "off", *where) == {"shadow": None}
    assert ran("shadow", *where) == {"shadow": None}


def shown(file: Path, told: dict[str, Any]) -> None:
    """The page parses, its plots are sound, nothing is fetched or run, and the numbers stand on it."""
    text = file.read_text("utf-8")
    page = Page(text)
    elements = [tag for tag, _ in page.attributes]
    assert elements.count("svg") >= 3 * len(told["sessions"])
    assert not {"script", "link", "img", "iframe"} & set(elements)
    assert not {"style", "src", "href", "onload"} & {name for _, attributes in page.attributes for name in attributes}
    policy = next(one["content"] for tag, one in page.attributes if one.get("http-equiv") == "Content-Security-Policy")
    digest = b64encode(sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"
    for part in text.split("<svg")[1:]:
        ET.fromstring(f"<svg{part.partition('</svg>')[0]}</svg>")
    for session in told["sessions"]:
        assert session["sessionDate"] in page.texts
        for chip in session["chips"]:
            assert f"@{chip['id']}" in page.texts
            if chip["added"] or chip["removed"]:
                assert f"{chip['old']:,} → {chip['new']:,}" in page.texts
                assert {f"+{chip['added']:,}", f"-{chip['removed']:,}"} <= set(page.texts)
                assert set(chip["addedIds"]) | set(chip["removedIds"]) <= set(page.texts)


def test_a_comparison_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    active, other, raws = packaged(), candidate_of("thresholds"), morning(300, 13)
    store = new_store(tmp_path, active, other)
    with open_writer(store) as writer:
        Recorder(
            writer, Enricher(CALENDAR, Tagging(active), writer.reads.session_raw, lambda: 0),
            beside=Follower(writer, bundles_of(active, other), CALENDAR, lambda: 7),
        ).record(Batch(rows=raws))  # fmt: skip
    where = ("--store", f"sqlite:{store}")
    first = ran("compare", other.version, "--sessions", "1", *where, code=1)
    with open_reader(store) as reader:
        (kept,) = comparisons(reader)
    both = ran("compare", other.version, *where, code=1)
    assert both["sessions"][-1]["updatedAt"] == first["sessions"][0]["updatedAt"]
    with open_reader(store) as reader:
        assert kept in comparisons(reader)
        assert len(comparisons(reader)) == len(by_date(raws))
    assert version(other).version_id == other.version


def two_days(folder: Path, prints: int = 300) -> Path:
    """A store with two sessions, and a version to compare."""
    store = days(folder, "2024-11-04", "2024-11-05", prints=prints, cancels=5)
    with open_writer(store) as writer:
        writer.put_rule_version(version(candidate_of("thresholds")))
    return store


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (0, "it has no row that can be compared"),
        (1, "it was removed meanwhile, 100 of 300 rows were compared"),
        (3, "it was removed meanwhile, 300 of 300 rows were compared"),
    ],
)
def test_a_session_that_is_removed_meanwhile_is_not_kept_as_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], page: int, why: str
) -> None:
    store, other = two_days(tmp_path), candidate_of("thresholds").version
    session_stored, session_count, pages = SqliteReader.session_stored, SqliteReader.session_count, [0]

    def remove() -> None:
        remove_sessions(store, choose_sessions(held_sessions(store), keep=1), lambda _: None)

    def counted(reader: SqliteReader, *args: Any) -> int:
        if page == pages[0] == 0:
            remove()
        return session_count(reader, *args)

    def read(reader: SqliteReader, *args: Any) -> list[tuple[Any, ...]]:
        found = session_stored(reader, *args)
        pages[0] += 1
        if page == pages[0]:
            remove()
        return found

    monkeypatch.setattr(compared_afterwards, "_PAGE", 100)
    monkeypatch.setattr(SqliteReader, "session_count", counted)
    monkeypatch.setattr(SqliteReader, "session_stored", read)
    assert main(["rules", "compare", other, "--store", f"sqlite:{store}", "--json"]) == 1
    told = capsys.readouterr()
    assert told.err == f"phenix: 2024-11-04 is not compared: {why}\n"
    assert [one["sessionDate"] for one in json.loads(told.out)["sessions"]] == ["2024-11-05"]
    with open_reader(store) as reader:
        assert [(one.session_date, one.rows) for one in comparisons(reader)] == [(20241105, 300)]
    assert {file.name[:10] for file in artifacts_of(store).iterdir()} == {"2024-11-05"}


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process and its children may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_part_of_an_artifact(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = two_days(tmp_path), candidate_of("thresholds").version
    where, folder = ("--store", f"sqlite:{store}"), artifacts_of(store)
    files = ran("compare", other, *where, code=1)["files"]
    before = {file: Path(file).read_bytes() for file in files}
    with open_reader(store) as reader:  # which holds the store's own files, so that none of them has to grow
        kept = comparisons(reader)
        for measures in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):  # files of its own would not fit either
            monkeypatch.delenv(measures, raising=False)
        with full_disk(5_000):
            done = phenix("rules", "compare", other, *where, PYTHONDONTWRITEBYTECODE="1")
            desk(store).keep(kept)
    assert done.returncode == 2
    assert done.stderr == f"phenix: {folder}: File too large: the comparison is stored, its files are not\n"
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.endswith(f"File too large: '{folder}'")
    assert {str(file): file.read_bytes() for file in folder.iterdir()} == before
