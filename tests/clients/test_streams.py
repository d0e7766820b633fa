"""Clients that are not ours follow a stream through kills of the server: curl, httpx-sse, npm, a browser, no stubs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser

from tests.clients.conftest import EXAMPLES, Program
from tests.page.conftest import CHROMIUM
from tests.server.conftest import Server, environment
from tests.server.rows import Store

Serve = Callable[..., Server]
Start = Callable[..., Program]
Follow = Callable[[int], list[int]]
"""Seqs of the next so many rows that a client receives."""
CLIENTS = ("curl", "httpx-sse", "npm eventsource", "browser", "gRPC without stubs")
QUERY = "/api/flow/stream?snapshot=0&watermark=0"


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path | str:
    """A folder with the npm package of the lock and what uses it, or why there is none."""
    if shutil.which("npm") is None:
        return "no npm here"
    folder, here = tmp_path_factory.mktemp("npm"), Path(__file__).parent
    for file in (here / "package.json", here / "package-lock.json", EXAMPLES / "stream.mjs"):
        shutil.copyfile(file, folder / file.name)
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--loglevel=error")
    done = subprocess.run(["npm", "ci", *quiet], cwd=folder, capture_output=True, text=True, env=environment())
    if done.returncode and any(word in done.stderr for word in ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT")):
        return "the npm registry cannot be reached"
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def received(
    tmp_path_factory: pytest.TempPathFactory, program: Start, modules: Path | str, request: pytest.FixtureRequest
) -> Iterator[dict[str, list[int] | str]]:
    """What each client received, or why it is not here: they follow one server, which dies twice without a word."""
    store = Store(tmp_path_factory.mktemp("clients") / "flow.sqlite")
    server = Server(store.url)
    url = server.url(QUERY)
    clients: dict[str, Follow | str] = {
        "httpx-sse": _events(program(sys.executable, str(EXAMPLES / "stream.py"), url)),
        "gRPC without stubs": _seqs(program(sys.executable, str(EXAMPLES / "reflection.py"), server.target, "")),
        "curl": "no curl here" if shutil.which("curl") is None else _events(
            program("sh", str(EXAMPLES / "stream.sh"), url)),
        "npm eventsource": modules if isinstance(modules, str) else _events(
            program("node", "stream.mjs", url, cwd=modules)),
        "browser": _browser(request.getfixturevalue("browser"), server) if CHROMIUM.exists() else "no Chromium here",
    }  # fmt: skip
    got: dict[str, list[int] | str] = {
        name: follow if isinstance(follow, str) else [] for name, follow in clients.items()
    }

    def take(count: int) -> None:
        for name, follow in clients.items():
            if not isinstance(follow, str):
                got[name] += follow(count)  # type: ignore[operator] # its own list

    store.add(40)
    take(40)
    store.add(5)
    take(5)
    server.end(signal.SIGKILL)
    store.add(30)
    server.start()
    take(30)
    store.add(400)
    take(10)
    server.end(signal.SIGKILL)  # while rows are under way to those that read slowly
    store.add(3)
    server.start()
    take(393)
    store.add(2)
    take(2)
    yield got
    server.end()
    store.close()


def _events(program: Program) -> Follow:
    return lambda count: [program.event()["flow"]["seq"] for _ in range(count)]


def _seqs(program: Program) -> Follow:
    return lambda count: [int(program.line().split()[0]) for _ in range(count)]


FOLLOW = """url => {
    window.got = [];
    const source = new EventSource(url);
    source.addEventListener("flow.updated", event => window.got.push(JSON.parse(event.data).flow.seq));
}"""


def _browser(browser: Browser, server: Server) -> Follow:
    page = browser.new_page()
    page.set_default_timeout(110_000)
    page.goto(server.url("/docs"))
    page.evaluate(FOLLOW, server.url(QUERY))
    seen = 0

    def follow(count: int) -> list[int]:
        nonlocal seen
        seen += count
        page.wait_for_function("count => window.got.length >= count", arg=seen)
        found: list[int] = page.evaluate("([from, upto]) => window.got.slice(from, upto)", [seen - count, seen])
        return found

    return follow


@pytest.mark.parametrize("name", CLIENTS)
def test_each_row_once_in_order_through_kills(received: dict[str, list[int] | str], name: str) -> None:
    got = received[name]
    if isinstance(got, str):
        pytest.skip(got)
    assert got == list(range(1, 481))


def test_a_stream_that_is_refused_says_why(store: Store, serve: Serve, program: Start, modules: Path | str) -> None:
    if isinstance(modules, str):
        pytest.skip(modules)
    server = serve(store.url)
    url = server.url("/api/flow/stream?where=nosuch")
    for command, word in (
        ((sys.executable, str(EXAMPLES / "stream.py"), url), "400 Bad Request"),
        (("node", "stream.mjs", url), "400"),
        ((sys.executable, str(EXAMPLES / "reflection.py"), server.target, "nosuch"), "nosuch"),
    ):
        with pytest.raises(AssertionError, match=word):
            program(*command, cwd=modules).line()


def curl(server: Server, query: str) -> Any:
    """A page over curl, asked again while nobody is there."""
    done = subprocess.run(
        ["curl", "--silent", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", server.url(query)],
        capture_output=True, timeout=60, env=environment(),
    )  # fmt: skip
    return orjson.loads(done.stdout)


def test_pages_over_curl(store: Store, serve: Serve) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    rows = [row[0] for row in store.add(60)]
    server = serve(store.url)
    page = curl(server, "/api/flow?limit=40&sortOrder=asc&fields=seq")
    found = page["data"]
    while page["page"]["hasMore"]:
        server.end()
        store.add(10)
        server.start()
        page = curl(server, f"/api/flow?limit=40&sortOrder=asc&fields=seq&cursor={page['page']['nextCursor']}")
        found += page["data"]
    assert [row["seq"] for row in found] == rows
    assert curl(server, "/api/flow?where=nosuch")["code"] == "invalid_query"
