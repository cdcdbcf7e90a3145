"""When the loop of the service does what: changed by a reload while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from supervisor.timers import Every


@dataclass(slots=True)
class Schedule:
    """What is due again and again, and how long a streamer has to report for the first time."""

    sample: Every
    checkpoint: Every  # of the profile
    report: Every  # the plain lines in a log
    startup_timeout_seconds: float
