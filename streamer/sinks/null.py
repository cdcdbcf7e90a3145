"""A sink that encodes and forgets: for benchmarks of everything before it."""

from __future__ import annotations

from collections.abc import Iterable

from streamer.data.events import Event
from streamer.data.records import encoder
from streamer.messages import SinkCounts
from streamer.order.positions import EpochStart, Position
from streamer.routes import Route
from streamer.sinks import RefusedRecord, SinkError


class NullSink:
    """Acknowledges every record at once."""

    accepting = True

    def __init__(self, routes: Iterable[Route]) -> None:
        self._encoders = {
            route: encoder(route.stream, route.symbol, epoch=route.epoch) for route in routes
        }
        self._records = 0
        self._bytes = 0

    def put(self, route: Route, event: Event, received_us: int) -> None:
        self._bytes += len(self._encoders[route](event, received_us))
        self._records += 1

    def poll(self, now: float) -> None:
        pass

    def flush(self, within_seconds: float) -> int:
        return 0

    def keep(self) -> None:
        return None

    def is_in_place(self) -> bool:
        return True

    def abandon(self, *, is_ours: bool) -> str:
        return "nothing was stored there"

    def close(self) -> None:
        pass

    def counts(self) -> SinkCounts:
        return SinkCounts(
            kind="null",
            accepted_total=self._records,
            acknowledged_total=self._records,
            bytes_total=self._bytes,
        )

    def diagnostics(self) -> dict[str, str]:
        return {}

    def take_errors(self) -> list[SinkError]:
        return []

    def take_refused(self) -> list[RefusedRecord]:
        return []

    def positions(self) -> dict[str, Position]:
        return {}

    def next_epochs(self) -> dict[str, EpochStart]:
        return {}

    def renew(self, route: Route, start: EpochStart | None = None) -> None:
        self.add(route)

    def add(self, route: Route) -> None:
        self._encoders[route] = encoder(route.stream, route.symbol, epoch=route.epoch)

    def remove(self, route: Route) -> None:
        del self._encoders[route]
