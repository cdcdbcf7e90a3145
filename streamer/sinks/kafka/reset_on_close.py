"""Connections to brokers whose unsent data goes with them, since librdkafka has no option for that.

When it gives up a request, it closes the connection. The kernel keeps what was not acknowledged by
the other machine and sends it again for minutes; when the network is back, records reach the broker
that somebody else has stored meanwhile. With a linger time of zero (socket(7), SO_LINGER) a close
drops them.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Collection
from pathlib import Path

_OPEN_FILES = Path("/proc/self/fd")
_DROP = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


def reset_on_close(ports: Collection[int]) -> int:
    """Set it for all connections of this process to these ports; return how many there are.

    Where `/proc` tells nothing of open files, there are none.
    """
    try:
        descriptors = [int(path.name) for path in _OPEN_FILES.iterdir()]
    except OSError:
        return 0
    return sum(_set(descriptor, ports) for descriptor in descriptors)


def _set(descriptor: int, ports: Collection[int]) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        # Of our own: another thread may close the other one, and open something else, at any time.
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.family not in (socket.AF_INET, socket.AF_INET6):
                return False
            if connection.getpeername()[1] not in ports:
                return False
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
            return True
    except OSError:  # it is closed, or not connected
        return False
