from __future__ import annotations

from streamer.messages import CommandResult
from supervisor.pending_commands import Requests


def test_an_answer_finds_its_request_once() -> None:
    requests = Requests("7")
    command = requests.issue("streamer-1", "rotate", 0.0, 5.0, {"slot": "a"})
    assert (command.name, command.within_seconds, command.arguments) == (
        "rotate",
        5.0,
        {"slot": "a"},
    )
    answer = CommandResult(command.id, ok=True)
    request = requests.answered(answer)
    assert request is not None
    assert request.streamer == "streamer-1"
    assert requests.answered(answer) is None


def test_ids_differ() -> None:
    requests = Requests("7")
    ids = {requests.issue("s", "drain", 0.0, 5.0).id for _ in range(10)}
    assert len(ids) == 10
    assert all(one.startswith("7-") for one in ids)


def test_silence_is_told_once() -> None:
    requests = Requests("7")
    command = requests.issue("streamer-1", "drain", 0.0, 5.0)
    assert requests.overdue(4.9) == []
    assert [one.command.id for one in requests.overdue(5.0)] == [command.id]
    assert requests.overdue(6.0) == []
    assert requests.answered(CommandResult(command.id, ok=True)) is None
