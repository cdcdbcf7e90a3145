"""The end that people ask for, by a signal or by a command."""

from __future__ import annotations

import logging
import signal
from typing import Final

from supervisor.errors import ExitCode
from supervisor.escalation import Step
from supervisor.fleet_controller import Conclusion, FleetController
from supervisor.notify import Notifier

log = logging.getLogger(__name__)

_SECOND_SIGNAL: Final = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}


class Stopping:
    """Drains streamers at the first request, and skips that at one more signal."""

    def __init__(self, controller: FleetController, notifier: Notifier) -> None:
        self._controller = controller
        self._notifier = notifier
        self._by_command = False

    def signalled(self, number: signal.Signals, now: float) -> None:
        """Handle SIGINT or SIGTERM. After a command, the first one changes nothing."""
        if self._controller.conclusion is None:
            self.stop(number.name, now)
        elif self._by_command:
            self._by_command = False
            log.warning(
                "%s: streamers are drained already; a second signal skips that", number.name
            )
        else:
            log.warning("%s: the drain is skipped", number.name)
            conclusion = Conclusion("stopped", _SECOND_SIGNAL[number])
            self._controller.override(conclusion, now, Step.KILL)

    def stop(self, why: str, now: float, *, by_command: bool = False) -> None:
        """End everything in an orderly way: streamers are drained first."""
        self._by_command = by_command
        log.warning("%s: streamers are drained; a second signal skips that", why)
        self._notifier.stopping()
        code = ExitCode.PASS if self._controller.mode == "run" else None
        self._controller.conclude(Conclusion("stopped", code), now)
