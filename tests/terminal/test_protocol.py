"""Frames of the stream protocol: the vendor's own, our own, and anything at all."""

from __future__ import annotations

import json
from datetime import date

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenix.ingest.terminal.encoder import Encoder, encode_request
from phenix.ingest.terminal.protocol import (
    BadFrame,
    Contract,
    MarketValueFrame,
    OhlcFrame,
    QuoteFrame,
    ReqResponse,
    Request,
    StateFrame,
    StatusFrame,
    TradeFrame,
    decode,
    money,
    money_half_even,
)

QQQ = Contract("OPTION", "QQQ", 20231110, 360_0000, "PUT")
SPXW = Contract("OPTION", "SPXW", 20240315, 4800_0000, "CALL")

VERBATIM = [
    (
        ('{"header":{"type":"TRADE","status":"CONNECTED"},\n "contract":{"security_type":"OPTION","root":"QQQ",'
        '"expiration":20231110,"strike":360000,"right":"P"},\n "trade":{"ms_of_day":49531278,"sequence":-563040482,'
        '"size":5,"condition":18,"price":1.06,"exchange":65,"date":20231103}}'),
        TradeFrame(QQQ, 20231103, 49531278, -563040482, 5, 18, 10600, 65),
    ),
    (
        ('{"header":{"type":"QUOTE","status":"CONNECTED"},"contract":{"security_type":"OPTION","root":"SPXW",'
        '"expiration":20240315,"strike":4800000,"right":"C"},"quote":{"ms_of_day":26622025,"bid_size":7,'
        '"bid_exchange":5,"bid":110.2,"bid_condition":50,"ask_size":7,"ask_exchange":5,"ask":110.5,'
        '"ask_condition":50,"date":20231219}}'),
        QuoteFrame(SPXW, 20231219, 26622025, 7, 5, 1102000, 50, 7, 5, 1105000, 50),
    ),
    (
        ('{"header":{"type":"OHLC","status":"CONNECTED"},"contract":{"security_type":"OPTION","root":"SPXW",'
        '"expiration":20260520,"strike":7400000,"right":"C"},"ohlc":{"ms_of_day":73971008,"open":28.0,"high":56.1,'
        '"low":15.7,"close":40.8,"volume":2763,"count":783,"date":20260518}}'),
        OhlcFrame(
            Contract("OPTION", "SPXW", 20260520, 7400_0000, "CALL"),
            20260518, 73971008, 280000, 561000, 157000, 408000, 2763, 783,
        ),
    ),
    ('{"header":{"type":"STATUS","status":"CONNECTED"}}', StatusFrame("CONNECTED")),
    (
        '{"header":{"type":"REQ_RESPONSE","status":"CONNECTED","response":"SUBSCRIBED","req_id":0}}',
        ReqResponse("CONNECTED", "SUBSCRIBED", 0),
    ),
    ('{"header":{"type":"STATE","status":"CONNECTED","state":"START"}}', StateFrame("CONNECTED", "START")),
    (
        ('{"quote":{"date":20231219,"ms_of_day":86400000,"ask":461.53565,"bid":461.5,"ask_size":1,"bid_size":1,'
        '"ask_exchange":57,"bid_exchange":57,"ask_condition":0,"bid_condition":0},'
        '"contract":{"root":"QQQ","security_type":"STOCK"},"header":{"status":"CONNECTED","type":"QUOTE"}}'),
        QuoteFrame(Contract("STOCK", "QQQ"), 20231219, 86400000, 1, 57, 4615000, 0, 1, 57, 4615356, 0),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "frame"), VERBATIM, ids=lambda value: type(value).__name__)
def test_the_published_frames_decode(text: str, frame: object) -> None:
    assert decode(text) == [frame]
    assert decode(text.encode()) == [frame]


def test_several_objects_in_one_message() -> None:
    lines = [text.replace("\n", "") for text, _ in VERBATIM]
    assert decode("\n".join(lines)) == [frame for _, frame in VERBATIM]
    assert decode("\r\n \n".join(lines) + "\n") == [frame for _, frame in VERBATIM]
    broken = decode(f"{lines[0]}\n{lines[1][:-9]}\n{lines[3]}")
    assert [type(frame) for frame in broken] == [TradeFrame, BadFrame, StatusFrame]


