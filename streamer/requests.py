"""Commands from a watcher, carried out once each and answered."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from streamer.diagnosis import Diagnosis
from streamer.errors import StreamerError
from streamer.heap import trim_memory
from streamer.membership import Membership
from streamer.messages import COMMANDS, Answer, Command
from streamer.network.links import Links
from streamer.values import parse_stream, parse_symbol

REMEMBERED = 256  # answers to repeat when a command comes twice


class Stop(Protocol):
    """Wishes for the end of the streamer."""

    def __call__(self, reason: str, within_seconds: float | None = None) -> None:
        """Flush within the given time, or within the streamer's own."""


class Requests:
    """Carries out commands on the feed's own thread, so that none meets a half-done turn."""

    def __init__(
        self, links: Links, membership: Membership, stop: Stop, diagnosis: Diagnosis
    ) -> None:
        self._links = links
        self._membership = membership
        self._stop = stop
        self._diagnosis = diagnosis
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._actions: dict[str, Callable[[Command, float], Answer]] = {
            "rotate": self._rotate,
            "collect": self._collect,
            "diagnose": self._diagnose,
            "reload": self._reload,
            "drain": self._drain,
            "stop": self._drain,
        }

    def carry_out(self, command: Command, now: float) -> Answer:
        """Return the answer: what was begun, or why nothing was. The same for the same id."""
        answer = self._answers.get(command.id)
        if answer is None:
            action = self._actions.get(command.name)
            if action is None:
                known = ", ".join(COMMANDS)
                answer = Answer(command.id, False, f"no such command; there are: {known}")
            else:
                answer = action(command, now)
            self._answers[command.id] = answer
            if len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    def _rotate(self, command: Command, now: float) -> Answer:
        name = command.arguments.get("slot")
        slots = [slot for slot in self._links.slots if name in (None, slot.name)]
        if not slots:
            return Answer(command.id, False, f"no slot {name}")
        reason = str(command.arguments.get("reason", "command"))
        begun = [slot.name for slot in slots if self._links.rotate(slot, reason, now)]
        detail = f"rotating {', '.join(begun)}" if begun else "under way or without connection"
        return Answer(command.id, bool(begun), detail)

    def _collect(self, command: Command, now: float) -> Answer:
        collected = gc.collect()
        trimmed = trim_memory()
        return Answer(command.id, True, "", {"collected_objects": collected, "trimmed": trimmed})

    def _diagnose(self, command: Command, now: float) -> Answer:
        directory = command.arguments.get("directory")
        if not isinstance(directory, str) or not Path(directory).is_absolute():
            return Answer(command.id, False, "directory: an absolute path is expected")
        try:
            told = self._diagnosis.write(Path(directory), min(command.within_seconds / 2, 1.0))
        except OSError as error:
            return Answer(command.id, False, f"{directory}: cannot be written: {error.strerror}")
        return Answer(command.id, True, "", {**told})

    def _reload(self, command: Command, now: float) -> Answer:
        """Want other streams; symbols and streams are checked here: they become wire names."""
        arguments = command.arguments
        try:
            symbols = [str(parse_symbol(one)) for one in _listed(arguments.get("symbols"))]
            streams = [str(parse_stream(one)) for one in _listed(arguments.get("streams"))]
        except ValueError as error:
            return Answer(command.id, False, f"symbols or streams: {error}")
        if not symbols or not streams:
            return Answer(command.id, False, "symbols and streams are wanted, joined by commas")
        try:
            change = self._membership.change(streams, symbols, now)
        except StreamerError as error:
            return Answer(command.id, False, str(error))
        counts: dict[str, str | int | float | bool | None] = {
            "added": len(change.added),
            "removed": len(change.removed),
        }
        return Answer(command.id, True, str(change), counts)

    def _drain(self, command: Command, now: float) -> Answer:
        self._stop(command.name, command.within_seconds)
        return Answer(command.id, True, "draining")


def _listed(value: object) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else []
    return [part.strip() for part in parts if part.strip()]
