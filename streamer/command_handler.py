"""Commands from a watcher, carried out once each and answered."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from streamer.diagnosis import Diagnosis
from streamer.errors import StreamerError
from streamer.messages import COMMANDS, Command, CommandResult
from streamer.network.connection_manager import ConnectionManager
from streamer.values import parse_stream, parse_symbol_entry
from streamer.wanted_streams import WantedStreams

REMEMBERED = 256  # answers to repeat when a command comes twice


class Stop(Protocol):
    """Wishes for the end of the streamer."""

    def __call__(self, reason: str, within_seconds: float | None = None) -> None:
        """Flush within the given time, or within the streamer's own."""


class Requests:
    """Carries out commands on the feed's own thread, so that none meets a half-done turn."""

    def __init__(
        self,
        connection_manager: ConnectionManager,
        wanted_streams: WantedStreams,
        stop: Stop,
        diagnosis: Diagnosis,
        trim: Callable[[], bool],
    ) -> None:
        self._connection_manager = connection_manager
        self._wanted_streams = wanted_streams
        self._stop = stop
        self._diagnosis = diagnosis
        self._trim = trim
        self._answers: OrderedDict[str, CommandResult] = OrderedDict()
        self._actions: dict[str, Callable[[Command, float], CommandResult]] = {
            "rotate": self._rotate,
            "collect": self._collect,
            "diagnose": self._diagnose,
            "reload": self._reload,
            "drain": self._drain,
            "stop": self._drain,
        }

    def carry_out(self, command: Command, now: float) -> CommandResult:
        """Return the answer: what was begun, or why nothing was. The same for the same id."""
        answer = self._answers.get(command.id)
        if answer is None:
            action = self._actions.get(command.name)
            if action is None:
                known = ", ".join(COMMANDS)
                answer = CommandResult(command.id, False, f"no such command; there are: {known}")
            else:
                answer = action(command, now)
            self._answers[command.id] = answer
            if len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    def _rotate(self, command: Command, now: float) -> CommandResult:
        name = command.arguments.get("slot")
        slots = [slot for slot in self._connection_manager.slots if name in (None, slot.name)]
        if not slots:
            return CommandResult(command.id, False, f"no slot {name}")
        reason = str(command.arguments.get("reason", "command"))
        begun = [slot.name for slot in slots if self._connection_manager.rotate(slot, reason, now)]
        detail = f"rotating {', '.join(begun)}" if begun else "under way or without connection"
        return CommandResult(command.id, bool(begun), detail)

    def _collect(self, command: Command, now: float) -> CommandResult:
        collected = gc.collect()
        trimmed = self._trim()
        return CommandResult(
            command.id, True, "", {"collected_objects": collected, "trimmed": trimmed}
        )

    def _diagnose(self, command: Command, now: float) -> CommandResult:
        directory = command.arguments.get("directory")
        if not isinstance(directory, str) or not Path(directory).is_absolute():
            return CommandResult(command.id, False, "directory: an absolute path is expected")
        try:
            told = self._diagnosis.write(Path(directory), min(command.within_seconds / 2, 1.0))
        except OSError as error:
            return CommandResult(
                command.id, False, f"{directory}: cannot be written: {error.strerror}"
            )
        return CommandResult(command.id, True, "", {**told})

    def _reload(self, command: Command, now: float) -> CommandResult:
        """Want other streams; symbols and streams are checked here: they become wire names."""
        arguments = command.arguments
        try:
            symbols = [str(parse_symbol_entry(one)) for one in _listed(arguments.get("symbols"))]
            streams = [str(parse_stream(one)) for one in _listed(arguments.get("streams"))]
        except ValueError as error:
            return CommandResult(command.id, False, f"symbols or streams: {error}")
        if not symbols or not streams:
            return CommandResult(
                command.id, False, "expected symbols and streams, joined by commas"
            )
        try:
            change = self._wanted_streams.change(streams, symbols, now)
        except StreamerError as error:
            return CommandResult(command.id, False, str(error))
        counts: dict[str, str | int | float | bool | None] = {
            "added": len(change.added),
            "removed": len(change.removed),
        }
        return CommandResult(command.id, True, str(change), counts)

    def _drain(self, command: Command, now: float) -> CommandResult:
        self._stop(command.name, command.within_seconds)
        return CommandResult(command.id, True, "draining")


def _listed(value: object) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else []
    return [part.strip() for part in parts if part.strip()]
