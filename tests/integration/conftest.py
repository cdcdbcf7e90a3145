from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.supervising import Supervised


@pytest.fixture
def vigil() -> Iterator[Supervised]:
    """Yield a supervisor to start; afterwards nothing of it may be left."""
    supervised = Supervised()
    try:
        yield supervised
        assert supervised.process is not None
        assert supervised.process.poll() is not None, "the test left the supervisor running"
        supervised.until(lambda: not supervised.left())
    finally:
        supervised.remove()
