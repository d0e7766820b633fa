"""The settings: one table, read from the environment and an optional TOML file, strictly.

Every command checks them before it starts: an unknown ``PHENIX_*`` name, a bad URL or a number
out of range is refused with a message naming the setting. The TOML file that ``PHENIX_CONFIG``
names holds the same names as top-level keys; the environment wins over it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from phenix.engine.rollout import Rollout

__all__ = ["SETTINGS", "Setting", "Settings", "SettingsError", "load"]


_DECIMAL: Final = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)
_MOST_PERCENT: Final = 100_000


class SettingsError(Exception):
    """Settings that cannot be used; ``problems`` holds one sentence for each, naming the setting."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """The values every part is built from, one attribute per row of :data:`SETTINGS`."""

    config: Path | None
    log_format: str
    log_level: str
    store: str
    universe: Path | None
    ingest_symbols: tuple[str, ...]
    host: str
    port: int
    grpc_port: int
    tokens: Path | None
    token: str
    tls_certificate: Path | None
    tls_key: Path | None
    rate_limit: int
    stream_limit: int
    metrics_port: int | None
    shadow_hits: Fraction
    shadow_rows: Fraction
    sealed_sessions: int
    filters_v2: Rollout
    premium_min: str | None
    sizable_min: str | None
    whales_min: str | None
    large_size_min: str | None
    alert_allow: str
    alert_tries: int
    alert_retry_base_ms: int
    alert_timeout_ms: int
    base_url: str
    stream_url: str
    health_path: str
    download_path: str
    ingest_path: str
    creds_file: Path
    jar_path: Path
    jar_url: str | None
    java_bin: str
    connect_timeout_ms: int
    read_timeout_ms: int
    retry_max: int
    retry_base_ms: int
    concurrency: int

    @property
    def params(self) -> dict[str, str]:
        """Values for params of the rules by their names, of the settings that are called like them."""
        found = {setting.attribute: getattr(self, setting.attribute) for setting in SETTINGS if setting.param}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table.

    ``parse`` turns text into the value, or raises ValueError saying what is expected instead. A ``param`` is a value
    for the param of the rules that is called like the attribute.
    """

    name: str
    attribute: str
    default: str
    parse: Callable[[str], Any]
    help: str
    param: bool = False


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def _percent(text: str) -> Fraction:
    if _DECIMAL.fullmatch(text) and Fraction(text) <= _MOST_PERCENT:
        return Fraction(text)
    raise ValueError(f"a percentage from 0 to {_MOST_PERCENT} such as 2.5, without its sign")


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text) if text else None


def _url(*schemes: str) -> Callable[[str], str]:
    expected = f"a URL such as {schemes[0]}://127.0.0.1:25503 ({' or '.join(schemes)}, host, no credentials)"

    def parse(text: str) -> str:
        try:
            parts = urlsplit(text)
            _ = parts.port  # raises on a port that is no number or above 65535
            (parts.hostname or "").encode("idna")  # and on a name that none can have
        except ValueError:
            raise ValueError(expected) from None
        clean = text.isprintable() and " " not in text and "@" not in parts.netloc
        if parts.scheme in schemes and parts.hostname and clean and not parts.query and not parts.fragment:
            return text.rstrip("/")
        raise ValueError(expected)

    return parse


def _base_url(text: str) -> str:
    """The vendor's papers name it with the version that every path begins with here."""
    return _url("http", "https")(text).removesuffix("/v3")


def _store(text: str) -> str:
    from phenix.engine.store.base import StoreError, sqlite_path

    try:
        sqlite_path(text)
    except StoreError:
        raise ValueError("sqlite:PATH, a file that ingest and serve both reach") from None
    return text


def _path_of_url(text: str) -> str:
    if text.startswith("/") and text.isprintable() and " " not in text:
        return text
    raise ValueError("a path that begins with /")


