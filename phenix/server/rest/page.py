"""The page: built files served as they are, or a sentence saying that they are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

__all__ = ["STATIC", "pages"]

STATIC: Final = Path(__file__).resolve().parents[1] / "static"
"""Where the built page is."""

_ABSENT: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Phenix</title>
<h1>The page is not built</h1>
<p>This installation has no files of the page. The API is running: see
<a href="/api/flow">/api/flow</a> and <a href="/api/flow/filters/catalog">/api/flow/filters/catalog</a>.</p></html>
"""


async def _index(_request: Request) -> Response:
    index = STATIC / "index.html"
    if index.is_file():
        return FileResponse(index, headers={"cache-control": "no-cache"})
    return HTMLResponse(_ABSENT)


def pages() -> list[BaseRoute]:
    """Routes of the page; to be tried after every other."""
    return [Route("/", _index, methods=["GET"]), Mount("/", StaticFiles(directory=STATIC, check_dir=False))]
