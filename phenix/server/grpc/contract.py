"""What clients were built against: every number, type and method that was ever committed stays what it is.

``proto/contract.txt`` has a line for each, written by ``make proto``, which only ever adds to it. A field or an enum
value that goes must leave its number reserved; methods and messages stay. A change that cannot keep to this is
another package, ``phenix.v2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

__all__ = ["broken", "contract"]

_Label, _Type = FieldDescriptorProto.Label, FieldDescriptorProto.Type


def contract(files: Iterable[FileDescriptorProto]) -> list[str]:
    """A line for each method, field, enum value and reserved number, sorted: ``name = what it is``."""
    return sorted(line for file in files for line in _file(file))


def broken(committed: Iterable[str], now: Iterable[str]) -> list[str]:
    """Lines that are no longer true, of a field or enum value only when its number is not reserved either."""
    there = set(now)
    return [line for line in committed if line not in there and _reservation(line) not in there]


def _reservation(line: str) -> str:
    """How the line of a field or enum value reads once its number is reserved; empty for other lines."""
    name, _, what = line.partition(" = ")
    number = what.partition(" ")[0]
    return f"{name.rpartition('.')[0]} reserves {number}" if number.isdecimal() else ""


def _file(file: FileDescriptorProto) -> Iterator[str]:
    for service in file.service:
        for method in service.method:
            asks, answers = ("stream " if s else "" for s in (method.client_streaming, method.server_streaming))
            yield (
                f"{file.package}.{service.name}.{method.name} ="
                f" {asks}{method.input_type[1:]} -> {answers}{method.output_type[1:]}"
            )
    for message in file.message_type:
        yield from _message(file.package, message)
    for enum in file.enum_type:
        yield from _enum(file.package, enum)


def _message(within: str, message: DescriptorProto) -> Iterator[str]:
    name = f"{within}.{message.name}"
    for field in message.field:
        kind = field.type_name[1:] or _Type.Name(field.type).removeprefix("TYPE_").lower()
        often = "repeated " if field.label == _Label.LABEL_REPEATED else "optional " if field.proto3_optional else ""
        # The same number in a oneof and out of it reads the same on the wire, and not in a client's code.
        among = field.HasField("oneof_index") and not field.proto3_optional
        oneof = f" of {message.oneof_decl[field.oneof_index].name}" if among else ""
        yield f"{name}.{field.name} = {field.number} {often}{kind}{oneof}"
    for span in message.reserved_range:
        yield from (f"{name} reserves {number}" for number in range(span.start, span.end))
    for enum in message.enum_type:
        yield from _enum(name, enum)
    for inner in message.nested_type:
        yield from _message(name, inner)


def _enum(within: str, enum: EnumDescriptorProto) -> Iterator[str]:
    name = f"{within}.{enum.name}"
    yield from (f"{name}.{value.name} = {value.number}" for value in enum.value)
    for span in enum.reserved_range:
        yield from (f"{name} reserves {number}" for number in range(span.start, span.end + 1))
