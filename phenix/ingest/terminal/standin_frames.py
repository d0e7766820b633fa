"""What goes over the stream: the frames of one event, and frames made into messages."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.events import Quote, TapeEvent, UnderlyingQuote
from phenix.ingest.terminal.faults_active import ActiveFaults
from phenix.ingest.terminal.layouts import DAY_MS, date_of
from phenix.ingest.terminal.market import Market
from phenix.ingest.terminal.protocol import Contract, MarketValueFrame, OhlcFrame, QuoteFrame, TradeFrame
from phenix.ingest.terminal.standin_client import Client, Message

__all__ = ["cut", "frames_of", "messages"]


def frames_of(
    encoder: Encoder, client: Client, event: TapeEvent, market: Market, status: str
) -> tuple[list[str], int | None]:
    """The frames a client gets for an event, and the place of its TRADE frame among them; None without one.

    Of a print these are the quote before it, the session so far, the trade, and the quote twice more.
    """
    if isinstance(event, UnderlyingQuote):
        contracts = [Contract(security_type, event.symbol) for security_type in ("STOCK", "INDEX")]
        wanted = [it for it in contracts if client.wants(it.security_type, "QUOTE", it)]
        return [encoder.quote(_quote_frame(it, event), status) for it in wanted], None
    contract, quote = event.contract, event.quote
    frames: list[str] = []
    if quote is not None and client.wants("OPTION", "MARKET_VALUE", contract):
        date, ms = date_of(quote.wall), quote.wall % DAY_MS
        value = MarketValueFrame(contract, date, ms, quote.bid, quote.ask, (quote.bid + quote.ask) // 2)
        frames.append(encoder.market_value(value, status))
    if not (client.bulk or client.wants("OPTION", "TRADE", contract)):
        if quote is not None and client.wants("OPTION", "QUOTE", contract):
            frames.append(encoder.quote(_quote_frame(contract, quote), status))
        return frames, None
    date, ms = date_of(event.wall), event.wall % DAY_MS
    around = [encoder.quote(_quote_frame(contract, quote), status)] if quote is not None else []
    bar = market.bars.get(contract, [event.price] * 4 + [event.size, 1])
    frames += around
    frames.append(encoder.ohlc(OhlcFrame(contract, date, ms, *bar), status))
    place = len(frames)
    trade = TradeFrame(contract, date, ms, event.sequence, event.size, event.condition, event.price, event.exchange)
    frames.append(encoder.trade(trade, status))
    return [*frames, *around, *around], place


def _quote_frame(contract: Contract, quote: Quote | UnderlyingQuote) -> QuoteFrame:
    return QuoteFrame(
        contract,
        date_of(quote.wall),
        quote.wall % DAY_MS,
        quote.bid_size,
        quote.bid_exchange,
        quote.bid,
        quote.bid_condition,
        quote.ask_size,
        quote.ask_exchange,
        quote.ask,
        quote.ask_condition,
    )


def cut(frame: str, rng: random.Random) -> str:
    """A frame broken off somewhere: never JSON, never empty."""
    return frame[: rng.randrange(1, len(frame))]


def messages(frames: Sequence[str], lines: int, faults: ActiveFaults) -> list[Message]:
    """Frames as messages of at most ``lines`` each, joined and split as the faults in force say."""
    joining, splitting = faults.named("joined_frames"), faults.named("split_frames")
    if lines == 1 and not joining and not splitting:
        return list(frames)
    made: list[Message] = []
    start = 0
    while start < len(frames):
        size = lines
        for active in joining:
            if active.fires():
                size = max(size, active.random.randint(2, active.whole("lines")))
        message: Message = "\n".join(frames[start : start + size])
        start += size
        for active in splitting:
            if isinstance(message, str) and active.fires():
                places = min(active.whole("parts"), len(message)) - 1
                cuts = [0, *sorted(active.random.sample(range(1, len(message)), places)), len(message)]
                message = [message[a:b] for a, b in pairwise(cuts)]
        made.append(message)
    return made
