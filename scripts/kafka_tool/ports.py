"""TCP ports that stay ours while their process is down for a while."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_LOWEST = 10_000  # well-known services live below
_KERNEL_DEFAULT = 32_768


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nothing listens on, outside the range of outgoing connections.

    A port from ``bind(0)`` lies inside that range: while a killed broker is away, any outgoing
    connection of the machine could take it, and the broker could not come back.
    """
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(range(_LOWEST, _first_ephemeral()), 50 * count):
            listener = held.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free TCP ports between {_LOWEST} and {_first_ephemeral()}")


def _first_ephemeral() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except FileNotFoundError:
        return _KERNEL_DEFAULT
    # Where a machine gives nearly everything to outgoing connections, take the usual range.
    return first if first > _LOWEST + 5_000 else _KERNEL_DEFAULT
