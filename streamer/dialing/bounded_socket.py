"""A connected socket for `http.client` on which everything ends: by one deadline, and by size.

The timeout of a socket holds per operation, so that a byte now and then keeps an answer going for
ever: in its status line, its headers, its 1xx answers, its chunk lines, its body or its trailers.
Here each operation gets what is left of one deadline, and all bytes are counted.
"""

from __future__ import annotations

import io
import select
import socket
import ssl

from streamer.dialing.tcp import remaining


class BoundedSocket:
    """What `http.client` needs of a socket; the owner bounds each answer by `begin`.

    What it reads ahead is kept between two answers: bytes that nobody asked for show in `is_idle`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._bytes = _BoundedBytes(sock)
        self._reader = _KeptReader(self._bytes)

    def begin(self, deadline: float, bytes_max: int) -> None:
        """Allow `bytes_max` bytes to come by the monotonic `deadline`."""
        self._bytes.deadline = deadline
        self._bytes.bytes_left = self._bytes.bytes_max = bytes_max

    def sendall(self, data: bytes) -> None:
        """Send everything by the deadline. Raises OSError."""
        self._sock.settimeout(remaining(self._bytes.deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what reads the answer: TimeoutError after the deadline, ValueError over size."""
        assert mode == "rb"  # noqa: S101 - http.client asks for no other
        return self._reader

    def is_idle(self) -> bool:
        """Return whether nothing waits to be read, not even an end: the next answer is ours."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not self._buffered() and not poll.poll(0)

    def close(self) -> None:
        """Do nothing: `http.client` closes before it reads an answer that ends the connection."""

    def disconnect(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _buffered(self) -> bytes:
        self._bytes.is_paused = True
        try:
            return self._reader.peek(1)
        finally:
            self._bytes.is_paused = False


class _BoundedBytes(io.RawIOBase):
    """The bytes of a socket, until a deadline and up to a size."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline = 0.0
        self.bytes_max = self.bytes_left = 0
        self.is_paused = False  # nothing is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        """Read what has come, at least one byte unless the stream is over."""
        if self.is_paused:
            return None
        if self.bytes_left <= 0:
            raise ValueError(f"the answer is longer than {self.bytes_max} bytes")
        self._sock.settimeout(remaining(self.deadline))
        count = self._sock.recv_into(buffer, min(len(buffer), self.bytes_left))
        self.bytes_left -= count
        return count


class _KeptReader(io.BufferedReader):
    """A reader that outlives the answers that `http.client` closes it after."""

    def close(self) -> None:
        """Do nothing."""
