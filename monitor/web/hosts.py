"""Which Host headers are answered, against DNS rebinding. Pure.

A page of a stranger can give its own name the address 127.0.0.1 and then read, from a browser on
this machine, whatever listens there. The browser still sends that name as Host. An IP address is
no name and cannot be given another address, so every literal address is taken: probes of
Kubernetes and Prometheus use them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

_HOST = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::\d{1,5})?", re.ASCII)
ANY_HOST = "*"
_PORT_MAX = 65_535


def host_of(header: str) -> str | None:
    """Return the name or address of a Host header, in lower case without port; None: malformed."""
    found = _HOST.fullmatch(header.strip())
    if found is None:
        return None
    return found["host"].strip("[]").rstrip(".").lower() or None


def host_allowed(header: str, bound_host: str, allowed_hosts: Collection[str] = ()) -> bool:
    """Return whether a request with this Host header is answered.

    Allowed are literal addresses, `localhost` and its subdomains, the name that was bound to, and
    `allowed_hosts`: names, `.example.org` for a domain with its subdomains, `*` for every name.
    """
    if ANY_HOST in allowed_hosts:
        return True
    host = host_of(header)
    if host is None:
        return False
    names = ["localhost", ".localhost", bound_host.lower(), *map(_normal, allowed_hosts)]
    return _is_address(host) or any(_matches(host, name) for name in names)


def _normal(name: str) -> str:
    return name.strip().rstrip(".").lower()


def _matches(host: str, name: str) -> bool:
    if name.startswith("."):
        return host == name[1:] or host.endswith(name)
    return bool(name) and host == name


def host_and_port(address: str) -> tuple[str, int]:
    """Return what `HOST:PORT` or `[IPV6]:PORT` names. Raises ValueError for anything else.

    A port alone is refused: it would be that of every address of the machine.
    """
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host == f"[{bare}]"
    number = int(port) if port.isascii() and port.isdecimal() else -1
    if not (colon and bare and 0 <= number <= _PORT_MAX and bracketed == (":" in bare)):
        raise ValueError("expected HOST:PORT, such as 127.0.0.1:9091, [::1]:9091 or 0.0.0.0:9091")
    return bare, number


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
