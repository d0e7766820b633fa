"""Refusals as gRPC statuses with ``google.rpc`` details."""

from __future__ import annotations

from typing import Final, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.json_format import ParseDict
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from phenix.engine.logs import HEADER, noted
from phenix.engine.query.request import Refusal
from phenix.server._pb import rules_pb2
from phenix.server.errors import ERRORS, problem

__all__ = ["abort", "status"]

_DOMAIN = "phenix"
_MESSAGE_BYTES: Final = 600
_FINDINGS_BYTES: Final = 2_400
_STATUS_BYTES: Final = 3_800
"""Statuses travel in headers, of which clients take 8 kB, the binary ones in base64: a longer one reaches no client."""


def status(refusal: Refusal) -> status_pb2.Status:
    """Code, sentence, ErrorInfo with our code in capitals, a BadRequest of all findings, the first as Diagnostics.

    A field violation's description is the finding's message with its help.
    """
    reason = refusal.code.upper()
    details = [error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN)]
    if refusal.diagnostics:
        bad = error_details_pb2.BadRequest()
        for finding in refusal.diagnostics:
            found = finding.to_dict()
            description = f"{found['message']} ({found['help']})" if found.get("help") else found["message"]
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=_cut(found["source"], 60),
                description=_cut(description, _MESSAGE_BYTES),
                reason=found["name"].upper().replace("-", "_"),
            )
            if bad.ByteSize() + violation.ByteSize() > _FINDINGS_BYTES:
                break  # the message says how many there are
            bad.field_violations.append(violation)
        details.append(bad)
    if refusal.code == "unavailable":
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(1)
        details.append(retry)
    made = status_pb2.Status(
        code=code_pb2.Code.Value(ERRORS[refusal.code].grpc), message=_cut(refusal.detail, _MESSAGE_BYTES)
    )
    for detail in details:
        made.details.add().Pack(detail)
    for finding in problem(refusal)["errors"]:
        held = any_pb2.Any()
        held.Pack(ParseDict(finding, rules_pb2.Diagnostic(), ignore_unknown_fields=True))
        if made.ByteSize() + held.ByteSize() > _STATUS_BYTES:
            break  # the violations before say more of them, in fewer words
        made.details.append(held)
    return made


def _cut(text: str, size: int) -> str:
    data = text.encode("utf-8", "replace")
    return text if len(data) <= size else data[: size - 3].decode("utf-8", "ignore") + "…"


async def abort(context: grpc.aio.ServicerContext, refusal: Refusal) -> NoReturn:
    """End a call with a refusal."""
    made = rpc_status.to_status(status(refusal))
    if identity := noted().get("request_id"):  # what an abort says replaces what was to be said at the end
        made = made._replace(trailing_metadata=(*made.trailing_metadata, (HEADER, identity)))
    await context.abort_with_status(made)
    raise AssertionError
