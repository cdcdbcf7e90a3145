"""The answer to an upgrade, before websocket-client sees any of it. Pure.

Of a head of up to 64 KiB of foreign headers, the library needs three lines. It keeps cookies of the
others for ever (and raises for a crooked one), and it waits for the body of a refusal.
"""

from __future__ import annotations

import re
from typing import Final

from streamer.errors import HandshakeError, UpgradeError
from streamer.printable import printable
from streamer.retry_after import read_retry_after

HEAD_BYTES_MAX: Final = 64 * 1024
"""The exchange's is 200 bytes; what is as long as this is an attack or no HTTP."""
_HEAD_END = re.compile(rb"\r?\n\r?\n")  # as RFC 9112, 2.2 allows
_HEAD_END_BYTES_MAX = 4
_STATUS_LINE = re.compile(r"HTTP/1\.[0-9] ([1-9][0-9]{2})( .*)?", re.ASCII | re.DOTALL)
_NEEDED = frozenset({"upgrade", "connection", "sec-websocket-accept"})
_SHOWN_BYTES_MAX = 300  # of what is theirs, in a line for people


def find_head_end(received: bytes | bytearray, looked_at: int) -> int:
    """Return where the head ends, 0 if it does not yet; the first bytes were looked at before."""
    end = _HEAD_END.search(received, max(0, looked_at - _HEAD_END_BYTES_MAX + 1))
    return end.end() if end else 0


def read_head(head: bytes, url: str) -> bytes:
    """Return what websocket-client is to judge of a head: the status 101 and three headers.

    Raises UpgradeError for another status, HandshakeError for what is no HTTP.
    """
    status_line, *lines = re.split(r"\r?\n", head.decode("latin-1").rstrip("\r\n"))
    found = _STATUS_LINE.fullmatch(status_line)
    if found is None:
        shown = printable(status_line, _SHOWN_BYTES_MAX)
        raise HandshakeError("upgrade", f"{url} is no WebSocket: it answered {shown!r}")
    if found[1] != "101":
        raise _refusal(int(found[1]), found[2] or "", lines, url)
    needed = [line for line in lines if _name(line) in _NEEDED]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *needed, "", ""]).encode()


def _refusal(status: int, reason: str, lines: list[str], url: str) -> UpgradeError:
    text = f"{url} answered the upgrade with HTTP {status}{printable(reason, _SHOWN_BYTES_MAX)}"
    if 300 <= status < 400:
        to = printable(_value(lines, "location") or "nowhere", _SHOWN_BYTES_MAX)
        text += f" to {to}; redirects are not followed"
    asked = read_retry_after(_value(lines, "retry-after"), status)
    if asked.note:
        text += f"; {asked.note}"
    return UpgradeError(text, status=status, retry_after_seconds=asked.seconds)


def _value(lines: list[str], name: str) -> str | None:
    """Return a header's value, of several all of them, as RFC 9110, 5.2 joins them."""
    values = [line.partition(":")[2].strip() for line in lines if _name(line) == name]
    return ", ".join(values) if values else None


def _name(line: str) -> str:
    return line.partition(":")[0].strip().lower()
