"""Calls nobody should make: every method that a gRPC server tells of by reflection, with random bytes and messages."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

__all__ = ["Call", "call_all"]

_LONGEST_S: Final = 5.0
_PROOF_S: Final = 60.0
"""For a proof of rules, which computes for seconds."""
_STREAM_S: Final = 0.5
"""How long a stream that says nothing is heard."""
_OURS: Final = "phenix."
_NEVER: Final = frozenset({"UNKNOWN", "INTERNAL", "DATA_LOSS", "CANCELLED"})
_READ: Final = 3
"""Messages of a stream that are read before it is left."""


@dataclass(frozen=True, slots=True)
class Call:
    """What came of a call, ``fault`` where it should not have."""

    method: str
    code: str
    fault: str = ""


def call_all(target: str, calls: int, rng: random.Random, text: Callable[[], str]) -> Iterator[Call]:
    """So many calls, all methods in turn."""
    options = (("grpc.max_receive_message_length", 64 * 1024 * 1024), ("grpc.enable_retries", 0))
    with grpc.insecure_channel(target, options=options) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = descriptor_pool.DescriptorPool(database)
        methods = [m for name in database.get_services() for m in pool.FindServiceByName(name).methods]
        for number in range(calls):
            method = methods[number % len(methods)]
            data = _bytes(method, rng, text)
            yield _call(channel, method, data)


def _bytes(method: MethodDescriptor, rng: random.Random, text: Callable[[], str]) -> bytes:
    whole: bytes = _message(method.input_type, rng, text, 0).SerializeToString()
    match rng.randrange(5):
        case 0:
            return rng.randbytes(rng.randrange(1, 300))
        case 1 if whole:
            spot = rng.randrange(len(whole))
            return whole[:spot] + rng.randbytes(rng.randrange(4)) + whole[spot + rng.randrange(3) :]
        case 2 if rng.random() < 0.02:
            return whole + b"\x0a\xff\xff\xff\x02" + bytes(5 * 1024 * 1024)
    return whole


_VALUES: Final[dict[int, Callable[[random.Random], Any]]] = {
    FieldDescriptor.CPPTYPE_INT32: lambda r: r.choice((0, 1, -1, 2**31 - 1, -(2**31), r.randrange(2000))),
    FieldDescriptor.CPPTYPE_INT64: lambda r: r.choice((0, 1, -1, 2**63 - 1, -(2**63), r.randrange(2000))),
    FieldDescriptor.CPPTYPE_UINT32: lambda r: r.choice((0, 2**32 - 1)),
    FieldDescriptor.CPPTYPE_UINT64: lambda r: r.choice((0, 2**64 - 1)),
    FieldDescriptor.CPPTYPE_DOUBLE: lambda r: r.choice((0.0, float("nan"), float("-inf"), 1e308)),
    FieldDescriptor.CPPTYPE_FLOAT: lambda r: r.choice((0.0, float("nan"))),
    FieldDescriptor.CPPTYPE_BOOL: lambda r: r.random() < 0.5,
    FieldDescriptor.CPPTYPE_ENUM: lambda r: r.choice((0, 1, 2, 77, -5)),
}


def _message(of: Descriptor, rng: random.Random, text: Callable[[], str], depth: int) -> Any:
    """A message with about half of its fields."""

    def value(field: FieldDescriptor) -> Any:
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            return _message(field.message_type, rng, text, depth + 1)
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            said = text().encode("utf-8", "replace")
            return said if field.type == FieldDescriptor.TYPE_BYTES else said.decode()
        return _VALUES[field.cpp_type](rng)

    made = message_factory.GetMessageClass(of)()
    for field in of.fields:
        if rng.random() < 0.5 or depth > 4:
            continue
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            for _ in range(rng.randrange(4)):
                key, held = text().encode("utf-8", "replace").decode(), inner.fields_by_name["value"]
                if held.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE:
                    getattr(made, field.name)[key] = value(held)
        elif field.is_repeated:
            getattr(made, field.name).extend(value(field) for _ in range(rng.randrange(4)))
        elif inner is not None:
            getattr(made, field.name).CopyFrom(value(field))
        else:
            setattr(made, field.name, value(field))
    return made


def _call(channel: grpc.Channel, method: MethodDescriptor, data: bytes) -> Call:
    name = f"/{method.containing_service.full_name}/{method.name}"
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    call = getattr(channel, kind)(name)  # bytes in, bytes out
    given = iter((data,)) if method.client_streaming else data
    longest = _STREAM_S if method.server_streaming else _PROOF_S if method.name == "Certify" else _LONGEST_S
    try:
        answer = call(given, timeout=longest)
        if method.server_streaming:
            for _, _ in zip(range(_READ), answer, strict=False):
                pass
            answer.cancel()
        return Call(name, "OK")
    except grpc.RpcError as error:
        return _judged(name, error, streaming=method.server_streaming)


def _judged(name: str, error: Any, *, streaming: bool) -> Call:
    code = error.code().name
    if streaming and code == "DEADLINE_EXCEEDED":  # ours: a quiet stream is no fault
        return Call(name, code)
    large = code == "RESOURCE_EXHAUSTED" and "larger than max" in (error.details() or "")
    if code in _NEVER or code == "DEADLINE_EXCEEDED":
        return Call(name, code, f"{code}: {error.details()}")
    if not name.startswith(f"/{_OURS}"):  # the library's own services give no reasons
        return Call(name, code)
    status = None if large else rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    if not large and (status is None or not any(detail.Unpack(info) for detail in status.details)):
        return Call(name, code, f"{code} says no reason: {error.details()}")
    return Call(name, code)


def codes(calls: list[Call]) -> dict[str, int]:
    """How often each code came."""
    return dict(Counter(call.code for call in calls).most_common())
