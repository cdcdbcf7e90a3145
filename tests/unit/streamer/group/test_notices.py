"""What members tell each other: read back as written, and nothing else is believed."""

import pytest

from streamer.group.notices import VERSION, ShardNotice, decode, encode
from streamer.order.positions import Position

NOTICE = ShardNotice(VERSION, "left", 3, "a", "a-1", {"btcusdt@trade": Position(7, 8, 9)})


def test_a_notice_is_read_back_as_it_was_written():
    assert decode(encode(NOTICE)) == NOTICE


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"{}",
        b'{"version":2,"kind":"owned","shard":1,"member":"a","process":"p"}',
        b'{"version":1,"kind":"other","shard":1,"member":"a","process":"p"}',
    ],
)
def test_what_is_no_notice_of_ours_is_none(value):
    assert decode(value) is None
