"""What systemd is told: readiness, life, one line of state. Silent when nobody asked."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress


class Notifier:
    """Sends to NOTIFY_SOCKET; without one every call does nothing."""

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds  # systemd's patience; None: no watchdog
        self._address = address
        self._is_ready = False
        self._socket = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)  # a full queue costs a message, never the loop

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] | None = None) -> Notifier:
        """Take the variables out of the environment, so that no child inherits them."""
        environment = os.environ if environment is None else environment
        address = environment.pop("NOTIFY_SOCKET", None)
        microseconds = environment.pop("WATCHDOG_USEC", None)
        process = environment.pop("WATCHDOG_PID", None)
        if process is not None and process != str(os.getpid()):
            microseconds = None  # the watchdog is meant for another process
        seconds = int(microseconds) / 1e6 if microseconds and microseconds.isdigit() else None
        return cls(address, seconds)

    def ready(self) -> None:
        """Say that the service is up."""
        self._is_ready = True
        self._send("READY=1")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Say that the settings are read again, and when that is over, well or not.

        Nothing is said before the service is up: the end would say that it is.
        """
        if not self._is_ready:
            yield
            return
        # The clock of Type=notify-reload (systemd 253), which older ones pass over.
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")
        try:
            yield
        finally:
            self.ready()

    def status(self, line: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={line}")

    def watchdog(self) -> None:
        """Say that the loop lives and progresses."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service is on its way down."""
        self._send("STOPPING=1")

    def extend(self, seconds: float) -> None:
        """Ask for this much more time to start or to stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def close(self) -> None:
        """Close the socket; further calls do nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None or self._address is None:
            return
        # A leading @ is systemd's spelling of an abstract socket.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError):  # nobody listens any more: the service goes on without
            self._socket.sendto(message.encode(), address)
