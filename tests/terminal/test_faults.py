"""Every fault of the table over real sockets: what arrives, and an account that closes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from phenix.ingest.terminal import client_stream
from phenix.ingest.terminal.client import Connected, Disconnected, Settled, Silence, Stream, Subscription
from phenix.ingest.terminal.entitlements import Entitlements, Tier
from phenix.ingest.terminal.faults import FAULTS, FaultError, Span, parse_fault, read_fault
from phenix.ingest.terminal.protocol import BadFrame, QuoteFrame, StateFrame, StatusFrame, TradeFrame
from phenix.ingest.terminal.standin_play import Absence
from phenix.ingest.terminal.tape import FileTape
from tests.terminal.sources import CALL, Many

Run = Callable[[Awaitable[Any]], Any]
Serve = Callable[..., Any]
EVERYTHING = Entitlements(Tier.PRO, Tier.PRO, Tier.PRO)


@dataclass(slots=True)
class Played:
    """What a client saw of a tape, and what the stand-in says of it."""

    items: list[Any] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)
    fired: dict[str, int] = field(default_factory=dict)

    @property
    def trades(self) -> list[TradeFrame]:
        return [item for item in self.items if isinstance(item, TradeFrame)]

    @property
    def sequences(self) -> list[int]:
        return [trade.sequence for trade in self.trades]

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]

    def closes(self) -> None:
        """Each print is somewhere, and what the client has is what was sent."""
        it = self.ledger
        assert it["due"] == it["sent"] + it["broken"] + it["unwanted"] + it["waiting"] + sum(it["lost"].values())
        assert len(self.trades) == it["sent"] + it["sent_again"]
        assert len(self.of(BadFrame)) == it["broken"]


async def read(client: httpx.AsyncClient, played: Played) -> Played:
    played.ledger = (await client.get("/control/ledger")).json()
    active = (await client.get("/control/faults")).json()["active"]
    played.fired = {fault["name"]: fault["fired"] for fault in active}
    return played


async def play(serve: Serve, count: int, faults: Sequence[str], *, watchdog_s: float = 5.0, **how: Any) -> Played:
    """Play numbered prints to a client until the market's STOP."""
    played = Played()
    how = {"absence": Absence.CONTINUE, "status_interval_s": 0.05, **how}
    async with (
        serve(Many(count), EVERYTHING, faults=faults, **how) as terminal,
        Stream(terminal.stream_url, status_silence_s=watchdog_s, backoff_base_s=0.01, seed=5) as stream,
        httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http,
    ):
        stream.want([Subscription("TRADE", None)])
        async for batch in stream:
            played.items += batch.items
            if any(isinstance(item, StateFrame) and item.state == "STOP" for item in batch.items):
                break
        return await read(http, played)


def test_without_faults_all_is_sent_once(run: Run, serve: Serve) -> None:
    played = run(play(serve, 300, []))
    played.closes()
    assert played.sequences == list(range(300))
    assert played.ledger | {"messages": 0} == {
        "due": 300, "sent": 300, "sent_again": 0, "broken": 0, "unwanted": 0, "waiting": 0, "lost": {}, "added": 0,
        "connections": 1, "messages": 0, "answers": {},
    }  # fmt: skip


# -- the tape

ORDERS = [
    ("late_prints:after=2,count=1,delay=3", [0, 1, 3, 4, 5, 2, 6, 7, 8, 9]),
    ("out_of_order:after=8,count=1,delay=5", [0, 1, 2, 3, 4, 5, 6, 7, 9, 8]),
    ("out_of_order:after=1,for=2,delay=2", [0, 3, 1, 4, 2, 5, 6, 7, 8, 9]),
    ("cancels:after=1,count=1,delay=2,code=44", [0, 1, 2, 3, 1, 4, 5, 6, 7, 8, 9]),
    ("sequence_wrap:after=5", [0, 1, 2, 3, 4, 2**31 - 1, -(2**31), 1 - 2**31, 2 - 2**31, 3 - 2**31]),
    ("duplicate_frames:after=4,count=2,times=2", [0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 7, 8, 9]),
]


