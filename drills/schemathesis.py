"""Let schemathesis ask a server everything its OpenAPI document allows, and what it forbids, with every check on.

A real ``phenix serve`` over a small session is asked twice: open, and with tokens. schemathesis is no dependency of
ours: ``pip install schemathesis`` in an environment of its own, and name its command with ``--command``. Arguments
after ``--`` are its own: ``-- --include-path-regex '^/api/dsl/'`` asks some operations only.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from drills._processes import Phenix
from drills._stores import record_tape
from drills._tapes import generated_tape

__all__ = ["main"]

_CONFIG: Final = Path(__file__).with_suffix(".toml")
_OPERATIONS: Final = re.compile(r"Selected: (\d+)/")
_CASES: Final = re.compile(r"(\d+) generated")
_FAILURES: Final = re.compile(r"found (\d+) unique failures?")


async def _ask(folder: Path, command: list[str], *, secured: bool) -> tuple[int, int, int]:
    """Serve the store and ask it; operations, cases and failures: 1 at least when anything failed."""
    store, environ, header = f"sqlite:{folder / 'flow.sqlite'}", {"PHENIX_RATE_LIMIT": "0"}, []
    if secured:
        tokens = folder / "tokens"
        async with Phenix("token", "drill", "--role", "operator", "--file", str(tokens)) as made:
            await made.done()
        environ["PHENIX_API_TOKENS"] = str(tokens)
        header = ["--header", f"Authorization: Bearer {made.said[-1]}"]
    async with Phenix("serve", "--store", store, "--port", "0", "--grpc-port", "0", environ=environ) as serve:
        port = re.findall(r":(\d+)", await serve.heard("ready at"))[-2]
        asking = await asyncio.create_subprocess_exec(
            *command, *header, f"http://127.0.0.1:{port}/api/openapi.json", cwd=folder,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said = (await asking.communicate())[0].decode("utf-8", "replace")
        failed = await serve.stop() != 0 or asking.returncode != 0 or any("Traceback" in line for line in serve.said)
    print(said)
    operations, cases, failures = (
        int(found[-1]) if (found := pattern.findall(said)) else 0 for pattern in (_OPERATIONS, _CASES, _FAILURES)
    )
    return operations, cases, max(failures, int(failed or not cases))


def main(arguments: list[str]) -> int:
    """Ask; exit 1 when anything failed."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    command = argparse.ArgumentParser(prog="python -m drills schemathesis", description=__doc__)
    command.add_argument("--command", default="schemathesis", help="its command, a name or a path")
    command.add_argument("--examples", type=int, default=3, help="cases that are drawn at random, an operation")
    command.add_argument("--prints", type=int, default=2_000)
    command.add_argument("--seed", type=int, default=1)
    args = command.parse_args(arguments[:split])
    program = shutil.which(args.command)
    if program is None:
        print(f"there is no {args.command}: pip install schemathesis, and name it with --command", file=sys.stderr)
        return 2
    asked = [program, "--config-file", str(_CONFIG), "run", "--checks", "all", "--max-examples", str(args.examples),
             "--seed", str(args.seed), *arguments[split + 1 :]]  # fmt: skip
    failures = 0
    for secured in (False, True):
        with tempfile.TemporaryDirectory(prefix="phenix-schemathesis-") as name:
            folder = Path(name)
            tape = generated_tape(folder, seed=args.seed, symbols=5, prints=args.prints, date=20261120)
            record_tape(folder / "flow.sqlite", tape)
            operations, cases, failed = asyncio.run(_ask(folder, asked, secured=secured))
        failures += failed
        print(f"{'with tokens' if secured else 'open'}: {operations} operations, {cases:,} cases, {failed} failures")
    return 1 if failures else 0
