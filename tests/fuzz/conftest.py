"""More inputs take more time: the limit of a fuzz test grows with their number."""

from pathlib import Path

import pytest

from tests.fuzzing import TIMEOUT_SECONDS


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
