"""What an earlier process left on this machine's disk: of which shards it may still be delivered.

Where another member has gone on with a shard since, it would come after that one's records. Where
nobody has, and the group gives the shard to this member, nothing is missing. Until one or the other
is known of each shard, it waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamer.group.notices import ShardNotice


class Inheritance:
    """By shard: undecided, to be delivered, or `elsewhere`."""

    def __init__(self, shards: Iterable[int], member: str) -> None:
        """`member` is the name that the earlier process had as well."""
        self._shards = frozenset(shards)
        self.undecided = set(self._shards)
        self.elsewhere: set[int] = set()
        self._member = member

    def assigned(self, shard: int, last: ShardNotice | None, *, is_known: bool) -> None:
        """Decide on a shard that this member has now; `last` is the latest notice of an owner."""
        if shard not in self.undecided:
            return
        self.undecided.discard(shard)
        if not is_known or (last is not None and last.member != self._member):
            self.elsewhere.add(shard)

    def look(self, notices: Iterable[ShardNotice]) -> None:
        """Decide on what others have told, as the latest owners, also if it was assigned before."""
        for notice in notices:
            if notice.member != self._member and notice.shard in self._shards:
                self.undecided.discard(notice.shard)
                self.elsewhere.add(notice.shard)
