"""What ends a selector's wait from another thread, or from a signal's handler."""

from __future__ import annotations

import os
import selectors
from contextlib import suppress


class Waker:
    """A pipe among what a selector waits for, with the key's data None."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._read, self.descriptor = os.pipe()
        """`descriptor` is what to write to, for `signal.set_wakeup_fd`."""
        for each in (self._read, self.descriptor):
            os.set_blocking(each, False)
        selector.register(self._read, selectors.EVENT_READ, None)

    def wake(self) -> None:
        """End the wait, or the next one; safe from any thread."""
        with suppress(BlockingIOError):  # it is full of wakes already
            os.write(self.descriptor, b"\0")

    def clear(self) -> None:
        """Forget the wakes there were, so that the selector waits again."""
        with suppress(BlockingIOError):
            os.read(self._read, 4096)
