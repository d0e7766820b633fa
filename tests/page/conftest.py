"""A real store behind a real server, and a real Chromium in front of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from phenix import app
from phenix.engine.feed import Feed
from phenix.engine.flow import INDEX
from phenix.engine.store.base import Batch
from phenix.ingest.reading import Sources, read_parts
from tests.page.tape import Print, session, write_open_interest, write_prints, write_underlying

CHROMIUM = Path("/usr/bin/chromium")
NOON = 1_789_747_200_000
"""Of the session 2026-09-18 in New York."""


class Served:
    """A store with a session in it, and ``phenix serve`` on it at a fixed port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"sqlite:{folder / 'flow.sqlite'}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.files = 0
        # one file of open interest and quotes serves every import of the day
        self.prints = session(700)
        self.rounds = 0
        self.interest = write_open_interest(folder / "open_interest.csv", self.prints)
        self.quotes = write_underlying(folder / "underlying.csv")

    def _phenix(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "phenix", *arguments]

    def store_prints(self, prints: list[Print]) -> None:
        """Import prints into the store, which a server may be reading."""
        self.files += 1
        self.store_file(write_prints(self.folder / f"prints{self.files}.csv", prints))

    def store_file(self, path: Path) -> None:
        """Import a file of prints."""
        command = self._phenix(
            "import", str(path), "--open-interest", str(self.interest), "--underlying", str(self.quotes),
            "--store", self.store,
        )  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=_environment())
        assert done.returncode == 0, done.stderr

    def receive_prints(self, prints: list[Print], ago_ms: int) -> None:
        """Store prints that were received so long ago and nobody has enriched."""
        self.files += 1
        sources = Sources((write_prints(self.folder / f"prints{self.files}.csv", prints),))
        received = time.time_ns() // 1_000_000 - ago_ms
        rows = [list(row) for part in read_parts(sources) for row in part.rows]
        for row in rows:
            row[INDEX["ingested_at_utc"]] = received
        with app.open_writer(self.store) as writer:
            writer.append(Batch(rows=rows))

    def tell_feed(self, *, terminal_connected: bool = True, data_utc: int = 0, quote_utc: int = 0) -> None:
        """What ingest tells of a feed at noon of a session; times from now, by default those of one that stays good."""
        now, hour = time.time_ns() // 1_000_000, 3_600_000
        feed = Feed(now + hour, True, terminal_connected, now + (data_utc or hour), now + (quote_utc or hour),
                    NOON - now, False)  # fmt: skip
        with app.open_writer(self.store) as writer:
            writer.put_feed(feed)

    def later(self, count: int) -> list[Print]:
        """New prints, each time after all before."""
        self.rounds += 1
        return session(count, start=self.rounds * timedelta(minutes=10), seed=1 + self.rounds)

    def start(self, **settings: str) -> None:
        """Start the server, with some settings, and wait until it answers."""
        command = self._phenix("serve", "--store", self.store, "--port", str(self.port), "--grpc-port", "0")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=_environment() | settings)
        assert self.process.stdout is not None
        # one line with the addresses says that it is ready
        assert self.process.stdout.readline(), self.log.read_text()

    def kill(self) -> None:
        """End the server without a word, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask the server to end."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def get(self, path: str) -> dict[str, object]:
        """An answer of the API."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            found: dict[str, object] = orjson.loads(answer.read())
            return found

    def ids(self, query: str) -> list[str]:
        """Ids of every row the API gives for a query, over all its pages."""
        found: list[str] = []
        cursor = ""
        while True:
            page = self.get(f"api/flow?limit=1000&fields=id&{query}{cursor}")
            found += [row["id"] for row in page["data"]]  # type: ignore[attr-defined]
            following = page["page"]["nextCursor"]  # type: ignore[index]
            if not page["page"]["hasMore"]:  # type: ignore[index]
                return found
            cursor = f"&cursor={following}"


def _environment() -> dict[str, str]:
    # settings of the machine the tests run on must not reach the server
    return {name: value for name, value in os.environ.items() if not name.startswith("PHENIX_")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; ended with the module, for while it runs there is an event loop and tests elsewhere start their own."""
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


def _serve(folder: Path) -> Iterator[Served]:
    served = Served(folder)
    served.store_prints(served.prints)
    served.start()
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    """A store nobody adds to."""
    yield from _serve(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    """A store that tests add to, and whose server they restart."""
    yield from _serve(tmp_path_factory.mktemp("growing"))


@pytest.fixture(scope="module")
def taped(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    """A store of the real captures."""
    tapes = os.environ.get("PHENIX_TAPES")
    if not tapes:
        pytest.skip("PHENIX_TAPES is not set: no real captures here")
    served = Served(tmp_path_factory.mktemp("taped"))
    for path in sorted(Path(tapes).glob("*_trade_quote.csv")):
        served.store_file(path)
    served.start()
    try:
        yield served
    finally:
        served.stop()


class Complaints(list[str]):
    """What the page wrote to its console, raised, or was forbidden."""


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A page that must not complain: errors, warnings and policy violations fail the test."""
    page = browser.new_page(viewport={"width": 1440, "height": 700}, reduced_motion="reduce")
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{message.type}: {message.text}") if message.type in ("error", "warning") else None
        ),
    )
    yield page
    page.close()
    # the browser itself reports refused and failed requests; those tests cause on purpose
    assert [text for text in complaints if "Failed to load resource" not in text] == []
