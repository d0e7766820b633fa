"""The terminal's stream protocol: text frames to immutable tuples and back.

One set of frames serves the client and the stand-in; ``encoder`` writes what is read here. Money is
an integer of ten-thousandths of a dollar, dates are ``YYYYMMDD`` integers, times of day are
milliseconds of the New York day. Strikes travel as thousandths of a dollar, rights as ``C`` and
``P``, prices as decimal dollars.

Nothing a peer sends raises: :func:`decode` returns a :class:`BadFrame` with its reason instead.
Frames are named tuples, not dataclasses: a tuple is built in a third of the time, and a full
stream carries tens of thousands of them a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date as _date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

import orjson

__all__ = [
    "ADDED",
    "MONEY_SCALE",
    "BadFrame",
    "Contract",
    "Frame",
    "MarketValueFrame",
    "OhlcFrame",
    "QuoteFrame",
    "ReqResponse",
    "Request",
    "StateFrame",
    "StatusFrame",
    "TradeFrame",
    "decode",
    "money",
    "money_half_even",
    "valid_date",
]

ADDED: Final = "SUBSCRIBED"
"""The one answer that means a request was taken; removals and stops use it too."""

MONEY_SCALE: Final = 10_000
"""Stored units of a dollar."""
SNIPPET_BYTES: Final = 4096
_LARGEST: Final = 1e11
_CACHE_LIMIT: Final = 200_000


class Contract(NamedTuple):
    """What a frame is about; for stocks and indices only the root is set."""

    security_type: str
    """``OPTION``, ``STOCK`` or ``INDEX``."""
    root: str
    expiration: int = 0
    strike: int = 0
    """Ten-thousandths of a dollar."""
    right: str = ""
    """``CALL``, ``PUT`` or empty."""


class TradeFrame(NamedTuple):
    """One print; ``price`` in ten-thousandths, ``sequence`` signed as received."""

    contract: Contract
    date: int
    ms_of_day: int
    sequence: int
    size: int
    condition: int
    price: int
    exchange: int


class QuoteFrame(NamedTuple):
    """A best bid and offer; a closed side has size 0 and price 0."""

    contract: Contract
    date: int
    ms_of_day: int
    bid_size: int
    bid_exchange: int
    bid: int
    bid_condition: int
    ask_size: int
    ask_exchange: int
    ask: int
    ask_condition: int


class OhlcFrame(NamedTuple):
    """The session so far of one contract, not a bar."""

    contract: Contract
    date: int
    ms_of_day: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    prints: int
    """``count`` on the wire."""


class MarketValueFrame(NamedTuple):
    """The vendor's own valuation of a contract."""

    contract: Contract
    date: int
    ms_of_day: int
    market_bid: int
    market_ask: int
    market_price: int


class StatusFrame(NamedTuple):
    """The upstream connection, told every second."""

    status: str


class StateFrame(NamedTuple):
    """Market open (``START``) or close (``STOP``)."""

    status: str
    state: str


class ReqResponse(NamedTuple):
    """Answer to a request: ``SUBSCRIBED``, ``ERROR``, ``MAX_STREAMS_REACHED`` or ``INVALID_PERMS``."""

    status: str
    response: str
    req_id: int


class BadFrame(NamedTuple):
    """A frame that could not be understood: the reason, at most 4 kB of its text, and what it tells all the same."""

    reason: str
    snippet: str
    kind: str = ""
    contract: Contract | None = None


class Request(NamedTuple):
    """A request of a client; ``contract`` is None for bulk streams and stops."""

    msg_type: str
    """``STREAM``, ``STREAM_BULK`` or ``STOP``."""
    req_id: int
    sec_type: str = "OPTION"
    req_type: str = "TRADE"
    add: bool = True
    contract: Contract | None = None


Frame = TradeFrame | QuoteFrame | OhlcFrame | MarketValueFrame | StatusFrame | StateFrame | ReqResponse


class _Bad(Exception):  # noqa: N818 -- control flow inside this module, never seen outside
    pass


_dates: dict[int, bool] = {}


