"""A process that fills a store: each line it reads on standard input is one commit, then it answers its newest seq.

``python -m tests.server.writer PATH SEED`` — a line is ``add N``, ``cancel SEQ`` or ``end``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.server.rows import Store


def main() -> None:
    store = Store(Path(sys.argv[1]), int(sys.argv[2]))
    rows = {}
    _say("open")
    for line in sys.stdin:
        match line.split():
            case ["add", count]:
                stored = store.add(int(count))
                rows |= {row[0]: row for row in stored}
            case ["cancel", seq]:
                stored = [store.cancel(rows.pop(int(seq)))]
            case _:
                break
        _say(stored[-1][0])
    store.close()


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
