"""Do two events under the same id say the same? Pure.

How each came does not matter, nor when the exchange made an event of a trade, which REST does not
tell: `1.50` is `1.5`, and so on. Each kind says what counts.
"""

from __future__ import annotations

from streamer.data.catalogue import BY_EVENT
from streamer.data.events import Event


def is_same(streamed: Event, told: Event) -> bool:
    """Return whether what the stream told and what REST tells under the same id is the same.

    Of a candle that was open, what the stream told may be less than what became of it.
    """
    kind = BY_EVENT.get(type(streamed))
    if kind is None or kind.past is None or type(told) is not kind.event:
        return False
    return kind.past.is_same(streamed, told)


def differs(first: Event, copy: Event) -> bool:
    """Return whether an event is no copy of another one, though it comes under the same ids.

    Events that cannot be copies of each other, such as two states of a candle, do not differ.
    """
    if first.id != copy.id:
        return False
    kind = BY_EVENT.get(type(first))
    if kind is None or type(copy) is not kind.event:
        return first != copy
    return kind.differs(first, copy)
