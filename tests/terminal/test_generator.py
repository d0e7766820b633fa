"""The generated session: the same for a seed, ordered, and believable."""

from __future__ import annotations

import csv
import itertools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import utc_of
from phenix.engine.enrich.conditions import condition
from phenix.engine.enrich.roots import underlying
from phenix.engine.enrich.tables import read_table
from phenix.ingest.terminal.events import Print, UnderlyingQuote
from phenix.ingest.terminal.generator import Session, underlyings
from phenix.ingest.terminal.layouts import DAY_MS, date_of, wall_at
from phenix.ingest.terminal.tape import FileTape, write_tape

CALENDAR = Calendar.packaged()
CANCELS = range(40, 45)


@pytest.fixture(scope="module")
def prints() -> list[Print]:
    """A whole day of all symbols, 30,000 prints."""
    session = Session(20261120, CALENDAR, seed=7, prints=30_000)
    return [event for event in session.events() if isinstance(event, Print)]


def test_the_same_seed_gives_the_same_day() -> None:
    first, again, other = (
        list(itertools.islice(Session(20261120, CALENDAR, seed=seed, symbols=20, prints=5_000).events(), 4_000))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_it_is_lazy_and_ordered_by_time() -> None:
    """A session of a billion prints begins at once; time never goes back, quotes stand before prints of their time."""
    events = list(itertools.islice(Session(20261120, CALENDAR, symbols=5, prints=10**6).events(), 20_000))
    keys = [(event.wall, event.kind) for event in events]
    assert keys == sorted(keys)


def test_one_symbol_alone_is_the_same_as_within_the_whole() -> None:
    session = Session(20261120, CALENDAR, symbols=8, prints=2_000)
    whole = list(session.events())
    assert list(session.events("SPY")) == [
        event for event in whole
        if (event.symbol if isinstance(event, UnderlyingQuote) else event.contract.root) == "SPY"
    ]  # fmt: skip
    roots = {event.contract.root for event in session.events("SPX") if isinstance(event, Print)}
    assert roots == {"SPX", "SPXW"}
    assert {event.contract.root for event in session.events("SPXW") if isinstance(event, Print)} == {"SPXW"}


def test_shape_of_the_day(prints: list[Print]) -> None:
    assert 0.9 * 30_000 < len(prints) < 1.1 * 30_000
    minutes = Counter(event.wall % DAY_MS // 60_000 - 570 for event in prints)
    opening, noon, closing = (sum(minutes[m] for m in range(start, start + 15)) for start in (0, 180, 375))
    assert opening > 3 * noon
    assert closing > 1.3 * noon
    assert min(minutes) >= 0
    assert {date_of(event.wall) for event in prints} == {20261120}
    late = {event.contract.root for event in prints if event.wall % DAY_MS >= 57_600_000 + 120_000}
    assert late <= {
        "SPX",
        "SPXW",
        "SPY",
        "QQQ",
        "IWM",
        "DIA",
        "VIX",
        "VIXW",
        "NDX",
        "NDXP",
        "RUT",
        "RUTW",
        "XSP",
    } | set(read_table("sessions")["late"])


def test_mix_of_prints(prints: list[Print]) -> None:
    shares = Counter(event.condition for event in prints)
    assert 0.4 < shares[18] / len(prints) < 0.65
    assert 0.08 < shares[95] / len(prints) < 0.22
    assert 0.08 < shares[125] / len(prints) < 0.16
    flags = Counter[str]()
    for event in prints:
        facts = condition(event.condition)
        flags.update(
            name for name in ("multi_leg", "auction", "floor", "cross", "late", "stock_tied") if getattr(facts, name)
        )
    assert 0.1 < flags["multi_leg"] / len(prints) < 0.3
    assert all(flags[name] > 5 for name in ("auction", "floor", "cross", "late", "stock_tied"))
    roots = Counter(event.contract.root for event in prints)
    assert len(roots) > 180
    assert roots["SPXW"] + roots["SPX"] > roots["SPY"] > roots["NVDA"] > 10 * roots["LI"]
    assert len({event.exchange for event in prints}) == 18
    assert 4 < sum(event.size for event in prints) / len(prints) < 20
    assert any(event.price * event.size >= 500_000_00 for event in prints)
    assert {event.sequence < 0 for event in prints} == {True, False}


def test_quotes_stand_around_prices(prints: list[Print]) -> None:
    where = Counter[str]()
    for event in prints:
        quote = event.quote
        assert quote is not None
        assert 0 <= quote.bid < quote.ask
        assert (quote.bid == 0) == (quote.bid_size == 0)
        assert quote.wall <= event.wall
        assert event.price > 0
        if event.condition not in CANCELS:
            where["ask" if event.price == quote.ask else "above" if event.price > quote.ask else
                  "bid" if event.price == quote.bid else "between"] += 1  # fmt: skip
    assert all(where[side] > 0.02 * len(prints) for side in ("ask", "above", "bid", "between"))
    assert where["ask"] > 0.25 * len(prints)


def test_sweeps_hit_several_exchanges_within_milliseconds(prints: list[Print]) -> None:
    sweeps = defaultdict(list)
    for event in prints:
        if event.condition == 95:
            sweeps[event.contract, event.wall // 100].append(event)
    groups = [group for group in sweeps.values() if len(group) >= 3]
    assert len(groups) > 100
    assert sum(len({event.exchange for event in group}) > 1 for group in groups) > 0.5 * len(groups)


def test_legs_share_their_timestamp(prints: list[Print]) -> None:
    legs = defaultdict(set)
    for event in prints:
        if 130 <= event.condition <= 133:
            legs[event.wall, event.contract.root.removesuffix("W"), event.exchange].add(event.contract)
    assert sum(len(contracts) >= 2 for contracts in legs.values()) > 0.9 * len(legs)


def test_cancels_take_back_an_earlier_print(prints: list[Print]) -> None:
    seen: dict[object, int] = {}
    cancels = 0
    for event in prints:
        identity = (event.contract, event.exchange, event.price, event.size)
        if event.condition in CANCELS:
            cancels += 1
            assert seen[identity] < event.wall
        else:
            seen[identity] = event.wall
    assert cancels > 3


def test_runs_of_repeats_come_early(prints: list[Print]) -> None:
    runs: dict[object, list[int]] = defaultdict(list)
    for event in prints:
        if event.condition == 18 and event.quote and event.price in {event.quote.ask, event.quote.bid}:
            runs[event.contract, event.price == event.quote.ask].append(event.wall)
    early = [
        times for times in runs.values()
        if any(times[i + 19] - times[i] <= 180_000 for i in range(len(times) - 19) if times[i] % DAY_MS < 35_400_000)
    ]  # fmt: skip
    assert len(early) >= 3


def test_half_days_and_holidays() -> None:
    half = Session(20261127, CALENDAR, symbols=3, prints=2_000)
    assert max(event.wall for event in half.events()) % DAY_MS < 13 * 3_600_000 + 20 * 60_000
    with pytest.raises(ValueError, match="2026-11-26 is not a trading day"):
        Session(20261126, CALENDAR)
    with pytest.raises(ValueError, match="1 to 200 symbols, not 201"):
        Session(20261120, CALENDAR, symbols=201)


def test_chains_and_open_interest() -> None:
    session = Session(20261120, CALENDAR)
    contracts = list(session.contracts())
    assert len(contracts) == len(set(contracts))
    assert 30_000 < len(contracts) < 80_000
    interest = list(session.open_interest())
    assert 0.8 < len(interest) / len(contracts) < 1
    assert {row.contract for row in interest} <= set(contracts)
    assert all(23_400_000 <= row.wall % DAY_MS < 23_460_000 and row.open_interest > 0 for row in interest)
    spx = {contract.expiration for contract in contracts if contract.root == "SPX"}
    assert 20261120 not in spx  # settled in the morning
    assert all(CALENDAR.monthly("SPX", expiration) for expiration in spx)
    assert {contract.expiration for contract in contracts if contract.root == "SPXW"} >= {20261120, 20261123, 20261127}
    assert all(CALENDAR.is_trading_day(contract.expiration) for contract in contracts)


def test_universe_files_agree() -> None:
    names = [name.symbol for name in underlyings()]
    lines = (Path(__file__).parents[2] / "rules/universe/top200.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert len(names) == len(set(names)) == 200
    assert sorted(listed) == sorted(names)


def test_a_written_tape_is_the_session(tmp_path: Path) -> None:
    session = Session(20261120, CALENDAR, symbols=6, prints=3_000)
    counts = write_tape(session, tmp_path / "tape")
    folder = tmp_path / "tape"
    tape = FileTape(
        [folder / "trade_quote.csv"],
        open_interest=[folder / "open_interest.csv"],
        underlying=[folder / "underlying_quote.csv"],
    )
    assert tape.skipped == []
    assert list(tape.events()) == list(session.events())
    assert list(tape.open_interest()) == list(session.open_interest())
    raw = (folder / "trade_quote.csv").read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == counts["trade_quote.csv"] + 1
    with (folder / "trade_quote.csv").open(newline="") as file:
        assert all(len(row) == 23 for row in csv.reader(file))


def placed(event: Print) -> tuple[int, str]:
    """Session date and session of a print, by the product's own calendar."""
    root = event.contract.root
    return CALENDAR.session(root, underlying(root), utc_of(date_of(event.wall), event.wall % DAY_MS))


NIGHTS = [
    # date, the evening before, sessions beside the regular one of SPX, VIX and XSP; of AAPL; of the others
    (20261120, 20261119, {"gth", "curb"}, {"early", "curb"}),  # a day
    (20261127, 20261126, {"gth"}, {"early"}),  # a half day after a holiday
    (20260309, 20260308, {"gth", "curb"}, set()),  # after clocks went forward; before the early session was begun
    (20261102, 20261101, {"gth", "curb"}, {"early", "curb"}),  # after clocks went back
]


@pytest.mark.parametrize(("date", "eve", "index", "stock"), NIGHTS, ids=[str(night[0]) for night in NIGHTS])
def test_extended_sessions(date: int, eve: int, index: set[str], stock: set[str]) -> None:
    """Each product in its own sessions, from 20:15 the evening before; dates are the calendar's."""
    session = Session(date, CALENDAR, prints=600_000, extended=True)
    for symbol, others in {"VIX": index, "XSP": index, "AAPL": stock, "DIA": set(), "LI": set()}.items():
        prints = [event for event in session.events(symbol) if isinstance(event, Print)]
        found = Counter(placed(event) for event in prints)
        # a late report or a cancel may come a little after the end of its session
        assert found.pop((date, "closed"), 0) < 0.005 * len(prints) + 2
        assert set(found) == {(date, name) for name in {"regular", *others}}
        first = min(event.wall for event in prints) - wall_at(date, 0)
        if "gth" in others:
            assert 0 <= first - (20 * 60 + 15 - 24 * 60) * 60_000 < 90 * 60_000
            assert {date_of(event.wall) for event in prints} == {eve, date}
        times = [event.wall for event in session.events(symbol)]
        assert times == sorted(times)


def test_regular_hours_are_the_same_without_the_others() -> None:
    assert all(
        placed(event) == (20261120, "regular")
        for event in Session(20261120, CALENDAR, symbols=20, prints=3_000).events()
        if isinstance(event, Print) and event.condition not in CANCELS
    )


def test_sequences_grow_by_thousands_and_wrap(prints: list[Print]) -> None:
    by_underlying = defaultdict(list)
    for event in prints:
        by_underlying[underlying(event.contract.root)].append(event.sequence)
    wraps = 0
    for sequences in by_underlying.values():
        jumps = [(later - earlier) % 2**32 for earlier, later in itertools.pairwise(sequences)]
        assert all(0 < jump < 9_000 for jump in jumps)
        wraps += sum(later < earlier for earlier, later in itertools.pairwise(sequences))
    assert 15 < wraps < 40


def test_the_opening_rush() -> None:
    session = Session(20261120, CALENDAR, symbols=20, prints=3_000, rush=600)
    opening = wall_at(20261120, 34_200_000)
    first = itertools.takewhile(lambda event: event.wall < opening + 60_000, session.events())
    minute = [event for event in first if isinstance(event, Print)]
    seconds = Counter((event.wall - opening) // 1000 for event in minute)
    assert 0.85 * 600 < sum(seconds.values()) / 60 < 1.2 * 600
    assert min(seconds.values()) > 300


def test_an_evening_is_streamed_with_the_date_of_the_calendar() -> None:
    """As the vendor's live frame of 20:32 had it; the session it belongs to is the next day's."""
    session = Session(20261123, CALENDAR, symbols=1, prints=20_000, extended=True)
    event = next(event for event in session.events("SPXW") if isinstance(event, Print))
    assert date_of(event.wall) == 20261122  # a Sunday
    assert placed(event) == (20261123, "gth")