TRADE = orjson.loads(VERBATIM[0][0])
BAD = [
    ("", None),
    ("nonsense", "broken JSON"),
    (VERBATIM[0][0][:-4].replace("\n", ""), "broken JSON"),
    ("[]", "not a JSON object"),
    ("{}", "no header in the frame"),
    ('{"header":{"type":"GREEKS"}}', "unknown frame type 'GREEKS'"),
    ('{"header":{"type":["x"]}}', "unknown frame type ['x']"),
    ('{"header":{"type":"STATUS"}}', "STATUS frame without status"),
    ('{"header":{"type":"TRADE"}}', "TRADE frame: no trade in the frame"),
    ("price=1.00005", "TRADE frame: price 1.00005 has more than four decimals"),
    ("price=-0.01", "TRADE frame: price -0.01 is negative"),
    ("price=-1", "TRADE frame: price -1 is negative"),
    ('price="1.06"', "TRADE frame: price is not a number"),
    ("price=null", "TRADE frame: price is not a number"),
    ("price=true", "TRADE frame: price is not a number"),
    ("price=1e300", "TRADE frame: price 1e+300 is not finite or beyond any price"),
    ("price=9223372036854775807", "TRADE frame: price 9223372036854775807 is beyond any price"),
    ("price=NaN", "broken JSON"),
    ("price=Infinity", "broken JSON"),
    ("size=1.5", "TRADE frame: size 1.5 is not an integer"),
    ("sequence=true", "TRADE frame: sequence True is not an integer"),
    ("date=20230229", "TRADE frame: date 20230229 is not a date YYYYMMDD"),
    ("ms_of_day=86400001", "TRADE frame: ms_of_day 86400001 is not a time of day"),
    ("ms_of_day=-1", "TRADE frame: ms_of_day -1 is not a time of day"),
    ("exchange=", "TRADE frame without exchange"),
    ("strike=0", "TRADE frame: contract strike 0 is not a positive number of thousandths"),
    ("strike=1.5", "TRADE frame: contract strike 1.5 is not a positive number of thousandths"),
    ("expiration=18820101", "TRADE frame: contract expiration 18820101 is not a date YYYYMMDD"),
    ('right="X"', "TRADE frame: contract right 'X' is neither C nor P"),
    ('root=""', "TRADE frame: contract root '' is not a symbol"),
    ('root="xyz"', "TRADE frame: contract root 'xyz' is not a symbol"),
    ('root="A, B"', "TRADE frame: contract root 'A, B' is not a symbol"),
    ('root=["Q"]', "TRADE frame: the contract holds a list or an object where a value belongs"),
    ('security_type="BOND"', "TRADE frame: unknown security type 'BOND'"),
]


@pytest.mark.parametrize(("text", "reason"), BAD, ids=[text[:30] or "empty" for text, _ in BAD])
def test_bad_frames_say_why(text: str, reason: str | None) -> None:
    """A case is a whole text, or ``name=value`` put into the published trade; an empty value removes the name."""
    if "=" in text and not text.startswith("{"):
        name, _, value = text.partition("=")
        place = "trade" if name in TRADE["trade"] else "contract"
        body = {**TRADE, place: {key: held for key, held in TRADE[place].items() if key != name}}
        whole = orjson.dumps(body).decode()
        text = whole.replace(f'"{place}":{{', f'"{place}":{{"{name}":{value},', 1) if value else whole
    frames = decode(text)
    if reason is None:
        assert frames == []
        return
    (frame,) = frames
    assert isinstance(frame, BadFrame)
    assert frame.reason == reason or (reason == "broken JSON" and frame.reason.startswith("broken JSON: "))
    assert frame.snippet == text


def test_a_snippet_is_bounded_and_broken_utf8_is_kept_readable() -> None:
    (frame,) = decode(b'{"header":"\xff' + b"x" * 10_000)
    assert isinstance(frame, BadFrame)
    assert len(frame.snippet) == 4096
    assert frame.snippet.startswith('{"header":"\ufffdxx')


@given(st.one_of(st.text(), st.binary()))
def test_decode_never_raises(text: str | bytes) -> None:
    for frame in decode(text):
        assert isinstance(frame, BadFrame)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just({}), st.just([]))


