"""What ends a back-fill, or the part of it at hand."""

from __future__ import annotations

from typing import ClassVar

from streamer.sink_command import NOTHING

LEFT = 3
"""Exit code: something could not be filled."""


class BackfillError(Exception):
    """Something cannot be filled; the text says what is wrong, where, and what would be right.

    `exit_code` is that of a back-fill that it ends.
    """

    exit_code: ClassVar[int] = LEFT


class NothingToFill(BackfillError):  # noqa: N818 - a reason, for people
    """There is no sink to be filled, it does not answer, or there is no directory of archives."""

    exit_code = NOTHING