def _amount(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?[kM]?", text):
        return text
    raise ValueError("a number, such as 750000 or 750k")


def _rollout(text: str) -> Rollout:
    from phenix.engine.rollout import read_rollout

    return read_rollout(text)


def _symbols(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().upper() for name in text.split(",") if name.strip())
    if all(name.replace(".", "").replace("/", "").isalnum() and len(name) <= 12 for name in names):
        return names
    raise ValueError("symbols separated by commas, such as SPY,QQQ")


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError(" or ".join(word for word in words if word))

    return parse


def _host(text: str) -> str:
    if text and text.isprintable() and not set(text) & set(" /@"):
        return text
    raise ValueError("a host name or address, such as 127.0.0.1")


def _allowed(text: str) -> str:
    if text:
        from phenix.server.alerts.addresses import parse_allowed

        parse_allowed(text)
    return text


_PORT = _integer(0, 65535)

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("PHENIX_CONFIG", "config", "", _optional(Path), "TOML file with any of these names as top-level keys."),
    Setting("PHENIX_LOG_FORMAT", "log_format", "auto", _one_of("auto", "json", "pretty"),
            "How log lines look on standard error: an object of JSON each, or pretty for people; auto is pretty on a "
            "terminal and JSON elsewhere. docs/logs.md has what they hold."),
    Setting("PHENIX_LOG_LEVEL", "log_level", "", _one_of("", "debug", "info", "warning", "error"),
            "Least level of a log line; empty: info for `phenix ingest` and `serve`, warning for other commands. What "
            "is asked for all day (health, metrics, files of the page) is debug."),
    Setting("PHENIX_STORE", "store", "sqlite:data/phenixflow.sqlite", _store,
            "The store that ingest writes and serve reads."),
    Setting("PHENIX_UNIVERSE", "universe", "", _optional(Path),
            "File of symbols to subscribe, one a line; empty means rules/universe/top200.txt."),
    Setting("INGEST_SYMBOLS", "ingest_symbols", "", _symbols,
            "Symbols to subscribe, separated by commas; overrides PHENIX_UNIVERSE."),
    Setting("PHENIX_HOST", "host", "127.0.0.1", _host, "Address `phenix serve` binds to."),
    Setting("PHENIX_PORT", "port", "8600", _PORT, "Port of the page, REST and SSE; 0 takes a free one."),
    Setting("PHENIX_GRPC_PORT", "grpc_port", "8601", _PORT, "Port of gRPC; 0 takes a free one."),
    Setting("PHENIX_API_TOKENS", "tokens", "", _optional(Path),
            "File of tokens that REST and gRPC ask for, made by `phenix token`; needed to bind elsewhere than here."),
    Setting("PHENIX_TOKEN", "token", "", str, "Token that `phenix query`, `tail` and `export` send to the server."),
    Setting("PHENIX_TLS_CERT", "tls_certificate", "", _optional(Path),
            "Certificate with its chain, PEM: both ports then speak TLS."),
    Setting("PHENIX_TLS_KEY", "tls_key", "", _optional(Path), "Key of the certificate, PEM."),
    Setting("PHENIX_RATE_LIMIT", "rate_limit", "500", _integer(0, 1_000_000),
            "Requests a second of one client, four seconds' worth at once; 0 is no limit."),
    Setting("PHENIX_STREAM_LIMIT", "stream_limit", "500", _integer(0, 1_000_000),
            "Streams of one client at a time; 0 is no limit."),
    Setting("PHENIX_METRICS_PORT", "metrics_port", "", _optional(_PORT),
            "Port of this machine on which `phenix ingest` has its /metrics and /health; 0 takes a free one, empty: "
            "none. Those of `phenix serve` are on its own port."),
    Setting("PHENIX_SHADOW_HITS_PCT", "shadow_hits", "20", _percent,
            "Band of a rule version in shadow: how much more or less often a chip may be on, percent of its rows."),
    Setting("PHENIX_SHADOW_ROWS_PCT", "shadow_rows", "5", _percent,
            "Band of a rule version in shadow: rows that a chip may gain and lose, percent of all rows."),
    Setting("PHENIX_SEALED_SESSIONS", "sealed_sessions", "5", _integer(0, 1_000),
            "Sessions before the latest that `phenix serve` keeps open for searches, those asked for last; 0 leaves "
            "them to SQLite."),
    Setting("FLOW_FILTERS_V2", "filters_v2", "on", _rollout,
            "Which chips `phenix serve` serves. on: all; core: Calls, Puts, Bid, Ask, 100k+, Whales and OTM, the "
            "others are tagged and shown as `shadow`; shadow: the same, while a candidate is compared; off: those "
            "seven, the others are `off`. After it, with commas, ids of chips that are served besides: core,sweeps."),
    *(
        Setting(f"FLOW_FILTER_{name}_MIN", attribute, "", _optional(_amount),
                f"Older way to say the param `{attribute}`: ingest makes a rule version with it the active one, and "
                "warns; `phenix rules set` is the way now.", param=True)
        for name, attribute in (("100K", "premium_min"), ("SIZABLE", "sizable_min"), ("WHALES", "whales_min"),
                                ("LARGE_SIZE", "large_size_min"))
    ),
    Setting("PHENIX_ALERT_ALLOW", "alert_allow", "", _allowed,
            "Hosts and networks that alerts may be sent to though they are not public, such as "
            "hooks.internal,10.1.0.0/16."),
    Setting("PHENIX_ALERT_TRIES", "alert_tries", "12", _integer(1, 100),
            "Times a message of an alert is tried before it is put aside."),
    Setting("PHENIX_ALERT_RETRY_BASE_MS", "alert_retry_base_ms", "1000", _integer(1, 600_000),
            "First rest after a failed try, ms; doubled each time up to a quarter of an hour, with full jitter."),
    Setting("PHENIX_ALERT_TIMEOUT_MS", "alert_timeout_ms", "10000", _integer(50, 120_000),
            "Longest try, from looking up the host to its answer, ms."),
    Setting("THETADATA_BASE_URL", "base_url", "http://127.0.0.1:25503", _base_url,
            "The terminal's REST address."),
    Setting("THETADATA_STREAM_URL", "stream_url", "ws://127.0.0.1:25520/v1/events", _url("ws", "wss"),
            "The terminal's WebSocket."),
    Setting("THETADATA_HEALTH_PATH", "health_path", "/v3/terminal/mdds/status", _path_of_url,
            "Path asked to see whether the terminal is connected."),
    Setting("THETADATA_DOWNLOAD_PATH", "download_path", "/v3/stock/list/symbols?format=json", _path_of_url,
            "List that preflight asks for, to see that data comes."),
    Setting("THETADATA_INGEST_PATH", "ingest_path", "/v3/option/history/trade_quote", _path_of_url,
            "Path of historical prints: what the prints missed in a gap are asked of."),
    Setting("THETADATA_CREDS_FILE", "creds_file", "creds.txt", Path,
            "File with the account's email on its first line and the password on its second."),
    Setting("THETADATA_JAR_PATH", "jar_path", "ThetaTerminalv3.jar", Path, "The terminal's program."),
    Setting("THETADATA_JAR_URL", "jar_url", "", _optional(_url("https", "http")),
            "Where `phenix bootstrap` fetches the terminal's program when it is not there; empty: nowhere."),
    Setting("THETADATA_JAVA_BIN", "java_bin", "java", str, "The Java that runs the terminal, 21 or later."),
    Setting("THETADATA_CONNECT_TIMEOUT_MS", "connect_timeout_ms", "8000", _integer(1, 600_000),
            "Longest wait for a connection to the terminal, ms."),
    Setting("THETADATA_READ_TIMEOUT_MS", "read_timeout_ms", "20000", _integer(1, 3_600_000),
            "Longest wait for an answer of the terminal, ms."),
    Setting("THETADATA_RETRY_MAX", "retry_max", "5", _integer(0, 100), "Times a failed request is tried again."),
    Setting("THETADATA_RETRY_BASE_MS", "retry_base_ms", "200", _integer(1, 60_000),
            "First back-off, ms; doubled each time, with full jitter."),
    Setting("THETADATA_CONCURRENCY", "concurrency", "4", _integer(1, 64), "Requests to the terminal at a time."),
)  # fmt: skip
"""Each setting once; docs/settings.md is generated from this table."""