@pytest.mark.parametrize(("fault", "order"), ORDERS, ids=[fault for fault, _ in ORDERS])
def test_prints_come_again_later_or_renumbered(run: Run, serve: Serve, fault: str, order: list[int]) -> None:
    played = run(play(serve, 10, [fault]))
    played.closes()
    assert played.sequences == order


def test_late_prints_keep_their_time_and_say_late(run: Run, serve: Serve) -> None:
    played = run(play(serve, 10, ["late_prints:after=2,count=1,delay=3,code=2"]))
    (late,) = [trade for trade in played.trades if trade.condition == 2]
    assert (late.sequence, late.ms_of_day) == (2, 34_202_000)
    assert [trade.condition for trade in played.trades].count(18) == 9


def test_cancels_repeat_their_print_at_their_own_time(run: Run, serve: Serve) -> None:
    played = run(play(serve, 400, ["cancels:share=0.1,delay=7"]))
    played.closes()
    seen: dict[int, int] = {}
    cancels = 0
    for place, trade in enumerate(played.trades):
        if trade.condition == 40:
            cancels += 1
            original = played.trades[seen[trade.sequence]]
            assert original == trade._replace(condition=18, ms_of_day=original.ms_of_day)
            later = [it for it in played.trades[seen[trade.sequence] + 1 : place] if it.condition == 18]
            assert len(later) == min(7, 399 - original.sequence)
        else:
            seen[trade.sequence] = place
    times = [trade.ms_of_day for trade in played.trades]
    assert times == sorted(times)
    assert cancels == played.ledger["added"] == played.fired["cancels"]
    assert 20 < cancels < 70
    assert played.ledger["due"] == 400 + cancels


CHANGED: list[tuple[str, Callable[[QuoteFrame], bool]]] = [
    ("one_sided_quotes:side=bid", lambda q: (q.bid, q.bid_size, q.ask) == (0, 0, 40100)),
    ("one_sided_quotes:side=ask", lambda q: (q.ask, q.ask_size, q.bid) == (0, 0, 39900)),
    ("one_sided_quotes:side=both", lambda q: q.bid == q.ask == q.bid_size == q.ask_size == 0),
    ("crossed_quotes", lambda q: (q.bid, q.ask) == (40100, 39900)),
    ("crossed_quotes:by=locked", lambda q: (q.bid, q.ask) == (40100, 40100)),
]


@pytest.mark.parametrize(("fault", "holds"), CHANGED, ids=[fault for fault, _ in CHANGED])
def test_quotes_are_changed(run: Run, serve: Serve, fault: str, holds: Callable[[QuoteFrame], bool]) -> None:
    joined = "," if ":" in fault else ":"
    played = run(play(serve, 200, [f"{fault}{joined}share=0.3"]))
    played.closes()
    (name, fired), *_ = played.fired.items()
    assert fault.startswith(name)
    changed = [quote for quote in played.of(QuoteFrame) if holds(quote)]
    assert len(changed) == 3 * fired
    assert 30 < fired < 90


@pytest.mark.parametrize(("fault", "field"), [("unknown_conditions", "condition"), ("unknown_exchanges", "exchange")])
def test_codes_no_table_knows(run: Run, serve: Serve, fault: str, field: str) -> None:
    played = run(play(serve, 50, [f"{fault}:code=-7,after=10,count=5"]))
    assert Counter(getattr(trade, field) for trade in played.trades)[-7] == 5
    assert [getattr(trade, field) == -7 for trade in played.trades].index(True) == 10


# -- the line


@pytest.mark.parametrize("fault", ["abrupt_close", "second_client"])
def test_a_lost_connection_loses_what_comes_meanwhile(run: Run, serve: Serve, fault: str) -> None:
    played = run(play(serve, 400, [f"{fault}:after=150"]))
    played.closes()
    assert played.ledger["lost"]["no_client"] > 0
    assert played.sequences[:151] == list(range(151))
    assert played.ledger["connections"] == 2
    (lost,) = played.of(Disconnected)
    code = {"abrupt_close": "no close frame received", "second_client": "1000"}[fault]
    assert code in lost.reason


