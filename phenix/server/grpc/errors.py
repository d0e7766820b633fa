"""Refusals as gRPC statuses with ``google.rpc`` details."""

from __future__ import annotations

from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from phenix.engine.query.request import Refusal
from phenix.server.errors import ERRORS

__all__ = ["abort", "status"]

_DOMAIN = "phenix"


def status(refusal: Refusal) -> status_pb2.Status:
    """Code, sentence, ErrorInfo with our code in capitals, and a BadRequest with each finding.

    A field violation's description is the finding's message with its help.
    """
    reason = refusal.code.upper()
    details = [error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN)]
    if refusal.diagnostics:
        violations = []
        for finding in refusal.diagnostics:
            found = finding.to_dict()
            description = f"{found['message']} ({found['help']})" if found.get("help") else found["message"]
            violations.append(
                error_details_pb2.BadRequest.FieldViolation(
                    field=found["source"], description=description, reason=found["name"].upper().replace("-", "_")
                )
            )
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if refusal.code == "unavailable":
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(1)
        details.append(retry)
    packed = []
    for detail in details:
        held = any_pb2.Any()
        held.Pack(detail)
        packed.append(held)
    return status_pb2.Status(
        code=code_pb2.Code.Value(ERRORS[refusal.code].grpc), message=refusal.detail, details=packed
    )


async def abort(context: grpc.aio.ServicerContext, refusal: Refusal) -> NoReturn:
    """End a call with a refusal."""
    await context.abort_with_status(rpc_status.to_status(status(refusal)))
    raise AssertionError
