"""Which addresses belong to which venue, so that no market is taken for another. Pure.

Hosts are those of the exchanges' API documentation (2026). A host that is not known, such as a
proxy or a rehearsal, may be of any venue: what it tells is compared (`streamer.repair.fit`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from streamer.data.binance_spot import HOSTS, REST_URL, WEBSOCKET_URL

SPOT, TESTNET = "Binance Spot", "the testnet of Binance Spot"
DEMO = "the demo mode of Binance Spot"
_ADDRESSES = {
    SPOT: (WEBSOCKET_URL, REST_URL),
    TESTNET: ("wss://stream.testnet.binance.vision", "https://testnet.binance.vision"),
    DEMO: ("wss://demo-stream.binance.com", "https://demo-api.binance.com"),
}
"""Of what can be recorded, each by itself."""
_HOSTS = dict.fromkeys(HOSTS, SPOT) | {
    "testnet.binance.vision": TESTNET,
    "demo-stream.binance.com": DEMO,
    "demo-api.binance.com": DEMO,
}
_OTHERS = {
    "binance.us": "binance.us",
    "tokocrypto.com": "Tokocrypto",
    "binance.co.jp": "Binance Japan",
    "binancefuture.com": "the testnet of Binance Futures",
    "demo-fapi.binance.com": "the demo mode of Binance Futures",
    "demo-dapi.binance.com": "the demo mode of Binance Futures",
    "fapi.binance.com": "Binance Futures (USD-M)",
    "fstream.binance.com": "Binance Futures (USD-M)",
    "fstream-auth.binance.com": "Binance Futures (USD-M)",
    "ws-fapi.binance.com": "Binance Futures (USD-M)",
    "dapi.binance.com": "Binance Futures (COIN-M)",
    "dstream.binance.com": "Binance Futures (COIN-M)",
    "dstream-auth.binance.com": "Binance Futures (COIN-M)",
    "ws-dapi.binance.com": "Binance Futures (COIN-M)",
    "eapi.binance.com": "Binance Options",
    "nbstream.binance.com": "Binance Options",
    "vstream.binance.com": "Binance Options",
    "papi.binance.com": "Binance Portfolio Margin",
}
"""Other markets, by host or the domain that it is in: their trades are none of Binance Spot."""


def venue_of(url: str) -> str | None:
    """Return the venue of an address; None when its host is not known."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    known = _HOSTS | _OTHERS
    while host:
        if host in known:
            return known[host]
        host = host.partition(".")[2]
    return None


def belong_together(websocket_url: str, rest_url: str) -> bool:
    """Return whether both addresses are known, and of the same venue."""
    venue = venue_of(websocket_url)
    return venue is not None and venue == venue_of(rest_url)


def contradiction(websocket_url: str, rest_url: str) -> str | None:
    """Return what is wrong with two addresses and what would be right, or None."""
    for key, url in (("websocket_url", websocket_url), ("rest_url", rest_url)):
        venue = venue_of(url)
        if venue is not None and venue not in _ADDRESSES:
            right = _ADDRESSES[SPOT][key == "rest_url"]
            return (
                f"exchange.{key} = {url!r}: that is {venue}, whose trades must not be recorded as "
                f"those of Binance Spot, such as {right}"
            )
    stream, rest = venue_of(websocket_url), venue_of(rest_url)
    if stream is None or rest is None or stream == rest:
        return None
    return (
        f"exchange.rest_url = {rest_url!r}: that is {rest}, and exchange.websocket_url = "
        f"{websocket_url!r} is {stream}: repairs would bring another market's trades; "
        f"exchange.rest_url = {_ADDRESSES[stream][1]!r} belongs to it"
    )
