"""What has come of a stream before it is known after which record to go on."""

from __future__ import annotations

from streamer.order.held_back import HeldBack


def test_what_is_lost_leaves_nothing_that_is_whole():
    held = HeldBack([1, 2], whole_since_us=7)
    held.lose()
    assert held == HeldBack()
    held.frames.append(3)
    assert (held.frames, held.whole_since_us) == ([3], None)
