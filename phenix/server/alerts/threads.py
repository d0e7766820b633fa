"""Threads for calls that may hang, apart from those that answer requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

__all__ = ["Threads"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Threads(Executor):
    """Up to ``most`` threads for work that may hang: the process ends all the same.

    The interpreter waits for the threads of a ThreadPoolExecutor before it ends, and asyncio for those of its own.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._started = 0
        self._starting = threading.Lock()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have a function called once; whoever stops waiting for it stops it for nobody else."""
        future: Future[_T] = Future()
        future.set_running_or_notify_cancel()
        self._work.put(partial(_settle, future, partial(fn, *args, **kwargs)))
        with self._starting:
            if self._started < self._most:
                self._started += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            self._work.get()()


def _settle(future: Future[_T], work: Callable[[], _T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
        future.set_exception(error)
    else:
        future.set_result(result)