_NOT_SETTINGS: Final = frozenset({"PHENIX_TAPES"})
"""``PHENIX_*`` names that are somebody else's: where the test-suite finds real captures."""


def load(environ: Mapping[str, str]) -> Settings:
    """Read every setting from ``environ`` and the TOML file it names.

    Raises SettingsError with every problem found, not just the first.
    """
    problems: list[str] = []
    file = _from_file(environ["PHENIX_CONFIG"], problems) if environ.get("PHENIX_CONFIG") else {}
    names = [setting.name for setting in SETTINGS]
    ours = {name for name in environ if name.startswith("PHENIX_")} - _NOT_SETTINGS
    problems += [f"{name} is not a setting{_did_you_mean(name, names)}" for name in sorted(ours.difference(names))]
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environ.get(setting.name) or file.get(setting.name) or setting.default
        try:
            values[setting.attribute] = setting.parse(text)
        except ValueError as error:
            shown = repr(text) if "@" not in text else "not shown, for it may hold a password"
            problems.append(f"{setting.name} is {shown}; expected {error}")
    if problems:
        raise SettingsError(tuple(problems))
    return Settings(**values)


def _from_file(path: str, problems: list[str]) -> dict[str, str]:
    names = [setting.name for setting in SETTINGS if setting.name != "PHENIX_CONFIG"]
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"PHENIX_CONFIG is {path!r}, which cannot be read: {error}")
        return {}
    found: dict[str, str] = {}
    for name, value in table.items():
        if name not in names:
            problems.append(f"{name} in {path} is not a setting{_did_you_mean(name, names)}")
        elif isinstance(value, bool) or not isinstance(value, str | int):
            problems.append(f"{name} in {path} is {value!r}; expected a string or a whole number")
        else:
            found[name] = str(value)
    return found


def _did_you_mean(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, 1, 0.75)
    return f"; did you mean {close[0]}?" if close else ""
