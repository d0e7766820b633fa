"""``phenix top`` in a real terminal, over a whole running system; and what it says where there is none."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import pytest

from phenix.cli.dashboard import FIGURES, Moment, picture
from phenix.cli.scraped import Told
from phenix.engine.durations import Durations
from phenix.engine.metrics import METRICS, Form
from phenix.server.auth import Role, new_token
from tests.operate.system import PATIENCE_S, System, running
from tests.server.conftest import Server, environment, phenix, run
from tests.server.rows import Store
from tests.server.sse import Sse

SGR = re.compile(r"\x1b\[\d*m")
HTML = "<!DOCTYPE html>\n<html><body>It works!</body></html>\n"
OURS = "# TYPE log_seq gauge\nlog_seq 5.0\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("system"), "--symbols", "5", "--rate", "200") as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "flow.sqlite")
    yield made
    made.close()


class Terminal:
    """A terminal of so many columns and lines, and what runs in it."""

    def __init__(self, columns: int, lines: int, *arguments: str, **settings: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.theirs)
        self.text = ""
        self.process = subprocess.Popen(
            phenix("top", *arguments), stdin=self.theirs, stdout=self.theirs, stderr=self.theirs,
            env={**environment(), "TERM": "xterm", **settings}, start_new_session=True,
        )  # fmt: skip

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, holds: Callable[[list[str]], bool]) -> list[str]:
        """The lines of the picture last drawn, once something holds of them."""
        due = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < due, self.text
            if select.select([self.ours], [], [], 0.1)[0]:
                self.text += os.read(self.ours, 65_536).decode()
            drawn = self.text.split("\x1b[H")[1:]
            whole = [one for one in drawn if one.endswith("\x1b[J") or "\x1b[J" in one]
            if whole and holds(lines := whole[-1].partition("\x1b[J")[0].removesuffix("\x1b[K").split("\x1b[K\r\n")):
                return lines

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    def end(self) -> int:
        """Its exit code, after it has given the terminal back as it was."""
        due = time.monotonic() + PATIENCE_S
        while self.process.poll() is None or select.select([self.ours], [], [], 0)[0]:
            assert time.monotonic() < due, self.text
            if select.select([self.ours], [], [], 0.05)[0]:
                self.text += os.read(self.ours, 65_536).decode()
        assert self.text.startswith("\x1b[?1049h\x1b[?25l")
        assert "\x1b[?25h\x1b[?1049l" in self.text
        assert termios.tcgetattr(self.theirs) == self.before
        return self.process.returncode


def plain(lines: list[str]) -> list[str]:
    return [SGR.sub("", line) for line in lines]


def addresses(system: System) -> tuple[str, ...]:
    return ("--serve", system.serve.url(""), "--ingest", system.ingest_url, "--every", "0.5")


def moving(lines: list[str]) -> bool:
    """Whether prints are stored and chips are on."""
    text = "\n".join(plain(lines))
    stored = re.search(r"prints stored +([\d.,]+)/s", text)
    return bool(stored and float(stored[1].replace(",", "")) > 0 and "calls" in text.partition("Chips")[2])


def test_it_draws_what_goes_on_and_follows_the_size(system: System) -> None:
    with Terminal(60, 80, *addresses(system)) as terminal:
        narrow = terminal.until(moving)
        assert max(map(len, plain(narrow))) <= 60
        assert plain(narrow)[0].split("  ")[1:] == [
            "ready",
            f"rules {system.serve.get('/api/flow')[1]['meta']['ruleVersion']}",
        ]
        assert any("\x1b[1m" in line for line in narrow)
        assert not any("Ingest" in line and "Feed" in line for line in plain(narrow))
        stream = Sse(system.serve.port, "snapshot=0")
        terminal.until(lambda lines: any(re.search(r"streams, SSE +1$", line) for line in plain(lines)))
        stream.cut()
        terminal.resize(130, 80)
        wide = terminal.until(lambda lines: any("Ingest" in line and "Feed" in line for line in plain(lines)))
        assert max(map(len, plain(wide))) <= 130
        terminal.resize(24, 10)
        tiny = terminal.until(lambda lines: len(lines) <= 10)
        assert max(map(len, plain(tiny))) <= 24
        terminal.type("xq")
        assert terminal.end() == 0


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_terminal_is_given_back_however_it_ends_and_has_no_colours_where_none_are_wanted(
    system: System, how: signal.Signals, code: int
) -> None:
    with Terminal(80, 60, *addresses(system), NO_COLOR="1") as terminal:
        lines = terminal.until(lambda lines: len(lines) > 20)
        assert plain(lines) == lines
        terminal.process.send_signal(how)
        assert terminal.end() == code


def once(system: System, holds: Callable[[str], bool], *more: str) -> str:
    """A picture of which something holds: a machine that others use can stand still for as long as one is of."""
    due = time.monotonic() + PATIENCE_S
    while True:
        done = run("top", "--once", *more, *addresses(system))
        assert (done.returncode, done.stderr, "\x1b" in done.stdout) == (0, "", False)
        if holds(done.stdout):
            return done.stdout
        assert time.monotonic() < due, done.stdout


def _numbers(found: dict[str, Any]) -> list[float | None]:
    """Those that are not 0 while prints come."""
    names = (
        "printsPerSecond",
        "eventsPerSecond",
        "watermark",
        "streamsSubscribed",
        "receivedToEnrichedMs95",
        "storeBytes",
    )
    return [*(found[name] for name in names), found["chipsPerSecond"].get("calls")]


def test_one_picture_as_text_and_as_json(system: System) -> None:
    once(system, lambda text: moving(text.splitlines()))
    # They are counted one after the other, so one picture may lie between two of them.
    found = json.loads(once(system, lambda text: all(_numbers(json.loads(text))), "--json"))
    assert set(found) == {one.name for one in FIGURES} | {
        "ready", "notReady", "degraded", "ruleVersion", "connected", "chipsPerSecond", "routesPerSecond", "problems",
    }  # fmt: skip
    assert (found["ready"], found["problems"]) == (True, {})
    assert found["connected"] == {"stream": True, "terminal": True}
    assert found["requestsPerSecond"] == 0  # its own are not counted


def test_pictures_follow_each_other_where_there_is_no_terminal(system: System) -> None:
    with subprocess.Popen(
        phenix("top", "--json", *addresses(system)), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.terminate()
    assert first["printsPerSecond"] is None
    assert second["printsPerSecond"] is not None


def test_who_cannot_be_reached_is_named_with_what_to_do(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nobody = f"http://127.0.0.1:{port}"
    done = run("top", "--once", "--serve", nobody, "--ingest", nobody)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"phenix: serve cannot be reached at {nobody} (Connection refused): start `phenix serve`, or name its address "
        "with --serve\n"
        f"phenix: ingest cannot be reached at {nobody} (Connection refused): is it running? If so, start it with "
        "PHENIX_METRICS_PORT, and name its address with --ingest\n"
    )
    store.add(3)
    server = Server(store.url)
    try:
        done = run("top", "--once", "--every", "0.1", "--serve", server.url(""))
        assert done.returncode == 0
        assert "! ingest is not asked: start it with PHENIX_METRICS_PORT" in done.stdout
        with Terminal(70, 60, "--serve", server.url(""), "--every", "0.2") as terminal:
            terminal.until(lambda lines: "ready" in lines[0])
            server.end()
            terminal.until(lambda lines: any("! serve cannot be reached at" in line for line in lines))
            server.start()
            terminal.until(lambda lines: "ready" in lines[0])
            terminal.type("q")
            assert terminal.end() == 0
    finally:
        server.end()


@contextmanager
def web_server(pages: Mapping[str, str], port: int = 0) -> Iterator[str]:
    """Somebody else's, that answers 200 for each of its pages; gives its address."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(pages.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Pages) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


