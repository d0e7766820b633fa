"""The page of the rule language: prose and examples, its tables from those the compiler runs on.

A test compiles every example: ``phx`` blocks are rule files whose tests and assertions hold, each line
of a ``where`` block is a condition beside the packaged rules, each of a ``refused`` block is refused
with the code behind it.
"""

from __future__ import annotations

from typing import Final

from phenix.cli.markdown import code, page, table

__all__ = ["HABITS", "OPERATORS", "STATEMENTS", "TRAPS", "language_page"]

_INTRO: Final = """\
Chips, scores, parameters, saved queries, alerts and filters are written in one language. A rule file ends in
`.phx`; the `where` of the page, of REST and gRPC and of `phenix query` is one of its conditions. One compiler reads
all of it and makes the code that tags rows, the SQL that finds them and the message that tells what is wrong.

`phenix lint` checks rule files, `phenix fmt` lays them out, `phenix test` runs their tests and assertions,
`phenix explain RULE` says what a rule means and becomes. Fields: [fields.md](fields.md). Chips:
[chips.md](chips.md). Commands: [commands.md](commands.md)."""

_FILE: Final = """\
## A rule file

```phx
edition 1

param urgent_value: money = 250k in 50k..5M
  doc "Smallest premium that counts as urgent."

set index_roots = {SPX, NDX, VIX}
let near = abs(otm_pct) <= 5%

chip urgent "Urgent" aliases {"hot"} group advanced =
  repeat3m >= 20
  or (value >= $urgent_value and dte <= 14 and vol_oi_ratio >= 2.5)
  doc "Repeats fast, or is big, near and fresh."
  owner "options"
  tags [timing, size]

chip urgent_index "Urgent Index" = @urgent and near and symbol in index_roots
  doc "Urgent, near the money, in an index."

field score "My score": ratio = 0.7 * value_pctile + 0.3 * side_confidence

query hot_calls "Hot calls"
  where @urgent and right = call
  since 2026-09-18
  order by value desc nulls last
  limit 200

alert wake "Wake me"
  where @urgent and value >= 1M
  cooldown 3m per contract
  severity high

test "many repeats" for @urgent { repeat3m: 21 } => true
test "fifteen days is not near" for @urgent { repeat3m: 0, value: 300k, dte: 15, vol_oi_ratio: 3 } => false
test "open interest unknown" for @urgent { repeat3m: 0, value: 300k, dte: 3, vol_oi_ratio: null } => unknown

assert @urgent_index implies @urgent
assert never (@urgent_index and symbol = SPY)
assert rate @urgent in 0%..20%
```

* A statement begins with its word and ends where the next begins; lines and blanks are free. `#` begins a comment.
* Names are lower case by custom and case counts. Fields are bare, chips `@urgent`, parameters `$urgent_value`,
  `let` and `set` names bare.
* A chip is known by its id, its label and its aliases, in any case: `@urgent`, `@"Hot"`.
* Files are compiled together, in any order: a rule may use what another file defines.
* Texts stand in double quotes; a `doc` of several lines between three of them.
* One broken statement never hides the others: each is reported with its place and, where it is clear, a fix."""

_STATEMENTS_INTRO: Final = """\
## Statements

What is in brackets may be left out. Metadata stands behind the body, in any order."""

STATEMENTS: Final = {
    "edition": ("edition 1", "The edition of the language, once a file."),
    "param": ("param NAME: TYPE = VALUE [in LO..HI]", "A number, or true or false, that can be turned alone."),
    "set": ("set NAME = {ITEM, …}", "Members or values for `in`."),
    "let": ("let NAME = EXPRESSION", "A macro: written out wherever it is named."),
    "chip": ('chip ID ["Label"] [aliases {"name", …}] [group NAME] = CONDITION', "A tag that rows carry."),
    "field": ('field ID ["Label"]: TYPE = EXPRESSION', "A value; `provides sig_score` makes it the active score."),
    "query": (
        'query ID ["Label"] where CONDITION [since DATE] [order by FIELD [asc|desc] [nulls first|last]] [limit N]',
        "A saved search.",
    ),
    "alert": ('alert ID ["Label"] where CONDITION [cooldown DURATION [per contract|symbol]]', "What to be woken by."),
    "assert": ("assert never CONDITION; assert CONDITION implies CONDITION; assert rate CONDITION in LO..HI",
               "What has to hold of the rules, or of the rows."),
    "test": ('test "Label" for @CHIP { FIELD: VALUE, … } => true|false|unknown',
             "A row and the answer; fields not named are unknown."),
}  # fmt: skip
"""Word -> form and meaning."""

