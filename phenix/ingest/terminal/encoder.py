"""The writing side of the stream protocol: requests as a client sends them, frames as the terminal does."""

from __future__ import annotations

import random
from typing import Any, Final

import orjson

from phenix.ingest.terminal.protocol import (
    MONEY_SCALE,
    Contract,
    MarketValueFrame,
    OhlcFrame,
    QuoteFrame,
    ReqResponse,
    Request,
    StateFrame,
    StatusFrame,
    TradeFrame,
)

__all__ = ["Encoder", "encode_request"]


def encode_request(request: Request) -> str:
    """A client's request as text, in the vendor's own key order."""
    value: dict[str, Any] = {"msg_type": request.msg_type}
    if request.msg_type == "STOP":
        return orjson.dumps({**value, "id": request.req_id}).decode()
    value |= {"sec_type": request.sec_type, "req_type": request.req_type, "add": request.add, "id": request.req_id}
    if request.contract is not None:
        value["contract"] = _contract_body(request.contract)
    return orjson.dumps(value).decode()


def _contract_body(contract: Contract) -> dict[str, Any]:
    body: dict[str, Any] = {"root": contract.root}
    if contract.security_type == "OPTION":
        body |= {"expiration": contract.expiration, "strike": contract.strike // 10, "right": contract.right[:1]}
    return body


_BODIES: Final[dict[str, tuple[str, ...]]] = {
    "TRADE": TradeFrame._fields[1:],
    "QUOTE": QuoteFrame._fields[1:],
    "OHLC": (*OhlcFrame._fields[1:-1], "count"),
    "MARKET_VALUE": MarketValueFrame._fields[1:],
}
"""Body keys of each type in the order of its frame's fields."""
_VARIANTS: Final = 8


class Encoder:
    """Writes frames as the terminal does: keys in no fixed order, chosen by ``seed``.

    A handful of shuffled layouts is drawn once for each type; a frame fills the next one.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- layouts, not secrets
        self._layouts = {kind: [self._layout(kind) for _ in range(_VARIANTS)] for kind in _BODIES}
        self._contracts: dict[Contract, str] = {}
        self._turn = 0

    def _shuffled(self, pairs: list[str]) -> str:
        self._random.shuffle(pairs)
        return "{{" + ",".join(pairs) + "}}"

    def _layout(self, kind: str) -> str:
        """A text to be formatted with the status word and then the frame's own values in order."""
        names = _BODIES[kind]
        header = self._shuffled([f'"type":"{kind}"', '"status":"{0}"'])
        body = self._shuffled([f'"{name}":{{{place}}}' for place, name in enumerate(names, 2)])
        return self._shuffled([f'"header":{header}', '"contract":{1}', f'"{kind.lower()}":{body}'])

    def _contract(self, contract: Contract) -> str:
        text = self._contracts.get(contract)
        if text is None:
            pairs = list({"security_type": contract.security_type, **_contract_body(contract)}.items())
            self._random.shuffle(pairs)
            text = orjson.dumps(dict(pairs)).decode()
            self._contracts[contract] = text
        return text

    def _next(self, kind: str) -> str:
        self._turn = (self._turn + 1) % _VARIANTS
        return self._layouts[kind][self._turn]

    def trade(self, frame: TradeFrame, status: str = "CONNECTED") -> str:
        """A TRADE frame as text."""
        contract, date, ms, sequence, size, condition, price, exchange = frame
        values = (date, ms, sequence, size, condition, price / MONEY_SCALE, exchange)
        return self._next("TRADE").format(status, self._contract(contract), *values)

    def quote(self, frame: QuoteFrame, status: str = "CONNECTED") -> str:
        """A QUOTE frame as text."""
        contract, date, ms, bid_size, bid_exchange, bid, bid_condition, *asks = frame
        ask_size, ask_exchange, ask, ask_condition = asks
        bids = (date, ms, bid_size, bid_exchange, bid / MONEY_SCALE, bid_condition)
        asked = (ask_size, ask_exchange, ask / MONEY_SCALE, ask_condition)
        return self._next("QUOTE").format(status, self._contract(contract), *bids, *asked)

    def ohlc(self, frame: OhlcFrame, status: str = "CONNECTED") -> str:
        """An OHLC frame as text."""
        contract, date, ms, opened, high, low, close, volume, prints = frame
        bar = (opened / MONEY_SCALE, high / MONEY_SCALE, low / MONEY_SCALE, close / MONEY_SCALE)
        return self._next("OHLC").format(status, self._contract(contract), date, ms, *bar, volume, prints)

    def market_value(self, frame: MarketValueFrame, status: str = "CONNECTED") -> str:
        """A MARKET_VALUE frame as text."""
        contract, date, ms, bid, ask, price = frame
        values = (bid / MONEY_SCALE, ask / MONEY_SCALE, price / MONEY_SCALE)
        return self._next("MARKET_VALUE").format(status, self._contract(contract), date, ms, *values)

    def status(self, frame: StatusFrame) -> str:
        """A STATUS frame as text."""
        return orjson.dumps({"header": {"type": "STATUS", "status": frame.status}}).decode()

    def state(self, frame: StateFrame) -> str:
        """A STATE frame as text."""
        return orjson.dumps({"header": {"type": "STATE", "status": frame.status, "state": frame.state}}).decode()

    def req_response(self, frame: ReqResponse) -> str:
        """A REQ_RESPONSE frame as text."""
        header = {"type": "REQ_RESPONSE", "status": frame.status, "response": frame.response, "req_id": frame.req_id}
        return orjson.dumps({"header": header}).decode()
