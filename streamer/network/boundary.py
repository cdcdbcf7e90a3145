"""Where an error that nobody foresaw ends one connection instead of the process.

What comes from a socket is foreign: whatever it makes our code or a library raise is the end of
the connection that it came on. It is a mistake of ours all the same, so that it is told.
"""

from __future__ import annotations

import logging
from typing import Final

from streamer.printable import printable

INTERNAL: Final = "internal"
"""The label of such an end, in metrics, notices and reports."""
_SHOWN_BYTES_MAX = 300
_log = logging.getLogger(__name__)
_told: set[tuple[type[Exception], str, int]] = set()  # as many as there are lines of code at most


def explain_unexpected(error: Exception, doing: str) -> str:
    """Return a sentence about an error; the first of its type and place is logged whole."""
    text = (
        f"a mistake in Vigil while {doing}: {type(error).__name__}: "
        f"{printable(str(error), _SHOWN_BYTES_MAX)}"
    )
    kind = (type(error), *_place(error))
    if kind not in _told:
        _told.add(kind)
        _log.error("%s; please report it (logged once in full)", text, exc_info=error)
    return text


def _place(error: Exception) -> tuple[str, int]:
    """Return the file and line that raised it."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "", 0
    return traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
