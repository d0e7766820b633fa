"""The vendor's HTTP errors: status, the vendor's word for it, and the plain text the stand-in sends.

Where no text is published the sentence is the stand-in's own; clients go by the status.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ERRORS", "NO_DATA", "VendorError"]

NO_DATA: Final = "No data found for your request"


class VendorError(NamedTuple):
    """One error: the vendor's name, the text sent with it, and when the terminal answers so."""

    name: str
    text: str
    when: str


ERRORS: Final[dict[int, VendorError]] = {
    404: VendorError("NO_IMPL", "No implementation for the request", "the path is unknown"),
    410: VendorError("GONE", "We have upgraded to API v3", "a path or parameter of the version before"),
    429: VendorError("OS_LIMIT", "Too many requests: the request queue is full", "the queue is full"),
    470: VendorError("GENERAL", "An error occurred", "no reason is given"),
    471: VendorError("PERMISSION", "Your subscription does not include this request", "the subscription is too low"),
    472: VendorError("NO_DATA", NO_DATA, "there is nothing for the request"),
    473: VendorError("INVALID_PARAMS", "Invalid parameters", "a parameter is bad or missing"),
    474: VendorError("DISCONNECTED", "Connection to the server has been lost", "the terminal's own line is down"),
    475: VendorError("TERMINAL_PARSE", "The terminal could not parse the request", "the request cannot be read"),
    476: VendorError("WRONG_IP", "The request came from another address", "the caller's address changed"),
    477: VendorError("NO_PAGE_FOUND", "The page does not exist or has expired", "a page has expired"),
    478: VendorError("INVALID_SESSION_ID", "The session is not valid any more", "another terminal logged in"),
    570: VendorError("LARGE_REQUEST", "Too much data was requested", "too much was asked at once"),
    571: VendorError("SERVER_STARTING", "SERVER_STARTING", "the terminal or its backend is starting"),
    572: VendorError("UNCAUGHT_ERROR", "The server met an unexpected error", "the backend failed"),
}
"""By HTTP status."""
