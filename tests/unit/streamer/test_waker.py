import os
import selectors

import pytest

from streamer.waker import Waker


@pytest.fixture
def selector():
    with selectors.DefaultSelector() as made:
        yield made


def test_a_wake_ends_the_wait_until_it_is_cleared(selector):
    waker = Waker(selector)
    assert selector.select(0) == []
    waker.wake()
    waker.wake()
    ((key, events),) = selector.select(0)
    assert (key.data, events) == (None, selectors.EVENT_READ)
    waker.clear()
    assert selector.select(0) == []


def test_a_signal_may_write_to_its_descriptor(selector):
    waker = Waker(selector)
    os.write(waker.descriptor, b"\x0f")
    assert selector.select(0)


def test_neither_more_wakes_than_fit_nor_none_to_clear_block_or_fail(selector):
    waker = Waker(selector)
    waker.clear()
    for _ in range(70_000):  # a pipe holds 65,536 bytes
        waker.wake()
    assert selector.select(0)
