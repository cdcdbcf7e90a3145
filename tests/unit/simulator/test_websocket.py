"""The WebSocket server over real sockets, with the websockets library as the client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection

from simulator.connection import Connection
from tests.streaming import eventually
from tests.unit.simulator.conftest import (
    WAIT_SECONDS,
    Client,
    receive,
    receive_answer,
    receive_until,
)

Start = Callable[..., Client]
STREAM = "/stream?streams=btcusdt@trade&timeUnit=MICROSECOND"


def drained(connection: ClientConnection) -> ConnectionClosed:
    """Return how the connection ended."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            connection.recv(timeout=WAIT_SECONDS)
        except ConnectionClosed as closed:
            return closed
    raise AssertionError("the connection is not closed")


def close_code(connection: ClientConnection) -> tuple[int, str]:
    closed = drained(connection)
    assert closed.rcvd is not None
    return closed.rcvd.code, closed.rcvd.reason


@pytest.mark.parametrize("kind", ["trade", "aggTrade", "bookTicker"])
def test_streams_deliver_the_tape_in_order(shared: Client, kind: str) -> None:
    key = {"trade": "t", "aggTrade": "a", "bookTicker": "u"}[kind]
    with shared.open(f"/ws/btcusdt@{kind}?timeUnit=MICROSECOND") as connection:
        events = [receive(connection) for _ in range(30)]
    ids = [event[key] for event in events]
    assert events == shared.exchange.tape(kind, "BTCUSDT", ids[0], ids[-1])
    assert len(events) == 30


def test_two_connections_get_the_same_events(shared: Client) -> None:
    with shared.open(STREAM) as one, shared.open(STREAM) as other:
        first = receive(other)
        at = first["data"]["t"]
        late = receive_until(one, lambda message: message["data"]["t"] == at + 10)
        others = [first, *receive_until(other, lambda message: message["data"]["t"] == at + 10)]
    assert [each for each in late if each["data"]["t"] >= at] == others


def test_events_are_new_when_they_come(shared: Client) -> None:
    before = time.time() * 1e6
    with shared.open(STREAM) as connection:
        assert before <= receive(connection)["data"]["E"] <= time.time() * 1e6


def test_milliseconds_are_the_default(shared: Client) -> None:
    with shared.open("/ws/btcusdt@trade/ethusdt@trade") as connection:
        event = receive(connection)
    (on_tape,) = shared.exchange.tape(
        "trade", event["s"], event["t"], event["t"], time_unit="MILLISECOND"
    )
    assert event == on_tape
    assert 1e12 < event["E"] < 1e13


def test_raw_and_combined_shapes(shared: Client) -> None:
    with shared.open("/ws/btcusdt@bookTicker") as connection:
        assert set(receive(connection)) == {"u", "s", "b", "B", "a", "A"}
        connection.send('{"method":"SET_PROPERTY","params":["combined",true],"id":1}')
        assert receive_answer(connection) == {"result": None, "id": 1}
        wrapped = receive_until(connection, lambda message: "stream" in message)[-1]
        assert wrapped["data"].keys() == {"u", "s", "b", "B", "a", "A"}


@pytest.mark.parametrize("path", ["/ws", "/stream"])
def test_subscribing_after_a_bare_connection(shared: Client, path: str) -> None:
    with shared.open(path) as connection:
        connection.send('{"method":"SUBSCRIBE","params":["ethusdt@trade","no@thing"],"id":7}')
        assert receive(connection) == {"result": None, "id": 7}
        event = receive(connection)
        assert event.get("data", event)["s"] == "ETHUSDT"
        connection.send('{"method":"UNSUBSCRIBE","params":["ethusdt@trade"],"id":8}')
        assert receive_answer(connection) == {"result": None, "id": 8}
        connection.send('{"method":"LIST_SUBSCRIPTIONS","id":9}')
        assert receive_answer(connection) == {"result": ["no@thing"], "id": 9}
        connection.send("oops")
        assert receive_answer(connection)["code"] == 3


def test_symbols_may_hold_any_letters(start: Start) -> None:
    client = start(symbols="币安人生USDT")
    with client.open(
        "/stream?streams=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@trade"
    ) as connection:
        event = receive(connection)
    assert event["stream"] == "币安人生usdt@trade"
    assert event["data"]["s"] == "币安人生USDT"
    assert len(client.exchange.tape("trade", "币安人生USDT", event["data"]["t"])) > 0


def test_a_bad_time_unit_or_too_many_streams_are_refused(start: Start) -> None:
    client = start("--stream-limit", "2")
    for path in ("/ws?timeUnit=us", "/stream?streams=a/b/c"):
        with pytest.raises(InvalidStatus) as refused:
            client.open(path)
        assert refused.value.response.status_code == 400


