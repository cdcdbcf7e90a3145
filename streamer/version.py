"""Which version of this program runs."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "unknown"


def version() -> str:
    """Return the installed version; "unknown" in a source tree that was never installed."""
    # Imported here: it takes 10 ms, and a streamer seldom needs it.
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("vigil")
    except PackageNotFoundError:
        return UNKNOWN
