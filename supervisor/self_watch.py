"""What the supervisor sees of itself: whether it keeps up, and what its telemetry has lost."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from monitor.load import Load, LoadWatch
from monitor.recorder import Recorder
from monitor.snapshot import Snapshot
from supervisor.timers import Every

log = logging.getLogger(__name__)

LOST_EVERY_SECONDS: Final = 60.0  # between two events: what gets lost may do so every second
OVERLOADED: Final = "supervisor_overloaded"
KEEPS_UP: Final = "supervisor_keeps_up"
TELEMETRY_LOST: Final = "telemetry_lost"


class SelfWatch:
    """Owned by the loop. Times are monotonic (`now`) and Unix times (`time`)."""

    def __init__(self, recorder: Recorder, now: float) -> None:
        self._recorder = recorder
        self._load = LoadWatch(now)
        self._was_overloaded = False
        self._lost_due = Every(LOST_EVERY_SECONDS, now)
        self._lost: Counter[str] = Counter()  # messages, as last told

    def turned(self, woke: float, ended: float) -> None:
        """Take a turn of the loop: when its wait was over, and when it was."""
        self._load.turned(woke, ended)

    def reported(self, made_time: float, time: float) -> None:
        """Take when a report was made and when it is judged."""
        self._load.reported(time - made_time)

    def load(self, now: float) -> Load:
        """Return how much there was to do lately."""
        return self._load.load(now)

    def look(self, snapshot: Snapshot, now: float, time: float) -> None:
        """Say when the supervisor stops to keep up, or does again, and when messages got lost."""
        load = snapshot.load
        if load is not None and load.is_overloaded != self._was_overloaded:
            self._was_overloaded = load.is_overloaded
            if load.is_overloaded:
                log.warning("the supervisor is overloaded: %s", load)
            else:
                log.info("the supervisor keeps up again: %s", load)
            detail = {
                "busy_ratio": round(load.busy_ratio, 3),
                "report_delay_seconds": round(load.report_delay_seconds, 3),
            }
            kind = OVERLOADED if load.is_overloaded else KEEPS_UP
            self._recorder.note(kind, detail, time)
        if self._lost_due.due(now):
            self._look_for_losses(snapshot, time)

    def _look_for_losses(self, snapshot: Snapshot, time: float) -> None:
        lost = Counter({f"refused: {why}": n for why, n in snapshot.telemetry_refused.items()})
        for key, count in snapshot.totals.items():
            if key[0] == "telemetry_dropped":
                lost[f"not sent: {key[1]}"] = count
        fresh = lost - self._lost
        if fresh:
            self._lost = lost
            log.warning("messages of the telemetry were lost: %s", dict(fresh))
            self._recorder.note(TELEMETRY_LOST, dict(fresh), time)
