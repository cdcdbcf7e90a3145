"""Commands of people at the control socket, carried out and answered once all is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from supervisor.control_socket import Asked, ControlSocket, answer

if TYPE_CHECKING:
    from supervisor.service import Service

ANSWER_WITHIN_SECONDS: Final = 10.0  # twice the time that a streamer has for its own answer


@dataclass(frozen=True, slots=True)
class _Waiting:
    asked: Asked
    detail: str
    until: float


class Desk:
    """Owned by the loop of the service; `turn` never waits."""

    def __init__(self, commands: ControlSocket) -> None:
        self._commands = commands
        self._waiting: list[_Waiting] = []

    def filenos(self) -> list[int]:
        """Return what to poll."""
        return self._commands.filenos()

    def turn(self, service: Service, now: float) -> None:
        """Carry out what has come, and answer what is done."""
        for asked in self._commands.receive():
            if asked.command == "reload":
                outcome = service.parts.reload(service, now)
                if outcome.asks_streamers:
                    until = now + ANSWER_WITHIN_SECONDS
                    self._waiting.append(_Waiting(asked, outcome.detail, until))
                else:
                    answer(asked, ok=outcome.ok, detail=outcome.detail)
            else:
                answer(asked, ok=False, detail=f"no such command: {asked.command}; reload is one")
        for waiting in tuple(self._waiting):
            told = service.parts.control.reload_told
            if now >= waiting.until or None not in told.values():
                self._waiting.remove(waiting)
                self._answer(waiting, told)

    def _answer(self, waiting: _Waiting, told: dict[str, tuple[bool, str] | None]) -> None:
        lines = [waiting.detail]
        for name, one in told.items():
            lines.append(f"{name}: {one[1] if one else 'has not answered yet; it is asked again'}")
        ok = all(one is not None and one[0] for one in told.values())
        answer(waiting.asked, ok=ok, detail="\n".join(lines))
