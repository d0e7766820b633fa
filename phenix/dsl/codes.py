"""The diagnostic codes: one row each, from which messages, pages, SARIF rules and tests are made.

A code is named after the bad pattern. By its hundred: 0 the text, 1 its meaning, 2 what is legal
but doubtful, 3 the tests and assertions of rules, 4 parameters of a request, 5 saved filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["CODES", "MARKS", "Code", "Form", "Severity", "slug"]

MARKS: Final = "«»"
"""What encloses the primary place in an example; the language itself has no such characters."""


class Severity(StrEnum):
    """What follows: an error stops the rule, a warning never does."""

    ERROR = "error"
    WARNING = "warning"


class Form(StrEnum):
    """What an example is a text of."""

    EXPRESSION = "expression"
    """One condition, read beside the packaged rules."""
    FILE = "file"
    """A rule file that stands alone, its tests run."""
    PARAMETER = "parameter"
    """The query string of a request."""
    PAYLOAD = "payload"
    """The JSON of a saved filter."""


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of finding.

    ``summary`` says the bad pattern in one sentence, ``why`` what it costs who wrote it. ``example``
    gives the finding at the place between :data:`MARKS`; ``remedy`` is the same put right.
    """

    id: str
    name: str
    severity: Severity
    summary: str
    why: str
    example: str
    remedy: str
    form: Form = Form.EXPRESSION


_E, _W = Severity.ERROR, Severity.WARNING
_FILE, _PARAMETER, _PAYLOAD = Form.FILE, Form.PARAMETER, Form.PAYLOAD

