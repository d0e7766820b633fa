"""What nobody should send: strings, queries, bodies and bytes, made at random from the server's own description."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, quote_from_bytes

__all__ = ["STRINGS", "Hostile", "Requests"]

STRINGS: Final[tuple[str, ...]] = (
    "", " ", "0", "-1", "1e309", "NaN", "-Infinity", "9" * 400, "-" + "9" * 30, "0x10", "1_000", "\u0663", "\xbd",
    "1,2,,3", ",,,,", "' OR 1=1 --", '"; DROP TABLE option_trades; --', "1); ATTACH 'x' AS y; --",
    "%' UNION SELECT config_json --", "\\", "`", "@whales", "@nobody", "not not not value > 1", "value > 1e999",
    "symbol in {" + "SPY," * 500 + "SPY}", "(" * 300, "((value > 1) and " * 40, "value > 1 -- comment",
    "let x = value in x > x", "${jndi:ldap://x}", "{{7*7}}", "<script>x</script>", "../../etc/passwd", "..%2f..%2f",
    "file:///etc/passwd", "\0", "a\0b", "\r\nX-Injected: 1", "\n\n", "\t", "\x7f\x1b[31m", "\u202e\u200b\ufeff",
    "e\u0301" * 50, "\U0001f4a9" * 20, "\u0130\u0131\u017fK", "\ud800", "\uffff", "Z" * 5_000, "[" * 2_000, "{}",
    '{"$gt":""}', "null", "true", "undefined", "2026-13-45", "0000-00-00", "9999-12-31", "2026-02-30T25:61:61",
    "1970-01-01T00:00:00Z", "99999999999-9999999999999999", "00000000000-0000000000000000", "preset_" + "a" * 12,
    "seq", "sigScore", "asc", "exact", "*", "%", "_%",
)  # fmt: skip
"""Texts that break readers."""
_METHODS: Final = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "BREW",
    "G" * 300,
)
_HEADERS: Final = (
    "last-event-id", "if-match", "if-none-match", "cookie", "authorization", "accept-encoding", "content-type", "range",
    "origin", "sec-fetch-site", "x-forwarded-for", "x-forwarded-host", "upgrade", "expect", "content-encoding", "te",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hostile:
    """A request as bytes. ``silent``: it is not whole, so no answer may come; ``stream``: its answer may never end."""

    kind: str
    data: bytes
    silent: bool = False
    stream: bool = False


class Requests:
    """Requests for the operations of an OpenAPI document."""

    def __init__(self, rng: random.Random, document: dict[str, Any]) -> None:
        self._rng = rng
        self._operations = [
            (path, method.upper(), one)
            for path, methods in document["paths"].items()
            for method, one in methods.items()
        ]
        self._names = sorted(document["components"]["parameters"])
        often = (
            (self._query, 8),
            (self._path, 3),
            (self._body, 6),
            (self._method, 2),
            (self._header, 3),
            (self._raw, 3),
        )
        self._makers = [make for make, times in often for _ in range(times)]

    def one(self) -> Hostile:
        """The next."""
        return self._rng.choice(self._makers)()

    def text(self) -> str:
        """A text, now and then two of them or a shuffled one."""
        rng = self._rng
        found = rng.choice(STRINGS)
        match rng.randrange(8):
            case 0:
                return found + rng.choice(STRINGS)
            case 1:
                ends = (32, 128, 0xD7FF)
                return "".join(chr(rng.randrange(rng.choice(ends))) for _ in found[:60])
            case 2:
                return str(rng.choice((-1, 1)) * rng.randrange(10 ** rng.randrange(1, 40)))
        return found

    def value(self, depth: int = 0) -> Any:
        """A JSON value."""
        rng = self._rng
        match rng.randrange(9 if depth < 4 else 6):
            case 0:
                return rng.choice((None, True, False, 0, -1, 2**64, 1e308, float("nan"), float("inf")))
            case 6:
                return [self.value(depth + 1) for _ in range(rng.randrange(5))]
            case 7 | 8:
                return {self._key(): self.value(depth + 1) for _ in range(rng.randrange(5))}
        return self.text()

    def _key(self) -> str:
        rng = self._rng
        known = ("name", "payload", "query", "dsl", "version", "combinator", "clauses", "where", "field", "op", "value")
        return rng.choice((rng.choice(known), rng.choice(self._names), self.text()))

    def _quoted(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        match self._rng.randrange(6):
            case 0:  # not encoded twice, not decoded: raw percent signs, plus signs and bytes
                return "".join(chr(byte) if 33 <= byte < 127 and byte not in b"#" else f"%{byte:02x}" for byte in data)
            case 1:
                return quote_from_bytes(data) + self._rng.choice(("%", "%f", "%zz", "%ff", "%00", "&", "=", ";", "+"))
        return quote_from_bytes(data, safe="")

    def _parameters(self) -> str:
        rng = self._rng
        names = rng.choices(self._names, k=rng.choice((0, 1, 1, 2, 3, 8)))
        if names and rng.random() < 0.1:
            names.append(self.text())
        if names and rng.random() < 0.15:
            names.append(names[0])
        if rng.random() < 0.01:
            names *= 2_000
        return "&".join(f"{quote(n.encode('utf-8', 'replace'), safe='')}={self._quoted(self.text())}" for n in names)

    def _made(
        self, kind: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes | None = None
    ) -> Hostile:
        lines = [f"{method} {target} HTTP/1.1", "host: 127.0.0.1", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        return Hostile(kind, head + (body or b""), stream="/flow/stream" in target)

    def _operation(self, *methods: str) -> tuple[str, str]:
        path, method, _ = self._rng.choice([one for one in self._operations if not methods or one[1] in methods])
        return method, path.replace("{id}", "00000000000-0000000000000000")

    def _query(self) -> Hostile:
        method, path = self._operation("GET")
        return self._made("query", method, f"{path}?{self._parameters()}", [])

    def _path(self) -> Hostile:
        method, path, _ = self._rng.choice(self._operations)
        target = (
            path.replace("{id}", self._quoted(self.text())) if "{" in path else path + "/" + self._quoted(self.text())
        )
        return self._made(
            "path", method, target.replace(" ", "%20"), [], None if method in ("GET", "DELETE") else b"{}"
        )

    def _body(self) -> Hostile:
        rng = self._rng
        method, path = self._operation("POST", "PUT")
        match rng.randrange(12):
            case 0:
                body = rng.randbytes(rng.randrange(400))
            case 1:
                body = b'{"payload":' + rng.choice((b"[", b'{"a":')) * rng.choice((50, 1_000, 100_000))
            case 2:
                body = b'{"name":"a","name":"b","payload":{"symbol":"SPY","symbol":"QQQ"}}'
            case 3:
                body = self.text().encode("utf-8", "surrogatepass")
            case 4:
                body = b'{"payload":{"minValue":' + b"9" * rng.choice((10, 5_000)) + b"}}"
            case 5 if rng.random() < 0.1:
                body = b'{"name":"' + b"x" * rng.choice((1_000_000, 1_500_000, 12_000_000)) + b'"}'
            case _:
                value = (
                    self.value() if rng.random() < 0.3 else {self._key(): self.value() for _ in range(rng.randrange(6))}
                )
                body = json.dumps(value, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")
                if rng.random() < 0.2 and body:
                    spot = rng.randrange(len(body))
                    body = body[:spot] + rng.randbytes(rng.randrange(3)) + body[spot + 1 :]
        types = (
            "application/json",
            "application/json",
            "application/json",
            "text/plain",
            "multipart/form-data",
            "\x00",
            "a/b; charset=utf-7",
        )
        query = f"?{self._parameters()}" if rng.random() < 0.2 else ""
        return self._made("body", method, path + query, [("content-type", rng.choice(types))], body)

    def _method(self) -> Hostile:
        method = self._rng.choice(_METHODS)
        return self._made("method", method, self._operation()[1], [], b"{}" if self._rng.random() < 0.5 else None)

    def _header(self) -> Hostile:
        rng = self._rng
        method, path = self._operation("GET")
        headers = [
            (rng.choice(_HEADERS), self.text().replace("\n", " ").replace("\r", " "))
            for _ in range(rng.choice((1, 2, 5)))
        ]
        if rng.random() < 0.1:
            headers = [("x-flood", "y")] * rng.choice((100, 5_000, 40_000))
        if rng.random() < 0.1:
            headers = [("cookie", "a=b; " * rng.choice((100, 20_000, 200_000)))]
        return self._made("header", method, path, headers)

    def _raw(self) -> Hostile:
        rng = self._rng
        host, path = b"host: 127.0.0.1\r\n", self._operation("POST")[1].encode()
        post = b"POST " + path + b" HTTP/1.1\r\n" + host
        get, end = b"GET / HTTP/1.1\r\n" + host, b"connection: close\r\n\r\n"
        chunked = post + b"transfer-encoding: chunked\r\n"
        whole = (
            b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            get + b" folded: x\r\n\r\n", get + host + b"\r\n", get + b"a\0b: c\r\n\r\n",
            b"GET http://127.0.0.1/api/flow HTTP/1.1\r\n" + host + b"\r\n",
            b"GET /api/flow\xff HTTP/1.1\r\n" + host + b"\r\n", b"GET //api//flow HTTP/1.1\r\n" + host + end,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET / HTTP/1.1\r\nhost: evil.example\r\n" + end,
            post + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", post + b"content-length: -1\r\n\r\n{}",
            post + b"content-length: 2\r\ntransfer-encoding: chunked\r\n" + end + b"0\r\n\r\n",
            post + b"transfer-encoding: gzip\r\n\r\n{}", post + b"content-length: 99999999999999999999\r\n\r\n",
            chunked + b"\r\nzz\r\n{}\r\n0\r\n\r\n", chunked + b"\r\n2\r\n{}garbage\r\n",
            b"GET /" + b"a" * 400_000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        )  # fmt: skip
        cut = self._query().data
        match rng.randrange(4):
            case 0:
                return Hostile("bytes", rng.randbytes(rng.randrange(1, 600)), silent=True)
            case 1:
                return Hostile("cut", cut[: rng.randrange(1, len(cut))], silent=True)
        return Hostile("raw", rng.choice(whole), silent=True, stream=True)
