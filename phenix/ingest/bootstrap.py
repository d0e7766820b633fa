"""Bringing up the vendor's terminal: credentials, its program, its process, its health, each failure by its name.

The terminal keeps running when the command ends. What it prints goes to a file beside its jar, which only its owner
can read; the account's email and password are taken out of whatever is quoted from there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from phenix.engine.preflight import CONFIG, DOWNLOAD_FAILED, HEALTH_TIMEOUT, PORT_IN_USE
from phenix.ingest.preflight import Check, Report, check_credentials, healthy, read_credentials
from phenix.ingest.terminal.client import Terminal

__all__ = ["JAR_BYTES", "Plan", "bootstrap"]

JAR_BYTES: Final = 1024
"""A smaller file is no jar: an error page, or a download that broke off."""
_LOOK_EVERY_S: Final = 0.25
_GRACE_S: Final = 5.0
_QUOTED_LINES: Final = 5
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, and how to see that it is up; ``addresses`` are where it will listen, the REST side first."""

    credentials: Path
    jar: Path
    jar_url: str | None
    java: str
    addresses: tuple[str, ...]
    health_path: str
    connect_timeout_s: float
    read_timeout_s: float
    timeout_s: float

    @property
    def command(self) -> list[str]:
        """The terminal's command line."""
        return [self.java, "-jar", str(self.jar), "--creds-file", str(self.credentials)]


async def bootstrap(plan: Plan, terminal: Terminal, *, dry_run: bool = False) -> Report:
    """Have a connected terminal; one that is up already is left alone. With ``dry_run`` nothing is fetched or started.

    Raises nothing a user can cause: the report says what failed. A terminal that does not come up is ended again.
    """
    report = Report()
    if not report.add(check_credentials(plan.credentials)):
        return report
    if not await healthy(terminal, plan.health_path):
        report.add(Check("terminal", True, "the terminal is up and connected already: nothing was started"))
        return report
    if not report.add(_check_config(plan)) or not report.add(await asyncio.to_thread(_check_ports, plan)):
        return report
    if not report.add(await asyncio.to_thread(_have_jar, plan, dry_run)):
        return report
    if dry_run:
        report.add(Check("start", True, f"would run {' '.join(plan.command)}"))
    else:
        await _start(plan, terminal, report)
    return report


def _check_config(plan: Plan) -> Check:
    host = urlsplit(plan.addresses[0]).hostname
    if host not in _LOCAL:
        detail = f"THETADATA_BASE_URL names {host}, and a terminal can be started on this machine only: start it there"
        return Check("settings", False, detail, CONFIG)
    if shutil.which(plan.java) is None:
        detail = f"THETADATA_JAVA_BIN names {plan.java}, which is no program here: install Java 21 or name it"
        return Check("settings", False, detail, CONFIG)
    if plan.jar.is_dir():
        return Check("settings", False, f"THETADATA_JAR_PATH names {plan.jar}, which is a directory", CONFIG)
    return Check("settings", True, f"{plan.java} runs {plan.jar}")


def _check_ports(plan: Plan) -> Check:
    for address in plan.addresses:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme in ("https", "wss") else 80)
        try:
            socket.create_connection((parts.hostname or "", port), plan.connect_timeout_s).close()
        except OSError:
            continue
        detail = f"port {port} of {parts.hostname} is open, and no connected terminal answers there: end what holds it"
        return Check("ports", False, detail, PORT_IN_USE)
    return Check("ports", True, f"the ports of {' and '.join(plan.addresses)} are free")


def _have_jar(plan: Plan, dry_run: bool) -> Check:
    size = plan.jar.stat().st_size if plan.jar.exists() else None
    if size is not None and size >= JAR_BYTES:
        return Check("jar", True, f"{plan.jar} has {size:,} bytes")
    lacks = f"{plan.jar} is not there" if size is None else f"{plan.jar} has {size} bytes and is no jar"
    if plan.jar_url is None:
        detail = f"{lacks}: put the terminal's jar there, or name where to fetch it in THETADATA_JAR_URL"
        return Check("jar", False, detail, DOWNLOAD_FAILED)
    if dry_run:
        return Check("jar", True, f"{lacks}: would fetch {plan.jar_url}")
    return _download(plan, plan.jar_url)


def _download(plan: Plan, url: str) -> Check:
    part = plan.jar.with_name(plan.jar.name + ".partial")
    try:
        plan.jar.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=plan.read_timeout_s) as answer, part.open("wb") as file:  # noqa: S310 - http or https: the settings see to it
            shutil.copyfileobj(answer, file)
            promised = int(answer.headers.get("content-length") or file.tell())
            size = file.tell()
        if size < max(JAR_BYTES, promised):
            why = f"{size} of {promised} bytes came" if size < promised else f"{size} bytes are no jar"
            return Check("jar", False, f"{url}: {why}; nothing was kept", DOWNLOAD_FAILED)
        part.replace(plan.jar)
    except (OSError, HTTPException, ValueError) as error:  # URLError and HTTPError are OSErrors
        return Check("jar", False, f"{url} cannot be fetched to {plan.jar}: {error}", DOWNLOAD_FAILED)
    finally:
        part.unlink(missing_ok=True)
    return Check("jar", True, f"fetched {size:,} bytes from {url}")


async def _start(plan: Plan, terminal: Terminal, report: Report) -> None:
    printed = plan.jar.with_name(plan.jar.name + ".log")
    try:
        log = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            # Its own session, so that neither this command's end nor a Ctrl-C here ends it.
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - it outlives the loop, which would end a child of its own
                plan.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        finally:
            os.close(log)
    except OSError as error:
        report.add(Check("start", False, f"{plan.java} cannot be started: {error.strerror}", CONFIG))
        return
    begun = time.monotonic()
    try:
        while word := await healthy(terminal, plan.health_path):
            took = time.monotonic() - begun
            if process.poll() is not None:
                detail = f"the terminal ended with status {process.returncode} after {took:.1f} s"
            elif took + _LOOK_EVERY_S > plan.timeout_s:
                detail = f"the terminal was not connected after {plan.timeout_s:g} s and was ended: {word}"
            else:
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            await asyncio.to_thread(_end, process)
            said = _last_words(printed, plan.credentials)
            report.add(Check("terminal", False, f"{detail}{said}", HEALTH_TIMEOUT))
            return
    except BaseException:  # stopped while waiting: what was started for nothing must not stay
        _end(process)
        raise
    report.pid = process.pid
    detail = f"the terminal is connected after {time.monotonic() - begun:.1f} s (process {process.pid})"
    report.add(Check("terminal", True, detail))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a terminal and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE_S)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
        break
    process.wait()


def _last_words(printed: Path, credentials: Path) -> str:
    text = printed.read_text("utf-8", "replace")
    found = read_credentials(credentials)
    for secret in sorted(found, key=len, reverse=True) if not isinstance(found, str) else ():
        text = text.replace(secret, "***")
    printed.write_text(text, "utf-8")
    return _quoted([line.strip() for line in text.splitlines() if line.strip()])


def _quoted(lines: Sequence[str]) -> str:
    return f"; it printed: {' / '.join(lines[-_QUOTED_LINES:])[:1000]}" if lines else "; it printed nothing"
