"""The generated pages: what they say is what the program runs on, and staleness is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from phenix.cli.docs import pages
from phenix.cli.main import main, parser
from phenix.config import SETTINGS
from phenix.engine.flow import FIELDS

ROOT = Path(__file__).parents[2]
PAGES = pages(parser())


def test_the_committed_pages_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "--check", "--out", str(ROOT / "docs")]) == 0
    assert capsys.readouterr().out == ""


def test_a_written_folder_is_current_until_a_page_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "docs"
    assert main(["docs", "--out", str(out)]) == 0
    beside = "../deploy/phenix.toml"
    assert (out / beside).is_file()
    assert sorted([beside, *(p.relative_to(out).as_posix() for p in out.rglob("*.md"))]) == sorted(PAGES)
    assert main(["docs", "--check", "--out", str(out)]) == 0
    page = out / "settings.md"
    page.write_text(page.read_text("utf-8").replace("8600", "8601"), "utf-8")
    (out / "fields.md").unlink()
    gone = out / "diagnostics" / "PHX999-no-more.md"
    gone.touch()
    capsys.readouterr()
    assert main(["docs", "--check", "--out", str(out)]) == 1
    assert capsys.readouterr().out == (
        f"{out / 'fields.md'} is out of date; write it again with `phenix docs`\n"
        f"{page} is out of date; write it again with `phenix docs`\n"
        f"{gone} is out of date; write it again with `phenix docs`\n"
    )
    assert main(["docs", "--out", str(out)]) == 0
    assert not gone.exists()
    assert main(["docs", "--check", "--out", str(out)]) == 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main(["docs", "--out", str(file / "docs")]) == 2
    assert capsys.readouterr().err.startswith(f"phenix: {file / 'docs'}")


def test_every_field_and_setting_is_on_its_page() -> None:
    fields, settings = PAGES["fields.md"](), PAGES["settings.md"]()
    assert [f.name for f in FIELDS if f.filterable and f"| `{f.name}` |" not in fields] == []
    assert [f.json for f in FIELDS if f.json and f"| `{f.json}` |" not in fields] == []
    assert [s.name for s in SETTINGS if f"| `{s.name}` |" not in settings] == []


def test_the_changelog_knows_this_version() -> None:
    from phenix import __version__

    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{__version__}]" in changelog
