from __future__ import annotations

from types import SimpleNamespace

import pytest

from streamer.sinks.kafka.source_header import is_backfilled


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (None, False),
        ([], False),
        ([("traceparent", b"00-1")], False),
        ([("traceparent", b"00-1"), ("vigil-source", b"archive")], True),
    ],
)
def test_messages_of_a_back_fill_have_the_header(headers, expected):
    assert is_backfilled(SimpleNamespace(headers=lambda: headers)) is expected
