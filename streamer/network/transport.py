"""Bytes to and from the server, with TLS kept in memory above a non-blocking TCP socket.

The feed puts every message in a TLS record of its own, and `SSLSocket.recv` returns one record per
call however large the buffer: a system call per message. Here the kernel is read in bulk into an
`ssl.MemoryBIO`, and decrypting needs no system call.
"""

from __future__ import annotations

import select
import socket
import ssl
import time

from streamer.errors import ConnectionLost

_READ_BYTES = 256 * 1024  # more than a socket holds between two turns of the loop, mostly
_RECORD_BYTES = 16 * 1024  # the largest plaintext of a TLS record: one read takes it whole
_SEND_BUFFER_BYTES = 64 * 1024  # 20 times our largest frame; a server that reads nothing is gone


class Transport:
    """A byte stream; with an `ssl_context`, inside TLS for `server_hostname`.

    It takes the connected `sock` over and makes it non-blocking. One thread uses it at a time.

    `drained` tells whether the latest `receive` left nothing behind in the kernel.
    """

    def __init__(
        self,
        sock: socket.socket,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._read_buffer = memoryview(bytearray(_READ_BYTES))
        self._unsent = bytearray()
        self._unread = b""
        # Reasons, not errors: one that was raised holds the frames it came through, and they hold
        # this, so that only the garbage collector could free it, after days of few rotations.
        self._lost: tuple[str, str] | None = None  # nothing more can be received
        self._mute: tuple[str, str] | None = None  # nothing more can be sent
        self.drained = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        if ssl_context is not None:
            self._tls = ssl_context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=server_hostname
            )

    def do_handshake(self, deadline: float) -> None:
        """Shake hands by the monotonic `deadline`, blocking; nothing to do without TLS.

        Raises TimeoutError, ssl.SSLError or ConnectionLost.
        """
        while self._tls is not None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._push_outgoing(deadline)
                self.wait(deadline, select.POLLIN)
                self._fill()
                if self._lost is not None:
                    raise ConnectionLost(*self._lost) from None
            except ssl.SSLError:
                self._send_tls_answer()  # the alert tells the server what is wrong
                raise
            else:
                self._push_outgoing(deadline)
                return

    def wait(self, deadline: float, events: int) -> None:
        """Block until the socket has one of the poll `events`; TimeoutError after `deadline`."""
        poll = select.poll()
        poll.register(self._sock, events)
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not poll.poll(remaining * 1000):
            raise TimeoutError("timed out")

    def receive(self) -> bytes:
        """Return all that has arrived, decrypted; b"" if nothing has.

        Raises ConnectionLost at the end of the stream, once everything before it is returned. A
        stream that takes nothing more from us ends when nothing more is there to read.
        """
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        if self._lost is not None:
            raise ConnectionLost(*self._lost)
        if self._tls is None:
            count = self._read_socket()
            data = bytes(self._read_buffer[:count])
        else:
            self._fill()
            data = self._decrypt() if self._incoming.pending else b""
        if not data and (lost := self._lost or self._mute) is not None:
            raise ConnectionLost(*lost)
        return data

    @property
    def lost(self) -> ConnectionLost | None:
        """Why the stream is over, if it is. The socket may never become readable again then."""
        lost = self._lost or self._mute
        return None if lost is None else ConnectionLost(*lost)

    def unread(self, data: bytes) -> None:
        """Put back bytes that the next `receive` shall return."""
        self._unread = data + self._unread

    def send(self, data: bytes) -> None:
        """Send, or keep what the kernel does not take now; see `wants_write`.

        A stream that takes nothing more raises nothing here: what it still holds for us is to be
        received first. `lost` tells, and `receive` raises in the end.
        """
        if self._mute is not None:
            return
        if self._tls is not None:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                self._end_sending("tls", f"TLS cannot send: {error}")
                return
            data = self._outgoing.read()
        self._unsent += data
        self.flush()
        if len(self._unsent) > _SEND_BUFFER_BYTES:
            self._end_sending("send_buffer_full", "the server takes no bytes from us any more")

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait to be sent: call `flush` when the socket is writable."""
        return bool(self._unsent)

    def flush(self) -> None:
        """Send what waits, as far as the kernel takes it; errors are told as by `send`."""
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._end_sending(*_describe(error))
                return
            del self._unsent[:sent]

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 once it is closed."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket at once. What waited to be sent is lost; may be called again."""
        self._sock.close()

    def _read_socket(self) -> int:
        """Read once from the kernel into the buffer; return how many bytes, 0 if none came."""
        try:
            count = self._sock.recv_into(self._read_buffer)
        except (BlockingIOError, InterruptedError):
            self.drained = True
            return 0
        except OSError as error:
            self._lose(*_describe(error))
            count = 0
        else:
            if count == 0:
                self._lose("eof", "the server closed the TCP connection")
        self.drained = count < _READ_BYTES
        return count

    def _fill(self) -> int:
        """Read once from the kernel into TLS; return how many bytes came."""
        count = self._read_socket()
        self._incoming.write(self._read_buffer[:count])
        return count

    def _decrypt(self) -> bytes:
        """Return the plaintext of all whole records.

        What TLS answers on its own account, such as to a key update, is sent.
        """
        assert self._tls is not None  # noqa: S101 - only called with TLS
        plaintexts: list[bytes] = []
        read = self._tls.read
        incoming = self._incoming
        try:
            while incoming.pending:
                plaintext = read(_RECORD_BYTES)
                if not plaintext:
                    self._lose("eof", "the server closed the TLS connection")
                    break
                plaintexts.append(plaintext)
        except ssl.SSLWantReadError:
            pass  # half a record, or one without plaintext
        except ssl.SSLError as error:
            self._lose("tls", f"TLS failed: {error}")
        self._send_tls_answer()
        return b"".join(plaintexts)

    def _send_tls_answer(self) -> None:
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
            self.flush()

    def _push_outgoing(self, deadline: float) -> None:
        """Send what TLS wants sent, blocking."""
        self._send_tls_answer()
        while self._unsent:
            self.wait(deadline, select.POLLOUT)
            self.flush()

    def _lose(self, reason: str, detail: str) -> None:
        """Note that nothing more will be received, and why; the first reason stands.

        A failed send has taken the kernel's reason with it: reading ends without one then.
        """
        if self._lost is None:
            self._lost = self._mute or (reason, detail)

    def _end_sending(self, reason: str, detail: str) -> None:
        """Note that nothing more can be sent, and why."""
        self._unsent.clear()
        if self._mute is None:
            self._mute = (reason, detail)


def _describe(error: OSError) -> tuple[str, str]:
    """Return the label and the sentence for an error of the kernel."""
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return "reset", "the connection was reset"
    if isinstance(error, TimeoutError):
        return "timeout", "the network gave the connection up: nothing was acknowledged for long"
    return "network", f"the network failed: {error.strerror or error}"
