"""What was seen of every process, kept once: `decide` judges by it, `Recorder` writes it down."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence
from typing import assert_never

from monitor.generation import Generation
from monitor.leak import LeakDetector
from monitor.model import Collected, Event, Exited, Launched, Reported, Sample, Tick
from monitor.series import Bin, Binner, Curve, DetectorFactory, LeakTrack
from monitor.soak_plans import DAY, SoakPlan

ROLLING_BINS = 1440  # a day of minutes
ROLLING_GENERATIONS = 10  # per streamer; a crash loop must not fill memory


class Ledger:
    """The generations of every streamer; without a plan only the last day and the last few.

    `max_age_seconds` is the age at which a connection is to be rotated, `reference` the memory of
    a known-good run.
    """

    def __init__(
        self,
        plan: SoakPlan | None,
        max_age_seconds: float,
        detector: DetectorFactory = LeakDetector,
        reference: Curve | None = None,
    ) -> None:
        self.generations: dict[str, list[Generation]] = {}  # by streamer, the oldest first
        self._rolling = plan is None
        self._bin_seconds = plan.bin_seconds if plan else 60.0
        self._horizon_seconds = plan.duration_seconds if plan else DAY
        self._max_age_seconds = max_age_seconds
        self._detector = detector
        self._reference = reference

    def take(self, event: Event, now: float) -> Generation | None:
        """Keep an event; return whose it is. None: of nobody that is known, or no news."""
        match event:
            case Launched():
                return self._launch(event, now)
            case Reported(at, report):
                found = self.find(report.streamer, report.generation)
                return found if found is not None and found.take_report(report, at) else None
            case Sample():
                found = self.find(event.streamer, event.generation)
                if found is not None:
                    found.take_sample(event)
                return found
            case Collected():
                found = self.find(event.streamer, event.generation)
                if found is not None:
                    found.take_collection(event)
                return found
            case Exited():
                found = self.find(event.streamer, event.generation)
                if found is not None:
                    found.take_exit(event, now)
                return found
            case Tick():
                return None
            case _:
                assert_never(event)

    def find(self, streamer: str, number: int) -> Generation | None:
        """Return a generation, or None when it is unknown or too long ago."""
        for generation in reversed(self.generations.get(streamer, [])):
            if generation.launched.generation == number:
                return generation
        return None

    def _launch(self, launched: Launched, now: float) -> Generation:
        bins: MutableSequence[Bin] = deque(maxlen=ROLLING_BINS) if self._rolling else []
        width = self._bin_seconds
        generation = Generation(
            launched=launched,
            launched_at=now,
            binner=Binner(width),
            leak=LeakTrack(width, self._horizon_seconds, self._detector, self._reference),
            bins=bins,
            max_age_seconds=self._max_age_seconds,
        )
        generations = self.generations.setdefault(launched.streamer, [])
        generations.append(generation)
        if self._rolling:
            del generations[:-ROLLING_GENERATIONS]
        return generation
