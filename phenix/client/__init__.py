"""A typed client of the gRPC API: rows, pages, sums, exports, and a subscription that resumes by itself.

    async with Client("127.0.0.1:8601") as client:
        async for row in client.subscribe(where="@whales and symbol in {SPY, QQQ}"):
            ...

    with BlockingClient("127.0.0.1:8601") as client:  # the same without an event loop of one's own
        table = to_polars(client.rows("@whales", order_by="value desc", limit=100))

Rows are messages of ``proto/phenix/v1/row.proto``: money in ten-thousandths of a dollar, times in
UTC milliseconds; a field that is absent (``HasField``) is unknown. ``to_dicts``, ``to_arrow`` and
``to_polars`` make tables of them.
"""

from phenix.client.blocking import BlockingClient
from phenix.client.calls import Finding, RequestError
from phenix.client.client import Client, Wanted
from phenix.client.saved import Alerts, SavedQueries
from phenix.client.subscription import Degraded, Notice, Reset, RulesChanged, Subscription
from phenix.client.tables import (
    MissingExtraError,
    arrow_batches,
    arrow_file,
    arrow_schema,
    to_arrow,
    to_dicts,
    to_polars,
)

__all__ = [
    "Alerts",
    "BlockingClient",
    "Client",
    "Degraded",
    "Finding",
    "MissingExtraError",
    "Notice",
    "RequestError",
    "Reset",
    "RulesChanged",
    "SavedQueries",
    "Subscription",
    "Wanted",
    "arrow_batches",
    "arrow_file",
    "arrow_schema",
    "to_arrow",
    "to_dicts",
    "to_polars",
]
