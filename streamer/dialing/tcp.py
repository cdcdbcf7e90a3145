"""A TCP connection to a host, before a deadline.

websocket-client's timeouts hold per operation only, and it tries a second address only when the
first one refuses, not when it is silent.
"""

from __future__ import annotations

import queue
import socket
import threading
import time

from streamer.errors import HandshakeError


def connect(host: str, port: int, deadline: float) -> socket.socket:
    """Return a socket connected to the first of the host's addresses that answers.

    `deadline` is monotonic; each address gets an even share of what is left, so that a silent
    one cannot use up the time of the next. Raises HandshakeError.
    """
    addresses = resolve(host, port, deadline)
    failure: OSError | None = None
    for index, (family, address) in enumerate(addresses):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(remaining(deadline) / (len(addresses) - index))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    try:
        raise _unreachable(f"{host}:{port}", failure) from failure
    finally:
        del failure  # it holds this frame: an attempt is freed without the garbage collector


def _unreachable(where: str, failure: OSError | None) -> HandshakeError:
    if isinstance(failure, ConnectionRefusedError):
        return HandshakeError("refused", f"{where} refused the connection")
    if isinstance(failure, TimeoutError):
        return HandshakeError("timeout", f"{where} did not answer in time (TCP)")
    reason = failure.strerror if failure else "it has no address"
    return HandshakeError("unreachable", f"{where} cannot be reached: {reason}")


def resolve(
    host: str, port: int, deadline: float
) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    """Look a host up; getaddrinfo knows no timeout, so that a thread of its own waits for it.

    A resolver that hangs keeps that thread until it gives up by its own rules, mostly within
    half a minute; the thread is a daemon and holds up nothing.
    """
    answers: queue.SimpleQueue[list[tuple[socket.AddressFamily, tuple[object, ...]]] | OSError]
    answers = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label longer than 63
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))
        else:
            answers.put([(family, address) for family, _, _, _, address in found])

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=remaining(deadline))
    except (queue.Empty, TimeoutError) as error:
        raise HandshakeError("dns", f"looking up {host} took too long") from error
    if isinstance(answer, OSError):
        reason = answer.strerror or str(answer)
        raise HandshakeError("dns", f"{host} was not found: {reason}") from answer
    return answer


def remaining(deadline: float) -> float:
    """Return the seconds left; TimeoutError when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds
