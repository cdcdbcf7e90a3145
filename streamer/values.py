"""Values of settings that need more than a type: URLs, symbols, lists, client keys.

Each function returns the value in its one normal form or raises ValueError, saying what would
be right. Nothing here imports pydantic, so that frozen settings stay cheap to import.
"""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import urlsplit

from streamer.data.binance_spot import REST_URL, WEBSOCKET_URL
from streamer.data.catalogue import BY_STREAM, kind_of
from streamer.data.intervals import INTERVALS
from streamer.units import Parsed

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what brokers accept
SYMBOL_PLACE = "{symbol}"
_MARKS = set("/@,! \t\n\"'")  # what would change the meaning of a stream's name


class Listed(Parsed):
    """Marks a list that a text may give with commas: `BTCUSDT,ETHUSDT`. Repetition is refused."""

    def __init__(self, *, ignore_case: bool = True) -> None:
        super().__init__(partial(_listed, ignore_case=ignore_case))


def _listed(value: object, *, ignore_case: bool) -> object:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)):
        items = {str(item).upper() if ignore_case else str(item) for item in value}
        if len(items) < len(value):
            raise ValueError("expected each only once")
    return value


def parse_stream(value: object) -> object:
    """Return the name of a stream, as it stands after `@` on the wire."""
    if not isinstance(value, str) or value in BY_STREAM:
        return value
    if kind_of(value) == "kline":
        intervals = ", ".join(INTERVALS)
        raise ValueError(
            f"expected kline_ and an interval, such as kline_1m: {intervals} (M is a month)"
        )
    names = ", ".join(name for name in BY_STREAM if kind_of(name) != "kline")
    raise ValueError(f"expected {names}, or kline_ and an interval, such as kline_1m")


def parse_symbol(value: object) -> object:
    """Return a symbol in upper case, as payloads hold it."""
    if isinstance(value, str) and (not value or _MARKS & set(value)):
        raise ValueError("expected a symbol such as BTCUSDT")
    return value.upper() if isinstance(value, str) else value


def parse_symbol_entry(value: object) -> object:
    """Return a symbol, a pattern of symbols or an exclusion such as `!*DOWNUSDT`, in upper case."""
    name = value.removeprefix("!") if isinstance(value, str) else value
    try:
        parsed = parse_symbol(name)
    except ValueError:
        raise ValueError(
            "expected a symbol such as BTCUSDT, a pattern such as *USDT, all, or an exclusion such "
            "as !*DOWNUSDT"
        ) from None
    return f"!{parsed}" if isinstance(value, str) and value.startswith("!") else parsed


def parse_websocket_url(value: object) -> object:
    """Return the base URL of the WebSocket streams."""
    return _base_url(value, ("wss", "ws"), WEBSOCKET_URL)


def parse_rest_url(value: object) -> object:
    """Return the base URL of the REST interface."""
    return _base_url(value, ("https", "http"), REST_URL)


def _base_url(value: object, schemes: tuple[str, ...], example: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value.strip())
        _ = parts.port
    except ValueError:  # its text may repeat half of a password
        raise ValueError(
            f"its host or its port is unusable; expected a URL such as {example}"
        ) from None
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"expected a URL such as {example} ({' or '.join(schemes)})")
    if parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"expected only scheme, host and port, such as {example}")
    if parts.hostname == "binance.us" or parts.hostname.endswith(".binance.us"):
        raise ValueError(
            "binance.us is another venue, whose trades must not be recorded as Binance's"
        )
    return f"{parts.scheme}://{parts.netloc}"


def parse_registry_url(value: object) -> object:
    """Return the base URL of a schema registry, which may have a path."""
    if not isinstance(value, str):
        return value
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text may repeat half of a password
        raise ValueError(
            "its host or its port is unusable; expected a URL such as https://registry:8081"
        ) from None
    if parts.username or parts.password:
        raise ValueError(
            "user and password belong into kafka.schema_registry_user and _password, which are "
            "kept secret"
        )
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query:
        raise ValueError("expected a URL such as https://registry:8081 (https or http)")
    return url


def parse_topic(value: object) -> object:
    """Return a topic's name; empty stays empty."""
    if isinstance(value, str) and value and not is_topic(value):
        raise ValueError("expected 1 to 249 of a-z, A-Z, 0-9, dot, _ and -")
    return value


def parse_topics(value: object) -> object:
    """Return topics by stream kind; each holds the records of one schema."""
    if isinstance(value, dict):
        for kind, topic in value.items():
            if isinstance(topic, str) and not is_topic(topic.replace(SYMBOL_PLACE, "BTCUSDT")):
                raise ValueError(
                    f"{kind}: expected 1 to 249 of a-z, A-Z, 0-9, dot, _ and -, and at most one "
                    f"{SYMBOL_PLACE}"
                )
        names = [topic for topic in value.values() if isinstance(topic, str)]
        if len(set(names)) < len(names):
            raise ValueError("each stream needs a topic of its own: a topic has one schema")
    return value


def is_topic(name: str) -> bool:
    """Return whether brokers accept a topic of this name."""
    return _TOPIC.fullmatch(name) is not None and name not in (".", "..")
