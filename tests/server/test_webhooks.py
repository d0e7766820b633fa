"""What is sent out of the server, and to whom never: addresses, names, redirects, signatures, and words of failure."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from phenix.server.alerts.addresses import Allowed, RefusedError, check, is_public, parse_allowed, resolve
from phenix.server.alerts.sent import Outcome
from phenix.server.alerts.webhook import Webhooks, check_secret, check_url, new_secret, sign
from tests.server import certificate
from tests.server.receiver import Receiver

HERE = parse_allowed("127.0.0.1")
NOT_PUBLIC = "not sent: its address is not public, and PHENIX_ALERT_ALLOW names neither it nor its host"

PUBLIC = ("1.1.1.1", "8.8.8.8", "172.32.0.1", "192.167.1.1", "2606:4700:4700::1111", "2a00:1450:4001:800::200e")
INSIDE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd12::1",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_sent_to(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
def test_no_other_address_is(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(RefusedError):
        check("example.com", [address], Allowed())


def test_one_bad_address_of_a_name_is_enough() -> None:
    assert check("example.com", ["1.1.1.1", "8.8.8.8"], Allowed()) == ["1.1.1.1", "8.8.8.8"]
    with pytest.raises(RefusedError):
        check("example.com", ["1.1.1.1", "10.0.0.1"], Allowed())
    with pytest.raises(RefusedError):
        check("example.com", [], Allowed())


def test_what_a_setting_names_is_allowed() -> None:
    allowed = parse_allowed(" Hooks.internal, 10.1.0.0/16 ,::1")
    assert allowed.hosts == {"hooks.internal"}
    assert check("hooks.internal.", ["192.168.0.1"], allowed) == ["192.168.0.1"]
    assert check("x", ["10.1.2.3", "::1"], allowed) == ["10.1.2.3", "::1"]
    for host, address in (("x", "10.2.0.1"), ("internal", "192.168.0.1"), ("a.hooks.internal", "192.168.0.1")):
        with pytest.raises(RefusedError):
            check(host, [address], allowed)
    for text in ("10.0.0.1/8", "http://x", "a b", "300.1.1.1", "127.1", "0x7f.1", "*"):
        with pytest.raises(ValueError, match="hosts and networks separated by commas"):
            parse_allowed(text)


@pytest.mark.parametrize(
    "url",
    ["https://localhost/", "https://LOCALHOST./", "http://a.localhost:8080/x", "https://127.0.0.1/", "https://[::1]/",
     "https://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest/meta-data"],
)  # fmt: skip
def test_names_and_numbers_of_the_inside_are_refused_when_saved(url: str) -> None:
    assert "nothing can be sent to this host" in check_url(url, Allowed())
    assert check_url("https://hooks.example.com/services/x?y=1", Allowed()) == ""


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        *((host, "the host is neither a name nor an address: write a name such as `hooks.example.com`") for host in (
            "2130706433", "127.1", "0x7f.1", "127.0.0.0x1", "0X7F000001", "127.0.0.1.", "127.0.0.01", "1.2.3.4.5",
            "hooks.256", "%31%32%37.0.0.1", "127%2e1", "a..b", ".a", "a..", "-a.example", "a$b.example",
            f"{'a' * 64}.example",
        )),
        *((host, "nothing listens at port 0: leave the port out") for host in ("1.1.1.1:0", "a.example:00", "[::1]:0")),
    ],
)  # fmt: skip
def test_a_host_that_can_never_be_sent_to_is_not_saved(host: str, problem: str) -> None:
    assert check_url(f"https://{host}/x", Allowed()).startswith(problem)


@pytest.mark.parametrize(
    "host", ["1.1.1.1", "8.8.8.8:8443", "[2606:4700:4700::1111]:80", "A_b-c.Example.", "a", "1password.example", "a.0y"]
)
def test_any_other_host_is(host: str) -> None:
    assert check_url(f"https://{host}/x", Allowed()) == ""


def test_a_signature_is_that_of_standard_webhooks() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
    assert check_secret(secret) == check_secret(new_secret()) == ""
    for wrong in ("", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%"):
        assert check_secret(wrong)


# -- sending


def send(url: str, allowed: Allowed = HERE, timeout_s: float = 30.0) -> Outcome:
    async def once() -> Outcome:
        hooks = Webhooks(allowed, timeout_s)
        try:
            return await hooks.send(url, new_secret(), "evt_1", b"{}", 1)
        finally:
            await hooks.close()

    return asyncio.run(once())


def test_what_answers_mean() -> None:
    with Receiver() as receiver:
        for status, headers, outcome in (
            (204, {}, Outcome()),
            (500, {}, Outcome("the receiver answered 500")),
            (404, {}, Outcome("the receiver answered 404")),
            (410, {}, Outcome("the receiver answered 410: it is gone for good", again=False)),
            (429, {"retry-after": "7"}, Outcome("the receiver answered 429", wait_s=7)),
            (503, {"retry-after": "999999"}, Outcome("the receiver answered 503", wait_s=3600)),
            (302, {"location": f"{receiver.url}/x"},
             Outcome("the receiver answered 302, a redirect: these are not followed", again=False)),
        ):  # fmt: skip
            receiver.status, receiver.headers = status, headers
            assert send(f"{receiver.url}/token") == outcome
        assert {sent.path for sent in receiver.sent} == {"/token"}


def test_nothing_reaches_an_address_of_the_inside() -> None:
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2]
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]"):
            assert send(f"http://{host}:{port}/", Allowed()) == Outcome(NOT_PUBLIC, again=False, answered=False)
        for host in ("localhost", "2130706433", "0x7f.1", "127.1"):
            outcome = send(f"http://{host}:{port}/", Allowed())
            assert outcome.problem
            assert outcome.again  # what a name leads to may be mended
        assert send(f"http://localhost:{port}/", Allowed()) == Outcome(NOT_PUBLIC, answered=False)
        assert receiver.sent == []


def test_a_name_without_an_address_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert send("https://hooks.example.com/") == Outcome("not sent: its name has no address", answered=False)


def test_a_name_is_looked_up_once_and_what_was_judged_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    # A name that is public when it is judged and this machine when it is connected to.
    asked: list[str] = []
    connected: list[Any] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> Any:
        asked.append(host)
        address = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def sock_connect(_: Any, __: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    outcome = send("http://rebind.example:8080/", parse_allowed("192.0.2.0/24"))
    assert outcome == Outcome("the connection failed: Connection refused", answered=False)
    assert asked[0] == "rebind.example"
    assert set(asked[1:]) <= {"192.0.2.1"}
    assert connected == [("192.0.2.1", 8080)]


def test_names_that_hang_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> Any:
        asked.append(host)
        if host.startswith("hangs"):
            over.wait()
        if host.startswith("hangs-and-fails"):
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", port))]

    def ask(host: str) -> asyncio.Task[list[str]]:
        return asyncio.create_task(resolve(host, 443, Allowed()))

    async def look_up() -> None:
        try:
            async with asyncio.timeout(30):
                left, *waiting = [ask("hangs.example") for _ in range(50)]
                fails = [ask("hangs-and-fails.example") for _ in range(2)]
                await asyncio.to_thread(int)  # other work goes on
                assert await ask("other.example") == ["1.1.1.1"]  # and so do other names
                left.cancel()
                others = [ask(f"hangs-{at}.example") for at in range(20)]
                late, *later = [ask("late.example") for _ in range(2)]  # for which no thread is free
                await asyncio.sleep(0.05)
                late.cancel()
                await asyncio.to_thread(int)
                assert asked.count("hangs.example") == asked.count("hangs-and-fails.example") == 1
                over.set()
                assert await asyncio.gather(*waiting, *others, *later) == [["1.1.1.1"]] * 70
                for error in await asyncio.gather(*fails, return_exceptions=True):
                    assert isinstance(error, socket.gaierror)
                assert await ask("hangs.example") == ["1.1.1.1"]  # asked anew: what was found is not kept
                assert asked.count("hangs.example") == 2
        finally:
            over.set()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    asyncio.run(look_up())


def test_a_name_that_hangs_does_not_keep_the_process_from_ending() -> None:
    script = """
