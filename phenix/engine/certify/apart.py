"""A proof in a process of its own: it keeps a processor for seconds, and loads engines that nothing else there needs.

``python -m phenix.engine.certify.apart`` reads what is asked from standard input and writes what came of it to standard
output, both as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from phenix.engine.bundle import Bundle
from phenix.engine.certify.certificate import certify
from phenix.engine.certify.engines import open_engines

__all__ = ["prove"]


def prove(config: str, checksum: str, pairs: int, seed: int) -> dict[str, Any]:
    """The certificate of a stored version; raises ValueError when it cannot be used."""
    bundle = Bundle.from_config(config, checksum)
    with open_engines() as (engines, skipped):
        made = certify(bundle, engines, pairs=pairs, seed=seed, skipped=skipped)
    return {**made.to_dict(), "clean": made.clean}


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process when it ends
    try:
        told = prove(**json.load(sys.stdin))
    except ValueError as error:
        told = {"unusable": str(error)}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    _main()
