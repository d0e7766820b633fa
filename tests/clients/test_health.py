"""A health probe of the standard's own stubs: each service by its name, through the server's end and beginning."""

from __future__ import annotations

import signal
from collections.abc import Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.server.conftest import Server
from tests.server.rows import Store

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def test_each_service_tells_how_it_is(store: Store, serve: Callable[..., Server]) -> None:
    server = serve(store.url)

    def probe() -> dict[str, int]:
        with grpc.insecure_channel(server.target) as channel:
            names = ["", *ProtoReflectionDescriptorDatabase(channel).get_services()]
            stub = health_pb2_grpc.HealthStub(channel)
            asked = {name: health_pb2.HealthCheckRequest(service=name) for name in names}
            with pytest.raises(grpc.RpcError) as unknown:
                stub.Check(health_pb2.HealthCheckRequest(service="phenix.v1.None"), timeout=30)
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
            return {name: stub.Check(request, timeout=30).status for name, request in asked.items()}

    before = probe()
    assert {name.rpartition(".")[2] for name in before} >= {
        "", "FlowService", "CatalogService", "RuleService", "SavedQueryService",
    }  # fmt: skip
    assert set(before.values()) == {SERVING}
    server.end(signal.SIGKILL)
    with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError) as gone:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert gone.value.code() is grpc.StatusCode.UNAVAILABLE
    server.start()
    assert probe() == before


def test_who_watches_is_told_that_it_ends(store: Store, serve: Callable[..., Server]) -> None:
    server = serve(store.url)
    with grpc.insecure_channel(server.target) as channel:
        request = health_pb2.HealthCheckRequest(service="phenix.v1.FlowService")
        watched = health_pb2_grpc.HealthStub(channel).Watch(request)
        assert next(watched).status == SERVING
        server.process.send_signal(signal.SIGTERM)
        assert next(watched).status == NOT_SERVING
    assert server.end(signal.SIGTERM) == 0