def test_a_client_that_answers_pings_stays(start: Start) -> None:
    client = start("--ping-interval", "150ms", "--pong-timeout", "1s", "--message-limit", "99")
    with client.open(STREAM) as connection:
        deadline = time.monotonic() + WAIT_SECONDS
        while client.exchange.connections()[0]["pongs_received"] < 8:
            assert time.monotonic() < deadline
            receive(connection)
        assert client.exchange.connections()[0]["messages_received"] < 20


def test_a_missing_pong_is_1008(start: Start) -> None:
    client = start("--ping-interval", "100ms", "--pong-timeout", "200ms")
    with client.open(STREAM) as connection:
        ignore_pings(connection)
        assert close_code(connection) == (1008, "Pong timeout")


def test_unsolicited_pongs_keep_nothing_alive(start: Start) -> None:
    client = start(
        "--ping-interval", "100ms", "--pong-timeout", "300ms", "--message-limit", "99999"
    )  # fmt: skip
    deadline = time.monotonic() + WAIT_SECONDS
    with client.open(STREAM) as connection:
        ignore_pings(connection)
        with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - after many of them
            while time.monotonic() < deadline:
                connection.pong(b"not yours")
                receive(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "Pong timeout"


def ignore_pings(connection: ClientConnection) -> None:
    """Let the client library drop every ping before it answers."""
    protocol = connection.protocol
    receive_frame = protocol.recv_frame

    def without_pings(frame: Frame) -> None:
        if frame.opcode is not Opcode.PING:
            receive_frame(frame)

    protocol.recv_frame = without_pings  # type: ignore[method-assign]


def test_too_many_messages_are_1008(shared: Client) -> None:
    with shared.open("/ws") as connection:
        for number in range(4):
            connection.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        connection.ping()
        connection.pong()
        assert close_code(connection) == (1008, "Too many requests")


def test_a_connection_has_a_longest_life(start: Start) -> None:
    client = start("--max-connection-age", "300ms")
    with client.open(STREAM) as connection:
        assert close_code(connection)[0] == 1001


def test_connection_attempts_are_limited(start: Start) -> None:
    client = start("--attempt-limit", "2", "--attempt-window", "1h")
    for _ in range(2):
        client.open("/ws").close()
    with pytest.raises(InvalidStatus) as refused:
        client.open("/ws")
    assert refused.value.response.status_code == 429
    assert 3590 < int(refused.value.response.headers["Retry-After"]) <= 3601


def test_a_large_control_frame_is_answered_late(start: Start) -> None:
    client = start("--large-frame-delay", "400ms")
    names = [f"x{number:04d}usdt@trade" for number in range(300)]
    with client.open("/ws") as connection:
        began = time.monotonic()
        connection.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
        connection.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
        assert receive(connection) == {"result": [], "id": 2}
        assert receive(connection) == {"result": None, "id": 1}
        assert time.monotonic() - began >= 0.4


def test_a_client_that_does_not_read_is_dropped(start: Start) -> None:
    client = start("--buffer-limit", "20000", rate=20_000)
    with client.open(STREAM, max_queue=1) as connection:  # reads only what the test asks for
        receive(connection)
        eventually(lambda: not client.exchange.connections())


def test_a_recording_is_sent_byte_for_byte(start: Start, tmp_path: Any) -> None:
    recording = tmp_path / "recording"
    frames = [
        '{"stream":"abc@trade","data":{"t":1,  "p":"1.0"}}',
        '{"stream":"xyz@kline_1m","data":{"k":{}}}',
        '{"stream":"abc@trade","data":{"t":2}}',
    ]
    lines = [f"{number}.5: {text}" for number, text in enumerate(frames)]
    recording.write_text("\n".join(["wss://x/stream <-> 0.1", *lines]))
    client = start("--replay", str(recording), "--replay-speed", "0")
    with client.open("/stream?streams=abc@trade") as connection:
        connection.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
        assert receive(connection) == {"result": None, "id": 1}
        assert [connection.recv(timeout=WAIT_SECONDS) for _ in range(2)] == [frames[0], frames[2]]
        assert client.exchange.status()["replay"] == {"frames": 3, "sent": 3}
    assert client.rest("aggTrades?symbol=ABC")[:2] == (200, [])


def test_a_peer_that_vanishes_between_two_turns_costs_nothing():
    class Gone:
        def get_write_buffer_size(self):
            raise AttributeError("'NoneType' object has no attribute 'get_write_buffer_size'")

    connection = object.__new__(Connection)
    connection._transport = Gone()
    assert connection.unsent_bytes() == 0