@pytest.mark.parametrize("fault", ["abrupt_close", "second_client"])
def test_a_waiting_tape_loses_nothing(run: Run, serve: Serve, fault: str) -> None:
    played = run(play(serve, 400, [f"{fault}:after=50,count=3"], absence=Absence.PAUSE))
    played.closes()
    assert played.sequences == list(range(400))
    assert len(played.of(Connected)) == 4


def test_a_reset_without_waiting_leaves_prints_in_doubt(run: Run, serve: Serve) -> None:
    played = run(play(serve, 400, ["abrupt_close:after=150,drain=0"]))
    it = played.ledger
    assert it["due"] == 400 == it["sent"] + sum(it["lost"].values())
    assert it["sent"] <= len(played.trades) <= it["sent"] + it["lost"].get("in_doubt", 0)
    again = run(play(serve, 400, ["abrupt_close:after=150,drain=0"], absence=Absence.PAUSE))
    assert list(dict.fromkeys(again.sequences)) == list(range(400))
    assert again.ledger["sent"] == 400


async def until(ws: ClientConnection, wanted: Callable[[str], bool]) -> None:
    while not wanted(str(await ws.recv())):
        pass


async def closed_with(serve: Serve, fault: str) -> tuple[int, int | None]:
    """Codes of the close as a client sees them: its own reading, and the frame's if one came."""
    async with serve(Many(50), EVERYTHING, faults=[fault]) as terminal, connect(terminal.stream_url, proxy=None) as ws:
        await ws.send('{"msg_type":"STREAM_BULK","sec_type":"OPTION","req_type":"TRADE","add":true,"id":0}')
        with pytest.raises(ConnectionClosed) as closed:
            await until(ws, lambda _: False)
        assert ws.close_code is not None
        return ws.close_code, closed.value.rcvd.code if closed.value.rcvd else None


def test_close_codes(run: Run, serve: Serve) -> None:
    assert run(closed_with(serve, "abrupt_close:after=5")) == (1006, None)
    assert run(closed_with(serve, "second_client:after=5,code=4001")) == (4001, 4001)


def test_flapping_status_loses_its_prints_and_says_so(run: Run, serve: Serve) -> None:
    played = run(play(serve, 100, ["status_flapping:after=20,for=10,count=2"], status_interval_s=3600))
    played.closes()
    assert played.sequences == [*range(20), *range(30, 50), *range(60, 100)]
    assert played.ledger["lost"] == {"status_flapping": 20}
    told = [item.status if isinstance(item, StatusFrame) else item.sequence
            for item in played.items if isinstance(item, StatusFrame | TradeFrame)]  # fmt: skip
    assert told == [
        "DISCONNECTED", *range(20), "DISCONNECTED", "CONNECTED", *range(30, 50), "DISCONNECTED", "CONNECTED",
        *range(60, 100),
    ]  # fmt: skip


def test_an_outage_lasts_for_its_time(run: Run, serve: Serve) -> None:
    """Real time: STATUS goes on saying so, and the day's end is told after it."""
    played = run(play(serve, 100, ["status_flapping:after=50,for=0.5s,word=ERROR"]))
    played.closes()
    assert played.sequences == list(range(50))
    words = [item.status for item in played.of(StatusFrame)]
    assert words.count("ERROR") > 2
    assert played.items[-1] == StateFrame("CONNECTED", "STOP")


