"""What checks of the terminal found, told to operators: a log line for each failure, and a file for serve's metrics."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from phenix.engine.preflight import keep_report
from phenix.engine.store.base import sqlite_path

if TYPE_CHECKING:
    from phenix.ingest.preflight import Report

__all__ = ["tell"]


def tell(report: Report, store: str | None) -> None:
    """Log what failed under its name, and keep the report beside the store at a URL: serve's metrics tell it."""
    logger = logging.getLogger("phenix.preflight")
    for check in report.checks:
        if not check.ok:
            logger.error("%s: %s", check.name, check.detail, extra={"code": check.code})
    if store is None:
        return
    try:
        keep_report(sqlite_path(store), report.to_dict())
    except OSError as error:
        logger.warning("the report is not kept beside the store, so no metric tells it: %s", error.strerror)
