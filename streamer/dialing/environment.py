"""Which proxy the environment names for a URL, as curl and requests read it. Pure.

`HTTPS_PROXY` is for wss and https, `HTTP_PROXY` for ws and http, `ALL_PROXY` for what has none of
its own; a name in lower case wins over the same in upper case, even when it is empty. `NO_PROXY`
lists hosts and domains, with their subdomains, addresses and networks such as 10.0.0.0/8; `*` is
every host. Loopback is never reached through a proxy of the environment.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias
from urllib.parse import urlsplit

from streamer.dialing.proxy import parse_proxy
from streamer.secret import SecretUrl

_SECURE, _PLAIN, _ALL = "https_proxy", "http_proxy", "all_proxy"
_DEFAULT_PORTS = {"wss": 443, "https": 443, "ws": 80, "http": 80}
_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def environment_proxy(url: str, environment: Mapping[str, str]) -> SecretUrl | None:
    """Return the proxy for one of the exchange's URLs; None: it is reached straight.

    Raises ValueError when the environment names what is no usable proxy.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    own = _SECURE if parts.scheme in ("wss", "https") else _PLAIN
    name, text = _first(environment, own, _ALL)
    _, no_proxy = _first(environment, "no_proxy")
    if not text or _is_loopback(host) or _is_exempt(host, port, no_proxy):
        return None
    # Without a scheme it is an HTTP proxy, to curl and requests alike.
    proxy = SecretUrl(text if "://" in text else f"http://{text}")
    try:
        parse_proxy(proxy)
    except ValueError as error:
        raise ValueError(
            f'{name} in the environment {error}; exchange.proxy = "" goes without a proxy'
        ) from None
    return proxy


def names_with_credentials(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that name a proxy with its user or password."""
    names = [case for name in (_SECURE, _PLAIN, _ALL) for case in (name, name.upper())]
    return [name for name in names if name in environment and SecretUrl(environment[name]).hides]


def _first(environment: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first of some variables that says something, and what."""
    for name in names:
        upper = name.upper()
        if name not in environment and name == _PLAIN and "REQUEST_METHOD" in environment:
            continue  # a CGI script's HTTP_PROXY is the header `Proxy` of its client
        found = name if name in environment else upper
        if text := environment.get(found, "").strip():
            return found, text
    return "", ""


def _is_loopback(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    address = _address(host)
    for entry in re.split(r"[,\s]+", no_proxy.lower()):
        if entry == "*":
            return True
        if address is None:
            domain = entry.removesuffix(f":{port}").strip(".")
            if domain and f".{host}".endswith(f".{domain}"):
                return True
        elif _holds(entry, address, port):
            return True
    return False


def _holds(entry: str, address: _IpAddress, port: int) -> bool:
    """Return whether an entry of NO_PROXY is this address, alone or in a network."""
    with suppress(ValueError):
        return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
    return entry in (f"{address}:{port}", f"[{address}]:{port}")


def _address(host: str) -> _IpAddress | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    return None
