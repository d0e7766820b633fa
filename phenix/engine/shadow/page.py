"""A report as one page of HTML: plots as inline SVG, no script, nothing fetched, its one style allowed by its hash."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

__all__ = ["render"]

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6678; --line: #d5dae3; --paper: #ffffff; --old: #8894a8;
  --new: #2166c2; --more: #1b8a5a; --less: #c2452d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf2; --soft: #9aa6ba; --line: #323c4d; --paper: #131924;
  --old: #77839a; --new: #6ea8f0; --more: #4cc38a; --less: #ef7d68; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { border-top: 1px solid var(--line); font-size: 1.15rem; margin-top: 2.5rem;
  padding-top: 1rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .5rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
.verdict { border-left: .3rem solid var(--old); padding: .4rem .8rem; }
.within { border-color: var(--more); } .outside { border-color: var(--less); } .less { color: var(--less); }
.soft { color: var(--soft); } code { font-size: .85em; } details { margin: .4rem 0; }
.ids { columns: 16rem; list-style: none; padding: 0; }
svg { display: block; height: auto; max-width: 100%; } svg text { fill: var(--ink); font-size: 12px; }
svg .soft { fill: var(--soft); } .old { fill: var(--old); } .new { fill: var(--new); } .more { fill: var(--more); }
.fewer { fill: var(--less); } .rule { stroke: var(--line); } .band { fill: var(--line); opacity: .5; }
"""
_WIDTH: Final = 900
_LABEL: Final = 150
_ROW: Final = 26


def render(told: dict[str, Any]) -> str:
    """The page of a :func:`~phenix.engine.shadow.report.report`."""
    sessions = told["sessions"]
    digest = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    title = f"Rules {told['candidate']} in shadow of {told['active']}"
    bands, verdict = told["bands"], told["verdict"]
    within = (
        f"Bands: a chip is on at most {bands['hitsPct']:g} % more or less often, and gains and loses at most "
        f"{bands['rowsPct']:g} % of all rows; {bands['fewRows']} rows are always allowed. Written "
        f"{told['generatedAt']}."
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        _outcome(verdict["outcome"], verdict["reason"]),
        f'<p class="soft">{escape(within)}</p>',
    ]
    if len(sessions) > 1:
        body += ["<h2>Sessions</h2>", _sessions_table(sessions), "<h3>Change of each chip, by session</h3>",
                 _over_sessions(sessions, bands["hitsPct"])]  # fmt: skip
    for session in sessions:
        body += _session(session)
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    text = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{text}\n</body></html>\n'


def _outcome(outcome: str, reason: str) -> str:
    text = f": {escape(reason)}" if reason else ""
    return f'<p class="verdict {escape(outcome)}"><strong>{escape(outcome)}</strong>{text}</p>'


def _session(session: dict[str, Any]) -> list[str]:
    rows, changed, latency, score = (session[name] for name in ("rows", "changedRows", "latency", "score"))
    how = "computed afterwards from stored rows" if session["computedAfterwards"] else "counted as the rows came"
    missed = f"; {session['missedRows']:,} rows of the session are missing" if session["missedRows"] else ""
    chips = session["chips"]
    out = [
        f"<h2>{escape(session['sessionDate'])}</h2>",
        _outcome(session["outcome"], session["reason"]),
        f"<p>{rows:,} rows, {changed:,} changed ({_percent(changed, rows)}), {how}{missed}.</p>",
        "<h3>Rows of each chip: active (grey), candidate (blue)</h3>",
        _pairs([chip for chip in chips if chip["old"] or chip["new"]]),
    ]
    moved = [chip for chip in chips if chip["added"] or chip["removed"]]
    if moved:
        out += ["<h3>Rows gained (right) and lost (left)</h3>", _diverging(moved)]
    if any(slice_["changedRows"] for slice_ in session["times"]):
        out += ["<h3>Changed rows by the time of day, New York</h3>", _times(session["times"])]
    out += ["<h3>Chips</h3>", _chips_table(chips, rows)]
    if session["symbols"]:
        lines = [
            (one["symbol"], f"{one['rows']:,}", f"{one['changedRows']:,}", _percent(one["changedRows"], one["rows"]))
            for one in session["symbols"]
        ]
        out += ["<h3>Symbols most affected</h3>", _table(("Symbol", "Rows", "Changed", "Share"), lines)]
    if latency["rows"]:
        out.append(
            f"<p>Tagging took {latency['activeMicrosecondsPerRow']:.2f} µs a row under the active version and "
            f"{latency['candidateMicrosecondsPerRow']:.2f} µs under the candidate, over {latency['rows']:,} rows.</p>"
        )
    if score["changedRows"]:
        out.append(
            f"<p>The score differs on {score['changedRows']:,} rows, by {score['meanDifference'] or 0:.4f} on average "
            f"over all with a score, at most by {score['largestDifference']:.4f}.</p>"
        )
    for chip in moved:
        out += [_ids(chip, "added", "gained"), _ids(chip, "removed", "lost")]
    return out


