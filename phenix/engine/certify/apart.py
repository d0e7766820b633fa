"""A proof in a process of its own: it keeps a processor for seconds, and loads engines that nothing else there needs.

``python -m phenix.engine.certify.apart`` reads a line of what is asked from standard input and writes what came of it
to standard output, both as JSON. It ends when its input does: who asked is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

from phenix.engine.bundle import Bundle
from phenix.engine.certify.certificate import certify
from phenix.engine.certify.engines import open_engines

__all__ = ["prove"]


def prove(config: str, checksum: str, pairs: int, seed: int) -> dict[str, Any]:
    """The certificate of a stored version, or why it is ``unusable``."""
    try:
        bundle = Bundle.from_config(config, checksum)
    except ValueError as error:
        return {"unusable": str(error)}
    with open_engines() as (engines, skipped):
        made = certify(bundle, engines, pairs=pairs, seed=seed, skipped=skipped)
    return {**made.to_dict(), "clean": made.clean}


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)  # the engines may be in the middle of anything


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process when it ends
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    json.dump(prove(**asked), sys.stdout)


if __name__ == "__main__":
    _main()
