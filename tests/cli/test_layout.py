"""The house rules a program can check: layout, module sizes, docstrings, ``__all__``."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(p for p in (ROOT / "phenix").rglob("*.py") if "_pb" not in p.parts)
PUBLIC = [p for p in MODULES if not p.name.startswith("__")]
TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "bench", "deploy", "docs", "drills",
    "examples", "grammar", "phenix", "proto", "pyproject.toml", "requirements-dev.lock", "requirements.lock", "rules",
    "tests", "web",
}  # fmt: skip
LONGER = {
    "phenix/dsl/codes.py": 480,  # one row a code: its page is generated from it
    "phenix/ingest/terminal/protocol.py": 430,  # every frame of the vendor's stream, decoded and checked
}
CEILING = 400


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_top_level_holds_nothing_else() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("/")[0] for line in listed.splitlines()} <= TOP


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGER.get(name(path), CEILING)


@pytest.mark.parametrize("path", [p for p in MODULES if p.stat().st_size], ids=name)
def test_modules_and_what_they_define_for_others_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    bare = [node.name for node in defined(tree) if not ast.get_docstring(node) and not node.name.startswith("_")]
    assert (bool(ast.get_docstring(tree)), bare) == (True, [])


@pytest.mark.parametrize("path", PUBLIC, ids=name)
def test_all_names_what_the_module_defines(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    exported = next(
        (ast.literal_eval(value) for target, value in assigned(tree) if target == "__all__" and value is not None), None
    )
    assert exported is not None
    functions = {node.name for node in defined(tree) if not node.name.startswith("_")}
    reexported = {alias.asname or alias.name for n in tree.body if isinstance(n, ast.ImportFrom) for alias in n.names}
    assert set(exported) <= functions | {target for target, _ in assigned(tree)} | reexported
    assert functions - set(exported) <= {"run", "main"} | {n for n in functions if n.startswith("run_")}
    assert exported == sorted(exported, key=lambda n: (not n.isupper(), n[0].islower(), n))


def defined(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]


def assigned(tree: ast.Module) -> list[tuple[str, ast.expr | None]]:
    found: list[tuple[str, ast.expr | None]] = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found += [(t.id, node.value) for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append((node.target.id, node.value))
    return found