def _ids(chip: dict[str, Any], kind: str, word: str) -> str:
    if not chip[kind]:
        return ""
    more = f", the first {len(chip[f'{kind}Ids'])}" if chip["truncated"][kind] else ""
    items = "".join(f"<li><code>{escape(id_)}</code></li>" for id_ in chip[f"{kind}Ids"])
    return (
        f"<details><summary>@{escape(chip['id'])}: {chip[kind]:,} rows {word}{more}</summary>"
        f'<ul class="ids">{items}</ul></details>'
    )


# -- tables


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>"


def _chips_table(chips: Sequence[dict[str, Any]], rows: int) -> str:
    head = ("Chip", "Active", "Candidate", "Both", "Gained", "Lost", "Change", "Share before", "Share after",
            "Undecided before", "after", "Bands")  # fmt: skip
    return _table(head, (
        (f"@{chip['id']}" + ("" if chip["inActive"] else " (new)") + ("" if chip["inCandidate"] else " (gone)"),
         *(f"{chip[name]:,}" for name in ("old", "new", "both", "added", "removed")), _change(chip),
         _percent(chip["old"], rows), _percent(chip["new"], rows), f"{chip['oldUnknown']:,}", f"{chip['newUnknown']:,}",
         "outside: " + "; ".join(one["message"] for one in chip["breaches"]) if chip["breaches"] else "within")
        for chip in chips
    ))  # fmt: skip


def _sessions_table(sessions: Sequence[dict[str, Any]]) -> str:
    head = ("Session", "Verdict", "Rows", "Changed", "Share", "How", "Why")
    return _table(head, (
        (one["sessionDate"], one["outcome"], f"{one['rows']:,}", f"{one['changedRows']:,}",
         _percent(one["changedRows"], one["rows"]), "afterwards" if one["computedAfterwards"] else "live",
         one["reason"])
        for one in sessions
    ))  # fmt: skip


def _percent(part: int, of: int) -> str:
    return f"{100 * part / of:.3g}\N{NO-BREAK SPACE}%" if of else "-"


def _change(chip: dict[str, Any]) -> str:
    return f"{100 * (chip['new'] - chip['old']) / chip['old']:+,.4g}\N{NO-BREAK SPACE}%" if chip["old"] else "-"


# -- plots; every number is one of the tables', too