def test_a_silent_feed_says_nothing(run: Run, serve: Serve) -> None:
    async def go() -> None:
        async with (
            serve(Many(100), EVERYTHING, faults=["silent_feed:after=10,for=0"], status_interval_s=0.01) as terminal,
            connect(terminal.stream_url, proxy=None) as ws,
            httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http,
        ):
            await ws.send('{"msg_type":"STREAM_BULK","sec_type":"OPTION","req_type":"TRADE","add":true,"id":0}')
            trades = 0
            while trades < 10:
                trades += orjson.loads(await ws.recv())["header"]["type"] == "TRADE"
            for _ in range(2):  # the two quotes after it
                assert '"QUOTE"' in str(await ws.recv())
            await ws.send('{"msg_type":"STOP","id":1}')
            said: list[str] = []
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(until(ws, lambda message: bool(said.append(message))), 0.3)
            assert len(said) <= 1  # a STATUS may have been under way
            await (await ws.ping())  # the socket is open
            assert (await http.delete("/control/faults/silent_feed")).json() == {"cleared": 1}
            async with asyncio.timeout(5):
                await ws.recv()
            played = await read(http, Played())
            assert played.ledger["lost"] == {"silent_feed": 90}
            assert played.fired == {}

    run(go())


def test_a_silent_feed_is_left_by_the_watchdog(run: Run, serve: Serve) -> None:
    """What the client had not confirmed comes to a later connection; what was due in the silence does not."""
    played = run(
        play(
            serve, 1500, ["silent_feed:after=10,for=1s"], watchdog_s=0.3, speed=500, absence=Absence.PAUSE,
            status_interval_s=0.02,
        )
    )  # fmt: skip
    it = played.ledger
    assert played.of(Disconnected)[0].reason == "no STATUS for 0.3 s"
    assert it["connections"] > 1
    assert it["due"] == 1500 == it["sent"] + it["lost"]["silent_feed"]
    assert len(set(played.sequences)) == it["sent"]
    assert it["lost"]["silent_feed"] > 100


