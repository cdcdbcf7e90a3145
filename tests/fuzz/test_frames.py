"""A hostile server's bytes, in any pieces, end in messages or in one clear protocol error."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.network.frames import FrameParser, ProtocolError
from tests.fuzzing import fuzz

LIMIT_BYTES = 1000
HEADERS = st.binary(min_size=2, max_size=14)
FRAMES = st.lists(HEADERS | st.binary(max_size=300), max_size=8).map(b"".join)


@fuzz
@given(FRAMES, st.lists(st.integers(1, 200), max_size=20))
def test_bytes_in_any_pieces_end_alike(data, sizes):
    whole = messages(data, [])
    assert messages(data, sizes) == whole


def messages(data, sizes):
    """What a parser makes of `data` cut into pieces of `sizes`, and how it ends."""
    parser = FrameParser(LIMIT_BYTES)
    received = []
    try:
        for size in sizes:
            piece, data = data[:size], data[size:]
            received += parser.feed(piece)
        received += parser.feed(data)
    except ProtocolError as error:
        return [*received, *error.completed], error.code
    return received, None
