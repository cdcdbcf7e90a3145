"""Standard output and error that no reader can break: what cannot be written is dropped.

A terminal that is gone (EIO), a closed pipe (EPIPE), a full disk (ENOSPC), a closed descriptor and
an encoding without the character must not change what a process does, nor its exit code.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

_STANDARD = (0, 1, 2)


class _Lenient(io.FileIO):
    """A descriptor whose first error is kept, and whose writes never fail."""

    error: OSError | None = None

    def write(self, data: object) -> int:
        """Write all, or drop what is left after an error."""
        left = memoryview(data).cast("B")  # type: ignore[arg-type] # any buffer, as its base says
        size = len(left)
        with suppress(BlockingIOError):  # somebody made the terminal non-blocking: it is full
            try:
                while left:
                    left = left[os.write(self.fileno(), left) :]
            except BlockingIOError:
                raise
            except OSError as error:
                self.error = self.error or error
        return size


def make_lenient() -> None:
    """Put such streams in the place of stdout and stderr; call it before anything is opened.

    Closed standard descriptors lead to /dev/null first: the next file or socket would get their
    numbers, and what is printed would go there.
    """
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    sys.stdout = _stream(sys.stdout, 1)
    sys.stderr = _stream(sys.stderr, 2)


def failure() -> OSError | None:
    """Return why something on stdout was dropped, after flushing it; None: nothing was."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Lenient) else None


def _stream(present: object, descriptor: int) -> io.TextIOWrapper:
    encoding = getattr(present, "encoding", None) or "utf-8"
    raw = _Lenient(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=descriptor == 2 or raw.isatty(),
    )
