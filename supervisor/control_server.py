"""Commands of people at the control socket, carried out and answered once all is known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from monitor.status import status_json
from streamer.messages import CommandResult
from supervisor.control_socket import Asked, ControlSocket, answer
from supervisor.diagnosis import Diagnosis
from supervisor.errors import ExitCode
from supervisor.fleet import Fleet
from supervisor.fleet_controller import FleetController
from supervisor.observer import Observer
from supervisor.own_directory import write_private
from supervisor.reload import Reload
from supervisor.report import plain_report
from supervisor.stopping import Stopping

ANSWER_WITHIN_SECONDS: Final = 10.0  # twice the time that a streamer has for its own answer
STATUS_FILE: Final = "status.json"  # of a thousand streams it does not fit into a socket's buffer

log = logging.getLogger(__name__)

Action = Callable[[Asked, float, float], None]
"""Carries out a command, at a monotonic time and a Unix time."""

Told = dict[str, tuple[bool, str] | None]
"""What each streamer that was asked has said; None: nothing yet."""


@dataclass(slots=True)
class _Waiting:
    """Somebody who is answered when the streamers have said what there is to say, or in time."""

    asked: Asked
    detail: str
    until: float
    told: Told = field(default_factory=dict)
    streamer_of: dict[str, str] = field(default_factory=dict)  # by the id of the command
    result: dict[str, Any] = field(default_factory=dict)
    diagnoses: dict[str, Diagnosis] = field(default_factory=dict)  # by streamer

    def is_over(self, now: float) -> bool:
        """Return whether there is nothing to wait for any more."""
        return now >= self.until or None not in self.told.values()


@dataclass(frozen=True, slots=True)
class Commanded:
    """What commands act on."""

    observer: Observer
    fleet: Fleet
    controller: FleetController
    reload: Reload
    stopping: Stopping


class ControlServer:
    """Owned by the loop of the service; `turn` never waits."""

    def __init__(self, commands: ControlSocket, directory: Path, parts: Commanded) -> None:
        """`directory` is the private one, where what is too large for an answer is put."""
        self._commands = commands
        self._parts = parts
        self._directory = directory
        self._waiting: list[_Waiting] = []
        self._leaving: list[Asked] = []  # who wait for the end of everything
        self._actions: dict[str, Action] = {
            "status": self._status,
            "rotate": self._forward,
            "collect": self._forward,
            "restart": self._restart,
            "reload": self._reload,
            "diagnose": self._diagnose,
            "stop": self._stop,
            "drain": self._stop,
        }

    def filenos(self, now: float) -> dict[int, int]:
        """Return what to poll, and for which events of ZeroMQ. `now` is monotonic."""
        return self._commands.filenos(now)

    def turn(self, now: float, time: float) -> None:
        """Carry out what has come, and answer what is done. `now` is monotonic."""
        for asked in self._commands.receive(now):
            action = self._actions.get(asked.command)
            if action is None:
                known = ", ".join(self._actions)
                answer(
                    asked, ok=False, detail=f"no such command: {asked.command}; there are {known}"
                )
            elif asked.streamer is not None and asked.streamer not in self._parts.fleet.members:
                known = ", ".join(self._parts.fleet.members)
                answer(asked, ok=False, detail=f"no streamer {asked.streamer}; there are {known}")
            elif self._parts.controller.conclusion is not None and asked.command != "status":
                answer(asked, ok=False, detail="everything is being ended already")
            else:
                if asked.command != "status":
                    log.warning("command received: %s (%s)", asked.command, asked.streamer or "all")
                self._carry_out(action, asked, now, time)
        for waiting in tuple(self._waiting):
            for name, diagnosis in waiting.diagnoses.items():
                if diagnosis.packed.is_set():
                    kept = diagnosis.archive
                    waiting.told[name] = (
                        (True, str(kept)) if kept else (False, "nothing could be kept: see the log")
                    )
                    waiting.result[name] = {"archive": str(kept) if kept else None}
            if waiting.is_over(now):
                self._waiting.remove(waiting)
                _answer(waiting)

    def _carry_out(self, action: Action, asked: Asked, now: float, time: float) -> None:
        """Carry out a command; one that fails ends no supervisor."""
        try:
            action(asked, now, time)
        except Exception as error:
            log.exception("the command %r failed", asked.command)
            answer(asked, ok=False, detail=f"{asked.command} failed: {error}")

    def answered(self, message: CommandResult) -> None:
        """Hear what a streamer says to a command."""
        for waiting in self._waiting:
            if (streamer := waiting.streamer_of.get(message.id)) is not None:
                figures = " ".join(f"{key}={value}" for key, value in message.result.items())
                waiting.told[streamer] = message.ok, message.detail or figures or "done"
                waiting.result[streamer] = dict(message.result)

    def ended(self, code: ExitCode) -> None:
        """Tell those who wait for the end how it was; only closing may follow."""
        for asked in self._leaving:
            ok = code is not ExitCode.INTERNAL_ERROR
            detail = "ended" if ok else "ended, and not all was delivered: see the log"
            answer(asked, ok=ok, detail=detail, result={"exit_code": int(code)})

    def _status(self, asked: Asked, now: float, time: float) -> None:
        snapshot = self._parts.observer.snapshot(now, time)
        path = self._directory / STATUS_FILE
        write_private(path, status_json(snapshot).decode())
        endings = [member.lifecycle.graces.total_seconds for member in self._parts.fleet]
        result = {"file": str(path), "ending_seconds": max(endings, default=0.0)}
        answer(asked, ok=True, detail=plain_report(snapshot), result=result)

    def _forward(self, asked: Asked, now: float, time: float) -> None:
        """Have streamers do it themselves, and wait for what they say."""
        waiting = _Waiting(asked, "", now + ANSWER_WITHIN_SECONDS)
        arguments = {"reason": "command"} if asked.command == "rotate" else {}
        for name in self._names(asked):
            command_id = self._parts.controller.ask(name, asked.command, now, {**arguments})
            waiting.told[name] = (
                None if command_id else (False, "does not run, or cannot be reached")
            )
            if command_id is not None:
                waiting.streamer_of[command_id] = name
        self._waiting.append(waiting)

    def _restart(self, asked: Asked, now: float, time: float) -> None:
        names = self._names(asked)
        for name in names:
            self._parts.controller.restart(name, now)
        lines = [f"{name}: is drained and launched again" for name in names]
        answer(asked, ok=True, detail="\n".join(lines))

    def _reload(self, asked: Asked, now: float, time: float) -> None:
        outcome = self._parts.reload(now)
        if not outcome.asks_streamers:
            answer(asked, ok=outcome.ok, detail=outcome.detail)
            return
        told = self._parts.controller.reload_told
        self._waiting.append(_Waiting(asked, outcome.detail, now + ANSWER_WITHIN_SECONDS, told))

    def _diagnose(self, asked: Asked, now: float, time: float) -> None:
        """Have streamers looked at; the answer tells where the bundles are."""
        waiting = _Waiting(asked, "", now + ANSWER_WITHIN_SECONDS)
        for name in self._names(asked):
            diagnosis = self._parts.controller.endings.diagnose(name, "requested by a person", now)
            waiting.told[name] = None if diagnosis is not None else (False, "does not run")
            if diagnosis is not None:
                waiting.diagnoses[name] = diagnosis
        self._waiting.append(waiting)

    def _stop(self, asked: Asked, now: float, time: float) -> None:
        self._parts.stopping.stop(f"the command {asked.command!r}", now, by_command=True)
        if asked.command == "drain":
            self._leaving.append(asked)
        else:
            answer(asked, ok=True, detail="streamers are drained, then all of it ends")

    def _names(self, asked: Asked) -> list[str]:
        return [asked.streamer] if asked.streamer else list(self._parts.fleet.members)


def _answer(waiting: _Waiting) -> None:
    told: Mapping[str, tuple[bool, str] | None] = waiting.told
    again = "; it is asked again" if waiting.asked.command == "reload" else ""
    lines = [waiting.detail] if waiting.detail else []
    for name, one in told.items():
        lines.append(f"{name}: {one[1] if one else f'has not answered yet{again}'}")
    ok = all(one is not None and one[0] for one in told.values())
    answer(waiting.asked, ok=ok, detail="\n".join(lines), result=waiting.result)
