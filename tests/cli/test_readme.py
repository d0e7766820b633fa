"""What the hand-written pages say is so: links lead somewhere, commands exist, the sample rules compile and pass."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from phenix.cli.main import main, parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_targets_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    (commands,) = (a.choices for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert set(re.findall(r"`phenix ([a-z]+)", text)) - set(commands) == set()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) - targets == set()


def test_the_language_sample_is_clean_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = README.split("## The language")[1].split("```")[1]
    rules = tmp_path / "sample.phx"
    rules.write_text(sample.strip() + "\n", "utf-8")
    assert main(["lint", str(rules)]) == 0
    assert main(["test", str(rules)]) == 0
    assert "2 tests, 0 failing" in capsys.readouterr().err


def test_folders_of_the_readme_exist() -> None:
    assert [f for f in re.findall(r"^\| `([a-z/]+)`", README, re.MULTILINE) if not (ROOT / f).is_dir()] == []