def is_other(process: str, url: str) -> str:
    return f"{process} at {url} does not answer as `phenix {process}` does: is that its address?"


@pytest.mark.parametrize(
    "pages",
    [
        {"/metrics": HTML, "/ready": HTML},
        {"/metrics": "", "/ready": "{}"},
        {"/metrics": "go_goroutines 8\n", "/ready": '{"checks": {}}'},  # of another program
        {"/metrics": OURS, "/ready": HTML},
        {"/metrics": OURS, "/ready": '{"status": "UP", "checks": []}'},
        {"/metrics": OURS, "/ready": '{"checks": {"store": "UP"}}'},
        {"/metrics": OURS, "/ready": "[]"},
    ],
)
def test_who_answers_otherwise_is_not_asked_on(pages: dict[str, str]) -> None:
    with web_server(pages) as url:
        done = run("top", "--once", "--serve", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"phenix: {is_other('serve', url)}"


def test_the_address_of_another_door_is_told(store: Store) -> None:
    server = Server(store.url)
    try:
        rest, rpc = server.url(""), f"http://{server.target}"
        done = run("top", "--once", "--serve", rpc)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[0] == f"phenix: {is_other('serve', rpc)}"
        done = run("top", "--once", "--every", "0.1", "--json", "--serve", rest, "--ingest", rest)
        assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, {"ingest": is_other("ingest", rest)})
        with Terminal(200, 60, "--serve", rest, "--every", "0.2") as terminal:
            terminal.until(lambda lines: "ready" in lines[0])
            server.end()
            with web_server({"/metrics": HTML}, server.port):
                terminal.until(lambda lines: any(is_other("serve", rest) in line for line in lines))
            server.start()
            terminal.until(lambda lines: "ready" in lines[0])
            terminal.type("q")
            assert terminal.end() == 0
    finally:
        server.end()


@pytest.mark.parametrize(
    "text", ["http://[::1", "http://127.0.0.1:x", "http://127.0.0.1:99999", "http://a b", "127.0.0.1:8600"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    done = run("top", "--serve", text)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"phenix top: error: argument --serve: {text!r} is no address such as http://127.0.0.1:8600"
    )


def test_a_server_with_tokens_is_asked_with_the_setting(store: Store, tmp_path: Path) -> None:
    store.add(3)
    secret, token = new_token("watcher", Role.READER)
    (tmp_path / "tokens").write_text(token.line + "\n")
    server = Server(store.url, environ={"PHENIX_API_TOKENS": str(tmp_path / "tokens")})
    try:
        done = run("top", "--once", "--every", "0.1", "--serve", server.url(""))
        assert done.returncode == 2
        assert "wants a token: make one with `phenix token NAME --role reader`, and set PHENIX_TOKEN" in done.stderr
        done = run("top", "--once", "--every", "0.1", "--serve", server.url(""), environ={"PHENIX_TOKEN": secret})
        assert (done.returncode, "ready" in done.stdout) == (0, True)
    finally:
        server.end()


def test_trouble_is_said_and_bad_figures_are_red() -> None:
    series = {("degraded", (("reason", "no_live_data"),)): 1.0, ("feed_silence_seconds", (("of", "data"),)): 45.0,
              ("rules_active", (("version", "v\x1b[2J"),)): 1.0}  # fmt: skip
    ready = {
        "status": "not_ready",
        "checks": {"terminal": {"ok": False, "reason": "nothing came"}, "log": {"ok": True}},
    }
    ingest = {("feed_connected", (("line", "stream"),)): 0.0}
    moment = Moment(Told(series, ready=ready), Told(ingest))
    lines = picture(moment, 80, at="12:00:00", colour=True)
    assert lines[:4] == [
        "\x1b[1mphenix 12:00:00  NOT READY  rules v?[2J\x1b[0m",
        "\x1b[31m! not ready, terminal: nothing came\x1b[0m",
        "\x1b[31m! degraded: no_live_data\x1b[0m",
        "\x1b[31m! the line is down: stream\x1b[0m",
    ]
    assert "\x1b[31m" + f"{'print or quote, ago':<75} 45 s" + "\x1b[0m" in lines


def test_an_answer_in_the_time_that_is_borne_is_not_bad() -> None:
    def shown(*took_ms: float) -> tuple[float | None, bool]:
        took = Durations()
        for ms in took_ms:
            took.add(ms)
        bounds = zip((*map(str, took.bounds), "+Inf"), accumulate(took.counts), strict=True)
        found = slow.read(Told({("api_flow_latency_ms_bucket", (("le", le),)): float(count) for le, count in bounds}))
        return found, (found or 0) >= slow.bad

    (slow,) = (one for one in FIGURES if one.name == "flowMs95")
    assert shown(5, 320, 340) == (350, False)
    assert shown(5, 320, 351) == (500, True)


def test_what_is_read_is_told_by_who_is_asked() -> None:
    names = {metric.name for metric in METRICS}
    asked = Asking()
    for one in FIGURES:
        one.read(asked)  # type: ignore[arg-type]
    assert asked.names <= names
    assert asked.names >= {"api_requests_total", "print_latency_ms", "feed_silence_seconds"}
    assert {m.name for m in METRICS if m.form is Form.HISTOGRAM} >= asked.histograms


class Asking:
    """Keeps what is asked of what a process tells."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.histograms: set[str] = set()

    def total(self, name: str, **_labels: str) -> float:
        self.names.add(name)
        return 0.0

    count = rate = total

    def rates(self, name: str, _label: str) -> dict[str, float]:
        self.names.add(name)
        return {}

    def quantile(self, _share: float, name: str, **_labels: str) -> float:
        self.names.add(name)
        self.histograms.add(name)
        return 0.0


def test_quantiles_and_rates_are_of_the_time_between() -> None:
    def bucket(bound: str, count: float) -> tuple[tuple[str, tuple[tuple[str, str], ...]], float]:
        return ("t_bucket", (("le", bound),)), count

    before = dict([bucket("1", 100), bucket("5", 100), bucket("+Inf", 100), (("c", ()), 50.0)])
    now = dict([bucket("1", 110), bucket("5", 119), bucket("+Inf", 120), (("c", ()), 60.0)])
    told = Told(now, before, 2.0)
    assert [told.quantile(share, "t") for share in (0.5, 0.95, 1.0)] == [1.0, 5.0, float("inf")]
    assert told.quantile(0.5, "other") is None
    assert (told.rate("c"), told.rate("other")) == (5.0, 0.0)
    assert Told({("c", ()): 4.0}, now, 2.0).rate("c") == 2.0  # it began anew
    assert Told(now).rate("c") is None
