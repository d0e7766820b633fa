"""Commands in an environment that knows nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("PHENIX_", "PYTHON", "COV", "VIRTUAL_ENV"))}


def run(*command: str | Path, cwd: Path, exits: int = 0, errors: bool = False) -> str:
    """What a command prints; its other output with ``errors``, and of one that shall be refused."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=CLEAN, capture_output=True, text=True, timeout=240)
    assert done.returncode == exits, f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stderr if exits or errors else done.stdout
