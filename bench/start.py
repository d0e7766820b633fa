"""P10: how long a command takes that does nothing much: a new process, its imports, its work on a little, its end.

Each runs ten times; the median stands, since nothing else runs beside, and the processor's time beside it, since
something may. The store holds a hundred prints. Modules are compiled before, as an installation's are, also where the
environment says that Python shall keep none.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from pages import made

TIMES = 10
RULE = 'chip big = value >= 250k\n  doc "A big print."\n'
LEGACY = '{"symbol": "SPY", "100k": true}'


def commands(store: Path, rule: Path, legacy: Path) -> dict[str, list[str]]:
    """What is run, by what it is called."""
    at = ["--store", f"sqlite:{store}"]
    return {
        "version": ["--version"],
        "help": ["--help"],
        "lint, a file": ["lint", str(rule)],
        "lint, the packaged rules": ["lint"],
        "fmt --check, a file": ["fmt", "--check", str(rule)],
        "test, a file": ["test", str(rule)],
        "explain a diagnostic": ["explain", "PHX104"],
        "explain a chip": ["explain", "@whales"],
        "explain an expression": ["explain", "value >= 100k and @sweeps"],
        "convert a legacy filter": ["convert", str(legacy)],
        "query, ten rows": ["query", "--where", "size > 10", "--limit", "10", *at],
        "export, a hundred rows": ["export", *at],
        "replay --verify, a hundred rows": ["replay", "2024-11-04", "--verify", *at],
        "retention --dry-run": ["retention", "--keep-sessions", "1", "--dry-run", *at],
        "backup, a hundred rows": ["backup", "--force", str(store.with_name("b.sqlite")), *at],
    }


def _run(line: list[str], folder: Path, environ: dict[str, str]) -> tuple[float, float]:
    """How long a command took and how much of a processor, both in ms."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(line, check=False, capture_output=True, text=True, cwd=folder, env=environ)
    took, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line[2:])} ended with {done.returncode}: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took * 1000, cpu * 1000


def main() -> None:
    """Measure them all."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="phenix-bench-") as name:
        folder = Path(name)
        rule = folder / "big.phx"
        rule.write_text(RULE)
        legacy = folder / "saved.json"
        legacy.write_text(LEGACY)
        store = made(100, folder)
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
        for what, argv in commands(store, rule, legacy).items():
            line = [sys.executable, "-m", "phenix", *argv]
            runs = [_run(line, folder, environ) for _ in range(TIMES + 1)][1:]  # the first compiles what it imports
            took, cpu = zip(*runs, strict=True)
            figures.append({"id": "P10", "what": f"phenix {what}", "value": round(median(took), 1), "unit": "ms",
                            "detail": {"max_ms": round(max(took), 1), "cpu_ms": round(median(cpu), 1)}})  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
