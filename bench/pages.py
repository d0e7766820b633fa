"""P1, P7, P9: pages, sums and memory of ``phenix serve`` over one large session.

Imports the day of ``bench/import.py``, starts ``phenix serve`` on it, waits until the session is in memory, and asks
over HTTP: each class of filter in each order, a hundred times, warm; then summaries; then the memory of the process
after all that. The start is measured twice: the first reads the store, the second the blocks that the first left.
``python bench/pages.py [ROWS]`` measures another size than 1,000,000, ``--store FILE`` a store that is there.
``--before`` asks for that day when a thousand prints of the next have come: by SQLite first, then by its blocks.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

CLASSES = {
    "three common": "@calls and @otm and @bid",
    "rare and two common": "@large_size and @calls and @otm",
    "rare and rare": "@whales and @large_size",
    "no match": "symbol = NOSUCH",
    "one symbol and two common": "symbol = AAQ and @calls and @otm",
    "any symbol and rare": "symbol = AFQ and @large_size",
    "numbers and common": "value >= 40k and dte <= 4 and @calls",
    "or and not": "@large_size or (not @calls and size >= 59)",
    "arithmetic": "price >= ask + 10% * (ask - bid) and size > 58",
    "everything": "",
}
ORDERS = (("seq", "desc"), ("sigScore", "desc"), ("sigScore", "asc"))
TIMES = 100


@contextlib.contextmanager
def serving(store: Path, sealed: int = 5) -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection, float]]:
    """A server, a connection to it, and the seconds until the session was answered from memory."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "phenix", "serve", "--store", f"sqlite:{store}", "--port", "0", "--grpc-port", "0"]
    environ = {**os.environ, "PHENIX_SEALED_SESSIONS": str(sealed), "PHENIX_RATE_LIMIT": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("/ and")[0].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while not ask(connection, "/api/flow?limit=1")["meta"]["plan"].startswith("memory"):
            time.sleep(0.1)
        try:
            yield process, connection, time.perf_counter() - began
        finally:
            connection.close()
            process.send_signal(signal.SIGTERM)


def ask(connection: http.client.HTTPConnection, path: str) -> Any:
    """An answer."""
    connection.request("GET", path)
    answer = json.loads(connection.getresponse().read())
    if "meta" not in answer:
        raise RuntimeError(f"{path}: {answer['detail']}")
    return answer


def timed(connection: http.client.HTTPConnection, path: str, times: int = TIMES) -> tuple[float, float, Any]:
    """95th percentile of the milliseconds over HTTP, and of those the engine says, and the last answer."""
    whole, engine, answer = [], [], None
    for _ in range(times):
        began = time.perf_counter()
        answer = ask(connection, path)
        whole.append((time.perf_counter() - began) * 1000)
        engine.append(answer["meta"]["elapsedMs"])
    return sorted(whole)[int(times * 0.95)], sorted(engine)[int(times * 0.95)], answer


def made(rows: int, folder: Path, *, next_day: bool = False) -> Path:
    """A store of the day that ``bench/import.py`` writes, and of some prints of the next."""
    store = folder / "flow.sqlite"
    trades, interest, quotes = importlib.import_module("import").write(folder, rows)
    run = [sys.executable, "-m", "phenix", "import", str(trades), "--open-interest", str(interest)]
    subprocess.run([*run, "--underlying", str(quotes), "--store", f"sqlite:{store}"], check=True, stdout=sys.stderr)
    if next_day:
        with trades.open() as file:
            some = "".join(line for line, _ in zip(file, range(1_001), strict=False))
        trades.write_text(some.replace("2024-11-04", "2024-11-05"))
        subprocess.run([*run[:5], "--store", f"sqlite:{store}"], check=True, stdout=sys.stderr)
    return store


def where_of(name: str) -> str:
    """A class as a parameter; nothing where it is everything."""
    return f"&where={quote(CLASSES[name])}" if CLASSES[name] else ""


def measure_before(store: Path) -> list[dict[str, Any]]:
    """Pages and sums of the session before the latest, by SQLite and by its blocks."""
    shutil.rmtree(store.with_name(f"{store.name}.live"), ignore_errors=True)
    found: dict[str, dict[str, float]] = {}
    opening = {}
    for who in ("SQLite", "blocks", "blocks on disk"):
        with serving(store, 0 if who == "SQLite" else 1) as (_, connection, _):
            first = ask(connection, "/api/flow?limit=1&sessions=2&sortBy=seq&sortOrder=asc")["data"][0]
            day = f"date={first['sessionDate']}"
            began = time.perf_counter()
            while who != "SQLite" and ask(connection, f"/api/flow?limit=1&{day}")["meta"]["plan"] == "store":
                time.sleep(0.05)
            opening[who] = time.perf_counter() - began
            if who == "blocks":
                continue
            asked = {f"{name}, by {field} {order}": f"/api/flow?{day}{where_of(name)}&sortBy={field}&sortOrder={order}"
                     for name in CLASSES for field, order in ORDERS}  # fmt: skip
            sums = {f"summary of {name}": f"/api/flow/summary?{day}&limit=10{where_of(name)}"
                    for name in ("everything", "rare and two common", "three common")}  # fmt: skip
            for what, path in (asked | sums).items():
                try:
                    found.setdefault(what, {})[who] = timed(connection, path, 10)[0]
                except RuntimeError:  # stopped at the deadline of a query
                    if who != "SQLite":
                        raise
    figures = [
        {"id": "P7" if what.startswith("summary") else "P1", "what": f"the session before: {what}, p95 over HTTP",
         "value": round(ms["blocks on disk"], 2), "unit": "ms",
         "detail": {"SQLite": round(ms["SQLite"], 2), "times": round(ms["SQLite"] / ms["blocks on disk"], 1)}
         if "SQLite" in ms else {"SQLite": "stopped at its deadline of 5 s"}}
        for what, ms in found.items()
    ]  # fmt: skip
    return figures + [
        {"id": "P1", "what": f"the session before: opened from {what}", "value": round(opening[who], 2),
         "unit": "s", "detail": {}}
        for who, what in (("blocks", "the store's rows"), ("blocks on disk", "its blocks"))
    ]  # fmt: skip


def measure(store: Path) -> list[dict[str, Any]]:
    """Every figure of a store."""
    figures: list[dict[str, Any]] = []

    def figure(id: str, what: str, value: float, unit: str, **detail: Any) -> None:
        figures.append({"id": id, "what": what, "value": round(value, 2), "unit": unit, "detail": detail})

    shutil.rmtree(store.with_name(f"{store.name}.live"), ignore_errors=True)
    with serving(store) as (_, _, seconds):
        figure("P1", "first answer from memory, blocks to be built", seconds, "s")
    with serving(store) as (process, connection, seconds):
        figure("P1", "first answer from memory, blocks on disk", seconds, "s")
        for name in CLASSES:
            for field, order in ORDERS:
                path = f"/api/flow?sortBy={field}&sortOrder={order}{where_of(name)}"
                http95, engine95, answer = timed(connection, path)
                assert answer["meta"]["plan"].startswith("memory"), answer["meta"]
                detail = {"engineMs": engine95, "rows": len(answer["data"]), "plan": answer["meta"]["plan"]}
                figure("P1", f"{name}, by {field} {order}, p95 over HTTP", http95, "ms", **detail)
        for name in ("everything", "rare and two common", "three common", "arithmetic"):
            path = f"/api/flow/summary?limit=10{where_of(name)}"
            http95, engine95, answer = timed(connection, path, 20)
            detail = {"engineMs": engine95, "rows": answer["data"]["all"]["rows"]}
            figure("P7", f"summary of {name}, p95 over HTTP", http95, "ms", **detail)
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        memory = {
            line.split(":")[0]: int(line.split()[1]) / 1024 for line in status if line.startswith(("VmRSS", "Rss"))
        }
        figure("P9", "memory of serve after all that", memory["VmRSS"], "MiB", **memory)
    return figures


def main() -> None:
    """Measure a store, made first unless it is named."""
    command = argparse.ArgumentParser(description="Pages, sums and memory over one large session.")
    command.add_argument("rows", nargs="?", type=int, default=1_000_000)
    command.add_argument("--store", type=Path, help="a store that is there")
    command.add_argument("--before", action="store_true", help="the session before the latest, by SQLite and by blocks")
    args = command.parse_args()
    with tempfile.TemporaryDirectory(prefix="phenix-bench-") as name:
        store = args.store or made(args.rows, Path(name), next_day=args.before)
        print(json.dumps((measure_before if args.before else measure)(store)))


if __name__ == "__main__":
    main()
