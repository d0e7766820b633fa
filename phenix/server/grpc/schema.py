"""The proto files: ``row.proto`` from the catalog, and the Python stubs from all of them.

``python -m phenix.server.grpc.schema [FOLDER]`` (``make proto``) writes both, the stubs to a folder.
A field keeps the number it has in the committed file for ever; a new one takes the next, and a
removed one stays reserved.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from phenix.dsl.types import Kind
from phenix.engine.flow import FIELDS, Field

__all__ = ["HIDDEN", "PACKAGE", "SPECIAL", "STUBS", "row_fields", "row_proto", "stubs"]

_ROOT: Final = Path(__file__).resolve().parents[3]
_PROTO: Final = _ROOT / "proto"
_ROW: Final = _PROTO / "phenix" / "v1" / "row.proto"
PACKAGE: Final = ("row", "flow", "catalog")
"""Files of ``proto/phenix/v1``."""
STUBS: Final = Path(__file__).resolve().parents[1] / "_pb"

_TYPES: Final = {
    Kind.BOOL: ("bool", ""),
    Kind.INT: ("int64", ""),
    Kind.MONEY: ("int64", "Ten-thousandths of a dollar."),
    Kind.RATIO: ("double", ""),
    Kind.PERCENT: ("double", "Percent."),
    Kind.ENUM: ("string", ""),
    Kind.SYMBOL: ("string", ""),
    Kind.TEXT: ("string", ""),
    Kind.DATE: ("int32", "YYYYMMDD."),
    Kind.TIME: ("int32", "Milliseconds of the New York day."),
    Kind.TS: ("int64", "UTC milliseconds since 1970."),
    Kind.DURATION: ("int64", "Milliseconds."),
}

SPECIAL: Final = {
    "trade_id": ("id", "string", "Id of the row: exchange time and identity hash."),
    "missing_metrics": ("missing_metrics", "repeated string", "Inputs of the score that were unknown."),
    "chips_set": ("chips", "repeated string", "Ids of the chips that are on."),
    "chips_known": ("chips_unknown", "repeated string", "Ids of the chips that could not be decided."),
}
HIDDEN: Final = frozenset({"cancelled_seq", "time_et"})
_EXTRA: Final = (("condition_name", "string", "Name of the trade condition."),)

_NUMBERED: Final = re.compile(r"^  [a-z][\w ]* (\w+) = (\d+);$", re.MULTILINE)
_RESERVED: Final = re.compile(r"^  reserved ([\d, ]+);$", re.MULTILINE)
_OURS: Final = re.compile(r"^from phenix\.v1 import ", re.MULTILINE)

_HEAD: Final = """\
// Generated from the catalog by `make proto`; edit phenix/engine/flow.py instead.

syntax = "proto3";

package phenix.v1;

// One print with everything derived from it. An optional field that is absent is unknown.
message Row {
"""


def _entry(field: Field) -> tuple[str, str, str]:
    if field.name in SPECIAL:
        return SPECIAL[field.name]
    kind, unit = _TYPES[field.type.kind]
    members = f"One of {', '.join(field.type.members)}." if field.type.members else ""
    doc = " ".join(part for part in (field.doc.replace(", dollars", ""), unit, members) if part)
    return field.name, f"optional {kind}" if field.nullable else kind, doc


def row_fields() -> tuple[tuple[str, str, str], ...]:
    """Name, type and comment of each field of the Row message."""
    return tuple(_entry(field) for field in FIELDS if field.name not in HIDDEN) + _EXTRA


def row_proto(committed: str) -> str:
    """The text of ``row.proto``; ``committed`` is the text it had, whose numbers it keeps."""
    numbers = {name: int(number) for name, number in _NUMBERED.findall(committed)}
    reserved = {int(number) for line in _RESERVED.findall(committed) for number in line.split(",")}
    fields = row_fields()
    names = {name for name, _, _ in fields}
    reserved |= {number for name, number in numbers.items() if name not in names}
    following = max([0, *numbers.values(), *reserved]) + 1
    lines = [f"  reserved {', '.join(map(str, sorted(reserved)))};\n"] if reserved else []
    for name, kind, doc in fields:
        if name not in numbers:
            numbers[name], following = following, following + 1
        lines.append(f"  // {doc}\n  {kind} {name} = {numbers[name]};\n")
    return _HEAD + "".join(lines) + "}\n"


def stubs() -> dict[str, str]:
    """The generated Python modules of the proto files by file name, importing each other relatively."""
    from grpc_tools import protoc  # type: ignore[import-untyped] # ships no types

    with tempfile.TemporaryDirectory() as folder:
        files = [f"phenix/v1/{name}.proto" for name in PACKAGE]
        outputs = [f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
        if protoc.main(["protoc", f"-I{_PROTO}", *outputs, *files]):
            raise ValueError("the proto files do not compile; see the messages above")
        found = {path.name: path.read_text("utf-8") for path in sorted(Path(folder, "phenix", "v1").iterdir())}
    return {
        name: _OURS.sub("from . import ", text)
        for name, text in found.items()
        if not name.endswith("_pb2_grpc.py") or "class " in text
    }


def main() -> int:
    """Write ``row.proto`` and the stubs; with ``--check`` only compare, 1 when something differs."""
    committed = _ROW.read_text("utf-8") if _ROW.exists() else ""
    row = row_proto(committed)
    if sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text("utf-8") for path in STUBS.glob("*_pb2*.py*")}
        return int((row, stubs()) != (committed, found))
    _ROW.write_text(row, "utf-8")
    for name, text in stubs().items():
        (STUBS / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
