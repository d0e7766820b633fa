"""The catalog: what can be asked of the active rule version, as one JSON object."""

from __future__ import annotations

from typing import Any

from phenix.engine.encode import json_value
from phenix.engine.flow import FIELDS, Field, operators
from phenix.server.params import PARAMETERS
from phenix.server.reading import SORTABLE
from phenix.server.rules import Rules

__all__ = ["catalog"]


def catalog(rules: Rules) -> dict[str, Any]:
    """Chips, fields and parameters with everything a page or a client needs to offer them."""
    bundle = rules.bundle
    return {
        "ruleVersion": bundle.version,
        "ruleChecksum": bundle.checksum,
        "scoringModel": bundle.score_label,
        "chips": [
            {
                "id": chip.id,
                "label": chip.label,
                "aliases": list(chip.aliases),
                "group": chip.group,
                "doc": chip.doc,
                "rule": chip.rule,
                "english": chip.english,
                "fields": list(chip.fields),
                "params": dict(chip.params),
                "rollout": bundle.rollout.state(chip.id).value,
            }
            for chip in bundle.chips
        ],
        "fields": [_field(f) for f in FIELDS if f.filterable or f.json],
        "parameters": [{"name": p.name, "kind": p.kind, "doc": p.doc} for p in PARAMETERS.values()],
    }


def _field(f: Field) -> dict[str, Any]:
    return {
        "name": f.name,
        "json": f.json,
        "label": f.label,
        "type": f.type.kind.value,
        "nullable": f.nullable,
        "doc": f.doc,
        "operators": list(operators(f)),
        "enum": list(f.type.members) or None,
        "range": None if f.type.lo is None else {"min": _shown(f, f.type.lo), "max": _shown(f, f.type.hi)},
        "minParam": f"min{f.ranges}" if f.ranges else None,
        "maxParam": f"max{f.ranges}" if f.ranges else None,
        "sortable": f.name in SORTABLE,
        "filterable": f.filterable,
    }


def _shown(f: Field, bound: Any) -> Any:
    return json_value(f.name, bound)
