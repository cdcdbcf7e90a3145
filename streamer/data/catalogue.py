"""All kinds of stream, and which kind a stream is of. Pure.

A new kind is a module in `streamer.data.kinds` and a line here. Names of streams are those of the
exchange's web-socket-streams.md (2026).
"""

from __future__ import annotations

from streamer.data.kinds import (
    agg_trade,
    avg_price,
    book_ticker,
    depth,
    depth_snapshot,
    kline,
    mini_ticker,
    partial_depth,
    ticker,
    trade,
)
from streamer.data.stream_kind import StreamKind

KINDS: tuple[StreamKind, ...] = (
    trade.KIND,
    agg_trade.KIND,
    book_ticker.KIND,
    depth.KIND,
    depth_snapshot.KIND,
    partial_depth.KIND,
    kline.KIND,
    mini_ticker.KIND,
    ticker.KIND,
    avg_price.KIND,
)
BY_NAME = {kind.name: kind for kind in KINDS}
BY_EVENT = {kind.event: kind for kind in KINDS}
BY_STREAM = {stream: kind for kind in KINDS for stream in kind.streams}
"""The kind of every stream that can be subscribed."""

CONTIGUOUS = frozenset(kind.name for kind in KINDS if kind.is_contiguous)
"""The kinds whose events have ids without holes."""
NUMBERED = frozenset(kind.name for kind in KINDS if not kind.ids_are_times)
"""The kinds whose ids are numbers; those of the others are times."""
REPAIRABLE = frozenset(kind.name for kind in KINDS if kind.past is not None)
"""The kinds of stream whose past can be asked for, by id or by time."""
_PARTED = frozenset(
    kind.name for kind in KINDS if kind.streams and kind.streams[0].startswith(f"{kind.name}_")
)


def kind_of(stream: str) -> str:
    """Return the name of a stream's kind: `depth` of `depth@100ms`, `kline` of `kline_1m`.

    Of a stream that cannot be subscribed, the name that a kind of it would have.
    """
    if (kind := BY_STREAM.get(stream)) is not None:
        return kind.name
    head = stream.partition("_")[0]
    return head if head in _PARTED else stream.partition("@")[0]
