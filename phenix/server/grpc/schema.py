"""The proto files: ``row.proto`` from the catalog, the Python stubs from all of them, and what may not change.

``python -m phenix.server.grpc.schema`` (``make proto``) writes all three. A field of a row keeps the number it has in
the committed file for ever; a new one takes the next, and a removed one stays reserved.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from phenix.dsl.types import Kind
from phenix.engine.flow import FIELDS, Field
from phenix.server.grpc.contract import broken, contract

__all__ = ["HIDDEN", "PACKAGE", "SPECIAL", "STUBS", "row_fields", "row_proto", "stubs"]

_ROOT: Final = Path(__file__).resolve().parents[3]
_PROTO: Final = _ROOT / "proto"
_ROW: Final = _PROTO / "phenix" / "v1" / "row.proto"
_CONTRACT: Final = _PROTO / "contract.txt"
PACKAGE: Final = ("row", "flow", "catalog", "saved", "why", "rules")
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
    return field.name, f"optional {kind}" if field.optional else kind, doc


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


def stubs() -> tuple[dict[str, str], FileDescriptorSet]:
    """The generated Python modules of the proto files by file name, importing each other relatively; and what they say.

    Raises ValueError when they do not compile.
    """
    from grpc_tools import __file__ as tools  # type: ignore[import-untyped] # ships no types
    from grpc_tools import protoc

    shared = Path(tools).parent / "_proto"  # the messages of google.protobuf
    with tempfile.TemporaryDirectory() as folder:
        files = [f"phenix/v1/{name}.proto" for name in PACKAGE]
        outputs = [f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
        said = Path(folder) / "files.bin"
        if protoc.main(["protoc", f"-I{_PROTO}", f"-I{shared}", *outputs, f"--descriptor_set_out={said}", *files]):
            raise ValueError("the proto files do not compile; see the messages above")
        found = {path.name: path.read_text("utf-8") for path in sorted(Path(folder, "phenix", "v1").iterdir())}
        descriptors = FileDescriptorSet.FromString(said.read_bytes())
    modules = {
        name: _OURS.sub("from . import ", text)
        for name, text in found.items()
        if not name.endswith("_pb2_grpc.py") or "class " in text
    }
    return modules, descriptors


def main() -> int:
    """Write the files; with ``--check`` only compare, 1 when something differs. 1 also for what would break clients."""
    committed = _ROW.read_text("utf-8") if _ROW.exists() else ""
    promised = _CONTRACT.read_text("utf-8").splitlines() if _CONTRACT.exists() else []
    row = row_proto(committed)
    if check := sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text("utf-8") for path in STUBS.glob("*_pb2*.py*")}
    else:
        _ROW.write_text(row, "utf-8")
    modules, descriptors = stubs()
    now = contract(descriptors.file)
    if gone := broken(promised, now):
        told = "clients rely on what is no longer so; put it back, or reserve the number:"
        sys.stderr.write("\n  ".join([told, *gone]) + "\n")
        return 1
    if check:
        return int((row, modules, now) != (committed, found, promised))
    for name, text in modules.items():
        (STUBS / name).write_text(text, "utf-8")
    _CONTRACT.write_text("\n".join([*now, ""]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
