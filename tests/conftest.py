"""What all tests share: nothing that they have started is left after them."""

from tests.leftovers import pytest_sessionstart

__all__ = ["pytest_sessionstart"]
