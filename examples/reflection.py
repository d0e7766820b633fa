"""A gRPC client that has no stubs: it knows the address, and learns the messages from the server's reflection.

``python examples/reflection.py 127.0.0.1:8601 '@whales' [AFTER_SEQ]`` prints seq, symbol and chips of rows as they
come, and goes on after the last message whenever the connection is cut. Needs ``pip install grpcio grpcio-reflection``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Service:
    """The methods of a service, by what the server tells of them."""

    def __init__(self, channel: grpc.Channel, name: str) -> None:
        self._channel = channel
        self._service = DescriptorPool(ProtoReflectionDescriptorDatabase(channel)).FindServiceByName(name)

    def call(self, name: str, timeout_s: float | None = None, /, **fields: Any) -> Any:
        """Ask a method: its answer, or an iterator of its answers."""
        method = self._service.methods_by_name[name]
        made = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        ask = made(
            f"/{self._service.full_name}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return ask(GetMessageClass(method.input_type)(**fields), timeout=timeout_s)


def follow(target: str, where: str, after: int) -> Iterator[Any]:
    """Every event after a seq, each once."""
    while True:
        try:
            with grpc.insecure_channel(target) as channel:
                flow = Service(channel, "phenix.v1.FlowService")
                for message in flow.call("Subscribe", filter={"where": where}, after_seq=after):
                    yield from message.events.events
                    after = message.watermark
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED):
                raise
        time.sleep(1)


def main(target: str, where: str, after: str = "0") -> None:
    """Print rows as they come."""
    for event in follow(target, where, int(after)):
        print(event.sequence, event.row.symbol, *event.row.chips, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
