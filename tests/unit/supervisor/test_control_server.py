from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streamer.messages import CommandResult
from supervisor.control_server import ANSWER_WITHIN_SECONDS, ControlServer
from supervisor.control_socket import Asked
from supervisor.errors import ExitCode


class Person:
    """The other end of the control socket."""

    def __init__(self) -> None:
        self.heard: dict[str, Any] | None = None

    def answer(self, told: dict[str, Any]) -> None:
        assert self.heard is None, "one answer each"
        self.heard = told


class Stage:
    def __init__(self, directory: Path) -> None:
        self.asked: list[Asked] = []
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.reachable = {"a", "b"}
        commands: Any = SimpleNamespace(receive=self._receive)
        self.looks = {
            "a": SimpleNamespace(packed=threading.Event(), archive=Path("/state/a.tar.gz"))
        }
        endings = SimpleNamespace(diagnose=lambda name, reason, now: self.looks.get(name))
        self.controller: Any = SimpleNamespace(conclusion=None, ask=self._ask, endings=endings)
        parts: Any = SimpleNamespace(
            controller=self.controller,
            fleet=SimpleNamespace(members={"a": None, "b": None}),
            stopping=SimpleNamespace(stop=lambda why, now, by_command: None),
        )
        self.control_server = ControlServer(commands, directory, parts)

    def person(self, command: str, streamer: str | None = None, now: float = 0.0) -> Person:
        person: Any = Person()
        self.asked = [Asked(command, person, streamer)]
        self.turn(now)
        return person  # type: ignore[no-any-return] # Any: it stands in for a socket

    def turn(self, now: float) -> None:
        self.control_server.turn(now, 0.0)

    def _receive(self, now: float) -> list[Asked]:
        asked, self.asked = self.asked, []
        return asked

    def _ask(self, name: str, command: str, now: float, arguments: dict[str, Any]) -> str | None:
        self.sent.append((name, command, arguments))
        return f"id-{name}" if name in self.reachable else None


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_all_streamers_are_asked_and_all_answers_told(stage: Stage) -> None:
    person = stage.person("rotate")
    assert stage.sent == [(name, "rotate", {"reason": "command"}) for name in "ab"]
    stage.control_server.answered(CommandResult("id-a", ok=True, detail="rotating slot-1"))
    stage.control_server.answered(CommandResult("id-of-somebody-else", ok=True))
    stage.turn(1.0)
    assert person.heard is None
    stage.control_server.answered(CommandResult("id-b", ok=False, detail="under way"))
    stage.turn(1.1)
    assert person.heard == {
        "ok": False,
        "detail": "a: rotating slot-1\nb: under way",
        "result": {"a": {}, "b": {}},
    }


def test_one_streamer_can_be_named(stage: Stage) -> None:
    person = stage.person("collect", "b")
    assert stage.sent == [("b", "collect", {})]
    stage.control_server.answered(CommandResult("id-b", ok=True, result={"collected_objects": 7}))
    stage.turn(0.1)
    assert person.heard == {
        "ok": True,
        "detail": "b: collected_objects=7",
        "result": {"b": {"collected_objects": 7}},
    }


def test_who_is_not_there_or_says_nothing_is_told(stage: Stage) -> None:
    stage.reachable = {"a"}
    person = stage.person("rotate")
    stage.turn(ANSWER_WITHIN_SECONDS - 0.1)
    assert person.heard is None
    stage.turn(ANSWER_WITHIN_SECONDS)
    assert person.heard
    assert not person.heard["ok"]
    assert person.heard["detail"] == (
        "a: has not answered yet\nb: does not run, or cannot be reached"
    )


@pytest.mark.parametrize(
    ("command", "streamer", "told"),
    [
        ("dance", None, "no such command: dance; there are status, rotate, collect, restart, "),
        ("rotate", "c", "no streamer c; there are a, b"),
    ],
)
def test_what_cannot_be_is_said_with_what_can(
    stage: Stage, command: str, streamer: str | None, told: str
) -> None:
    heard = stage.person(command, streamer).heard
    assert heard
    assert not heard["ok"]
    assert heard["detail"].startswith(told)


def test_while_everything_ends_nothing_else_is_begun(stage: Stage) -> None:
    stage.controller.conclusion = object()
    heard = stage.person("restart").heard
    assert heard
    assert heard["detail"] == "everything is being ended already"


def test_a_diagnosis_is_answered_once_it_is_kept(stage: Stage) -> None:
    person = stage.person("diagnose", "a")
    stage.turn(5.0)
    assert person.heard is None
    stage.looks["a"].packed.set()
    stage.turn(5.1)
    assert person.heard == {
        "ok": True,
        "detail": "a: /state/a.tar.gz",
        "result": {"a": {"archive": "/state/a.tar.gz"}},
    }


def test_a_diagnosis_of_one_that_does_not_run_is_none(stage: Stage) -> None:
    person = stage.person("diagnose", "b")
    stage.turn(0.1)
    assert person.heard
    assert not person.heard["ok"]
    assert person.heard["detail"] == "b: does not run"


def test_a_diagnosis_that_could_not_be_kept_is_said(stage: Stage) -> None:
    stage.looks["a"] = SimpleNamespace(packed=threading.Event(), archive=None)
    stage.looks["a"].packed.set()
    person = stage.person("diagnose", "a")
    stage.turn(0.1)
    assert person.heard
    assert not person.heard["ok"]
    assert "see the log" in person.heard["detail"]


@pytest.mark.parametrize("code", [ExitCode.PASS, ExitCode.INTERNAL_ERROR])
def test_who_waits_for_the_end_hears_how_it_was(stage: Stage, code: ExitCode) -> None:
    person = stage.person("drain")
    stage.turn(100.0)
    assert person.heard is None
    stage.control_server.ended(code)
    assert person.heard
    assert person.heard["ok"] is (code is ExitCode.PASS)
    assert person.heard["result"] == {"exit_code": int(code)}


def test_a_command_that_fails_is_answered_and_ends_nothing(stage: Stage) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    stage.controller.restart = fail
    heard = stage.person("restart").heard
    assert heard
    assert not heard["ok"]
    assert heard["detail"] == "restart failed: [Errno 28] No space left on device"
    assert stage.person("restart", "b").heard
