"""What streamers were asked and have not answered yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from streamer.messages import Command, CommandResult


@dataclass(frozen=True, slots=True)
class Request:
    """A command on its way to a streamer."""

    streamer: str
    command: Command
    deadline: float  # monotonic


class Requests:
    """Numbers commands, finds the request of an answer, and tells which were never answered."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix  # keeps ids of two supervisors apart
        self._numbers = count(1)
        self._open: dict[str, Request] = {}

    def issue(
        self,
        streamer: str,
        name: str,
        now: float,
        within_seconds: float,
        arguments: Mapping[str, str | int | float | bool] | None = None,
    ) -> Command:
        """Return a command that is to be answered within its time."""
        command = Command(
            id=f"{self._prefix}-{next(self._numbers)}",
            name=name,
            within_seconds=within_seconds,
            arguments=dict(arguments or {}),
        )
        self._open[command.id] = Request(streamer, command, now + within_seconds)
        return command

    def answered(self, answer: CommandResult) -> Request | None:
        """Return the request of an answer; None: it is unknown, answered or given up already."""
        return self._open.pop(answer.id, None)

    def overdue(self, now: float) -> list[Request]:
        """Return the requests whose time is over, once each."""
        late = [request for request in self._open.values() if now >= request.deadline]
        for request in late:
            del self._open[request.command.id]
        return late
