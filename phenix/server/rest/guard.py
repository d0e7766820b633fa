"""The door of the REST side: who asks, whether it may, how much of it, and under which name it was reached."""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from phenix.engine.logs import note
from phenix.engine.query.request import Refusal
from phenix.server.auth import Access, Role, Tokens, is_this_machine, role_of_request
from phenix.server.rest.answers import refused

__all__ = ["Guard"]

_COOKIE: Final = "phenix_token"
_LOGIN: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Phenix</title>
<h1>Phenix</h1><p>{said}</p>
<form method="post" action="/login"><label>Token <input type="password" name="token" autocomplete="current-password"
 required autofocus></label> <button>Enter</button></form></html>
"""
_FORM_BYTES: Final = 4_096
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:]*)(:\d+)?")


class Guard:
    """Passes on what may pass. Without tokens everything may that was reached under a name of this machine alone.

    A page of somebody else cannot read answers, but one whose name is pointed here could; it cannot choose the Host.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._tokens = access.tokens
        self._limits = access.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if self._tokens is not None and request.url.path == "/login":
            await (await self._login(request, self._tokens))(scope, receive, send)
            return
        who = self._who(request)
        if isinstance(who, Response):
            await who(scope, receive, send)
            return
        note(client=who)
        streams = request.url.path.endswith("/flow/stream")
        refusal = self._limits.ask(who) or (self._limits.enter(who) if streams else None)
        if refusal is not None:
            await refused(refusal)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            if streams:
                self._limits.leave(who)

    def _who(self, request: Request) -> str | Response:
        """The name under which a client is counted, or the answer it gets instead."""
        host = request.client.host if request.client else ""
        if self._tokens is None:
            named = _HOST.fullmatch(request.headers.get("host", ""))
            if named is None or not is_this_machine(named[1]):
                return refused(Refusal("forbidden", "This is for this machine alone: ask for it as 127.0.0.1."))
            return host
        role = role_of_request(request.method, request.url.path)
        if role is None:
            return host
        found = self._tokens.check(_secret(request), role)
        if not isinstance(found, Refusal):
            return found.name
        if request.url.path == "/" and request.method == "GET":
            return RedirectResponse("/login", 303)
        return refused(found, {"www-authenticate": "Bearer"} if found.code == "unauthorized" else None)

    async def _login(self, request: Request, tokens: Tokens) -> Response:
        """The form a browser signs in with: the token becomes a cookie that no script and no other site can use."""
        if request.method in ("GET", "HEAD"):
            return HTMLResponse(_LOGIN.format(said="This page needs a token."))
        if request.method != "POST":
            return refused(Refusal("method_not_allowed", "Use GET or POST here."), {"allow": "GET, HEAD, POST"})
        client = request.client.host if request.client else ""
        if (refusal := self._limits.ask(client)) is not None:
            return refused(refusal)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM_BYTES:
                return refused(Refusal("too_complex", "A token is shorter."))
        secret = (parse_qs(body.decode("utf-8", "replace")).get("token") or [""])[0].strip()
        found = tokens.check(secret, Role.READER)
        if isinstance(found, Refusal):
            return HTMLResponse(_LOGIN.format(said=found.detail), 401)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(_COOKIE, secret, httponly=True, samesite="strict", secure=secure, path="/")
        return answer


def _secret(request: Request) -> str:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind:
        return secret.strip() if kind.lower() == "bearer" else ""
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""
