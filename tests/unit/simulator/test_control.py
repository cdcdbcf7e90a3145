"""Faults at work, asked for over HTTP, seen by an independent client."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.streaming import eventually
from tests.unit.simulator.conftest import (
    WAIT_SECONDS,
    Client,
    RawClient,
    receive,
    receive_answer,
    receive_until,
)
from tests.unit.simulator.test_websocket import STREAM, close_code, drained

LONG = {"duration": 3600.0}  # of a fault that the test ends


def ids(messages: list[Any]) -> list[int]:
    return [message["data"]["t"] for message in messages]


def until_past(connection: ClientConnection, last_id: int) -> list[int]:
    """Return the trade ids received up to a while after an id."""
    return ids(receive_until(connection, lambda message: message["data"]["t"] > last_id + 20))


def range_of(record: dict[str, Any], key: str = "affected") -> tuple[int, int]:
    entry = record[key]["btcusdt@trade"]
    return entry["first_id"], entry["last_id"]


def test_withheld_ids_are_missing_for_everybody_and_listed(client: Client) -> None:
    with client.open(STREAM) as one, client.open(STREAM) as other:
        begun = {connection: ids([receive(connection)]) for connection in (one, other)}
        number = client.exchange.fault("withhold", count=3, symbol="BTCUSDT")["number"]
        first, last = range_of(client.exchange.happened(number), "withheld")
        for connection in (one, other):
            received = begun[connection] + until_past(connection, last)
            jumps = [(a, b) for a, b in pairwise(received) if b != a + 1]
            assert jumps == [(first - 1, last + 1)]
        assert last == first + 2
        assert len(client.exchange.tape("trade", "BTCUSDT", first, last)) == 3


def test_duplicates(client: Client) -> None:
    with client.open(STREAM) as connection:
        receive(connection)
        number = client.exchange.fault("duplicate", count=2)["number"]
        first, last = range_of(client.exchange.happened(number))
        received = until_past(connection, last)
        assert [each for each in received if received.count(each) == 2] == [
            first,
            first,
            last,
            last,
        ]


def test_reordering(client: Client) -> None:
    with client.open(STREAM) as connection:
        receive(connection)
        number = client.exchange.fault("reorder", count=3)["number"]
        first, last = range_of(client.exchange.happened(number))
        received = until_past(connection, last)
        at = received.index(last)
        assert received[at : at + 4] == [last, last - 1, first, last + 1]
        assert sorted(received) == list(range(received[0] if at else first, received[-1] + 1))


def test_a_burst_loses_nothing(client: Client) -> None:
    with client.open(STREAM) as connection:
        begin = receive(connection)["data"]["t"]
        number = client.exchange.fault("burst", count=40)["number"]
        _, last = range_of(client.exchange.happened(number))
        received = until_past(connection, last)
        assert received == list(range(begin + 1, received[-1] + 1))


def test_malformed_frames_come_between_intact_ones(client: Client) -> None:
    with client.open(STREAM) as connection:
        begin = receive(connection)["data"]["t"]
        number = client.exchange.fault("malformed", variant="negative_price")["number"]
        at, _ = range_of(client.exchange.happened(number))
        messages = receive_until(connection, lambda message: message["data"]["t"] > at + 5)
        good = [each for each in messages if not each["data"]["p"].startswith("-")]
        assert ids(good) == list(range(begin + 1, ids(good)[-1] + 1))
        assert [each["data"]["t"] for each in messages if each not in good] == [at]


def test_fragments_carry_the_same_events(client: Client) -> None:
    with client.open(STREAM) as connection:
        begin = receive(connection)["data"]["t"]
        number = client.exchange.fault("fragment", count=5)["number"]
        _, last = range_of(client.exchange.happened(number))
        received = until_past(connection, last)
        assert received == list(range(begin + 1, received[-1] + 1))


def test_a_stall_of_one_stream_leaves_the_others(client: Client) -> None:
    with client.open("/stream?streams=btcusdt@trade/btcusdt@aggTrade/ethusdt@trade") as connection:
        receive(connection)
        number = client.exchange.fault(
            "stall", symbol="BTCUSDT", stream="trade", duration=0.5
        )["number"]  # fmt: skip
        first, last = range_of(client.exchange.happened(number), "withheld")
        assert last - first > 20
        heard = receive_until(
            connection,
            lambda message: message["stream"] == "btcusdt@trade" and message["data"]["t"] > last,
        )
        assert first not in [
            each["data"].get("t") for each in heard if each["data"]["s"] == "BTCUSDT"
        ]
        names = {each["stream"] for each in heard}
        assert names == {"btcusdt@trade", "btcusdt@aggTrade", "ethusdt@trade"}


def test_a_silent_connection_still_answers(client: Client) -> None:
    with client.open(STREAM) as silent, client.open(STREAM) as lively:
        receive(silent), receive(lively)
        number = client.exchange.fault("silent_connection")["number"]
        receive_until(lively, lambda _: bool(client.exchange.begun(number)["withheld"]))
        silent.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert receive_answer(silent) == {"result": ["btcusdt@trade"], "id": 1}
        with pytest.raises(TimeoutError):
            silent.recv(timeout=0.3)
        receive(lively)
        oldest = client.exchange.connections()[0]["number"]
        assert client.exchange.begun(number)["connections"] == [oldest]


def test_a_reset_is_a_reset(secure: Client) -> None:
    raw = RawClient(secure, "/ws")
    raw.step()
    eventually(secure.exchange.connections, what="the upgrade")
    secure.exchange.fault("reset")
    with raw.socket, pytest.raises(ConnectionResetError):  # noqa: PT012 - until it takes effect
        while raw.step():  # what came before the reset is read first; an orderly end would be b""
            pass


def test_only_the_chosen_connection_is_struck(client: Client) -> None:
    with client.open(STREAM) as oldest, client.open(STREAM) as newest:
        receive(oldest), receive(newest)
        client.exchange.fault("reset", connection="newest")
        assert isinstance(drained(newest), ConnectionClosedError)
        receive(oldest)
        number = client.exchange.connections()[0]["number"]
        client.exchange.fault("close", connection=number, code=4000, reason="because")
        assert close_code(oldest) == (4000, "because")


def test_half_open_is_silence_on_a_living_socket(client: Client) -> None:
    with client.open(STREAM, close_timeout=0.2) as connection:
        receive(connection)
        number = client.exchange.fault("half_open", **LONG)["number"]
        eventually(lambda: client.exchange.connections()[0]["frozen"])
        with pytest.raises(TimeoutError):  # noqa: PT012 - what was sent before comes first
            while True:
                connection.recv(timeout=0.3)
        connection.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        client.exchange.end(number)
        assert isinstance(drained(connection), ConnectionClosedError)  # reset at the end


@pytest.mark.parametrize(("path", "wrapped"), [("/ws", False), ("/stream", True)])
def test_server_shutdown_is_announced(client: Client, path: str, wrapped: bool) -> None:
    with client.open(path) as connection:
        client.exchange.fault("server_shutdown", grace=0.1)
        message = receive(connection)
        assert (message["stream"] == "!serverShutdown") if wrapped else ("stream" not in message)
        assert message.get("data", message)["e"] == "serverShutdown"
        assert close_code(connection)[0] == 1001


def test_pings_and_messages_may_stay_unanswered(client: Client) -> None:
    with client.open("/ws") as connection:
        numbers = [
            client.exchange.fault(kind, **LONG)["number"] for kind in ("no_pong", "no_answer")
        ]
        for number in numbers:
            client.exchange.begun(number)
        pong = connection.ping()
        connection.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        eventually(lambda: client.exchange.connections()[0]["messages_received"] >= 2)
        for number in numbers:
            client.exchange.end(number)
        assert not pong.is_set()
        connection.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
        assert receive(connection)["id"] == 2
        assert connection.ping().wait(WAIT_SECONDS)


def test_connections_may_be_refused_by_the_system(client: Client) -> None:
    host, port = client.exchange.websocket_url.rpartition("/")[2].split(":")
    number = client.exchange.fault("refuse_connections", **LONG)["number"]
    deadline = time.monotonic() + WAIT_SECONDS
    with pytest.raises(ConnectionRefusedError):  # noqa: PT012 - until it takes effect
        while time.monotonic() < deadline:
            socket.create_connection((host, int(port)), WAIT_SECONDS).close()
            time.sleep(0.01)
    assert client.rest("time")[0] == 200
    client.exchange.end(number)
    eventually(lambda: accepts(client))


def accepts(client: Client) -> bool:
    try:
        client.open("/ws").close()
    except ConnectionRefusedError:
        return False
    return True


def test_connections_may_be_refused_by_http(client: Client) -> None:
    number = client.exchange.fault("refuse_connections", how="503", **LONG)["number"]
    client.exchange.begun(number)
    with pytest.raises(InvalidStatus) as refused:
        client.open("/ws")
    client.exchange.end(number)
    client.open("/ws").close()
    assert refused.value.response.status_code == 503


def test_an_upgrade_may_hang(secure: Client) -> None:
    number = secure.exchange.fault("refuse_connections", how="hang", **LONG)["number"]
    secure.exchange.begun(number)
    raw = RawClient(secure, "/ws")
    raw.socket.settimeout(0.3)
    with raw.socket, pytest.raises(TimeoutError):  # noqa: PT012 - TLS tickets come before
        while b"HTTP/1.1" not in b"".join(raw.records()):
            raw.step()


def test_rest_may_fail(client: Client) -> None:
    fault = client.exchange.fault("rest_error", status=418, retry_after=7, **LONG)
    client.exchange.begun(fault["number"])
    status, _, headers = client.rest("time")
    assert (status, headers["Retry-After"]) == (418, "7")
    client.exchange.end(fault["number"])
    assert client.rest("time")[0] == 200


def test_faults_on_the_command_line_come_at_their_time(start: Callable[..., Client]) -> None:
    client = start("--fault", "kind=withhold at=300ms count=2", "--fault", "kind=reset at=10m")
    with client.open(STREAM) as connection:
        receive(connection)
        record = client.exchange.happened(1)
    later = client.exchange.faults()[1]
    assert record["withheld"]["btcusdt@trade"]["events"] == 2
    assert (later["kind"], later["happened_at"]) == ("reset", None)


def test_a_stall_may_be_ended_before_its_time(client: Client) -> None:
    with client.open(STREAM) as connection:
        receive(connection)
        number = client.exchange.fault("stall", symbol="BTCUSDT", **LONG)["number"]
        eventually(lambda: client.exchange.begun(number)["withheld"])
        _, last = range_of(client.exchange.end(number), "withheld")
        assert until_past(connection, last)[-1] > last


def test_only_what_lasts_and_has_begun_can_be_ended(client: Client) -> None:
    reset = client.exchange.happened(client.exchange.fault("reset")["number"])["number"]
    later = client.exchange.fault("stall", at=3600.0)["number"]
    for number, cure in (
        (later + 1000, "there is no fault"),
        (reset, "expected one of stall, silent_connection"),
        (later, "has not begun yet"),
    ):
        with pytest.raises(ValueError, match=cure):
            client.exchange.end(number)


def test_one_that_took_the_place_of_another_outlives_it(client: Client) -> None:
    first, second = (client.exchange.fault("rest_error", **LONG)["number"] for _ in range(2))
    client.exchange.begun(second)
    client.exchange.end(first)
    assert client.rest("time")[0] == 503
    client.exchange.end(second)
    assert client.rest("time")[0] == 200


@pytest.mark.parametrize(("kind", "arguments"), [("nosuch", {}), ("reset", {"symbol": "BTCUSDT"})])
def test_bad_faults_are_refused(client: Client, kind: str, arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="there are"):
        client.exchange.fault(kind, **arguments)


def test_the_tape_refuses_what_it_does_not_hold(shared: Client) -> None:
    with pytest.raises(ValueError, match="expected one of trade"):
        shared.exchange.tape("depht", "BTCUSDT")
    with pytest.raises(ValueError, match="BTCUSDT, ETHUSDT"):
        shared.exchange.tape("trade", "NOPE")


def test_the_tape_ends_now(shared: Client) -> None:
    tape = shared.exchange.tape("trade", "BTCUSDT")
    assert tape[0]["t"] == 5_000_000_000
    assert [each["t"] for each in tape] == list(range(tape[0]["t"], tape[-1]["t"] + 1))
    assert tape[-1]["E"] <= shared.exchange.status()["time"] * 1e6


def test_every_message_has_a_tls_record_of_its_own(secure: Client) -> None:
    raw = RawClient(secure, "/ws/btcusdt@trade")
    secure.exchange.fault("burst", count=50)
    records: list[bytes] = []
    with raw.socket:
        while len(records) < 60:
            raw.step()
            records += raw.records()
    for record in records[1:]:  # after the answer to the upgrade
        assert record[0] == 0x81
        assert json.loads(record[record.index(b"{") :])["e"] == "trade"