def test_a_silence_the_watchdog_bears_is_told(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else says that prints were lost: the socket stays open and STATUS says afterwards that all is well."""
    monkeypatch.setattr(client_stream, "LATE_S", 0.5)
    played = run(play(serve, 300, ["silent_feed:after=50,for=1s"], speed=100, status_interval_s=0.02))
    played.closes()
    assert played.ledger["lost"]["silent_feed"] > 50
    assert played.of(Disconnected) == []
    (silence,) = played.of(Silence)
    assert 900 < silence.at - silence.since < 10_000
    place = played.items.index(silence)
    before, after = ([it.sequence for it in part if isinstance(it, TradeFrame)]
                     for part in (played.items[:place], played.items[place:]))  # fmt: skip
    assert before == list(range(50))
    assert after[0] == 50 + played.ledger["lost"]["silent_feed"]


# -- frames


def test_stale_frames_come_first_after_a_reconnect(run: Run, serve: Serve) -> None:
    faults = ["abrupt_close:after=30", "stale_frames:prints=4"]
    played = run(play(serve, 60, faults, absence=Absence.PAUSE))
    played.closes()
    assert played.sequences == [*range(31), *range(27, 31), *range(31, 60)]
    assert played.ledger["sent_again"] == 4


def test_broken_frames_are_not_json(run: Run, serve: Serve) -> None:
    for lines in (1, 20):
        played = run(play(serve, 200, ["broken_frames:share=0.2"], lines=lines))
        played.closes()
        assert 20 < played.ledger["broken"] < 60
        assert all(bad.reason.startswith("broken JSON") for bad in played.of(BadFrame))
        assert played.ledger["sent"] == 200 - played.ledger["broken"]


async def raw(serve: Serve, faults: Sequence[str], **how: Any) -> tuple[list[str], Counter[Opcode], int]:
    """Messages of a tape up to its STOP, the WebSocket frames they came in, and their number by the ledger."""
    opcodes: Counter[Opcode] = Counter()

    class Watched(ClientConnection):
        def process_event(self, event: Any) -> None:
            if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.CONT}:
                opcodes[event.opcode] += 1
            super().process_event(event)

    said: list[str] = []
    async with (
        serve(Many(100), EVERYTHING, faults=faults, status_interval_s=3600, **how) as terminal,
        connect(terminal.stream_url, proxy=None, create_connection=Watched) as ws,
    ):
        await ws.send('{"msg_type":"STREAM_BULK","sec_type":"OPTION","req_type":"TRADE","add":true,"id":0}')
        while not said or '"STOP"' not in said[-1]:
            said.append(str(await ws.recv()))
        return said, opcodes, terminal.stream.playback.ledger.messages


def test_joined_frames(run: Run, serve: Serve) -> None:
    plain, _, _ = run(raw(serve, []))
    joined, _, messages = run(raw(serve, ["joined_frames:lines=7"]))
    assert "\n".join(joined).split("\n") == plain
    sizes = Counter(message.count("\n") + 1 for message in joined[3:-1])
    assert set(range(2, 8)) <= set(sizes) <= set(range(1, 8))
    assert messages == len(joined) - 4  # STATUS, the answer, START and STOP are no events


def test_split_frames(run: Run, serve: Serve) -> None:
    plain, opcodes, _ = run(raw(serve, []))
    assert opcodes == {Opcode.TEXT: len(plain)}
    split, opcodes, messages = run(raw(serve, ["split_frames:parts=4,count=30"]))
    assert split == plain
    assert opcodes == {Opcode.TEXT: len(plain), Opcode.CONT: 90}
    assert messages == 500


def test_the_same_seed_sends_the_same_bytes_at_any_speed(run: Run, serve: Serve) -> None:
    faults = ["cancels:share=0.2", "one_sided_quotes:share=0.2", "broken_frames:share=0.1", "out_of_order:share=0.1"]
    at_once, _, _ = run(raw(serve, faults, seed=3))
    paced, _, _ = run(raw(serve, faults, seed=3, speed=500, lines=3))
    assert "\n".join(paced).split("\n") == at_once
    other, _, _ = run(raw(serve, [f"{fault},seed=1" for fault in faults], seed=3))
    assert other != at_once


# -- requests


@pytest.mark.parametrize("word", ["ERROR", "MAX_STREAMS_REACHED", "INVALID_PERMS", "SILENCE"])
def test_refused_requests(run: Run, serve: Serve, word: str) -> None:
    async def go() -> Any:
        fault = f"refused_requests:word={word},count=1"
        async with (
            serve(Many(1), EVERYTHING, faults=[fault]) as terminal,
            Stream(terminal.stream_url, answer_timeout_s=0.2) as stream,
        ):
            stream.want([Subscription("TRADE", CALL), Subscription("QUOTE", CALL)])
            async for batch in stream:
                for item in batch.items:
                    if isinstance(item, Settled):
                        return item
        raise AssertionError("the stream ended")

    settled = run(go())
    assert settled.subscribed == 1
    assert settled.refused == ((Subscription("TRADE", CALL), "TIMEOUT" if word == "SILENCE" else word),)


@pytest.mark.parametrize(("word", "streams"), [("ERROR", 2), ("SILENCE", 2), ("INVALID_PERMS", 1)])
def test_what_was_refused_in_passing_is_asked_for_again(run: Run, serve: Serve, word: str, streams: int) -> None:
    """When the plan is made again, that is; what the account has no right to is not."""
    wanted = [Subscription("TRADE", CALL), Subscription("QUOTE", CALL)]
    put = CALL._replace(right="PUT")

    async def go() -> list[int]:
        fault = f"refused_requests:word={word},count=1"
        async with (
            serve(Many(1), EVERYTHING, faults=[fault]) as terminal,
            Stream(terminal.stream_url, answer_timeout_s=0.2) as stream,
        ):
            stream.want(wanted)
            found: list[int] = []
            async for batch in stream:
                for item in batch.items:
                    if isinstance(item, Settled):
                        found.append(item.subscribed)
                        if len(found) == 2:
                            return found
                        stream.want([*wanted, Subscription("TRADE", put)])
        raise AssertionError("the stream ended")

    assert run(go()) == [1, streams + 1]


# -- REST


def http_faults() -> list[str]:
    return [name for name in FAULTS if name.startswith("http_") and name != "http_error"]


@pytest.mark.parametrize("name", http_faults())
def test_http_errors(run: Run, serve: Serve, name: str) -> None:
    async def go() -> None:
        faults = [f"{name}:after=1,count=1,path=/option/"]
        async with (
            serve(Many(1), faults=faults) as terminal,
            httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http,
        ):
            codes = []
            for path in ("option/list/symbols", "calendar/today", "option/list/symbols", "option/list/symbols"):
                answer = await http.get(f"/v3/{path}")
                codes.append(answer.status_code)
                if answer.status_code != 200:
                    assert answer.headers["content-type"] == "text/plain"
                    assert answer.text == parse_fault(name).values["text"]
            code = int(name.removeprefix("http_"))
            assert codes == [200, 200, code, 200]
            word = "DISCONNECTED" if code == 474 else "CONNECTED"
            assert (await http.get("/v3/terminal/mdds/status")).text == word
            told = await read(http, Played())
            assert told.ledger["answers"] == {"200": 3, str(code): 1}
            assert told.fired == {name: 1}

    run(go())


def test_other_errors_and_permission_text(run: Run, serve: Serve) -> None:
    async def go() -> list[tuple[int, str]]:
        faults = ["http_error:code=502,text=Bad Gateway,count=1", "permission_text:count=1"]
        async with (
            serve(Many(1), faults=faults) as terminal,
            httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http,
        ):
            answers = [await http.get("/v3/option/list/symbols") for _ in range(3)]
            return [(answer.status_code, answer.text) for answer in answers]

    assert run(go()) == [
        (502, "Bad Gateway"),
        (200, "You need a subscription that includes this request"),
        (200, "symbol\r\nAAPL\r\n"),
    ]


def test_slow_bodies(run: Run, serve: Serve) -> None:
    async def go() -> float:
        async with (
            serve(Many(1), faults=["slow_body:wait=0.1,pause=0.05,bytes=3"]) as terminal,
            httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http,
        ):
            began = asyncio.get_running_loop().time()
            assert (await http.get("/v3/option/list/symbols")).text == "symbol\r\nAAPL\r\n"
            return asyncio.get_running_loop().time() - began

    assert run(go()) >= 0.1 + 4 * 0.05  # 14 bytes in five pieces; a lower bound cannot flake


def test_truncated_bodies(run: Run, serve: Serve) -> None:
    async def go() -> None:
        async with serve(Many(1)) as terminal, httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http:
            terminal.faults.add(read_fault("truncated_body", {"keep": 0.75, "count": 1}))
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                await http.get("/v3/option/list/symbols")
            terminal.faults.add(read_fault("truncated_body", {"keep": 0.75, "end": "clean", "count": 1}))
            assert (await http.get("/v3/option/list/symbols")).text == "symbol\r\nAA"
            assert (await http.get("/v3/option/list/symbols")).text == "symbol\r\nAAPL\r\n"

    run(go())


# -- reading and control


def test_every_fault_has_a_test() -> None:
    source = __import__("pathlib").Path(__file__).read_text("utf-8")
    untested = [name for name in FAULTS if name not in source and name not in http_faults()]
    assert untested == []


WRONG = [
    ("silent_fed", "no fault 'silent_fed'; did you mean silent_feed?"),
    ("cancels:delay", "cancels: 'delay' is not key=value"),
    ("cancels:dely=3", "cancels has no parameter 'dely'; it takes delay, code, after, for, share, count, seed"),
    ("cancels:delay=0", "cancels: delay '0' is not 1 to 100000"),
    ("cancels:share=1.5", "cancels: share '1.5' is not 0 to 1"),
    ("cancels:share=nan", "cancels: share 'nan' is not 0 to 1"),
    ("silent_feed:for=soon", "silent_feed: for 'soon' is not a number, or seconds such as 2.5s"),
    ("crossed_quotes:by=much", "crossed_quotes: by 'much' is not crossed, locked"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text for text, _ in WRONG])
def test_wrong_faults_are_told(text: str, message: str) -> None:
    with pytest.raises(FaultError) as error:
        parse_fault(text)
    assert str(error.value) == message


def test_defaults_are_within_their_ranges() -> None:
    for fault in FAULTS.values():
        assert len({param.name for param in fault.params}) == len(fault.params)
        for param in fault.params:
            assert param.read(str(param.default)) == param.default
    assert parse_fault("silent_feed:for=2.5s").values["for"] == Span(0, 2.5)
    assert parse_fault("silent_feed:for=25").values["for"] == Span(25)


def test_faults_are_switched_at_run_time(run: Run, serve: Serve) -> None:
    async def go() -> None:
        async with serve(Many(1)) as terminal, httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http:
            listed = (await http.get("/control/faults")).json()
            assert listed["active"] == []
            assert [fault["name"] for fault in listed["available"]] == list(FAULTS)
            added = await http.post("/control/faults", json={"name": "http_571", "count": 2, "for": "10s"})
            assert added.status_code == 201
            assert added.json() == {
                "id": 1, "name": "http_571", "text": "SERVER_STARTING", "path": "", "after": 0, "for": "10s",
                "share": 1.0, "count": 2, "seed": 0, "seen": 0, "fired": 0,
            }  # fmt: skip
            assert (await http.get("/v3/calendar/today")).status_code == 571
            await http.post("/control/faults", json={"name": "http_472"})
            assert (await http.delete("/control/faults/1")).json() == {"cleared": 1}
            assert (await http.get("/v3/calendar/today")).status_code == 472
            assert (await http.delete("/control/faults")).json() == {"cleared": 1}
            assert (await http.get("/v3/calendar/today")).status_code == 200
            for body, message in (
                (b"{", "the body is not JSON"),
                (b"[]", "the body is not a JSON object"),
                (b'{"name": 3}', "no fault '3'"),
                (b'{"name": "cancels", "delay": 2.5}', "cancels: delay '2.5' is not 1 to 100000"),
                (b'{"name": "cancels", "delay": true}', "cancels: delay 'True' is not 1 to 100000"),
            ):
                refused = await http.post("/control/faults", content=body)
                assert (refused.status_code, refused.text[: len(message)]) == (400, message)
            assert (await http.delete("/control/faults/none")).status_code == 404

    run(go())


def test_speed_changes_while_it_plays(run: Run, serve: Serve) -> None:
    async def go() -> None:
        async with (
            serve(Many(500), EVERYTHING, speed=1) as terminal,
            Stream(terminal.stream_url) as stream,
            httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http,
        ):
            stream.want([Subscription("TRADE", None)])
            async for batch in stream:
                if any(isinstance(item, TradeFrame) for item in batch.items):
                    break
            assert (await http.post("/control/play", json={"speed": -1})).status_code == 400
            assert (await http.post("/control/play", json={"speed": 0})).text == "OK"
            await terminal.stream.finished.wait()  # 500 s of tape

    run(go())


def test_playback_holds_before_a_time(run: Run, serve: Serve, tape: FileTape) -> None:
    async def go() -> None:
        async with (
            serve(tape, EVERYTHING, wait_for_play=True) as terminal,
            Stream(terminal.stream_url) as stream,
            httpx.AsyncClient(base_url=terminal.base_url, trust_env=False) as http,
        ):
            stream.want([Subscription("TRADE", None)])
            refused = await http.post("/control/play", json={"until": "noon"})
            assert (refused.status_code, refused.text[:19]) == (400, "'noon' is not a tim")
            assert (await http.post("/control/play", json={"until": "2024-11-04T15:59:59.1"})).text == "OK"
            await terminal.stream.playback.held.wait()
            assert terminal.stream.playback.ledger.sent == 5
            seen = 0
            async for batch in stream:
                seen += sum(isinstance(item, TradeFrame) for item in batch.items)
                if seen == 5:
                    break
            assert (await http.post("/control/play")).text == "OK"
            await terminal.stream.finished.wait()
            assert terminal.stream.playback.ledger.sent == 6

    run(go())
