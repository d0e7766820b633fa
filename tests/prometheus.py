"""A real Prometheus that scrapes what a test runs."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Ask = Callable[[str], list[tuple[dict[str, str], str]]]


@contextmanager
def prometheus(folder: Path, targets: dict[str, int], rules: str = "") -> Iterator[Ask]:
    """One that scrapes ports of this machine each second, job by job; gives a function that asks it.

    ``rules`` is the text of a file of rules. The answer of a query is labels and value of each series; none while it
    is not up. Raises HTTPError for what is no query.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    scraped = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]} for job, target in targets.items()
    ]
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "scrape_configs": scraped,
    }  # fmt: skip
    if rules:
        (folder / "rules.yml").write_text(rules)
        config["rule_files"] = ["rules.yml"]
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    process = subprocess.Popen(
        ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ask(query: str) -> list[tuple[dict[str, str], str]]:
        url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 400:
                    raise
            return []
        except OSError:
            return []
        return [(one["metric"], one["value"][1]) for one in found]

    try:
        yield ask
    finally:
        process.kill()
        process.wait()