def valid_date(value: int) -> bool:
    """Whether an integer is a calendar date ``YYYYMMDD`` between 1900 and 2199."""
    known = _dates.get(value)
    if known is None:
        try:
            known = 19000101 <= value <= 21991231 and bool(
                _date(value // 10_000, value // 100 % 100, value % 100),
            )
        except ValueError:
            known = False
        if len(_dates) < _CACHE_LIMIT:
            _dates[value] = known
    return known


def money(value: Any, name: str) -> int:
    """Decimal dollars as an exact integer of ten-thousandths, at most four decimals.

    Division of two exact integers is correctly rounded, so ``scaled / 10000 == value`` holds just
    when ``value`` is the double nearest to a four-decimal number: no tolerance is involved.
    Raises ValueError naming the field.
    """
    kind = type(value)
    if kind is float:
        if not -_LARGEST < value < _LARGEST:
            raise ValueError(f"{name} {value!r} is not finite or beyond any price")
        scaled = round(value * MONEY_SCALE)
        if scaled / MONEY_SCALE != value:
            raise ValueError(f"{name} {value!r} has more than four decimals")
    elif kind is int:
        if not -_LARGEST < value < _LARGEST:
            raise ValueError(f"{name} {value!r} is beyond any price")
        scaled = value * MONEY_SCALE
    else:
        raise ValueError(f"{name} is not a number")
    if scaled < 0:
        raise ValueError(f"{name} {value!r} is negative")
    return int(scaled)


def money_half_even(value: Any, name: str) -> int:
    """Decimal dollars rounded half-even to ten-thousandths, as underlying quotes are.

    Raises ValueError naming the field.
    """
    if type(value) is float and -_LARGEST < value < _LARGEST and round(value * MONEY_SCALE) / MONEY_SCALE != value:
        exact = Decimal(repr(value)) * MONEY_SCALE
        value = float(exact.to_integral_value(ROUND_HALF_EVEN)) / MONEY_SCALE
    return money(value, name)


_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9./^_-]{0,15}")
"""As in files: what is stored can be asked for."""
_contracts: dict[tuple[Any, ...], Contract] = {}
_RIGHTS: Final = {"C": "CALL", "P": "PUT", "CALL": "CALL", "PUT": "PUT"}


def _contract(raw: Any) -> Contract:
    if type(raw) is not dict:
        raise _Bad("no contract in the frame")
    key = (raw.get("security_type"), raw.get("root"), raw.get("expiration"), raw.get("strike"), raw.get("right"))
    try:
        known = _contracts.get(key)
    except TypeError:
        raise _Bad("the contract holds a list or an object where a value belongs") from None
    if known is None:
        known = _new_contract(*key)
        if len(_contracts) < _CACHE_LIMIT:
            _contracts[key] = known
    return known


def _new_contract(security_type: Any, root: Any, expiration: Any, strike: Any, right: Any) -> Contract:
    if not isinstance(root, str) or not _SYMBOL.fullmatch(root):
        raise _Bad(f"contract root {_short(root)} is not a symbol")
    if security_type in {"STOCK", "INDEX"}:
        return Contract(security_type, root)
    if security_type != "OPTION":
        raise _Bad(f"unknown security type {_short(security_type)}")
    if type(expiration) is not int or not valid_date(expiration):
        raise _Bad(f"contract expiration {_short(expiration)} is not a date YYYYMMDD")
    if type(strike) is not int or strike <= 0:
        raise _Bad(f"contract strike {_short(strike)} is not a positive number of thousandths")
    if type(right) is not str or right not in _RIGHTS:
        raise _Bad(f"contract right {_short(right)} is neither C nor P")
    return Contract("OPTION", root, expiration, strike * 10, _RIGHTS[right])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _when(body: dict[str, Any]) -> tuple[int, int]:
    date, ms = body["date"], body["ms_of_day"]
    if type(date) is not int or not (_dates.get(date) or valid_date(date)):
        raise _Bad(f"date {_short(date)} is not a date YYYYMMDD")
    # exactly 86400000 has been seen on an index: accepted, it is the end of the day
    if type(ms) is not int or not 0 <= ms <= 86_400_000:
        raise _Bad(f"ms_of_day {_short(ms)} is not a time of day")
    return date, ms


def _body(raw: dict[str, Any], name: str) -> dict[str, Any]:
    body = raw.get(name)
    if type(body) is not dict:
        raise _Bad(f"no {name} in the frame")
    return body


def _not_integer(**values: Any) -> _Bad:
    name, value = next((name, value) for name, value in values.items() if type(value) is not int)
    return _Bad(f"{name} {_short(value)} is not an integer")


def _trade(raw: dict[str, Any]) -> Frame:
    body = _body(raw, "trade")
    contract = _contract(raw.get("contract"))
    date, ms = _when(body)
    sequence, size, condition, exchange = body["sequence"], body["size"], body["condition"], body["exchange"]
    if not (type(sequence) is type(size) is type(condition) is type(exchange) is int):
        raise _not_integer(sequence=sequence, size=size, condition=condition, exchange=exchange)
    return TradeFrame(contract, date, ms, sequence, size, condition, money(body["price"], "price"), exchange)


