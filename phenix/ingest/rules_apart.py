"""Rule versions compiled in a process of their own, so that prints do not wait for the interpreter meanwhile.

``python -m phenix.ingest.rules_apart`` reads what is asked, pickled, from standard input, writes what came of it to
standard output, and ends when its input does: who asked is gone.
"""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Self

from phenix.engine.children import child
from phenix.engine.store.versions import Activation, RuleVersion
from phenix.ingest.rules import Prepared, compile_rules

__all__ = ["RulesApart"]

log = logging.getLogger("phenix.ingest")


class RulesApart:
    """Compiles as :func:`~phenix.ingest.rules.compile_rules` does. The process begins with the first that is asked for.

    Where it cannot be had, rules are compiled here: slower for the prints beside, and the same.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._using = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __call__(self, asked: Activation, version: RuleVersion | None) -> Prepared | str:
        """The version compiled, or a sentence why it cannot be."""
        with self._using:
            for _ in range(2):  # one that was there may have died since
                try:
                    return self._ask(asked, version)
                except (OSError, EOFError, pickle.UnpicklingError) as error:
                    self._end()
                    said = str(error) or type(error).__name__
                    if self._closed:
                        return "ingest ends"
        log.warning("%s is compiled beside the prints: the process for that ends (%s)", asked.version_id, said)
        return compile_rules(asked, version)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed = True
        if self._process is not None:
            self._process.kill()  # who waits for it gives up, and the lock
        with self._using:
            self._end()

    def _ask(self, asked: Activation, version: RuleVersion | None) -> Prepared | str:
        if self._closed:
            raise EOFError
        if self._process is None:
            command, environ = child("phenix.ingest.rules_apart")
            self._process = subprocess.Popen(  # noqa: S603
                command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which ends the other by its input
            )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump((asked, version), self._process.stdin)
        self._process.stdin.flush()
        told: Prepared | str = pickle.load(self._process.stdout)  # noqa: S301 - our own child's words
        return told

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with suppress(OSError):  # what it did not read
                    pipe.close()
            self._process = None


def _main() -> None:
    with suppress(EOFError, BrokenPipeError):
        while True:
            asked, version = pickle.load(sys.stdin.buffer)  # noqa: S301 - the words of who began this process
            pickle.dump(compile_rules(asked, version), sys.stdout.buffer)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