_TABLE: Final = (
    # -- the text
    Code(
        "PHX001", "syntax", _E,
        "The text does not follow the grammar.",
        "Nothing is known of a statement that cannot be read, so nothing of it is used. The statements beside it are "
        "checked all the same.",
        "value >= 250k «iso»",
        "value >= 250k and iso",
    ),
    Code(
        "PHX002", "foreign-spelling", _E,
        "A spelling of another language, such as `&&`, `==` or single quotes.",
        "There is one way to write each thing, so that two rules that mean the same read the same. The spelling is "
        "understood, and the fix cannot change what is meant.",
        "value >= 250k «&&» iso",
        "value >= 250k and iso",
    ),
    Code(
        "PHX003", "missing-zone", _E,
        "A time of day without its zone.",
        "The tape is read in New York, Chicago and UTC, and half past nine is a different minute in each.",
        "time_et >= «09:30»",
        "time_et >= 09:30 ET",
    ),
    Code(
        "PHX004", "too-large", _E,
        "A statement over 64 kB, deeper than 64 levels, of more than 2,000 nodes, a set of more than 1,000 items, or a "
        "condition whose sets hold more than 30,000 values.",
        "A rule runs on every print. A bound on its size bounds the time of a row, and keeps a pasted list out of the "
        "text that people review.",
        "(" * 65 + "«iso»" + ")" * 65,
        "iso",
    ),
    Code(
        "PHX005", "bad-literal", _E,
        "A literal that names no value, such as the 31st of June.",
        "Read as the nearest day, size or time it would silently be another rule.",
        "expiration = «2026-06-31»",
        "expiration = 2026-06-30",
    ),
    # -- its meaning
    Code(
        "PHX101", "unknown-name", _E,
        "No field, `let` or derived field has this name.",
        "A misspelt field would be unknown on every row, and the rule would never fire.",
        "«vallue» >= 250k",
        "value >= 250k",
    ),
    Code(
        "PHX102", "unknown-chip", _E,
        "No chip has this id, label or alias.",
        "A chip that is not there would never be on, and its negation always.",
        "«@wales» and iso",
        "@whales and iso",
    ),
    Code(
        "PHX103", "unknown-param", _E,
        "No `param` has this name.",
        "A threshold without a value cannot be compared with.",
        "value >= «$urgent»",
        "value >= $urgent_value",
    ),
    Code(
        "PHX104", "unit-mismatch", _E,
        "Two units that cannot meet, such as dollars and minutes.",
        "`5m` is five minutes and `5M` is five million. The unit of the field decides, and what does not fit is "
        "refused rather than converted.",
        "value >= «5m»",
        "value >= 5M",
    ),
    Code(
        "PHX105", "unknown-member", _E,
        "The field never has this value.",
        "Opposite such a field a bare word is one of its values, never another field, so a misspelt one would never "
        "match.",
        "right = «cal»",
        "right = call",
    ),
    Code(
        "PHX106", "type-mismatch", _E,
        "An operator was given something it is not defined for.",
        "Databases answer such questions each in their own way (`'5' > 3` is true in SQLite); here they are not asked.",
        "«side» > BID",
        "side in {ASK, AA}",
    ),
    Code(
        "PHX107", "null-comparison", _E,
        "Something is compared with `null`, or a set holds it.",
        "Nothing equals an unknown value, not even another one: the comparison would be unknown on every row.",
        "oi = «null»",
        "oi is null",
    ),
    Code(
        "PHX108", "not-a-condition", _E,
        "True or false was expected and a value was found, or the reverse.",
        "A number is neither true nor false here: which of them counts as true would be a guess.",
        "«value» and iso",
        "value > 0 and iso",
    ),
    Code(
        "PHX109", "wrong-arguments", _E,
        "An unknown function, a wrong number of arguments, or not the literals it takes.",
        "The functions are few, and each is defined for every input on every target.",
        "«max(value)» > 250k",
        "max(value, 100 * price) > 250k",
    ),
    Code(
        "PHX110", "overflow", _E,
        "The declared ranges of fields and params allow a result outside 64 bits.",
        "SQLite would go on in doubles, ClickHouse would wrap around to a negative number. What could leave 64 bits is "
        "refused before it runs, for every value the ranges allow.",
        "«value * 1000000» > 5",
        "value > 0.000005",
    ),
    Code(
        "PHX111", "duplicate", _E,
        "A name or alias is already taken, by another definition or by the language.",
        "Ids, labels and aliases are what the API and saved views ask for: each has to mean one thing.",
        'chip big "Big" = value >= 1M doc "A million."\nchip «big» "Huge" = value >= 5M doc "Five million."',
        'chip big "Big" = value >= 1M doc "A million."\nchip huge "Huge" = value >= 5M doc "Five million."',
        _FILE,
    ),
    Code(
        "PHX112", "cycle", _E,
        "Definitions refer to each other in a circle.",
        "Each would wait for the other, and neither has a value.",
        'chip «hot» = @urgent and iso doc "Urgent sweeps."\nchip urgent = @hot doc "Hot."',
        'chip hot = @urgent and iso doc "Urgent sweeps."\nchip urgent = value >= 1M doc "A million."',
        _FILE,
    ),
    Code(
        "PHX113", "inexact-money", _E,
        "Money is multiplied or divided by something that is not exact.",
        "Money is counted in ten-thousandths of a dollar, so that a fill of 2.11 is at a threshold of 2.11 on every "
        "target; a double would miss it on some.",
        "value * «sig_score» > 100k",
        "value > 100k and sig_score > 0.5",
    ),
    Code(
        "PHX114", "out-of-range", _E,
        "A param, a field in a test or a score that can lie outside its declared range, or a range that is none.",
        "The range is what was proven: bounds analysis, comparisons it decides and the tuning of params rely on it.",
        "param whale_min: money = «10k» in 50k..5M",
        "param whale_min: money = 100k in 50k..5M",
        _FILE,
    ),
    Code(
        "PHX115", "unknown-set", _E,
        "No `set` has this name.",
        "`in` takes a set, a range or the name of a set; a set that is not there holds nothing.",
        "symbol in «meme»",
        "symbol in {GME, AMC}",
    ),
    Code(
        "PHX116", "repeated-metadata", _E,
        "A clause, a piece of metadata or a field of a test is given twice.",
        "Which of the two is meant, nobody but the author can say.",
        'chip whale = value >= 500k doc "Half a million." «doc "Large."»',
        'chip whale = value >= 500k doc "Half a million."',
        _FILE,
    ),
    Code(
        "PHX117", "misplaced-metadata", _E,
        "Metadata that says nothing about this kind of statement.",
        "It would be read by nobody, while its author relies on it.",
        "set meme = {GME, AMC} «severity high»",
        "set meme = {GME, AMC}",
        _FILE,
    ),
    Code(
        "PHX118", "unknown-choice", _E,
        "A word that is none of the few that may stand there, such as a severity nobody knows.",
        "What acts on it, an alert's channel for one, would not know what to do.",
        "alert wake where iso severity «urgent»",
        "alert wake where iso severity critical",
        _FILE,
    ),
    # -- legal, but doubtful
    Code(
        "PHX201", "mixed-and-or", _W,
        "`and` and `or` side by side without parentheses.",
        "`and` binds tighter, which readers get wrong; the parentheses cost two characters.",
        "«value >= 250k and iso» or cross",
        "(value >= 250k and iso) or cross",
    ),
    Code(
        "PHX202", "never-or-always", _W,
        "A comparison whose answer the field's range or precision decides alone.",
        "It is the same for every print on which the field is known, so it filters nothing, or everything. Most often "
        "the unit or a digit is wrong.",
        "dte > «40001»",
        "dte > 400",
    ),
    Code(
        "PHX203", "missing-doc", _W,
        "A chip without `doc`.",
        "Traders read it as the tooltip; without it they have to read the rule.",
        'chip «big» "Big" = value >= 1M',
        'chip big "Big" = value >= 1M doc "A million dollars or more."',
        _FILE,
    ),
    Code(
        "PHX204", "reversed-range", _W,
        "A range whose lower end is above its upper end.",
        "No value lies in it, so the rule never fires, and `not in` always does. A night is two ranges: a time of day "
        "never runs past midnight.",
        "dte in «180..21»",
        "dte in 21..180",
    ),
    Code(
        "PHX205", "empty-set", _W,
        "A set without items.",
        "Nothing is in it: the condition is false wherever the field is known.",
        "symbol in «{}»",
        "symbol in {SPY}",
    ),
    Code(
        "PHX206", "repeated-item", _W,
        "A set names one value twice.",
        "It changes nothing, and is most often a slip for another value.",
        "symbol in {SPY, QQQ, «spy»}",
        "symbol in {SPY, QQQ, IWM}",
    ),
    Code(
        "PHX207", "field-as-member", _W,
        "Opposite a symbol a bare word that is also the name of a field.",
        "The word is the ticker, never the field: `symbol = root` asks for the ticker ROOT. In capitals it says so.",
        "symbol = «root»",
        "symbol = ROOT",
    ),
    Code(
        "PHX210", "never-true", _W,
        "A chip that is true of no print.",
        "It never fires, however long one waits. Two of its parts exclude each other, with its params as they are.",
        'chip brief = «dte <= 7 and dte >= 21» doc "About to expire."',
        'chip brief = dte <= 7 doc "About to expire."',
        _FILE,
    ),
    Code(
        "PHX211", "always-true", _W,
        "A chip that is true of every print.",
        "A chip that is always on tells nothing of any print.",
        'chip dated = «dte >= 7 or dte < 21» doc "Has an expiry."',
        'chip dated = dte >= 7 and dte < 21 doc "Expires in one to three weeks."',
        _FILE,
    ),
    Code(
        "PHX212", "same-as", _W,
        "A chip that answers as another does on every print.",
        "Two names for one thing drift apart when only one of them is changed.",
        'chip near = dte <= 7 doc "A week."\nchip week = «dte < 8» doc "A week."',
        'chip near = dte <= 7 aliases {"week"} doc "A week."',
        _FILE,
    ),
    Code(
        "PHX213", "redundant-part", _W,
        "A part of an `and` or `or` without which the answer is the same on every print.",
        "It looks like a condition and is none; most often another number was meant.",
        'chip big = value >= 100k and «value >= 50k» doc "Big."',
        'chip big = value >= 100k doc "Big."',
        _FILE,
    ),
    Code(
        "PHX214", "deprecated-chip", _W,
        "A rule that builds on a chip marked `deprecated`.",
        "The chip will go; what stands on it has to move first.",
        'chip old = iso doc "Old." deprecated "use the field"\nchip new = «@old» and value >= 1M doc "New."',
        'chip old = iso doc "Old." deprecated "use the field"\nchip new = iso and value >= 1M doc "New."',
        _FILE,
    ),
    Code(
        "PHX215", "unused-definition", _W,
        "A `let`, a `set` or a `param` that nothing names.",
        "A knob that turns nothing misleads whoever turns it.",
        'set «meme» = {GME, AMC}\nchip tech = symbol in {AAPL, MSFT} doc "Tech."',
        'set meme = {GME, AMC}\nchip memes = symbol in meme doc "Memes."',
        _FILE,
    ),
    Code(
        "PHX216", "never-matches", _W,
        "A query or an alert that no print can match.",
        "Its silence looks like a quiet market.",
        'alert wake where «side = AA and side = BID» cooldown 3m per contract',
        'alert wake where side in {AA, BID} cooldown 3m per contract',
        _FILE,
    ),
    # -- tests and assertions of rules
    Code(
        "PHX301", "failing-test", _E,
        "A `test` in the rules does not give what it says.",
        "The test is the author's word on what the rule means. One of the two is wrong.",
        'chip whale = value >= 500k doc "Half a million."\n'
        "«test \"a whale\" for @whale { value: 500k } => false»",
        'chip whale = value >= 500k doc "Half a million."\n'
        'test "a whale" for @whale { value: 500k } => true',
        _FILE,
    ),
    Code(
        "PHX302", "failing-assertion", _E,
        "An `assert` that a print contradicts, or the share of stored prints on which it is true.",
        "Its author relies on it. The finding names a print on which it does not hold, or the share that it has.",
        'chip big = value >= 100k doc "Big."\n«assert @big implies dte <= 7»',
        'chip big = value >= 100k doc "Big."\nassert @big implies value >= 50k',
        _FILE,
    ),
    Code(
        "PHX303", "unproven-assertion", _E,
        "An `assert` that was neither proven nor contradicted.",
        "What was not proven may not be relied on. Conditions on several fields are bounded, then tried on rows.",
        "«assert bid + ask > 2 * price implies ask > price or bid > price»",
        "assert price > $5 implies price > $3",
        _FILE,
    ),
    # -- parameters of a request
    Code(
        "PHX401", "unknown-parameter", _E,
        "A request names a parameter that does not exist.",
        "Ignored, it would look like a filter that was applied.",
        "minvalue=«250000»",
        "minValue=250000",
        _PARAMETER,
    ),
    Code(
        "PHX402", "malformed-value", _E,
        "The value of a parameter cannot be read.",
        "A filter that is dropped answers with rows nobody asked for.",
        "minValue=«250.000,00»",
        "minValue=250000",
        _PARAMETER,
    ),
    Code(
        "PHX403", "contradictory-range", _E,
        "The lower end of a range is above its upper end.",
        "No row can match; most often the two are exchanged.",
        "minValue=«500000»&maxValue=100000",
        "minValue=100000&maxValue=500000",
        _PARAMETER,
    ),
    Code(
        "PHX404", "repeated-parameter", _E,
        "A parameter that takes one value is given twice.",
        "Which of them counts would be a guess.",
        "limit=10&limit=«20»",
        "limit=20",
        _PARAMETER,
    ),
    Code(
        "PHX405", "unknown-field", _E,
        "A parameter names a field that rows do not have.",
        "Sorted by nothing, or without the column asked for, the answer would look whole.",
        "sortBy=«premium»",
        "sortBy=value",
        _PARAMETER,
    ),
    Code(
        "PHX406", "unused-parameter", _E,
        "A request names a parameter that is for something else.",
        "Ignored, it would look as if it had done something.",
        "snapshot=«10»",
        "limit=10",
        _PARAMETER,
    ),
    # -- saved filters
    Code(
        "PHX501", "payload-shape", _E,
        "A saved filter is no object of either form, or has members that mean nothing there.",
        "What a filter does not know it would leave out, and then keep rows that its author excluded.",
        '{"version": «3», "combinator": "and", "clauses": []}',
        '{"version": 2, "combinator": "and", "clauses": []}',
        _PAYLOAD,
    ),
    Code(
        "PHX502", "unknown-payload-field", _E,
        "A clause names no field of a row, or a legacy object has a key that never filtered anything.",
        "Ignored, it would look like a filter that was applied.",
        '{"version": 2, "combinator": "and", "clauses": [{"field": «"sise"», "op": "gte", "value": 500}]}',
        '{"version": 2, "combinator": "and", "clauses": [{"field": "size", "op": "gte", "value": 500}]}',
        _PAYLOAD,
    ),
    Code(
        "PHX503", "unknown-operator", _E,
        "A clause has an operator that does not exist, or that its field does not have.",
        "A side has no order and a number contains nothing: there is no row that such a clause could be asked of.",
        '{"version": 2, "combinator": "and", "clauses": [{"field": "side", "op": «"gte"», "value": "AA"}]}',
        '{"version": 2, "combinator": "and", "clauses": [{"field": "side", "op": "in", "value": ["AA", "ASK"]}]}',
        _PAYLOAD,
    ),
    Code(
        "PHX504", "unknown-combinator", _E,
        "Clauses are joined by something else than `and` or `or`.",
        "One word decides whether a row needs all of the clauses or one of them. It is never guessed.",
        '{"version": 2, "combinator": «"any"», "clauses": []}',
        '{"version": 2, "combinator": "or", "clauses": []}',
        _PAYLOAD,
    ),
    Code(
        "PHX505", "ill-typed-value", _E,
        "The value of a clause or of a legacy key is nothing its field can be compared with.",
        "Turned into some number or text it would be another filter. Numbers may be written as texts, nothing else.",
        '{"minDte": «"soon"»}',
        '{"minDte": "7"}',
        _PAYLOAD,
    ),
)  # fmt: skip

CODES: Final = {code.id: code for code in _TABLE}
"""Every code, by id."""


def slug(code: Code) -> str:
    """The name of its page: ``PHX104-unit-mismatch``."""
    return f"{code.id}-{code.name}"
