"""Stands for Java: a program that is given the terminal's command line and serves its health, or fails to.

What it does is in ``TERMINAL_DOES``: ``serve``, ``exit`` (after printing what it was given to log in with), or a word
to answer instead of ``CONNECTED``. Its port is ``TERMINAL_PORT``; it leaves its process id in ``TERMINAL_PID``.
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

does = os.environ["TERMINAL_DOES"]


class Health(BaseHTTPRequestHandler):
    """Answers every path with the terminal's word."""

    def do_GET(self) -> None:
        body = (b"CONNECTED", does.encode())[does != "serve"]
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    dash_jar, jar, dash_creds, credentials = sys.argv[1:]
    assert (dash_jar, dash_creds) == ("-jar", "--creds-file")
    assert Path(jar).is_file()
    Path(os.environ["TERMINAL_PID"]).write_text(str(os.getpid()))
    if does == "exit":
        sys.stdout.write(f"logging in {' '.join(Path(credentials).read_text().split())}\n")
        sys.exit(3)
    HTTPServer(("127.0.0.1", int(os.environ["TERMINAL_PORT"])), Health).serve_forever()
