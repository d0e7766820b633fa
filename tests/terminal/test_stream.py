"""The stand-in and the client over real sockets: order, requests, reconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websocket_server
from websockets.exceptions import ConnectionClosed

from phenix.ingest.terminal import entitlements
from phenix.ingest.terminal.client import Connected, Disconnected, Overflow, Settled, Stream, Subscription
from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.entitlements import Entitlements, Tier
from phenix.ingest.terminal.events import Print, Source, TapeEvent
from phenix.ingest.terminal.layouts import DAY_MS, date_of
from phenix.ingest.terminal.protocol import (
    BadFrame,
    Contract,
    MarketValueFrame,
    OhlcFrame,
    QuoteFrame,
    ReqResponse,
    StateFrame,
    StatusFrame,
    TradeFrame,
    decode,
)
from phenix.ingest.terminal.standin import StandIn
from phenix.ingest.terminal.standin_play import Absence
from phenix.ingest.terminal.tape import FileTape
from tests.terminal.sources import CALL, Many

Run = Callable[[Awaitable[object]], object]
EVERYTHING = Entitlements(Tier.PRO, Tier.PRO, Tier.PRO)


def prints(source: Source) -> list[Print]:
    return [event for event in source.events() if isinstance(event, Print)]


def as_trade(event: Print) -> TradeFrame:
    return TradeFrame(
        event.contract,
        date_of(event.wall),
        event.wall % DAY_MS,
        event.sequence,
        event.size,
        event.condition,
        event.price,
        event.exchange,
    )


def everything(source: Source) -> list[Subscription]:
    wanted = [Subscription("TRADE", contract) for contract in sorted(source.contracts())]
    symbols = {source.underlying_of(contract.root) for contract in source.contracts()}
    return wanted + [Subscription("QUOTE", Contract("STOCK", symbol)) for symbol in sorted(symbols)]


async def items(stream: Stream, until: Callable[[object], bool]) -> list[object]:
    """Every batch up to the one with an item that satisfies ``until``, whole."""
    seen: list[object] = []
    async for batch in stream:
        seen += batch.items
        if any(until(item) for item in batch.items):
            return seen
    raise AssertionError("the stream ended")


def stopped(item: object) -> bool:
    return isinstance(item, StateFrame) and item.state == "STOP"


def check_whole(source: Source, seen: list[object]) -> None:
    """Every print once and in order; its quote before it; each underlying quote before later prints."""
    assert not [item for item in seen if isinstance(item, BadFrame | Overflow)]
    assert [item for item in seen if isinstance(item, TradeFrame)] == [as_trade(event) for event in prints(source)]
    last_quote: dict[Contract, QuoteFrame] = {}
    volume: dict[Contract, int] = {}
    expected = iter(prints(source))
    for place, item in enumerate(seen):
        if isinstance(item, QuoteFrame):
            last_quote[item.contract] = item
        elif isinstance(item, TradeFrame):
            event = next(expected)
            quote = event.quote
            assert quote is not None
            told = last_quote[item.contract]
            assert (told.bid, told.ask, told.ms_of_day) == (quote.bid, quote.ask, quote.wall % DAY_MS)
            volume[item.contract] = volume.get(item.contract, 0) + item.size
            bar = seen[place - 1]
            assert isinstance(bar, OhlcFrame)
            assert (bar.contract, bar.volume, bar.close) == (item.contract, volume[item.contract], item.price)
            assert seen[place + 1] == seen[place + 2] == seen[place - 2] == told
            last_underlying = last_quote.get(Contract("STOCK", source.underlying_of(event.contract.root)))
            due = [
                (quoted.wall % DAY_MS, quoted.bid)
                for quoted in source.events(source.underlying_of(event.contract.root))
                if not isinstance(quoted, Print) and quoted.wall <= event.wall
            ] if len(seen) < 1_000 else None  # fmt: skip
            if due is not None:
                assert (last_underlying and (last_underlying.ms_of_day, last_underlying.bid)) == (
                    due[-1] if due else None
                )


@pytest.mark.parametrize("lines", [1, 7])
def test_a_tape_arrives_whole_and_in_order(run: Run, serve: Callable[..., StandIn], tape: FileTape, lines: int) -> None:
    async def go() -> None:
        async with serve(tape, EVERYTHING, lines=lines) as terminal, Stream(terminal.stream_url) as stream:
            stream.want(everything(tape))
            seen = await items(stream, stopped)
            check_whole(tape, seen)
            first = next(item for item in seen if isinstance(item, StatusFrame))
            assert first.status == "DISCONNECTED"
            (settled,) = [item for item in seen if isinstance(item, Settled)]
            assert settled.refused == ()
            assert settled.subscribed == len(everything(tape))
            assert isinstance(seen[0], Connected)

    run(go())


def test_the_real_tapes_arrive_whole_and_in_order(run: Run, serve: Callable[..., StandIn], real_tape: FileTape) -> None:
    async def go() -> None:
        async with serve(real_tape, EVERYTHING, lines=50) as terminal, Stream(terminal.stream_url) as stream:
            stream.want(everything(real_tape))
            check_whole(real_tape, await items(stream, stopped))

    run(go())


def test_only_what_is_subscribed_arrives(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as terminal, Stream(terminal.stream_url) as stream:
            stream.want(
                [Subscription("TRADE", CALL), Subscription("QUOTE", Contract("OPTION", "X", 20300101, 10, "PUT"))]
            )
            seen = await items(stream, stopped)
            trades = [item for item in seen if isinstance(item, TradeFrame)]
            assert trades == [as_trade(event) for event in prints(tape) if event.contract == CALL]
            assert {item.contract for item in seen if isinstance(item, QuoteFrame | OhlcFrame)} == {CALL}

    run(go())


def test_quote_streams_carry_quotes_only(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as terminal, Stream(terminal.stream_url) as stream:
            stream.want([Subscription("QUOTE", CALL)])
            seen = await items(stream, stopped)
            assert not [item for item in seen if isinstance(item, TradeFrame | OhlcFrame)]
            assert len([item for item in seen if isinstance(item, QuoteFrame)]) == 4

    run(go())


def test_entitlements_refuse_streams(
    run: Run, serve: Callable[..., StandIn], tape: FileTape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(entitlements._STREAMS, ("OPTION", "TRADE"), (0, 0, 2, 10**9))

    async def go() -> None:
        async with serve(tape) as terminal, Stream(terminal.stream_url) as stream:
            contracts = sorted(tape.contracts())
            bulk, stock = Subscription("TRADE", None), Subscription("QUOTE", Contract("STOCK", "AAPL"))
            index = Subscription("QUOTE", Contract("INDEX", "SPX"))
            stream.want([bulk, stock, index, *(Subscription("TRADE", contract) for contract in contracts)])
            seen = await items(stream, lambda item: isinstance(item, Settled))
            (settled,) = [item for item in seen if isinstance(item, Settled)]
            assert settled.subscribed == 2
            assert settled.refused == (
                (bulk, "INVALID_PERMS"),
                (stock, "INVALID_PERMS"),
                (index, "INVALID_PERMS"),
                (Subscription("TRADE", contracts[2]), "MAX_STREAMS_REACHED"),
            )

    run(go())


def test_bulk_stream_brings_every_trade(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, EVERYTHING) as terminal, Stream(terminal.stream_url) as stream:
            stream.want([Subscription("TRADE", None)])
            seen = await items(stream, stopped)
            assert [item for item in seen if isinstance(item, TradeFrame)] == [
                as_trade(event) for event in prints(tape)
            ]

    run(go())


async def receive(ws: ClientConnection, wanted: Callable[[object], bool]) -> object:
    while True:
        for frame in decode(await ws.recv()):
            if wanted(frame):
                return frame


REQUESTS = [
    (
        ('{"msg_type":"STREAM","sec_type":"OPTION","req_type":"TRADE","add":true,"id":7,'
        '"contract":{"root":"AAPL","expiration":"20241108","strike":"220000","right":"C"}}'),
        ("SUBSCRIBED", 7),
    ),
    (
        ("{'msg_type': 'STREAM', 'sec_type': 'OPTION', 'req_type': 'QUOTE', 'add': True, 'id': '8', "
        "'contract': {'root': 'AAPL', 'expiration': 20241108, 'strike': 220000, 'right': 'C'}}"),
        ("SUBSCRIBED", 8),
    ),
    ('{"msg_type":"STREAM","sec_type":"OPTION","req_type":"TRADE","add":true,"id":9}', ("ERROR", 9)),
    ('{"msg_type":"STREAM","sec_type":"OPTION","req_type":"OHLC","add":true,"id":10,"contract":{}}', ("ERROR", 10)),
    ('{"msg_type":"STREAM_BULK","sec_type":"OPTION","req_type":"TRADE","add":true,"id":11}', ("INVALID_PERMS", 11)),
    ('{"msg_type":"STOP","id":12}', ("SUBSCRIBED", 12)),
    ('{"msg_type":"STOP"}', ("SUBSCRIBED", -1)),
    ("not a request", ("ERROR", -1)),
    ("[1]", ("ERROR", -1)),
    ("(" * 5_000, ("ERROR", -1)),
    ('{"msg_type":"STREAM","sec_type":"STOCK","req_type":"TRADE","add":true,"id":13,"contract":{"root":"AAPL"}}',
     ("INVALID_PERMS", 13)),
]  # fmt: skip


def test_requests_are_read_leniently(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, wait_for_play=True) as terminal, connect(terminal.stream_url, proxy=None) as ws:
            for text, answer in REQUESTS:
                await ws.send(text)
                frame = await receive(ws, lambda frame: type(frame).__name__ == "ReqResponse")
                assert (frame.response, frame.req_id) == answer, text  # type: ignore[attr-defined]
                assert frame.status == "CONNECTED"  # type: ignore[attr-defined]

    run(go())


def test_a_second_client_replaces_the_first(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, EVERYTHING) as terminal:
            first = await connect(terminal.stream_url, proxy=None)
            await receive(first, lambda frame: isinstance(frame, StatusFrame))
            async with Stream(terminal.stream_url) as stream:
                stream.want(everything(tape))
                check_whole(tape, await items(stream, stopped))
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(first, lambda _: False)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1000

    run(go())


def test_only_the_events_path_is_served(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        from websockets.exceptions import InvalidStatus

        async with serve(tape) as terminal:
            with pytest.raises(InvalidStatus):
                await connect(terminal.stream_url.replace("/v1/events", "/v2/events"), proxy=None)

    run(go())


async def cut(terminal: StandIn) -> None:
    """Break the connection as a network would: no closing handshake."""
    client = terminal.stream.playback.client
    assert client is not None
    client.ws.transport.abort()


@pytest.mark.parametrize("lines", [1, 20])
def test_an_abrupt_close_loses_nothing(run: Run, serve: Callable[..., StandIn], tmp_path: object, lines: int) -> None:
    source = Many(1_500)

    async def go() -> None:
        async with (
            serve(source, EVERYTHING, lines=lines) as terminal,
            Stream(terminal.stream_url, backoff_base_s=0.01, seed=5) as stream,
        ):
            stream.want(everything(source))
            seen: list[object] = []
            for n in (200, 500, 1_000):
                seen += await items(stream, lambda item, n=n: isinstance(item, TradeFrame) and item.sequence >= n)
                await cut(terminal)
            seen += await items(stream, stopped)
            sequences = [item.sequence for item in seen if isinstance(item, TradeFrame)]
            assert list(dict.fromkeys(sequences)) == list(range(1_500))  # what comes again comes after what came
            assert len([item for item in seen if isinstance(item, Disconnected)]) == 3
            assert len([item for item in seen if isinstance(item, Connected)]) == 4

    run(go())


def test_ids_grow_over_reconnects(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with (
            serve(tape, EVERYTHING, wait_for_play=True) as terminal,
            Stream(terminal.stream_url, backoff_base_s=0.01, seed=5) as stream,
        ):
            stream.want(everything(tape))
            seen = await items(stream, lambda item: isinstance(item, Settled))
            await cut(terminal)
            seen += await items(stream, lambda item: isinstance(item, Settled))
            ids = [item.req_id for item in seen if type(item).__name__ == "ReqResponse"]  # type: ignore[attr-defined]
            assert ids == list(range(2 * len(everything(tape))))
            terminal.stream.play()
            check_whole(tape, seen + await items(stream, stopped))

    run(go())


def test_wanting_less_unsubscribes(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, EVERYTHING, wait_for_play=True) as terminal, Stream(terminal.stream_url) as stream:
            stream.want(everything(tape))
            await items(stream, lambda item: isinstance(item, Settled))
            stream.want([Subscription("TRADE", CALL)])
            seen = await items(stream, lambda item: isinstance(item, Settled))
            assert [item.subscribed for item in seen if isinstance(item, Settled)] == [1]
            assert stream.outcomes == {Subscription("TRADE", CALL): "SUBSCRIBED"}
            terminal.stream.play()
            seen = await items(stream, stopped)
            assert {item.contract for item in seen if isinstance(item, TradeFrame)} == {CALL}

    run(go())


def test_restart_plays_from_the_start_for_each_client(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, EVERYTHING, absence=Absence.RESTART) as terminal:
            for _ in range(2):
                async with Stream(terminal.stream_url) as stream:
                    stream.want(everything(tape))
                    check_whole(tape, await items(stream, stopped))

    run(go())


def test_continue_loses_what_is_played_meanwhile(run: Run, serve: Callable[..., StandIn]) -> None:
    source = Many(200)

    async def go() -> None:
        async with serve(source, EVERYTHING, absence=Absence.CONTINUE, speed=200) as terminal:
            async with Stream(terminal.stream_url) as stream:
                stream.want(everything(source))
                await items(stream, lambda item: isinstance(item, TradeFrame))
            await terminal.stream.finished.wait()
            assert terminal.stream.playback.ledger.due == 200

    run(go())


def test_a_silent_terminal_is_left(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with (
            serve(tape, status_interval_s=3600) as terminal,
            Stream(terminal.stream_url, status_silence_s=0.1, backoff_base_s=0.01, seed=1) as stream,
        ):
            seen = await items(stream, lambda item: isinstance(item, Disconnected))
            reasons = [item.reason for item in seen if isinstance(item, Disconnected)]
            assert reasons[0] == "no STATUS for 0.1 s"
            await items(stream, lambda item: isinstance(item, Connected))

    run(go())


def test_no_terminal_is_told_and_tried_again(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as gone:
            url = gone.stream_url
        async with Stream(url, backoff_base_s=0.001, seed=1) as stream:
            seen: list[object] = []
            while len(seen) < 3:
                seen += await items(stream, lambda item: isinstance(item, Disconnected))
            assert all(item.reason.startswith(f"cannot connect to {url}: ") for item in seen)  # type: ignore[attr-defined]

    run(go())


def test_what_breaks_inside_ends_the_stream(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    """A reader that waited on for what never comes would look like a quiet market."""

    def clock() -> int:
        raise RuntimeError("no time")

    async def go() -> None:
        async with serve(tape) as terminal:
            stream = Stream(terminal.stream_url, clock=clock)
            async with asyncio.timeout(30), stream:
                with pytest.raises(RuntimeError, match="no time"):
                    await anext(stream)

    run(go())


def test_a_host_that_none_can_be_is_told_and_tried_again(run: Run) -> None:
    async def go() -> None:
        async with Stream("ws://bad..host:1", backoff_base_s=0.001, seed=1) as stream:
            told = (await items(stream, lambda item: isinstance(item, Disconnected)))[0]
            assert isinstance(told, Disconnected) and told.reason.startswith("cannot connect to ws://bad..host:1: ")

    run(go())


def test_a_full_queue_drops_and_counts(run: Run, serve: Callable[..., StandIn]) -> None:
    source = Many(500)

    async def go() -> None:
        async with (
            serve(source, EVERYTHING) as terminal,
            Stream(terminal.stream_url, queue_messages=50, patience_s=0.01) as stream,
        ):
            stream.want(everything(source))
            await terminal.stream.finished.wait()
            seen = await items(stream, lambda item: isinstance(item, Overflow))
            told = sum(item.messages for item in seen if isinstance(item, Overflow))
            assert 0 < told <= stream.dropped

    run(go())


def test_what_was_dropped_is_told_when_the_line_ends_before_there_is_room(run: Run) -> None:
    """Since the first of it came, though that waited for room."""
    now = [1_000]

    async def flood(socket: ServerConnection) -> None:
        for _ in range(30):
            await socket.send('{"header":{"type":"STATUS","status":"CONNECTED"}}')

    async def go() -> None:
        async with websocket_server(flood, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with Stream(
                f"ws://127.0.0.1:{port}", queue_messages=10, patience_s=0.05, backoff_base_s=60, clock=lambda: now[0]
            ) as stream:
                while stream.queued < 10:  # noqa: ASYNC110 -- the stream tells nobody
                    await asyncio.sleep(0)
                now[0] = 5_000
                while not stream.dropped or stream.connected:  # noqa: ASYNC110 -- as above
                    await asyncio.sleep(0)
                seen = await items(stream, lambda item: isinstance(item, Disconnected))
            assert [item for item in seen if isinstance(item, Overflow)] == [Overflow(1_000, 5_000, stream.dropped)]

    run(go())


def test_what_waits_in_the_queue_was_received_when_it_came(run: Run) -> None:
    """However many batches are before it: what lag is measured from is not the time it was taken out."""
    now = [1_000]

    async def flood(socket: ServerConnection) -> None:
        for _ in range(6):
            await socket.send('{"header":{"type":"STATUS","status":"CONNECTED"}}')
        await socket.wait_closed()

    async def go() -> None:
        async with websocket_server(flood, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with Stream(f"ws://127.0.0.1:{port}", batch_messages=2, clock=lambda: now[0]) as stream:
                while stream.queued < 7:  # noqa: ASYNC110 -- the stream tells nobody
                    await asyncio.sleep(0)
                times = []
                for _ in range(3):
                    now[0] += 10_000
                    times.append((await anext(stream)).received_at)
            assert times == [1_000] * 3

    run(go())


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_quotes_that_come_again_are_told_again_and_others_are_read(run: Run, batch: int) -> None:
    encoder = Encoder()
    first, second = (
        encoder.quote(QuoteFrame(CALL, 20241104, 34_200_000, 3, 5, bid, 50, 3, 7, 20_000, 50))
        for bid in (10_500, 10_600)
    )
    trade = encoder.trade(TradeFrame(CALL, 20241104, 34_200_000, 1, 2, 18, 10_500, 5))
    assert len(first) == len(second)
    joined = f"{first}\n{second}"
    sent = [
        first,
        trade,
        first,
        first,
        second,
        first[:-1],
        second,
        joined,
        joined,
        second,
        trade,
        trade,
        first,
        "x",
        "x",
    ]

    async def tell(socket: ServerConnection) -> None:
        for message in sent:
            await socket.send(message)
        await socket.wait_closed()

    async def go() -> None:
        wanted = [frame for message in sent for frame in decode(message)]
        async with websocket_server(tell, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with Stream(f"ws://127.0.0.1:{port}", batch_messages=batch) as stream:
                seen: list[object] = []
                async for told in stream:
                    seen += (item for item in told.items if not isinstance(item, Connected | Settled))
                    if len(seen) >= len(wanted):
                        break
            assert seen == wanted

    run(go())


def test_a_short_stall_waits_instead_of_dropping(run: Run, serve: Callable[..., StandIn]) -> None:
    source = Many(500)

    async def go() -> None:
        async with serve(source, EVERYTHING) as terminal, Stream(terminal.stream_url, queue_messages=50) as stream:
            stream.want(everything(source))
            seen = await items(stream, stopped)
            assert stream.dropped == 0
            assert len([item for item in seen if isinstance(item, TradeFrame)]) == 500

    run(go())


def test_speed_paces_by_tape_time(run: Run, serve: Callable[..., StandIn]) -> None:
    source = Many(40)

    async def go() -> float:
        async with serve(source, EVERYTHING, speed=100) as terminal, Stream(terminal.stream_url) as stream:
            stream.want(everything(source))
            await items(stream, lambda item: isinstance(item, StateFrame))
            started = asyncio.get_running_loop().time()
            await items(stream, stopped)
            return asyncio.get_running_loop().time() - started

    assert run(go()) >= 0.3  # 39 s of tape at 100 times real time; a lower bound cannot flake


def test_every_header_carries_the_status_word(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape, EVERYTHING) as terminal, connect(terminal.stream_url, proxy=None) as ws:
            assert orjson.loads(await ws.recv())["header"] == {"type": "STATUS", "status": "DISCONNECTED"}
            await ws.send('{"msg_type":"STREAM_BULK","sec_type":"OPTION","req_type":"TRADE","add":true,"id":0}')
            words = []
            while not words or words[-1] != "STATE" or len(words) < 3:
                header = orjson.loads(await ws.recv())["header"]
                assert header["status"] == "CONNECTED"
                words.append(header["type"])
            told = [word for word in words if word != "STATUS"]
            assert told[:7] == ["REQ_RESPONSE", "STATE", "QUOTE", "OHLC", "TRADE", "QUOTE", "QUOTE"]

    run(go())


LATER = CALL._replace(right="PUT")


class _Bursts(Many):
    """Of every 64 prints eleven are of one contract, and those that follow of another."""

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        for event in super().events(symbol):
            assert isinstance(event, Print)
            yield event if event.sequence % 64 < 11 else event._replace(contract=LATER)

    def contracts(self) -> list[Contract]:
        return [CALL, LATER]


def test_an_answer_does_not_overtake_what_was_told_before(run: Run, serve: Callable[..., StandIn]) -> None:
    """What comes after it lacks nothing of a contract that was asked for."""

    def asked(number: int, right: str) -> str:
        contract = f'{{"root":"AAPL","expiration":20241108,"strike":220000,"right":"{right}"}}'
        return (
            f'{{"msg_type":"STREAM","sec_type":"OPTION","req_type":"TRADE","add":true,"id":{number},"contract":'
            + contract + "}"
        )  # fmt: skip

    async def go() -> list[int]:
        async with serve(_Bursts(6_400)) as terminal, connect(terminal.stream_url, proxy=None) as ws:
            await ws.send(asked(0, "C"))
            await receive(ws, lambda frame: isinstance(frame, TradeFrame))
            await ws.send(asked(1, "P"))
            await receive(ws, lambda frame: isinstance(frame, ReqResponse) and frame.req_id == 1)
            numbers: list[int] = []
            while True:
                for frame in decode(await ws.recv()):
                    if stopped(frame):
                        return numbers
                    if isinstance(frame, TradeFrame):
                        numbers.append(frame.sequence)

    numbers = run(go())
    assert len(numbers) > 64, "the tape was over before the answer came"
    assert numbers == list(range(numbers[0], 6_400))


@pytest.mark.parametrize("prints", [3_000, 60_000], ids=["what fits the buffers", "more than they hold"])
def test_a_client_that_stops_reading_is_closed(run: Run, serve: Callable[..., StandIn], prints: int) -> None:
    async def go() -> None:
        async with (
            serve(Many(prints), EVERYTHING, stall_s=0.3, absence=Absence.CONTINUE) as terminal,
            connect(terminal.stream_url, proxy=None, max_queue=1) as ws,
        ):
            await ws.send('{"msg_type":"STREAM_BULK","sec_type":"OPTION","req_type":"TRADE","add":true,"id":0}')
            await terminal.stream.finished.wait()  # with nobody there the tape goes on
            ledger = terminal.stream.playback.ledger
            assert ledger.lost["in_doubt"] > 0
            assert ledger.lost["no_client"] > 0
            assert prints == ledger.due == ledger.sent + sum(ledger.lost.values())

    run(go())


def test_the_close_code_of_a_replaced_client_can_be_chosen(run: Run, serve: Callable[..., StandIn]) -> None:
    async def go() -> int | None:
        async with serve(Many(1), replaced=4008) as terminal:
            first = await connect(terminal.stream_url, proxy=None)
            async with connect(terminal.stream_url, proxy=None):
                await first.wait_closed()
                return first.close_code

    assert run(go()) == 4008


def test_market_values_are_streamed(run: Run, serve: Callable[..., StandIn], tape: FileTape) -> None:
    async def go() -> None:
        async with serve(tape) as terminal, connect(terminal.stream_url, proxy=None) as ws:
            contract = '{"root":"AAPL","expiration":20241108,"strike":220000,"right":"C"}'
            await ws.send(
                '{"msg_type":"STREAM","sec_type":"OPTION","req_type":"MARKET_VALUE","add":true,"id":0,"contract":'
                + contract + "}"
            )  # fmt: skip
            value = await receive(ws, lambda frame: isinstance(frame, MarketValueFrame))
            assert value == MarketValueFrame(CALL, 20241104, 34_200_396, 39_000, 40_500, 39_750)

    run(go())


def test_streams_without_a_place_are_asked_for_again_once_one_is_free(
    run: Run, serve: Callable[..., StandIn], tape: FileTape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(entitlements._STREAMS, ("OPTION", "TRADE"), (0, 0, 2, 10**9))

    async def go() -> None:
        async with serve(tape) as terminal, Stream(terminal.stream_url) as stream:
            first, second, third = (Subscription("TRADE", contract) for contract in sorted(tape.contracts()))
            underlying = Subscription("QUOTE", Contract("STOCK", "AAPL"))
            found = []
            for wanted in (
                [underlying, first, second, third],
                [first, second, third],  # what is given up is of another kind
                [second, third],
                [second, third, first],
            ):
                stream.want(wanted)
                seen = await items(stream, lambda item: isinstance(item, Settled))
                found += [item.refused for item in seen if isinstance(item, Settled)]
            full = "MAX_STREAMS_REACHED"
            assert found == [((underlying, "INVALID_PERMS"), (third, full)), ((third, full),), (), ((first, full),)]

    run(go())
