"""The serving process from inside: what it leaves open."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from phenix import app
from phenix.engine.store.base import StoreError
from phenix.server.auth import Access, Limits
from phenix.server.process import listen, serve


def test_a_start_that_fails_leaves_no_port_open(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    service = app.service(f"sqlite:{tmp_path}/none.sqlite")
    with listen("127.0.0.1", 0) as sock:
        with pytest.raises(StoreError, match="there is no store") as failed:
            asyncio.run(serve(service, Access(None, Limits(0, 0)), "127.0.0.1", sock, free, lambda _: None))
        assert sock.fileno() == -1
    listen("127.0.0.1", free).close()
    assert failed  # what it holds of the call was alive all along
