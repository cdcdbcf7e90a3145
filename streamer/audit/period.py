"""The time that an audit is about: records by when they were received. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Period:
    """Unix times in microseconds, the end not included; None: without a bound."""

    from_us: int | None = None
    to_us: int | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether it leaves anything out."""
        return self.from_us is not None or self.to_us is not None

    def __contains__(self, time_us: int) -> bool:
        return (self.from_us is None or time_us >= self.from_us) and (
            self.to_us is None or time_us < self.to_us
        )

    def touches(self, begun_us: int | None, ended_us: int) -> bool:
        """Return whether something that lasted from one time to another falls into it."""
        if self.from_us is not None and ended_us < self.from_us:
            return False
        return self.to_us is None or begun_us is None or begun_us < self.to_us


ALWAYS = Period()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> int:
    """Return Unix microseconds of a date or a time in ISO 8601; UTC unless it says otherwise.

    Raises ValueError, saying what would be right.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text}: expected a date or a time, such as 2026-11-27 or 2026-11-27T13:30Z"
        ) from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)
