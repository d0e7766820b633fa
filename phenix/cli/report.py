"""One report, many renderers: findings as text, JSON, SARIF 2.1.0 or annotations of GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from phenix import __version__

if TYPE_CHECKING:
    from phenix.dsl.diagnostics import Diagnostic

__all__ = ["RENDERERS", "Renderer", "json_report"]

Renderer = Callable[[Sequence["Diagnostic"]], str]
"""Findings to what is printed; empty for nothing."""


def _text(findings: Sequence[Diagnostic]) -> str:
    from phenix.dsl.render import render_text

    return "".join(f"{render_text(finding)}\n\n" for finding in findings)


def json_report(findings: Sequence[Diagnostic], more: Mapping[str, Any] | None = None) -> str:
    """Findings as one JSON object, with what else a command has to say beside them."""
    whole = {"findings": [d.to_dict() for d in findings], **(more or {})}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


# -- SARIF: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html


def _sarif(findings: Sequence[Diagnostic]) -> str:
    from phenix.dsl.codes import CODES

    rules = [
        {
            "id": code.id,
            "name": code.name,
            "shortDescription": {"text": code.summary},
            "fullDescription": {"text": code.why},
            "defaultConfiguration": {"level": code.severity.value},
        }
        for code in CODES.values()
    ]
    index = {code: at for at, code in enumerate(CODES)}
    driver = {"name": "phenix", "version": __version__, "rules": rules}
    results = [_result(finding.to_dict(), index) for finding in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _result(found: Mapping[str, Any], index: Mapping[str, int]) -> dict[str, Any]:
    help_ = f"; {found['help']}" if "help" in found else ""
    result: dict[str, Any] = {
        "ruleId": found["code"],
        "ruleIndex": index[found["code"]],
        "level": found["severity"],
        "message": {"text": found["message"] + help_},
        "locations": [{"physicalLocation": _location(found["source"], found)}],
    }
    if "labels" in found:
        result["relatedLocations"] = [
            {"id": at, "message": {"text": label["text"]}, "physicalLocation": _location(label["source"], label)}
            for at, label in enumerate(found["labels"], 1)
        ]
    fix = found.get("suggestion")
    if fix and fix["safety"] != "placeholder":
        replacement = {"deletedRegion": _region(fix), "insertedContent": {"text": fix["text"]}}
        change = {"artifactLocation": _artifact(found["source"]), "replacements": [replacement]}
        result["fixes"] = [{"description": {"text": found["help"]}, "artifactChanges": [change]}]
    return result


def _location(source: str, place: Mapping[str, Any]) -> dict[str, Any]:
    return {"artifactLocation": _artifact(source), "region": _region(place)}


def _artifact(source: str) -> dict[str, str]:
    return {"uri": quote(source.replace("\\", "/"))}


def _region(place: Mapping[str, Any]) -> dict[str, int]:
    keys = {"startLine": "line", "startColumn": "column", "endLine": "endLine", "endColumn": "endColumn"}
    return {theirs: place[ours] for theirs, ours in keys.items()}


# -- GitHub: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands


def _github(findings: Sequence[Diagnostic]) -> str:
    return "".join(_annotation(finding.to_dict()) for finding in findings)


def _annotation(found: Mapping[str, Any]) -> str:
    place = {"file": found["source"], "line": found["line"], "endLine": found["endLine"]}
    if found["line"] == found["endLine"]:  # columns are of one line there
        place |= {"col": found["column"], "endColumn": found["endColumn"]}
    place["title"] = f"{found['code']} {found['name']}"
    shown = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in place.items())
    text = found["message"] + (f"\n{found['help']}" if "help" in found else "")
    return f"::{found['severity']} {shown}::{_escaped(text)}\n"


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(ch):02X}" if ch in "%\r\n" + more else ch for ch in text)


RENDERERS: Final[dict[str, Renderer]] = {"text": _text, "json": json_report, "sarif": _sarif, "github": _github}
"""Value of ``--output`` -> renderer."""
