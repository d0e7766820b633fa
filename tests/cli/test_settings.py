"""Settings: what is read, what wins, and what each wrong value is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from phenix.config import SETTINGS, Settings, SettingsError, load

ROOT = Path(__file__).parents[2]
STORES = "sqlite:PATH, a file that ingest and serve both reach"
BAD_URLS = (
    "127.0.0.1:25503", "ftp://h", "http://", "http://h:99999", "http://h:x", "http://h/ x", "http://h?q=1", "http://[::1",
    "http://bad..host:1",
)  # fmt: skip


def problems(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.problems


def test_the_table_and_the_settings_name_the_same_attributes() -> None:
    assert [s.attribute for s in SETTINGS] == [f.name for f in dataclasses.fields(Settings)]
    assert len({s.name for s in SETTINGS}) == len(SETTINGS)


def test_every_setting_is_read_somewhere() -> None:
    sources = [p.read_text("utf-8") for p in (ROOT / "phenix").rglob("*.py") if p.name != "config.py"]
    read = {s.name: "settings.params" if s.param else f"settings.{s.attribute}" for s in SETTINGS}
    unread = [name for name, word in read.items() if not any(word in text for text in sources)]
    assert unread == ["PHENIX_CONFIG"]  # read by load itself


def test_defaults_hold_in_an_empty_environment() -> None:
    settings = load({})
    assert settings.store == "sqlite:data/phenixflow.sqlite"
    assert (settings.host, settings.port, settings.grpc_port) == ("127.0.0.1", 8600, 8601)
    assert settings.base_url == "http://127.0.0.1:25503"
    assert settings.universe is None
    assert settings.ingest_symbols == ()


def test_names_of_other_programs_are_left_alone() -> None:
    assert load({"PATH": "/bin", "THETADATA_SOMETHING": "x", "PHENIX_TAPES": "/captures"}) == load({})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("PHENIX_PORT", "65536", "PHENIX_PORT is '65536'; expected a whole number from 0 to 65535"),
        ("PHENIX_PORT", "-1", "PHENIX_PORT is '-1'; expected a whole number from 0 to 65535"),
        ("PHENIX_PORT", "٣", "PHENIX_PORT is '٣'; expected a whole number from 0 to 65535"),
        ("PHENIX_GRPC_PORT", "1.5", "PHENIX_GRPC_PORT is '1.5'; expected a whole number from 0 to 65535"),
        ("THETADATA_CONCURRENCY", "0", "THETADATA_CONCURRENCY is '0'; expected a whole number from 1 to 64"),
        ("PHENIX_HOST", "a b", "PHENIX_HOST is 'a b'; expected a host name or address, such as 127.0.0.1"),
        ("PHENIX_STORE", "x.sqlite", "PHENIX_STORE is 'x.sqlite'; expected " + STORES),
        ("PHENIX_STORE", "sqlite:", "PHENIX_STORE is 'sqlite:'; expected " + STORES),
        ("INGEST_SYMBOLS", "A;B", "INGEST_SYMBOLS is 'A;B'; expected symbols separated by commas, such as SPY,QQQ"),
        ("THETADATA_HEALTH_PATH", "v3", "THETADATA_HEALTH_PATH is 'v3'; expected a path that begins with /"),
        ("PHENIX_STOR", "x", "PHENIX_STOR is not a setting; did you mean PHENIX_STORE?"),
        ("PHENIX_XYZZY", "x", "PHENIX_XYZZY is not a setting"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(name: str, text: str, message: str) -> None:
    assert problems({name: text}) == (message,)


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_bad_url_is_refused(url: str) -> None:
    (message,) = problems({"THETADATA_BASE_URL": url})
    assert message.startswith(f"THETADATA_BASE_URL is {url!r}; expected a URL such as http://127.0.0.1:25503 (")


def test_a_password_is_not_repeated() -> None:
    (message,) = problems({"THETADATA_BASE_URL": "http://user:secret@h"})
    assert message.startswith("THETADATA_BASE_URL is not shown, for it may hold a password; expected a URL such as")


def test_every_problem_is_told_at_once() -> None:
    assert [text.split()[0] for text in problems({"PHENIX_Q": "", "PHENIX_PORT": "x", "PHENIX_STORE": "y"})] == [
        "PHENIX_Q",
        "PHENIX_STORE",
        "PHENIX_PORT",
    ]


def test_a_file_gives_values_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "phenix.toml"
    file.write_text('PHENIX_PORT = 9000\nPHENIX_HOST = "::1"\nINGEST_SYMBOLS = "spy, BRK.B"\n')
    settings = load({"PHENIX_CONFIG": str(file), "PHENIX_PORT": "9100"})
    assert (settings.port, settings.host, settings.ingest_symbols) == (9100, "::1", ("SPY", "BRK.B"))


def test_a_file_is_read_as_strictly(tmp_path: Path) -> None:
    file = tmp_path / "phenix.toml"
    file.write_text('PHENIX_PROT = 9000\nPHENIX_HOST = true\nPHENIX_GRPC_PORT = 70000\nPHENIX_CONFIG = "x"\n')
    assert problems({"PHENIX_CONFIG": str(file)}) == (
        f"PHENIX_PROT in {file} is not a setting; did you mean PHENIX_PORT?",
        f"PHENIX_HOST in {file} is True; expected a string or a whole number",
        f"PHENIX_CONFIG in {file} is not a setting",
        "PHENIX_GRPC_PORT is '70000'; expected a whole number from 0 to 65535",
    )


@pytest.mark.parametrize("content", [b"PHENIX_PORT = ", b"\xff\xfe", None])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "phenix.toml"
    if content is not None:
        file.write_bytes(content)
    (message,) = problems({"PHENIX_CONFIG": str(file)})
    assert message.startswith(f"PHENIX_CONFIG is {str(file)!r}, which cannot be read: ")
