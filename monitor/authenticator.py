"""Whose keys may connect: the answering end of ZeroMQ's authentication protocol (ZAP, RFC 27).

CURVE proves that a peer holds the secret key of the public one it shows; whether that public key
may connect is asked here, in a thread that sleeps until then. Who does not know the server's key
fails before this, inside libzmq.
"""

from __future__ import annotations

import threading
from typing import Final

import zmq
from zmq.utils import z85

_ENDPOINT: Final = "inproc://zeromq.zap.01"  # where libzmq asks, by the protocol
_VERSION: Final = b"1.0"


class Authenticator:
    """Answers for every socket of a context, until that is terminated."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Begin; to be made before the sockets that it guards are bound."""
        self._users: dict[bytes, str] = {}  # by public key; replaced as a whole, never changed
        self._socket = context.socket(zmq.REP)
        self._socket.set(zmq.LINGER, 0)
        self._socket.bind(_ENDPOINT)
        self._thread = threading.Thread(target=self._answer, name="telemetry keys", daemon=True)
        self._thread.start()

    def accept(self, users: dict[str, str]) -> None:
        """Accept these public keys (Z85) from now on and no others; by key, who it is."""
        self._users = {z85.decode(key.encode()): user for key, user in users.items()}

    def _answer(self) -> None:
        try:
            while True:
                self._socket.send_multipart(self._judged(self._socket.recv_multipart()))
        except zmq.ContextTerminated:
            self._socket.close()

    def _judged(self, request: list[bytes]) -> list[bytes]:
        """Return the reply to version, id, domain, address, identity, mechanism, credentials."""
        number = request[1] if len(request) > 1 else b""
        known = len(request) == 7 and request[0] == _VERSION and request[5] == b"CURVE"
        user = self._users.get(request[6]) if known else None
        if user is None:
            return [_VERSION, number, b"400", b"unknown key", b"", b""]
        return [_VERSION, number, b"200", b"", user.encode(), b""]
