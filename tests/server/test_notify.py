"""Messages on their way to people: through Apprise, over TLS, to services that are down, hang, or lead elsewhere."""

from __future__ import annotations

import asyncio
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from phenix.server.alerts.notify import check_service, notify
from phenix.server.alerts.sent import Outcome
from tests.server.certificate import self_signed, serving
from tests.server.conftest import Server
from tests.server.receiver import Receiver, until
from tests.server.rows import Store
from tests.server.test_alerts import alert, events

URL = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"


def test_a_match_reaches_a_service_that_apprise_knows(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    certificate, key = self_signed(tmp_path, "DNS:discord.com")
    store, log = Store(tmp_path / "flow.sqlite"), tmp_path / "log.txt"
    with Receiver(status=500, tls=serving(certificate, key)) as discord:
        server = Server(store.url, log=log, environ={
            "HTTPS_PROXY": discord.url, "REQUESTS_CA_BUNDLE": str(certificate), "PHENIX_ALERT_RETRY_BASE_MS": "10",
        })  # fmt: skip
        try:
            wake = alert(server, "size = 7", targets=[{"type": "apprise", "url": URL}])
            store.add(1, size=7, symbol="SPY")
            discord.until(1)
            discord.status = 204
            ((delivery,),) = [event["deliveries"] for event in events(server, wake)]
        finally:
            server.end()
            store.close()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", len(discord.sent))
    assert len(discord.sent) > 1
    assert set(discord.hosts) == {"discord.com:443"}
    (path,) = {sent.path for sent in discord.sent}
    assert path == URL.replace("discord://", "/api/webhooks/")
    assert discord.sent[-1].json["content"].startswith("Wake\r\nSPY 2026-09-20 666 PUT: 7 at 5.2 = ")
    assert "JHMHI8qBe7bk2ZwO5U711o3dV_js" not in log.read_text()


# -- what is sent, and where to


@pytest.fixture
def discord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """The service, and a proxy that would lead to any other."""
    pytest.importorskip("apprise")
    certificate, key = self_signed(tmp_path, "DNS:discord.com", "DNS:elsewhere.example")
    with Receiver(status=204, tls=serving(certificate, key)) as receiver:
        through(receiver.url, monkeypatch)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield receiver


def through(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)


def send(url: str) -> Outcome:
    return asyncio.run(notify(url, "Wake", "a text", 30.0))


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that Apprise imports


def test_redirects_are_not_followed(discord: Receiver) -> None:
    assert send(URL) == Outcome()
    discord.status, discord.headers = 307, {"location": "https://elsewhere.example/x"}
    assert send(URL) == Outcome("the service did not take it")
    assert discord.hosts == ["discord.com:443"] * 2
    assert len(discord.sent) == 2


@pytest.mark.parametrize("another", [",{}", ";{}", ",%20{}", "?thread=1,{}", "%2C{}", "%0A{}", "?thread=1%2C{}"])
def test_a_url_leads_to_one_service(discord: Receiver, another: str) -> None:
    with Receiver() as inside:
        outcome = send(URL + another.format(inside.url.replace("http://", "json://") + "/internal"))
        assert inside.sent == []
    assert set(discord.hosts) <= {"discord.com:443"}
    assert ("," in another or ";" in another) == outcome.problem.startswith("not sent: a URL of one service has no `,`")


@pytest.mark.parametrize(
    "options",
    [
        "?thread=1;template={}", "?thread=1&amp;template={}", "?thread=1&amp%3Btemplate={}", "#?template={}",
        "/#?template={}", "%23?template={}", "?TEMPLATE={}", "?%74emplate={}", "?%2574emplate={}", "??template={}",
        "?%20template={}", "?template%20={}", "?&template={}", "\\?template={}", "?thread=1%3Btemplate={}",
        "?thread=1%253Btemplate={}", "?thread=1%26template={}", "?thread=1?template={}",
        "?thread=1%26amp%3Btemplate={}",
    ],
)  # fmt: skip
def test_no_file_is_sent(discord: Receiver, tmp_path: Path, options: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"content": "what is in the file"}')
    outcome = send(URL + options.format(secret))
    assert not outcome.problem or not outcome.again
    for sent in discord.sent:  # as the value of an option it is a name like any other
        assert "what is in the file" not in sent.body.decode()
        assert "a text" in sent.body.decode()


# -- services that hang


class Dawdling(socketserver.ThreadingTCPServer):
    """Answers a byte at a time for as long as it is let, so that no time limit of a read ends it; then hangs up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Dawdle)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.came = 0
        self.over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


class _Dawdle(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Dawdling)
        self.server.came += 1
        self.request.sendall(b"HTTP/1.1 200 OK\r\nx: ")
        try:
            while not self.server.over.wait(0.2):
                self.request.sendall(b"x")
        except OSError:
            pass


def test_services_that_hang_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("apprise")
    with Dawdling() as dawdling:
        through(dawdling.url, monkeypatch)

        async def many() -> list[Outcome]:
            try:
                sending = [asyncio.create_task(notify(URL, "", "a text", 3.0)) for _ in range(40)]
                await asyncio.sleep(0)
                until(lambda: dawdling.came >= 6)
                await asyncio.wait_for(asyncio.to_thread(int), 2.0)
                until(lambda: dawdling.came == 24)
                return await asyncio.wait_for(asyncio.gather(*sending), 30)
            finally:
                dawdling.over.set()

        assert check_service(URL) == ""
        assert asyncio.run(many()) == [Outcome("no answer within 3 s", answered=False)] * 40
        # Threads are free again, and what waited for one too long is not begun.
        assert send(URL) == Outcome("the service did not take it")
        assert dawdling.came == 25


def test_a_service_that_hangs_does_not_keep_the_process_from_ending() -> None:
    pytest.importorskip("apprise")
    script = """
import asyncio, sys
from phenix.server.alerts.notify import check_service, notify
assert check_service(sys.argv[1]) == ""
print(asyncio.run(notify(sys.argv[1], "", "a text", 2.0)).problem)
"""
    with Dawdling() as dawdling:
        environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, URL], env={**environ, "HTTPS_PROXY": dawdling.url},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "no answer within 2 s\n", "")
        assert dawdling.came == 1
