"""Saved filters: legacy flat objects, V2 clauses and rule text, each from the others.

``{"symbol": "SPY", "whales": true}``, ``{"version": 2, "combinator": "and", "clauses": […]}`` and
``symbol = SPY and value >= 500k`` are three writings of one filter. What it means is always its
rule text, compiled like any other. A conversion says how near it comes, and why when it is not exact.

Decided here, because JSON leaves it open: no clauses filter nothing, whatever would join them; keys
of a legacy object that hold null, "" or an empty list are not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.compiler import compile_condition
from phenix.dsl.diagnostics import Diagnostic, closest, has_errors
from phenix.dsl.passes import decided
from phenix.dsl.printer import print_expression
from phenix.dsl.source import Source, Span
from phenix.engine.bundle import Bundle
from phenix.engine.clauses import BY_KEY, OTHERS, Meaning, meaning_of
from phenix.engine.encode import json_value
from phenix.engine.flow import BY_NAME
from phenix.engine.legacy import KEYS, from_clauses, thresholds, to_clause
from phenix.engine.members import Placed, at_member, cut, kind_of, scalar, shown_value
from phenix.engine.targets.payload import AMOUNTS, Clause, Fidelity, Names, combine, to_clauses

__all__ = [
    "MOST_CLAUSES",
    "Converted",
    "Form",
    "SavedPayload",
    "bare",
    "convert",
    "form_of",
    "is_v2",
    "legacy_to_v2",
    "legacy_to_where",
    "save",
    "v2_to_legacy",
    "v2_to_where",
    "where_to_v2",
]

MOST_CLAUSES: Final = 500
"""Clauses of a payload, or keys of a legacy one."""

Form = Literal["legacy", "v2", "where"]
"""A writing of a filter: a flat object, clauses, rule text."""

_MEMBERS: Final = ("version", "combinator", "clauses", "where")
_OPS: Final = (*AMOUNTS, "in", "nin", "contains", "has")


@dataclass(frozen=True, slots=True)
class Converted:
    """A conversion: an object, or rule text ("" filters nothing); None where it cannot be said or has errors.

    ``reasons`` say what is not exact, and what filters otherwise than it may look.
    """

    result: Any
    fidelity: Fidelity = Fidelity.EXACT
    reasons: tuple[str, ...] = ()
    findings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class SavedPayload:
    """A filter as it is stored: the V2 object and the rule text, and how near the one comes to the other."""

    v2: Mapping[str, Any]
    where: str
    fidelity: Fidelity
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """Clauses as they were read, or what is wrong with them as a whole."""

    clauses: tuple[Placed, ...] = ()
    combinator: str = "and"
    notes: tuple[str, ...] = ()
    findings: tuple[Diagnostic, ...] = ()


# -- the conversions


def legacy_to_v2(payload: object, bundle: Bundle) -> Converted:
    """The V2 object of a legacy one, thresholds as the rule version has them now."""
    read = _read_legacy(payload, bundle)
    lowered = _lowered(read, bundle)
    if lowered.result is None:
        return lowered
    return Converted(_v2("and", [placed.clause for placed in read.clauses]), reasons=read.notes)


def legacy_to_where(payload: object, bundle: Bundle) -> Converted:
    """The rule text of a legacy object: what its clauses mean."""
    return _lowered(_read_legacy(payload, bundle), bundle)


def v2_to_where(payload: object, bundle: Bundle) -> Converted:
    """The rule text of a V2 object."""
    text = _kept_text(payload)
    return _lowered(_read_v2(payload), bundle) if text is None else _canonical(text, bundle)[0]


def v2_to_legacy(payload: object, bundle: Bundle) -> Converted:
    """The flat object of a V2 one; ``bundle`` is the rule version it was saved under.

    What flat keys cannot say is left out and reported: the object is wider then.
    """
    text = _kept_text(payload)
    if text is not None:
        flat = where_to_v2(text, bundle)
        if flat.fidelity is not Fidelity.EXACT:
            return Converted(None, Fidelity.UNSUPPORTED, flat.reasons, flat.findings)
        payload = flat.result
    read = _read_v2(payload)
    if read.findings:
        return Converted(None, Fidelity.UNSUPPORTED, findings=read.findings)
    if read.combinator == "or" and len(read.clauses) > 1:
        return Converted(None, Fidelity.UNSUPPORTED, ("a legacy object and-s its keys, these clauses are or-ed",))
    result, reasons, wider = from_clauses([placed.clause for placed in read.clauses], thresholds(bundle))
    return Converted(result, Fidelity.WIDER if wider else Fidelity.EXACT, tuple(dict.fromkeys(reasons)))


def where_to_v2(text: str, bundle: Bundle) -> Converted:
    """The V2 object of rule text; what clauses cannot say stays rule text, with ``clauses`` null."""
    whole, core = _canonical(text, bundle)
    if core is None:
        return whole if whole.result is None else Converted(_v2("and", []))
    found = to_clauses(decided(core), Names(lambda name: BY_NAME[name].json, json_value, bundle.params))
    if not isinstance(found, str):
        v2 = _v2(found.combinator, found.clauses)
        again = v2_to_where(v2, bundle)
        if again.result is not None:
            return Converted(v2, reasons=found.notes, findings=whole.findings)
        found = f"no clause can say it: {next(d.message for d in again.findings if d.severity == 'error')}"
    kept = {"version": 2, "combinator": "and", "clauses": None, "where": whole.result}
    return Converted(kept, Fidelity.UNSUPPORTED, (found,), whole.findings)


def convert(payload: object, to: Form, bundle: Bundle) -> Converted:
    """A filter in another form; to its own it is checked, and brought to the one writing it has."""
    match form_of(payload), to:
        case "legacy", "v2":
            return legacy_to_v2(payload, bundle)
        case "legacy", "where":
            return legacy_to_where(payload, bundle)
        case "v2", "where":
            return v2_to_where(payload, bundle)
        case "where", "v2":
            return where_to_v2(str(payload), bundle)
        case "where", _:
            payload = {"version": 2, "combinator": "and", "clauses": None, "where": payload}
        case "legacy", _:
            clauses = legacy_to_v2(payload, bundle)
            if clauses.result is None:
                return clauses
            flat = v2_to_legacy(clauses.result, bundle)
            return Converted(flat.result, flat.fidelity, (*clauses.reasons, *flat.reasons), clauses.findings)
    meant = v2_to_where(payload, bundle)
    if meant.result is None or to == "where":
        return meant
    return v2_to_legacy(payload, bundle) if to == "legacy" else Converted(payload, findings=meant.findings)


def save(payload: object, bundle: Bundle) -> SavedPayload | tuple[Diagnostic, ...]:
    """What is stored of a payload that somebody wrote, in whichever form; its findings when it is refused."""
    payload = bare(payload)
    if isinstance(payload, str):
        v2, where = where_to_v2(payload, bundle), _canonical(payload, bundle)[0]
        where = Converted(where.result, v2.fidelity, v2.reasons, where.findings)
    elif is_v2(payload):
        v2, where = Converted(payload), v2_to_where(payload, bundle)
    else:
        v2, where = legacy_to_v2(payload, bundle), legacy_to_where(payload, bundle)
    if where.result is None:
        return where.findings
    return SavedPayload(v2.result, where.result, where.fidelity, where.reasons)


# -- reading


def bare(payload: object) -> object:
    """The rule text of an object that holds nothing else; anything else as it is."""
    return payload["where"] if isinstance(payload, Mapping) and set(payload) == {"where"} else payload


def form_of(payload: object) -> Form:
    """The form a payload is meant in, well formed or not."""
    return "where" if isinstance(payload, str) else "v2" if is_v2(payload) else "legacy"


def is_v2(payload: object) -> bool:
    """Whether an object is meant as V2, well formed or not: no legacy key is called like its members."""
    return isinstance(payload, Mapping) and not {"version", "combinator", "clauses"}.isdisjoint(payload)


def _v2(combinator: str, clauses: Sequence[Clause]) -> dict[str, Any]:
    found = [{"field": clause.field, "op": clause.op, "value": clause.value} for clause in clauses]
    return {"version": 2, "combinator": combinator, "clauses": found}


def _kept_text(payload: object) -> str | None:
    """The rule text of a V2 object that keeps it because clauses cannot say it."""
    if not isinstance(payload, Mapping) or payload.get("clauses") is not None or _shape(payload):
        return None
    text = payload.get("where")
    return text if isinstance(text, str) else None


def _no_object(payload: object) -> _Read:
    message = f"a saved filter is an object, this is {kind_of(payload)}"
    return _Read(findings=(at_member("PHX501", message, "payload", {"": payload}),))


def _read_legacy(payload: object, bundle: Bundle) -> _Read:
    """The clauses of a flat object in the order of the keys; ``notes`` name what counts for nothing."""
    if not isinstance(payload, Mapping):
        return _no_object(payload)
    if len(payload) > MOST_CLAUSES:
        message = f"{len(payload):,} keys; {MOST_CLAUSES} are allowed"
        return _Read(findings=(at_member("PHX501", message, "payload", {}),))
    known = thresholds(bundle)
    found = []
    for name, value in payload.items():
        key = KEYS.get(name)
        if value is None or value in ("", []):
            continue
        if key is None:
            shown = cut(name)
            near = closest(shown, KEYS) or ""
            hint = "" if near else f"keys: {', '.join(list(KEYS)[:12])}, …"
            message = f"there is no key `{shown}`"
            found.append(at_member("PHX502", message, shown, {name: value}, name, hint, near, of_name=True))
        elif key.chip and name not in known:
            message = f"the rule version has no chip `{name}` with a threshold"
            found.append(at_member("PHX102", message, name, {name: value}, name, of_name=True))
    if found:
        return _Read(findings=tuple(found))
    made = [(key.name, to_clause(key, payload[key.name], known)) for key in KEYS.values() if key.name in payload]
    clauses = [Placed(clause, name, {name: payload[name]}) for name, clause in made if isinstance(clause, Clause)]
    return _Read(tuple(clauses), notes=tuple(note for _, note in made if isinstance(note, str)))


def _shape(payload: Mapping[str, Any]) -> list[Diagnostic]:
    """What is wrong with the members of a V2 object beside its clauses."""
    found = []
    clauses = payload.get("clauses")
    for name in payload:
        if name not in _MEMBERS or (name == "where" and clauses is not None):
            hint = "give clauses, or null and the rule text" if name == "where" else f"it has {', '.join(_MEMBERS)}"
            message, member = f"`{cut(name)}` is no member beside these clauses", {name: payload[name]}
            found.append(at_member("PHX501", message, "payload", member, name, hint, of_name=True))
    version = payload.get("version")
    if isinstance(version, bool) or version != 2:
        message = "the version of clauses is the number 2"
        found.append(at_member("PHX501", message, "payload", {"version": version}, "version"))
    combinator = payload.get("combinator")
    if combinator not in ("and", "or"):
        message, member = "clauses are joined by `and` or `or`", {"combinator": combinator}
        found.append(at_member("PHX504", message, "payload", member, "combinator"))
    return found


def _read_v2(payload: object) -> _Read:
    if not isinstance(payload, Mapping):
        return _no_object(payload)
    found = _shape(payload)
    clauses = payload.get("clauses")
    few = clauses if isinstance(clauses, list) and len(clauses) <= MOST_CLAUSES else ()
    if few is not clauses:
        what = f"{len(clauses):,}" if isinstance(clauses, list) else kind_of(clauses)
        message = f"clauses are a list of up to {MOST_CLAUSES}, this is {what}"
        found.append(at_member("PHX501", message, "payload", {"clauses": clauses}, "clauses"))
    placed = []
    for i, clause in enumerate(few):
        name = f"clauses[{i}]"
        if not isinstance(clause, Mapping) or set(clause) != {"field", "op", "value"}:
            whole = isinstance(clause, Mapping) and 0 < len(clause) < 10 and "" not in clause
            shown = clause if whole else {"": clause}
            found.append(at_member("PHX501", "a clause has a field, an op and a value, nothing else", name, shown))
            continue
        field, op = clause["field"], clause["op"]
        known = Placed(Clause(field, op, clause["value"]), name, clause)
        if not isinstance(field, str):
            found.append(known.finding("field", f"a field is named by a text, this is {kind_of(field)}"))
        elif op not in _OPS:
            near = closest(shown_value(op), _OPS) or ""
            message = f"there is no operator {shown_value(op)}"
            found.append(known.finding("op", message, f"operators: {', '.join(_OPS)}", near))
        else:
            placed.append(known)
    return _Read(tuple(placed), payload.get("combinator", ""), findings=tuple(found))


# -- meaning


def _canonical(text: str, bundle: Bundle) -> tuple[Converted, c.Core | None]:
    """Rule text as the printer writes it, and its tree; none where it filters nothing."""
    if not text.strip():
        return Converted(""), None
    condition, found = compile_condition(Source("where", text), bundle.scope)
    if condition is None or has_errors(found):
        return Converted(None, Fidelity.UNSUPPORTED, findings=found), None
    return Converted(condition.text, findings=found), condition.core


def _lowered(read: _Read, bundle: Bundle) -> Converted:
    """The rule text of clauses, constants folded."""
    found = list(read.findings)
    fidelities: list[Fidelity] = []
    notes = dict.fromkeys(read.notes)
    kept: list[n.Expr] = []
    decided: set[str] = set()
    for placed in read.clauses:
        meaning = _meaning(placed, bundle)
        if isinstance(meaning, Diagnostic):
            found.append(meaning)
            continue
        fidelities.append(meaning.fidelity)
        notes |= {meaning.note: None} if meaning.note else {}
        if meaning.text in ("true", "false"):
            decided.add(meaning.text)
        elif meaning.text is not None:
            condition, more = compile_condition(Source(placed.name, meaning.text), bundle.scope)
            # Findings of the rule text point at the value it was made from.
            found += [placed.finding("value", d.message, d.help, code=d.code) for d in more]
            kept += [condition.node] if condition is not None else []
    if not has_errors(found):
        text = _joined(read.combinator, kept, decided)
        whole = _canonical(text, bundle)[0]  # many clauses may be more than one statement can be
        if whole.result is not None:
            return Converted(text, combine(fidelities), tuple(notes), tuple(found))
        found += whole.findings
    return Converted(None, Fidelity.UNSUPPORTED, findings=tuple(found))


def _joined(combinator: str, kept: Sequence[n.Expr], decided: set[str]) -> str:
    """The text of conditions and constants; "" where nothing is filtered."""
    join, deciding, idle = (n.And, "false", "true") if combinator == "and" else (n.Or, "true", "false")
    if deciding in decided or (not kept and idle in decided):
        return {"true": "", "false": "false"}[deciding if deciding in decided else idle]
    flat = [node.args if isinstance(node, n.And | n.Or) and isinstance(node, join) else (node,) for node in kept]
    args = tuple(arg for part in flat for arg in part)
    if len(args) < 2:
        return print_expression(args[0]) if args else ""
    return print_expression(join(span=Span(0, 0), args=args))


def _meaning(placed: Placed, bundle: Bundle) -> Meaning | Diagnostic:
    """The meaning of a clause, or what is wrong with it."""
    value = placed.clause.value
    if not all(scalar(item) for item in (value if isinstance(value, list) else [value])):
        return placed.finding("value", "a value is a text, a number, true or false, or a list of them")
    meaning = meaning_of(placed.clause, bundle)
    if isinstance(meaning, Meaning):
        return meaning
    near = meaning.near
    if meaning.part == "field":
        near = closest(placed.clause.field, (*BY_KEY, *OTHERS)) or ""
    return placed.finding(meaning.part, meaning.message, meaning.help, near, meaning.code)
