"""What ends a back-fill, or the part of it at hand."""

from __future__ import annotations


class BackfillError(Exception):
    """Something cannot be filled; the text says what is wrong, where, and what would be right."""
