"""Follow a stream with httpx-sse, and go on after the last event whenever the connection is cut.

``python examples/stream.py 'http://127.0.0.1:8600/api/flow/stream?chips=sweeps&snapshot=0' [LAST_EVENT_ID]`` prints
the data of each event, a line of JSON. Needs ``pip install httpx-sse``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import httpx
from httpx_sse import ServerSentEvent, connect_sse


def follow(url: str, last: str = "") -> Iterator[ServerSentEvent]:
    """Every event after one, each once. Raises httpx.HTTPStatusError when the server refuses."""
    token = os.environ.get("PHENIX_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(headers=headers, timeout=httpx.Timeout(10, read=60)) as client:
        while True:
            try:
                with connect_sse(client, "GET", url, headers={"Last-Event-ID": last} if last else {}) as source:
                    source.response.raise_for_status()
                    for event in source.iter_sse():
                        if event.data:  # not the frame that says how soon to come back
                            yield event
                        last = event.id or last
            except httpx.TransportError:
                pass  # cut, or nobody there yet: ask again after the last event
            time.sleep(1)


if __name__ == "__main__":
    for event in follow(*sys.argv[1:]):
        print(event.data, flush=True)
