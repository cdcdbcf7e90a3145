"""Text that must not be shown: a type of its own from the reader of settings to the last use.

Whatever prints, logs or serializes a `Secret` gets its mask; only `reveal` gives the text. Nothing
here imports pydantic: streamers carry these values, and do not validate.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "********"
_AT = re.compile("@|%40")
_ADDRESS = re.compile(r"(?:[\w+.-]*://)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?/?")


class Secret:
    """A text that no output shows. It can be pickled, with its text, for the pipe to a child."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one who needs it."""
        return self._text

    @property
    def shown(self) -> str:
        """What may be shown of it."""
        return MASK if self._text else ""

    @property
    def hides(self) -> bool:
        """Whether there is something in it that `shown` leaves out."""
        return self.shown != self._text

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return repr(self.shown)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:  # noqa: ANN401
        from pydantic_core import core_schema  # here only: children never validate

        return core_schema.is_instance_schema(
            cls,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda secret: secret.shown, when_used="json"
            ),
        )


class SecretUrl(Secret):
    """A URL whose user and password are secret, and nothing else of it."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The URL with its user and password masked; a text that is no URL is masked whole."""
        shown = without_credentials(self._text)
        if shown != self._text or not shown or _ADDRESS.fullmatch(shown):
            return shown
        return MASK  # `http://me:password`, where the rest was forgotten


def without_credentials(text: str) -> str:
    """Return a URL, or any text that might be one, with user and password masked.

    Everything before the last `@` belongs to them, as passwords hold `@` and `/`, too; so does an
    `@` that was encoded by mistake. Without a colon or a slash before it there is no password:
    `depth@100ms` stays as it is.
    """
    *before, rest = _AT.split(text)
    credentials = "@".join(before)
    if not {":", "/"} & set(credentials):
        return text
    scheme, separator, _ = credentials.partition("//")
    return f"{scheme}{separator}{MASK}@{rest}" if separator else f"{MASK}@{rest}"
