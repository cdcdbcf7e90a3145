"""What a campaign can disable in the streamer, to show that the audits would notice.

Planted in the child before the streamer begins, so that production code has none of it.
"""

from __future__ import annotations

from typing import Any

from streamer.config import StreamerConfig


def _run(config: StreamerConfig) -> int:
    from streamer.run import run_streamer

    return run_streamer(config)


def without_deduplication(config: StreamerConfig) -> int:
    """Forward what was forwarded before, as it comes."""
    from streamer.order.sequence import ContiguousSequence

    take = ContiguousSequence.take

    def take_all(self: Any, event_id: int, item: Any, now: float) -> list[Any]:
        if self.last_id is not None and event_id <= self.last_id:
            return [item]
        return take(self, event_id, item, now)

    ContiguousSequence.take = take_all  # type: ignore[method-assign]
    return _run(config)


def without_repair(config: StreamerConfig) -> int:
    """Pass over what is missing, as if ids could jump."""
    from streamer.order.sequence import ContiguousSequence, Gap

    take = ContiguousSequence.take

    def take_jumping(self: Any, event_id: int, item: Any, now: float) -> list[Any]:
        taken = take(self, event_id, item, now)
        if self.pending:
            taken = self.give_up(event_id - 1, "empty")
        return [one for one in taken if not isinstance(one, Gap)]

    ContiguousSequence.take = take_jumping  # type: ignore[method-assign]
    return _run(config)


def without_comparison(config: StreamerConfig) -> int:
    """Believe whatever REST tells."""
    from streamer.repair import page_check

    vars(page_check)["compare"] = lambda page, below, above: True
    return _run(config)


def without_epochs(config: StreamerConfig) -> int:
    """Take ids that began anew for copies."""
    from streamer.ingest.epoch_changes import EpochChanges

    EpochChanges.may_begin = lambda *_: False  # type: ignore[method-assign]
    return _run(config)


def without_resume(config: StreamerConfig) -> int:
    """Begin with what comes, whatever the sink holds."""
    from streamer.ingest.ingest import Ingest

    Ingest.resume = lambda *_, **__: None  # type: ignore[method-assign]
    return _run(config)


def without_overlap(config: StreamerConfig) -> int:
    """Break before make: a rotation closes the old connection first."""
    from streamer.network.connection_manager import ConnectionManager

    rotate = ConnectionManager.rotate

    def rotate_by_breaking(self: ConnectionManager, slot: Any, reason: str, now: float) -> bool:
        begun = rotate(self, slot, reason, now)
        if begun and slot.active is not None:
            self.connections[slot.active.connection_id].close(now)
        return begun

    ConnectionManager.rotate = rotate_by_breaking  # type: ignore[method-assign]
    return _run(config)
