"""Bringing up a terminal: a real program stands for Java, real sockets for what is in its way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from phenix.engine.preflight import failed_last

PROGRAM = Path(__file__).with_name("terminal_program.py")
EMAIL, PASSWORD = "trader@example.com", "correct horse battery"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """A folder with credentials, a jar and a program that stands for Java; settings that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        java = folder / "java"
        java.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROGRAM}" "$@"\n')
        java.chmod(0o755)
        (folder / "creds.txt").write_text(f"{EMAIL}\n{PASSWORD}\n")
        (folder / "terminal.jar").write_bytes(b"PK" * 1024)
        self.environ = {
            **os.environ,
            "THETADATA_BASE_URL": f"http://127.0.0.1:{self.port}",
            "THETADATA_STREAM_URL": f"ws://127.0.0.1:{free_port()}/v1/events",
            "THETADATA_CREDS_FILE": str(folder / "creds.txt"),
            "THETADATA_JAR_PATH": str(folder / "terminal.jar"),
            "THETADATA_JAVA_BIN": str(java),
            "THETADATA_READ_TIMEOUT_MS": "500",
            "THETADATA_RETRY_MAX": "0",
            "PHENIX_STORE": f"sqlite:{folder / 'flow.sqlite'}",
            "TERMINAL_DOES": "serve",
            "TERMINAL_PORT": str(self.port),
            "TERMINAL_PID": str(folder / "pid"),
        }

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "phenix", "bootstrap"]

    def bootstrap(self, *options: str, **environ: str) -> tuple[int, dict[str, Any]]:
        """Exit status and report; neither the email nor the password may be anywhere."""
        done = subprocess.run(
            [*self.command, *options], env={**self.environ, **environ}, capture_output=True, text=True, timeout=100
        )
        written = [path.read_text("latin-1") for path in self.folder.iterdir() if path.name != "creds.txt"]
        for text in (done.stdout, done.stderr, *written):
            assert EMAIL not in text
            assert PASSWORD not in text
        report = json.loads(done.stdout)
        failed = [check for check in report["checks"] if not check["ok"]]
        told = [json.loads(line) for line in done.stderr.splitlines()]
        assert [(line["message"], line["code"]) for line in told] == [
            (f"{check['name']}: {check['detail']}", check["code"]) for check in failed
        ]
        unread = {"PHENIX_STOR", "THETADATA_RETRY_MAX"} & environ.keys()  # settings nobody can use name no store
        if "--dry-run" not in options and not unread:
            names = {code for code, is_so in failed_last(self.folder / "flow.sqlite").items() if is_so}
            assert names == {check["code"] for check in failed}
        return done.returncode, report

    @property
    def started(self) -> bool:
        """Whether a terminal was started."""
        return (self.folder / "pid").exists()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    if machine.started:
        with suppress(ProcessLookupError):  # it ended, as most tests want it to
            os.killpg(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@contextmanager
def web(body: bytes, *, status: int = 200, promised: int | None = None, port: int = 0) -> Iterator[str]:
    """A web server with one answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(promised or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ThetaTerminalv3.jar"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_terminal_is_started_and_stays(machine: Machine) -> None:
    report_file = machine.folder / "report.json"
    code, report = machine.bootstrap("--report", str(report_file))
    assert (code, report["ok"], report["code"]) == (0, True, "")
    assert [check["name"] for check in report["checks"]] == ["credentials", "settings", "ports", "jar", "terminal"]
    assert report["pid"] == int((machine.folder / "pid").read_text())
    assert json.loads(report_file.read_text()) == report
    assert (machine.folder / "terminal.jar.log").stat().st_mode & 0o777 == 0o600
    with urllib.request.urlopen(f"http://127.0.0.1:{machine.port}/v3/terminal/mdds/status") as answer:
        assert answer.read() == b"CONNECTED"
    (machine.folder / "terminal.jar").unlink()  # what is up already needs none
    code, again = machine.bootstrap()
    assert (code, "pid" in again) == (0, False)
    assert again["checks"][-1]["detail"] == "the terminal is up and connected already: nothing was started"


@pytest.mark.parametrize("content", [None, "", "trader\npassword\n", f"{EMAIL}\n", f"{EMAIL}\n \n", b"\xff\xfe\x00"])
def test_credentials_come_first(machine: Machine, content: str | bytes | None) -> None:
    path = machine.folder / "creds.txt"
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with web(b"CONNECTED", port=machine.port):  # even where the terminal is up
        code, report = machine.bootstrap(THETADATA_JAVA_BIN="no-such-java")
    assert (code, report["code"], len(report["checks"])) == (10, "MON86_ERR_MISSING_CREDS", 1)
    assert report["checks"][0]["detail"].startswith(str(path))


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"THETADATA_JAVA_BIN": "no-such-java"}, "THETADATA_JAVA_BIN names no-such-java, which is no program here"),
        ({"THETADATA_BASE_URL": "http://terminal.invalid:25503"}, "THETADATA_BASE_URL names terminal.invalid"),
        ({"THETADATA_JAR_PATH": "/"}, "THETADATA_JAR_PATH names /, which is a directory"),
        ({"THETADATA_RETRY_MAX": "many"}, "THETADATA_RETRY_MAX is 'many'; expected a whole number"),
        ({"PHENIX_STOR": "x"}, "PHENIX_STOR is not a setting; did you mean PHENIX_STORE?"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(machine: Machine, environ: dict[str, str], said: str) -> None:
    code, report = machine.bootstrap(**environ)
    assert (code, report["code"], machine.started) == (11, "MON86_ERR_CONFIG", False)
    assert report["checks"][-1]["detail"].startswith(said)


def test_a_port_that_is_taken_is_named(machine: Machine) -> None:
    with web(b"UNVERIFIED", port=machine.port):
        code, report = machine.bootstrap()
    assert (code, report["code"], machine.started) == (12, "MON86_ERR_PORT_IN_USE", False)
    assert f"port {machine.port} of 127.0.0.1 is open" in report["checks"][-1]["detail"]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        code, report = machine.bootstrap(THETADATA_STREAM_URL=f"ws://127.0.0.1:{port}/v1/events")
    assert (code, machine.started) == (12, False)
    assert f"port {port} of 127.0.0.1 is open" in report["checks"][-1]["detail"]


def test_a_jar_that_cannot_be_had_is_named(machine: Machine) -> None:
    jar = machine.folder / "terminal.jar"
    jar.write_bytes(b"PK" * 511)
    code, report = machine.bootstrap()
    assert (code, report["code"], machine.started) == (13, "MON86_ERR_DOWNLOAD_FAILED", False)
    assert f"{jar} has 1022 bytes and is no jar" in report["checks"][-1]["detail"]
    jar.unlink()
    for server, said in (
        (web(b"PK" * 500), "1000 bytes are no jar"),
        (web(b"PK" * 2000, promised=9000), "4000 of 9000 bytes came"),
        (web(b"gone" * 1000, status=404), "HTTP Error 404: Not Found"),
    ):
        with server as url:
            code, report = machine.bootstrap(THETADATA_JAR_URL=url)
        assert (code, report["code"], machine.started) == (13, "MON86_ERR_DOWNLOAD_FAILED", False)
        assert said in report["checks"][-1]["detail"]
        assert not list(machine.folder.glob("terminal.jar*"))


def test_a_jar_that_is_not_there_is_fetched_and_run(machine: Machine) -> None:
    jar = machine.folder / "terminal.jar"
    jar.unlink()
    with web(b"PK" * 3000) as url:
        code, report = machine.bootstrap("--dry-run", THETADATA_JAR_URL=url)
        assert (code, jar.exists(), machine.started) == (0, False, False)
        assert report["checks"][-2]["detail"] == f"{jar} is not there: would fetch {url}"
        assert report["checks"][-1]["detail"].startswith(
            f"would run {machine.folder / 'java'} -jar {jar} --creds-file "
        )
        code, report = machine.bootstrap(THETADATA_JAR_URL=url)
    assert (code, jar.stat().st_size, machine.started) == (0, 6000, True)


def test_a_terminal_that_ends_is_named_with_its_last_words(machine: Machine) -> None:
    code, report = machine.bootstrap(TERMINAL_DOES="exit")
    assert (code, report["code"]) == (14, "MON86_ERR_HEALTH_TIMEOUT")
    detail = report["checks"][-1]["detail"]
    assert detail.startswith("the terminal ended with status 3 after ")
    assert detail.endswith("; it printed: logging in *** ***") or "logging in ***" in detail


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_terminal_that_never_connects_is_ended(machine: Machine) -> None:
    code, report = machine.bootstrap("--timeout", "5", TERMINAL_DOES="UNVERIFIED")
    assert (code, report["code"], "pid" in report) == (14, "MON86_ERR_HEALTH_TIMEOUT", False)
    assert "was not connected after 5 s and was ended: it answers 'UNVERIFIED'" in report["checks"][-1]["detail"]
    assert _gone(int((machine.folder / "pid").read_text()))


def test_an_interrupt_ends_what_was_started(machine: Machine) -> None:
    environ = {**machine.environ, "TERMINAL_DOES": "DISCONNECTED"}
    with subprocess.Popen(machine.command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while not (machine.folder / "pid").exists() or not (machine.folder / "pid").read_text():
            assert child.poll() is None  # watched, not waited for: the started program is the event
        child.send_signal(signal.SIGINT)
        out, err = child.communicate()
    assert (child.returncode, out, err) == (130, b"", b"")
    assert _gone(int((machine.folder / "pid").read_text()))


def test_the_waiting_time_is_a_time(machine: Machine) -> None:
    done = subprocess.run([*machine.command, "--timeout", "0"], env=machine.environ, capture_output=True, text=True)
    assert done.returncode == 2
    assert "'0' is not a number of seconds above 0 and up to 3600" in done.stderr
