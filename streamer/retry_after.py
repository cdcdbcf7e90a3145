"""`Retry-After`: how long the exchange asks us to stay away, within reason. Pure.

The exchange documents the header as seconds, with 429 (a limit was broken) and 418 (a ban), and
bans of 2 minutes to 3 days (rest-api.md, *IP limits*, 2026). Nothing else may keep us away for
long: a proxy's or a firewall's number of years would end a recording for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streamer.printable import printable

BAN_SECONDS_MAX: Final = 3 * 24 * 3600.0
"""The longest ban that the exchange documents, for 429 and 418."""
OTHER_SECONDS_MAX: Final = 300.0
"""For every other status: nobody documents it there, and this is the exchange's window for
attempts to connect."""
_LIMIT_STATUSES = frozenset({418, 429})
_DIGITS_MAX = 9  # more of them are beyond any bound, and Python refuses to read 5,000
_SHOWN_BYTES_MAX = 40


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """What to make of the header.

    `seconds` is how long to stay away, None where nothing was asked for that can be read: the
    ordinary pause is for then. `note` says so to people, "" where there was no header.
    """

    seconds: float | None
    note: str


def read_retry_after(value: str | None, status: int) -> RetryAfter:
    """Return what a header's value means in an answer of an HTTP status; None where there is none.

    Never raises, whatever the value is. Dates are not read: the exchange sends none, and they would
    need its clock.
    """
    if value is None:
        return RetryAfter(None, "")
    text = value.strip(" \t")
    if not (text.isascii() and text.isdecimal()):
        shown = printable(text, _SHOWN_BYTES_MAX)
        return RetryAfter(None, f"its Retry-After {shown!r} is no number of seconds: not followed")
    limit = BAN_SECONDS_MAX if status in _LIMIT_STATUSES else OTHER_SECONDS_MAX
    digits = text.lstrip("0") or "0"
    if len(digits) > _DIGITS_MAX or int(digits) > limit:
        shown = printable(digits, _SHOWN_BYTES_MAX)
        return RetryAfter(
            limit, f"to be tried again after {limit:.0f} s (it asks for {shown}, too long with "
            f"HTTP {status})"
        )  # fmt: skip
    return RetryAfter(float(digits), f"to be tried again after {digits} s")
