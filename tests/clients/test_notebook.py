"""The example notebook: its cells run against a live server, and it is kept without what they printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import orjson

from tests.clients.conftest import EXAMPLES
from tests.server.conftest import Server, environment
from tests.server.rows import Store

RUN = """
import ast, sys
cells = sys.stdin.read().split("\\0")
names = {}
for cell in cells:
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    if last is not None:
        shown = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
        print(shown)
    print("--")
"""
"""What a notebook does with its cells: the last expression of each is shown."""


def notebook() -> Any:
    return orjson.loads((EXAMPLES / "flow.ipynb").read_bytes())


def test_it_is_kept_without_output() -> None:
    found = notebook()
    code = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert (found["nbformat"], len({cell["id"] for cell in found["cells"]})) == (4, len(found["cells"]))
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)


def test_its_cells_run(store: Store, serve: Callable[..., Server]) -> None:
    for row in store.add(900)[::90]:
        store.cancel(row)
    server = serve(store.url)
    cells = ["".join(cell["source"]) for cell in notebook()["cells"] if cell["cell_type"] == "code"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN],
        input="\0".join(cells), capture_output=True, text=True, timeout=100,
        env={**environment(), "FLOW_SERVER": server.target, "POLARS_FMT_MAX_COLS": "20", "POLARS_FMT_MAX_ROWS": "99"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    shown = done.stdout.split("--\n")
    assert len(shown) == len(cells) + 1
    _, body = server.get("/api/flow?sortBy=value&limit=1")
    top = body["data"][0]
    _, biggest, premium, meaning, reasons, tape, *_ = shown
    assert "shape: (20, 9)" in biggest
    assert top["symbol"] in biggest
    assert "premium" in premium
    _, counted = server.get("/api/flow/summary?where=%40whales%20and%20dte%20%3C%3D%207%20and%20side%20%3D%20ask")
    assert f"{counted['data']['all']['rows']:,} of " in meaning
    assert top["chips"][0] in reasons
    assert [int(line.split()[0]) for line in tape.splitlines()] == list(range(896, 901))