_TESTS: Final = """\
### Tests and assertions

`phenix test` runs every `test` by the reference interpreter. `assert never` and `assert … implies …` are proven
over all rows there can be, or contradicted by one that is shown; what is neither is a finding too.

`assert rate` is about rows that were stored: `phenix test rules --store sqlite:data/phenixflow.sqlite` counts it,
over all sessions or those of `--date`, `--from` and `--to`; without `--store` it is not run, and that is said. The
share is

> prints on which the condition is **true** ÷ prints that **can have chips**

Cancel records and compression prints can have no chips and are not counted; nor are prints that were cancelled. A
print on which the condition is **unknown** counts among all prints and not among the true ones; how many these are
is told apart. Both ends belong to the range. The rules under test are judged, not the chips that rows were stored
with: other chips and the score are computed anew from the row's fields."""

_TYPES_INTRO: Final = """\
## Types

A field's type and unit decide what its literals mean. Parameters are numbers, or true or false."""

_UNITS_INTRO: Final = """\
### Suffixes of numbers

`1_000_000` and `$250,000` are read too. A suffix that is not of the field's unit is an error with the one that was
meant."""

_UNITS_MORE: Final = """\
```where
value >= 250k and price < $2.11
spot_age_ms <= 1m
otm_pct in 5%..10% and bullish_ratio_15m >= 65%
trade_ts_utc >= 2026-01-16T14:30:00Z and session_date = 2026-01-16
time_et in 09:30 ET..<10:30 ET
```

```refused
value >= 5m                    # PHX104
dte <= 5%                      # PHX104
time_et >= 09:30               # PHX003
```

* **Money is exact.** It is kept in ten-thousandths of a dollar; `+ - *`, comparisons, `min` and `max` of money,
  percent literals and whole numbers are done on whole numbers. In doubles this test would fail:

```phx
test "2.11 is a cent above" for (price >= ask + max(0.01, 10% * (ask - bid)))
  { price: 2.11, bid: 2.00, ask: 2.10 } => true
```

* **A percent field is in points**: against it `5%` is 5. In a product `5%` is one twentieth; against a ratio it is
  0.05.
* **Ratios are doubles**, computed in the order they are written.
* What could leave 64 bits, by the ranges the fields declare, is refused."""

_OPERATORS_INTRO: Final = """\
## Operators

Loosest first. `and` beside `or` reads better in parentheses, and `phenix fmt` writes them."""

OPERATORS: Final = (
    ("or", "`or`", "iso or dte = 0 and size = 1", "iso or (dte = 0 and size = 1)"),
    ("and", "`and`", "not iso and floor", "(not iso) and floor"),
    ("not", "`not`", "not iso is true", "not (iso is true)"),
    ("state", "`is [not] null`, `true`, `false`, `unknown`", "dte = 0 is unknown", "(dte = 0) is unknown"),
    ("comparison", "`= != < <= > >=`, chains of them, `[not] in`, `[not] like`", "oi ?? 0 > 5", "(oi ?? 0) > 5"),
    ("default", "`??`", "oi ?? size + 1 > 5", "(oi ?? (size + 1)) > 5"),
    ("sum", "`+ -`", "size + 2 * oi > 5", "size + (2 * oi) > 5"),
    ("product", "`* /`", "-size * oi < 5", "(-size) * oi < 5"),
    ("sign", "`-` before a value", "-abs(sequence) < 5", "(-(abs(sequence))) < 5"),
)
"""Level, spellings, an expression and how it is read; of the loosest first."""

_OPERATORS_MORE: Final = """\
```where
250k <= value < 1M
dte in 21..180 and otm_pct in ..<5% and size not in 5..10
symbol in {SPY, QQQ} and right = call and side not in {MID}
root like "SPX*" or symbol like "*.B"
vol_oi_ratio is null or opening is not true
(oi ?? 0) > 100
```

* Ranges: `21..180` both ends, `21..<180` without the upper one, `21..` and `..180` open.
* Opposite an enum or a symbol a bare word is a member, in any case, whatever else it may name: `symbol = NOW`,
  `side = ask`.
* `like` knows a star at either end, and the case of letters; there are no regular expressions.
* A set holds values that are known; `null` in one is an error."""