import asyncio, socket, threading
from phenix.server.alerts.addresses import Allowed
from phenix.server.alerts.webhook import Webhooks, new_secret
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
async def main():
    print((await Webhooks(Allowed(), 0.2).send("https://a.example/", new_secret(), "evt_1", b"{}", 1)).problem)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "no answer within 0.2 s\n", "")


def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
    context: ssl.SSLContext | None = None,
    timeout_s: float = 30.0,
) -> Outcome:
    """What comes of sending to a server that behaves so."""

    serving: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def once() -> Outcome:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        hooks = Webhooks(HERE, timeout_s)
        try:
            scheme = "https" if context else "http"
            return await hooks.send(f"{scheme}://127.0.0.1:{port}/token", new_secret(), "evt_1", b"{}", 1)
        finally:
            await hooks.close()
            server.close()
            await asyncio.gather(*filter(None, serving))

    return asyncio.run(once())


def test_words_of_failure_hold_nothing_of_the_url(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"what?\r\n\r\n")

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 100_000)
        await reader.read()

    assert serving(silent, timeout_s=0.5) == Outcome("no answer within 0.5 s", answered=False)
    assert serving(rude).problem == "the connection broke"
    assert serving(endless) == Outcome()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}/token").problem.startswith("the connection ")
    context = certificate.serving(*certificate.self_signed(tmp_path, "DNS:localhost"))
    assert serving(rude, context).problem == "its certificate is not trusted: self-signed certificate"


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(
    ("head", "outcome"),
    [
        ("200 OK", Outcome()),
        ("410 Gone", Outcome("the receiver answered 410: it is gone for good", again=False)),
        ("503 Busy\r\nretry-after: 7", Outcome("the receiver answered 503", wait_s=7)),
    ],
)
def test_an_answer_counts_although_its_body_never_comes(head: str, outcome: Outcome, ends: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(f"HTTP/1.1 {head}\r\ncontent-length: 9\r\n\r\nhalf".encode())
        await writer.drain()
        if not ends:
            await reader.read()

    assert serving(answer, timeout_s=30.0 if ends else 1.0) == outcome