def _quote(raw: dict[str, Any]) -> Frame:
    body = _body(raw, "quote")
    contract = _contract(raw.get("contract"))
    date, ms = _when(body)
    bid_size, bid_exchange, bid_condition = body["bid_size"], body["bid_exchange"], body["bid_condition"]
    ask_size, ask_exchange, ask_condition = body["ask_size"], body["ask_exchange"], body["ask_condition"]
    if not (type(bid_size) is type(bid_exchange) is type(bid_condition) is int) or not (
        type(ask_size) is type(ask_exchange) is type(ask_condition) is int
    ):
        raise _not_integer(
            bid_size=bid_size,
            bid_exchange=bid_exchange,
            bid_condition=bid_condition,
            ask_size=ask_size,
            ask_exchange=ask_exchange,
            ask_condition=ask_condition,
        )
    read = money if contract.security_type == "OPTION" else money_half_even
    bid, ask = read(body["bid"], "bid"), read(body["ask"], "ask")
    return QuoteFrame(
        contract, date, ms, bid_size, bid_exchange, bid, bid_condition, ask_size, ask_exchange, ask, ask_condition
    )


def _ohlc(raw: dict[str, Any]) -> Frame:
    body = _body(raw, "ohlc")
    contract = _contract(raw.get("contract"))
    date, ms = _when(body)
    volume, prints = body["volume"], body["count"]
    if not (type(volume) is type(prints) is int):
        raise _not_integer(volume=volume, count=prints)
    opened, high = money_half_even(body["open"], "open"), money_half_even(body["high"], "high")
    low, close = money_half_even(body["low"], "low"), money_half_even(body["close"], "close")
    return OhlcFrame(contract, date, ms, opened, high, low, close, volume, prints)


def _market_value(raw: dict[str, Any]) -> Frame:
    body = _body(raw, "market_value")
    contract = _contract(raw.get("contract"))
    date, ms = _when(body)
    values = [money_half_even(body[name], name) for name in ("market_bid", "market_ask", "market_price")]
    return MarketValueFrame(contract, date, ms, values[0], values[1], values[2])


def _word(raw: dict[str, Any], name: str) -> str:
    value = raw["header"][name]
    if type(value) is not str or len(value) > 64:
        raise _Bad(f"{name} {_short(value)} is not a word")
    return value


def _status(raw: dict[str, Any]) -> Frame:
    return StatusFrame(_word(raw, "status"))


def _state(raw: dict[str, Any]) -> Frame:
    return StateFrame(_word(raw, "status"), _word(raw, "state"))


def _req_response(raw: dict[str, Any]) -> Frame:
    req_id = raw["header"]["req_id"]
    if type(req_id) is not int:
        raise _not_integer(req_id=req_id)
    return ReqResponse(_word(raw, "status"), _word(raw, "response"), req_id)


_READERS: Final[dict[str, Callable[[dict[str, Any]], Frame]]] = {
    "TRADE": _trade,
    "QUOTE": _quote,
    "OHLC": _ohlc,
    "STATUS": _status,
    "REQ_RESPONSE": _req_response,
    "STATE": _state,
    "MARKET_VALUE": _market_value,
}


def _bad(reason: str, raw: bytes, kind: str = "", contract: Contract | None = None) -> BadFrame:
    return BadFrame(reason, raw[:SNIPPET_BYTES].decode("utf-8", "replace")[:SNIPPET_BYTES], kind, contract)


def _read(value: Any, raw: bytes) -> Frame | BadFrame:
    if type(value) is not dict:
        return _bad("not a JSON object", raw)
    header = value.get("header")
    if type(header) is not dict:
        return _bad("no header in the frame", raw)
    kind = header.get("type")
    reader = _READERS.get(kind) if type(kind) is str else None
    if reader is None:
        return _bad(f"unknown frame type {_short(kind)}", raw, kind if isinstance(kind, str) else "")
    try:
        return reader(value)
    except (KeyError, _Bad, ValueError) as error:
        why, contract = f" without {error.args[0]}" if isinstance(error, KeyError) else f": {error}", None
        with suppress(_Bad):
            contract = _contract(value.get("contract"))
        return _bad(f"{kind} frame{why}", raw, str(kind), contract)


def decode(text: str | bytes) -> list[Frame | BadFrame]:
    """Read one text frame: one JSON object, or several separated by newlines, keys in any order.

    Blank lines are skipped. Never raises: what cannot be read comes back as :class:`BadFrame`.
    """
    # A lone surrogate cannot be encoded; "surrogatepass" lets orjson refuse it like any broken text.
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if b"\n" not in raw:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            return [_bad(f"broken JSON: {error}", raw)] if raw.strip() else []
        return [_read(value, raw)]
    frames: list[Frame | BadFrame] = []
    for line in raw.split(b"\n"):
        if not line or line.isspace():
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if not frames:
                # an object spread over lines, as in the vendor's samples
                try:
                    return [_read(orjson.loads(raw), raw)]
                except orjson.JSONDecodeError:
                    pass
            frames.append(_bad(f"broken JSON: {error}", line))
            continue
        frames.append(_read(value, line))
    return frames
