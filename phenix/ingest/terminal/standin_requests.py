"""Requests as the terminal reads them: leniently, numbers as text too."""

from __future__ import annotations

import ast
from typing import Any

import orjson

from phenix.ingest.terminal.protocol import Contract, valid_date

__all__ = ["integer", "parse_contract", "parse_request"]


def parse_request(message: str | bytes) -> dict[str, Any] | None:
    """JSON, or the text of a Python dict as some samples send; None for anything else."""
    try:
        asked = orjson.loads(message)
    except orjson.JSONDecodeError:
        if len(message) > 10_000 or isinstance(message, bytes):
            return None
        try:
            asked = ast.literal_eval(message.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return asked if isinstance(asked, dict) else None


def integer(value: Any) -> int | None:
    """An integer given as a number or as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.strip().lstrip("-").isdigit() and value.isascii() and len(value) < 20:
        return int(value)
    return None


def parse_contract(sec_type: str, raw: Any) -> Contract | None:
    """The contract of a request, its strike in thousandths; None when it is malformed."""
    if not isinstance(raw, dict) or not isinstance(raw.get("root"), str) or not raw["root"]:
        return None
    if sec_type in {"STOCK", "INDEX"}:
        return Contract(sec_type, raw["root"])
    expiration, strike = integer(raw.get("expiration")), integer(raw.get("strike"))
    right = {"C": "CALL", "P": "PUT", "CALL": "CALL", "PUT": "PUT"}.get(str(raw.get("right", "")).upper())
    if sec_type != "OPTION" or right is None or expiration is None or not valid_date(expiration):
        return None
    if strike is None or strike <= 0:
        return None
    return Contract("OPTION", raw["root"], expiration, strike * 10, right)
