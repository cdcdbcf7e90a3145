"""Waiting in tests: what is not there yet fails nothing, what will never be there is told."""

from __future__ import annotations

import json
import socket

import pytest

from tests.ports import free_port
from tests.waiting import eventually


@pytest.mark.parametrize(
    "not_yet",
    [
        lambda: {}["streamers"],
        lambda: [][0],
        lambda: json.loads(""),
        lambda: (lambda one: one)(*[]),
        lambda: socket.create_connection(("127.0.0.1", free_port())),
        lambda: None.status,  # type: ignore[attr-defined]
        lambda: False,
    ],
)
def test_what_raises_at_first_is_asked_again(not_yet) -> None:
    answers = iter([not_yet, not_yet, lambda: 7])
    assert eventually(lambda: next(answers)(), every=0.0) == 7


def test_the_last_exception_is_told_and_what_helps() -> None:
    with pytest.raises(AssertionError, match=r"pages.* last: KeyError\('x'\)\nthe log") as caught:
        eventually(lambda: {}["x"], within=0.0, what="pages", told=lambda: "the log")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_failed_assertion_is_final_unless_its_kind_is_named() -> None:
    class NotHereError(AssertionError):
        pass

    def fail_once(kind: type[AssertionError]):
        asked.append(kind)
        if len(asked) == 1:
            raise kind("not as expected")
        return True

    asked: list[type[AssertionError]] = []
    with pytest.raises(NotHereError):
        eventually(lambda: fail_once(NotHereError))
    asked = []
    assert eventually(lambda: fail_once(NotHereError), also=(NotHereError,))


def test_ports_are_given_once_and_refuse() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