def _svg(height: int, label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _bar(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _pairs(chips: Sequence[dict[str, Any]]) -> str:
    most = max((max(chip["old"], chip["new"]) for chip in chips), default=1)
    room = _WIDTH - _LABEL - 150
    parts = []
    for place, chip in enumerate(chips):
        y = place * _ROW
        parts += [
            _text(_LABEL - 8, y + 17, f"@{chip['id']}", "end"),
            _bar(_LABEL, y + 4, room * chip["old"] / most, 8, "old"),
            _bar(_LABEL, y + 13, room * chip["new"] / most, 8, "new"),
            _text(_LABEL + room * max(chip["old"], chip["new"]) / most + 6, y + 17,
                  f"{chip['old']:,} → {chip['new']:,}", kind="soft"),
        ]  # fmt: skip
    return _svg(len(chips) * _ROW + 4, "Rows of each chip under both versions", parts)


def _diverging(chips: Sequence[dict[str, Any]]) -> str:
    most = max(max(chip["added"], chip["removed"]) for chip in chips)
    middle, room = _LABEL + (_WIDTH - _LABEL) / 2, (_WIDTH - _LABEL) / 2 - 80
    parts = [f'<line class="rule" x1="{middle}" x2="{middle}" y1="0" y2="{len(chips) * _ROW}"/>']
    for place, chip in enumerate(chips):
        y = place * _ROW
        gained, lost = (room * chip[name] / most for name in ("added", "removed"))
        parts += [
            _text(_LABEL - 8, y + 17, f"@{chip['id']}", "end"),
            _bar(middle, y + 6, gained, 13, "more"), _bar(middle - lost, y + 6, lost, 13, "fewer"),
            _text(middle + gained + 6, y + 17, f"+{chip['added']:,}", kind="soft"),
            _text(middle - lost - 6, y + 17, f"-{chip['removed']:,}", "end", "soft"),
        ]  # fmt: skip
    return _svg(len(chips) * _ROW + 4, "Rows gained and lost by each chip", parts)


def _times(times: Sequence[dict[str, Any]]) -> str:
    shares = [one["changedRows"] / one["rows"] if one["rows"] else 0.0 for one in times]
    most, high = max(shares) or 1.0, 120
    step = (_WIDTH - 60) / len(times)
    parts = [_text(50, 14, f"{100 * most:.3g} %", "end", "soft"), _text(50, high, "0", "end", "soft")]
    for place, (one, share) in enumerate(zip(times, shares, strict=True)):
        x, tall = 60 + place * step, (high - 6) * share / most
        parts.append(_bar(x + 1, high - tall, step - 2, tall, "new"))
        if place % max(1, len(times) // 8) == 0:
            parts.append(_text(x, high + 18, one["at"], kind="soft"))
    return _svg(high + 26, "Share of changed rows by the time of day", parts)


def _over_sessions(sessions: Sequence[dict[str, Any]], limit: float) -> str:
    """A line of dots for each chip that changes, a dot a session, the band behind them."""
    found: dict[str, list[float | None]] = {}
    for place, session in enumerate(sessions):
        for chip in session["chips"]:
            changes = found.setdefault(chip["id"], [None] * len(sessions))
            changes[place] = 100 * (chip["new"] - chip["old"]) / chip["old"] if chip["old"] else None
    shown = {id_: changes for id_, changes in found.items() if any(changes)}
    if not shown:
        return '<p class="soft">No chip is on more or less often.</p>'
    most = max(limit * 1.25, *(abs(change) for changes in shown.values() for change in changes if change is not None))
    middle, room = _LABEL + (_WIDTH - _LABEL) / 2, (_WIDTH - _LABEL) / 2 - 60
    high = len(shown) * _ROW
    parts = [_bar(middle - room * limit / most, 0, 2 * room * limit / most, high, "band"),
             f'<line class="rule" x1="{middle}" x2="{middle}" y1="0" y2="{high}"/>']  # fmt: skip
    for line, (id_, changes) in enumerate(shown.items()):
        y = line * _ROW + 13
        parts.append(_text(_LABEL - 8, y + 4, f"@{id_}", "end"))
        for change in changes:
            if change is not None:
                kind = "fewer" if abs(change) > limit else "new"
                parts.append(f'<circle class="{kind}" cx="{middle + room * change / most:.1f}" cy="{y}" r="4"/>')
    parts += [_text(middle - room * limit / most, high + 16, f"-{limit:g} %", "end", "soft"),
              _text(middle + room * limit / most, high + 16, f"+{limit:g} %", kind="soft")]  # fmt: skip
    return _svg(high + 24, "Change of each chip's rows in each session", parts)
