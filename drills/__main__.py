"""``python -m drills NAME …``: run one drill; each says what it does with ``--help``.

A drill is a module of this folder with ``main(arguments) -> int``, whose answer is the exit status.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Run the drill named first with the arguments after it."""
    names = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith("_"))
    command = argparse.ArgumentParser(prog="python -m drills", description="Try to break Phenix, and say what held.")
    command.add_argument("drill", choices=names, help="which to run")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments, --help among them")
    given = command.parse_args()
    return int(import_module(f"drills.{given.drill}").main(given.arguments))


if __name__ == "__main__":
    sys.exit(main())
