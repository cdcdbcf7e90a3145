"""A limit of the address that one streamer was told of keeps another one from asking."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from streamer.address_hold import AddressHold
from streamer.config import ExchangeConfig
from streamer.repair import rest
from streamer.repair.rest_requests import TIME_REQUEST, RestFailure, RestResponse
from streamer.repair.rest_worker import RestWorker


class Client:
    outcomes: list[RestResponse | RestFailure]
    asked = 0

    def __init__(self, *_: object) -> None:
        pass

    def ask(self, _request: object) -> RestResponse | RestFailure:
        Client.asked += 1
        return Client.outcomes.pop(0)

    def close(self) -> None:
        pass


def test_who_shares_the_address_does_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "RestClient", Client)
    Client.asked, Client.outcomes = 0, [RestFailure("throttled", "HTTP 418", 90.0)]

    def outcome(hold: AddressHold) -> RestResponse | RestFailure:
        answered = threading.Event()
        worker = RestWorker(ExchangeConfig(), None, 1.0, answered.set, hold)
        worker.start(TIME_REQUEST)
        assert answered.wait(30.0)
        found = worker.take()
        worker.close()
        assert found is not None
        return found

    path = tmp_path / "held"
    assert outcome(AddressHold(path)) == RestFailure("throttled", "HTTP 418", 90.0)
    held = outcome(AddressHold(path))
    assert isinstance(held, RestFailure)
    assert (held.kind, held.detail) == (
        "throttled",
        "time: not asked, the exchange limits this address",
    )
    assert 0 < held.wait_seconds <= 90.0
    assert Client.asked == 1
    good = RestResponse(b"{}", 0.0, 0.0)
    Client.outcomes = [good]
    assert outcome(AddressHold(tmp_path / "another")) == good