_NULLS: Final = """\
## Unknown

A field may be unknown, and then so is what depends on it: comparisons and arithmetic of an unknown are unknown, as
is a division by zero. `and`, `or` and `not` follow Kleene: `false and unknown` is false, `true or unknown` is true,
else the unknown stays.

| | true | false | unknown |
| --- | --- | --- | --- |
| **`not`** | false | true | unknown |
| **`and` true** | true | false | unknown |
| **`and` false** | false | false | false |
| **`and` unknown** | unknown | false | unknown |
| **`or` true** | true | true | true |
| **`or` false** | true | false | unknown |
| **`or` unknown** | true | unknown | unknown |

A chip keeps all three, shown as on, off and cannot tell. A query and an alert match on true only, so `not @urgent`
leaves out what cannot be told, and `not (@urgent is true)` takes it in."""

_FUNCTIONS_INTRO: Final = """\
## Functions

No others, and none of one's own: `let` is the way to name an expression."""

_FUNCTIONS_MORE: Final = """\
```where
price >= ask + max(0.05, 20% * (ask - bid))
abs(otm_pct) <= 15% and clamp(vol_oi_ratio / 5, 0, 1) >= 0.5
tent(otm_pct, 0, 10, 30) > 0.5
coalesce(oi, 0) = 0
```"""

_TRAPS_INTRO: Final = """\
## Where engines differ

What two engines make of the bare expression, and what holds here on every target. Each row is a case in
`tests/dsl/cases/traps.txt`, asked of both engines and of all our targets."""

TRAPS: Final = (
    ("7/2", "3", "3.5", "3.5", "division is real"),
    ("1/0", "null", "inf", "unknown", "division by zero is unknown"),
    ("int64 max + 1", "real", "-9223372036854775808", "refused", "what could leave 64 bits is refused"),
    ("1 in (2, null)", "null", "0", "refused", "a set holds known values only"),
    ("1 not in (2, null)", "null", "1", "refused", "a set holds known values only"),
    ("null in (2)", "null", "0", "unknown", "membership of an unknown value is unknown"),
    ("null not in (2)", "null", "1", "unknown", "and so is its absence"),
    ("null in ()", "0", "null", "unknown", "the empty set is false for a known value, unknown for an unknown one"),
    ("1 in ()", "0", "0", "false", "the empty set is false for a known value, unknown for an unknown one"),
    ("max(null, 1)", "null", "1", "unknown", "an extreme of an unknown value is unknown"),
    ("min(null, 1)", "null", "1", "unknown", "an extreme of an unknown value is unknown"),
    ("'AAPL' like 'aa%'", "1", "0", "false", "letters have their case"),
    ("'A_B' like 'A_*'", "1", "1", "false", "only the star stands for something"),
    ("'5' > 3", "1", "1", "refused", "words are compared with words"),
    ("3 > 2 > 1", "0", "0", "true", "a chain is two comparisons"),
    ("null order ascending", "null 1 2", "1 2 null", "unknown last", "a page says where unknown values go"),
    ("NaN bound as a parameter", "null", "0, 0", "refused", "no number, no parameter"),
    ("round(2.5)", "3.0", "2", "refused", "nothing is rounded within a rule"),
    ("-0.0 in (0.0)", "1", "0", "true", "the two zeros are one"),
    ("abs(x) - 7", "-2", "UInt8", "a whole number", "what abs gives is whole and has a sign"),
    ("not null", "null", "null", "unknown", "the negation of an unknown is unknown"),
    ("x < 1 and x > 5", "null", "null", "false, or unknown", "never true, and unknown where x is"),
)
"""Written, what SQLite and ClickHouse make of it, what holds here, and the decision."""

_FOREIGN_INTRO: Final = """\
## Spellings of other languages

Read, reported and put right by `phenix lint --fix`; in a filter they are an error with the fix."""

HABITS: Final = {
    "oi is null": ("isnull(oi)", "oi is none", "oi IS NULL"),
    "dte in 1..5": ("dte between 1 and 5",),
    "symbol in {SPY, QQQ}": ("symbol in (SPY, QQQ)", "symbol in [SPY, QQQ]"),
    'symbol like "*A*"': ('symbol contains "A"',),
    'symbol like "A*"': ("symbol like 'A*'", 'symbol starts with "A"'),
}
"""A condition as it is written here, and as people write it elsewhere."""

_LIMITS_INTRO: Final = "## Limits\n\nBeyond one the text is refused, with the place."

_END: Final = """\
## Diagnostics

Every finding has a code, a place and mostly a fix: [diagnostics](diagnostics/README.md). `phenix explain PHX104`
prints a page of it."""


