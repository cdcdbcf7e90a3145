"""Frames, judged by the websockets library as an oracle."""

from __future__ import annotations

import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from simulator import frames


def parsed(data: bytes) -> Frame:
    reader = StreamReader()
    reader.feed_data(data)
    parsing = Frame.parse(reader.read_exact, mask=False)
    try:
        while True:
            next(parsing)
    except StopIteration as result:
        frame: Frame = result.value
        return frame


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [frames.TEXT, frames.BINARY])
def test_a_frame_is_read_as_it_was_written(opcode: int, size: int) -> None:
    frame = parsed(frames.frame(opcode, b"x" * size))
    assert (frame.opcode, bytes(frame.data), frame.fin) == (opcode, b"x" * size, True)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 300])
def test_fragments_add_up(size: int) -> None:
    payload = bytes(range(256)) * 2
    parts = [parsed(data) for data in frames.fragmented(frames.TEXT, payload[:size])]
    assert [(part.opcode, part.fin) for part in parts] == [
        (frames.TEXT, False), (frames.PONG, True),
        (frames.CONTINUATION, False), (frames.CONTINUATION, True),
    ]  # fmt: skip
    assert b"".join(part.data for part in parts) == payload[:size]


def test_a_close_frame_carries_code_and_reason() -> None:
    frame = parsed(frames.close_frame(1008, "Pong timeout"))
    assert (frame.opcode, bytes(frame.data)) == (frames.CLOSE, b"\x03\xf0Pong timeout")
    assert parsed(frames.close_frame(1005, "unsaid")).data == b""