@given(
    st.sampled_from([text for text, _ in VERBATIM]),
    st.lists(st.tuples(st.sampled_from(["header", "contract", "trade", "quote", "ohlc"]), st.integers(0, 12), scalars)),
)
def test_decode_never_raises_on_damaged_frames(text: str, damage: list[tuple[str, int, object]]) -> None:
    value = orjson.loads(text)
    for part, n, scalar in damage:
        if isinstance(value.get(part), dict) and value[part]:
            value[part][list(value[part])[n % len(value[part])]] = scalar
        else:
            value[part] = scalar
    assert len(decode(json.dumps(value))) == 1


amounts = st.integers(0, 10**9)
days = st.dates(date(1900, 1, 1), date(2199, 12, 31)).map(lambda d: d.year * 10_000 + d.month * 100 + d.day)
contracts = st.one_of(
    st.builds(
        Contract,
        st.just("OPTION"),
        st.sampled_from(["SPXW", "AAPL1", "BRKB"]),
        days,
        st.integers(1, 10**7).map(lambda thousandths: thousandths * 10),
        st.sampled_from(["CALL", "PUT"]),
    ),
    st.sampled_from([Contract("STOCK", "BRK.B"), Contract("INDEX", "SPX")]),
)
whole = st.integers(-(2**31), 2**31 - 1)
times = st.integers(0, 86_400_000)


@settings(max_examples=50)
@given(
    st.integers(0, 100),
    st.lists(
        st.one_of(
            st.builds(TradeFrame, contracts, days, times, whole, whole, whole, amounts, whole),
            st.builds(QuoteFrame, contracts, days, times, whole, whole, amounts, whole, whole, whole, amounts, whole),
            st.builds(OhlcFrame, contracts, days, times, amounts, amounts, amounts, amounts, whole, whole),
            st.builds(MarketValueFrame, contracts, days, times, amounts, amounts, amounts),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_frames_round_trip_in_any_key_order(seed: int, frames: list[TradeFrame]) -> None:
    encoder = Encoder(seed)
    write = {
        TradeFrame: encoder.trade,
        QuoteFrame: encoder.quote,
        OhlcFrame: encoder.ohlc,
        MarketValueFrame: encoder.market_value,
    }
    assert decode("\n".join(write[type(frame)](frame) for frame in frames)) == frames  # type: ignore[index,operator]


def test_key_order_varies() -> None:
    frame = VERBATIM[0][1]
    assert isinstance(frame, TradeFrame)
    encoder = Encoder(3)
    assert len({encoder.trade(frame) for _ in range(8)}) > 3


@given(st.integers(0, 10**10))
def test_money_is_exact(amount: int) -> None:
    text = f"{amount // 10_000}.{amount % 10_000:04d}"
    assert money(orjson.loads(text), "price") == amount
    assert money_half_even(orjson.loads(text), "price") == amount


@given(st.integers(0, 10**9), st.integers(1, 9))
def test_a_fifth_decimal_is_refused_or_rounded_half_even(amount: int, digit: int) -> None:
    value = orjson.loads(f"{amount // 10_000}.{amount % 10_000:04d}{digit}")
    with pytest.raises(ValueError, match="more than four decimals"):
        money(value, "price")
    up = digit > 5 or (digit == 5 and amount % 2 == 1)
    assert money_half_even(value, "bid") == amount + up


def test_requests_are_the_vendors_text() -> None:
    contract = Contract("OPTION", "SPXW", 20240315, 4800_0000, "CALL")
    assert encode_request(Request("STREAM", 0, "OPTION", "TRADE", add=True, contract=contract)) == (
        '{"msg_type":"STREAM","sec_type":"OPTION","req_type":"TRADE","add":true,"id":0,'
        '"contract":{"root":"SPXW","expiration":20240315,"strike":4800000,"right":"C"}}'
    )
    assert encode_request(Request("STREAM_BULK", 0)) == (
        '{"msg_type":"STREAM_BULK","sec_type":"OPTION","req_type":"TRADE","add":true,"id":0}'
    )
    assert encode_request(Request("STOP", 4)) == '{"msg_type":"STOP","id":4}'