def language_page() -> str:
    """Markdown of the whole page."""
    return page(
        "The rule language",
        _INTRO,
        _FILE,
        _STATEMENTS_INTRO,
        _statements(),
        _TESTS,
        _TYPES_INTRO,
        _types(),
        _UNITS_INTRO,
        _units(),
        _UNITS_MORE,
        _OPERATORS_INTRO,
        table(("Operators", "As in", "Read as"), [(row[1], code(row[2]), code(row[3])) for row in OPERATORS]),
        _OPERATORS_MORE,
        _NULLS,
        _FUNCTIONS_INTRO,
        _functions(),
        _FUNCTIONS_MORE,
        _TRAPS_INTRO,
        table(("Written", "SQLite", "ClickHouse", "Here", "Because"),
              [(code(row[0]) if row[0][0] not in "Nn" or "(" in row[0] else row[0], *row[1:]) for row in TRAPS]),
        _FOREIGN_INTRO,
        _foreign(),
        _LIMITS_INTRO,
        _limits(),
        _END,
    )  # fmt: skip


def _statements() -> str:
    from phenix.dsl.statements import METADATA, SEVERITIES

    rows = [
        ("<br>".join(map(code, form.split("; "))), what, ", ".join(map(code, METADATA[word])))
        for word, (form, what) in STATEMENTS.items()
    ]
    told = (
        "`doc`, `owner` and `deprecated` are followed by a text, `tags` by `[names]`, `group`, `provides` by a name, "
        f'`severity` by {", ".join(map(code, SEVERITIES))}. A chip without `doc` is a lint; `deprecated "use @other"` '
        "names what to use instead."
    )
    return f"{table(('Form', 'What', 'Metadata'), rows)}\n\n{told}"


def _types() -> str:
    from phenix.dsl.types import FORMS

    rows = [(code(str(kind)), ", ".join(map(code, form.literals)), form.stored) for kind, form in FORMS.items()]
    return table(("Type", "Literals", "Kept as"), rows)


def _units() -> str:
    from phenix.dsl.literals import UNITS

    named = {"": "a plain number", "%": "percent", "s": "duration"}
    rows = []
    for suffix, (factor, unit) in UNITS.items():
        if not suffix:
            continue
        times = f"{float(factor):,.10g}"
        worth = {"": f"times {times}", "%": f"{times} {'point' if factor == 1 else 'points'}", "s": f"{times} ms"}[unit]
        rows.append((code(suffix), named[unit], worth))
    return table(("Suffix", "Makes", "Worth"), [("`$` in front", "money", "dollars"), *rows])


def _functions() -> str:
    from phenix.dsl.functions import FUNCTIONS

    return table(("Function", "Gives"), [(code(one.signature), one.doc) for one in FUNCTIONS.values()])


def _foreign() -> str:
    from phenix.dsl.foreign import CALLS, WORDS

    theirs: dict[str, list[str]] = {}
    for word, ours in (*WORDS.items(), *((f"{name}()", f"{ours}()") for name, ours in CALLS.items())):
        theirs.setdefault(ours, []).append(word)
    rows = [(code(ours), " ".join(map(code, words))) for ours, words in theirs.items()]
    rows += [(code(ours), " ".join(map(code, words))) for ours, words in HABITS.items()]
    return table(("Here", "Elsewhere"), rows)


def _limits() -> str:
    from phenix.dsl.builder import MAX_ITEMS
    from phenix.dsl.checker import MAX_EXPANDED, MAX_LEVELS
    from phenix.dsl.parser import MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_STATEMENTS
    from phenix.dsl.scanner import MAX_BROKEN
    from phenix.dsl.statements import LONGEST_COOLDOWN_MS, MAX_LIMIT
    from phenix.engine.bundle import MOST_CHIPS
    from phenix.engine.saved import MOST_CLAUSES

    rows = (
        ("Bytes of a statement or filter", MAX_BYTES),
        ("Levels of an expression", MAX_DEPTH),
        ("Nodes of an expression", MAX_NODES),
        ("Nodes of a macro, macros in it written out", MAX_EXPANDED),
        ("Levels of such a macro", MAX_LEVELS),
        ("Items of a set", MAX_ITEMS),
        ("Statements of a file", MAX_STATEMENTS),
        ("Broken statements of a file that are reported", MAX_BROKEN),
        ("Comments of other languages, and first words of none, that are reported", MAX_BROKEN),
        ("Chips of a rule version", MOST_CHIPS),
        ("Rows a query answers", MAX_LIMIT),
        ("Days of a cooldown", LONGEST_COOLDOWN_MS // 86_400_000),
        ("Clauses of a saved filter", MOST_CLAUSES),
    )
    return table(("Limit", "Most"), [(what, f"{most:,}") for what, most in rows])
