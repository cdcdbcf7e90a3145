"""Where the records of shards end, looked up in Kafka while the feed runs: on a helper thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from streamer.config import KafkaConfig
from streamer.errors import StreamerError
from streamer.group.ownership import Located, NotLocated
from streamer.order.positions import Position
from streamer.routes import Route
from streamer.sinks.kafka.resume import find_positions
from streamer.sinks.kafka.topics import topic_of

AGAIN_SECONDS = 2.0  # after trouble

_log = logging.getLogger(__name__)


class PositionFinder:
    """Finds positions for one set of shards at a time: each look reads the ends of all topics."""

    def __init__(
        self, config: KafkaConfig, max_age_seconds: float, wake: Callable[[], None]
    ) -> None:
        self._config = config
        self._max_age_seconds = max_age_seconds
        self._wake = wake
        self._wanted: dict[int, tuple[Route, ...]] = {}
        self._numbers: dict[int, int] = {}  # of the latest question about a shard
        self._asked = 0
        self._thread: threading.Thread | None = None
        self._found: deque[tuple[int, Located | NotLocated]] = deque()
        self._not_before = 0.0

    def want(self, shard: int, routes: Iterable[Route]) -> None:
        """Look up where these routes of a shard end, and where the gaps beside them do."""
        self._wanted[shard] = tuple(routes)
        self._asked += 1
        self._numbers[shard] = self._asked

    def forget(self, shard: int) -> None:
        """Do not look it up; what a look finds that has begun is of no use any more."""
        self._wanted.pop(shard, None)
        self._numbers.pop(shard, None)

    def turn(self, now: float) -> list[Located | NotLocated]:
        """Begin what is wanted; return what was found since the last call. `now` is monotonic."""
        if self._wanted and now >= self._not_before and not self._is_busy():
            wanted, self._wanted = self._wanted, {}
            self._thread = threading.Thread(
                target=self._look, args=(wanted, dict(self._numbers)), name="positions", daemon=True
            )
            self._thread.start()
        found = [self._found.popleft() for _ in range(len(self._found))]
        return [one for number, one in found if self._numbers.get(one.shard) == number]

    def _is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _look(self, wanted: Mapping[int, tuple[Route, ...]], numbers: Mapping[int, int]) -> None:
        found: Mapping[str, Position] | None = None
        try:
            routes = [route for each in wanted.values() for route in each]
            found = find_positions(
                self._config,
                {route: topic_of(self._config, route) for route in routes},
                None,
                max_age_seconds=self._max_age_seconds,
                deadline=time.monotonic() + self._config.start_within,
            )
        except StreamerError as error:
            _log.warning("where the records of shards end is asked again: %s", error)
        except Exception:  # noqa: BLE001 - else the shard would be held for ever
            _log.exception("where the records of shards end is asked again")
        if found is None:
            self._not_before = time.monotonic() + AGAIN_SECONDS
        for shard, its in wanted.items():
            if found is None:
                self._found.append((numbers[shard], NotLocated(shard)))
            else:
                names = {route.name for route in its}
                ends = {name: one for name, one in found.items() if name in names}
                self._found.append((numbers[shard], Located(shard, ends)))
        self._wake()
