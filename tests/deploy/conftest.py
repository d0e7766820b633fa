"""The store of the server's tests."""

from tests.server.conftest import store

__all__ = ["store"]
