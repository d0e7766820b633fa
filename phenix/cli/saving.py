"""The reference page of saved presets and alerts, from the tables that the server and the conversions run on."""

from __future__ import annotations

from phenix.cli.markdown import code, page, table

__all__ = ["saved_page"]

_INTRO = """\
A preset or an alert is a filter kept under an id (`preset_…`, `alert_…`) and a name. It is sent in any of three forms:
rule text (`symbol = SPY and @whales`), the clauses of V2, or the flat object of older clients. The compiler of the
[rule language](language.md) checks it against the active rule version before anything is stored; what is refused is
answered with 422 and a diagnostic for each thing that is wrong. What an alert does then: [alerts.md](alerts.md).

`phenix serve` keeps them in a file beside the store (`flow.saved.sqlite` beside `flow.sqlite`), made when the first is
saved. `phenix backup` takes it along."""

_BODY = """\
## What is sent

`{{"name": "Big", "payload": …}}`. The filter is `payload`, else `query`, else `dsl`, else the body itself: an object,
or rule text. A blank name is the id. A `PUT` with a name alone keeps the filter, one without a name keeps the name.
A payload that is sent back as it was read keeps the filter, too, with all that its version cannot say. What an answer
holds besides may be sent back and is read over; any other member is refused. A body has up to 1 MB.

`POST` with `content-type: text/plain` reads `query` statements (for presets) or `alert` statements (for alerts), up to
{most:,} at a time, all or none. The name of a statement is the id without its kind: `query hot_calls` is
`preset_hot_calls`, and takes the place of the entry that has that id. A `since` becomes part of the filter; an order, a
limit, a cooldown and what a statement says about itself are kept and come out again in the export. Comments are not."""

_ANSWER = """\
## What is answered

`data`, an object with `id`, `name`, `payloadVersion`, `payload`, `queryDslV2`, `where`, `fidelity`, `reasons`,
`ruleVersion`, `createdAt` and `updatedAt`; for a list an array of them, and `page` with `limit`, `hasMore`,
`nextCursor` and `total`.

* `payload` is written in `payloadVersion`: V2 unless `legacy` is asked for. Reading (`GET`) below `/api/v1` it is the
  other way round.
* `where` is what it means, as rule text. Where clauses cannot say it, V2 has `"clauses": null` and the text.
* `fidelity` says how the payload relates to the filter: `exact`, `wider`, `narrower` or `unsupported`; `reasons` say
  why.
* `ruleVersion` is the version it was saved under. A threshold that has changed since is still known by its legacy key.
* The `ETag` is another one for every change. Sent back in `If-Match`, it keeps somebody else's change from being lost.

`preset=ID` in `/api/flow`, its summary, facets and streams and-s the filter of an entry with the other parameters.
`/api/flow/filters/catalog` names the first thousand presets."""


def saved_page() -> str:
    """Routes, bodies, answers, and the keys of both payload versions."""
    from phenix.engine.clauses import BY_KEY
    from phenix.engine.legacy import KEYS
    from phenix.engine.saved_text import MOST_STATEMENTS
    from phenix.engine.targets.payload import OPERATORS
    from phenix.server.rest.saved import SAVED_ROUTES
    from phenix.server.saved_body import OPTIONS

    routes = [
        (route.method, code(f"/api/flow/presets{route.path}"), ", ".join(map(code, route.parameters)), route.doc)
        for route in SAVED_ROUTES
    ]
    options = [(code(p.name), p.kind, p.doc) for p in OPTIONS.values()]
    clauses = [
        (code(key.name), f"`{key.field}` {key.op}" + (", the threshold" if key.chip else "")) for key in KEYS.values()
    ]
    fields = [
        (code(key), str(field.type.kind), ", ".join(map(code, OPERATORS[field.type.kind])))
        for key, field in BY_KEY.items()
    ]
    return page(
        "Saved presets and alerts",
        _INTRO,
        "## Routes\n\nThe same of alerts below `/api/flow/alerts`, and of both below `/api/v1`.\n\n"
        + table(("Method", "Path", "Parameters", "What"), routes),
        table(("Parameter", "Kind", "What"), options),
        _BODY.format(most=MOST_STATEMENTS),
        _ANSWER,
        "## Keys of the legacy object\n\nEach becomes the clause beside it, in this order. What is null, empty or `[]` "
        "is not there; a threshold counts when it is true or 1.\n\n" + table(("Key", "Clause"), clauses),
        "## Fields of V2 clauses\n\nBeside these: `chips` (`has`, `nin`), and the fields of the legacy keys above.\n\n"
        + table(("Field", "Type", "Operators"), fields),
    )  # fmt: skip
