"""A connection against the server's half of the protocol, which each test plays by hand.

Time is what the test says; only bytes are waited for.
"""

import itertools
import json
import socket
import threading
import weakref

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side
from websockets.sync.server import serve as serve_websockets

from streamer.config import ExchangeConfig
from streamer.connection_config import ConnectionConfig
from streamer.errors import ConnectionEnded
from streamer.network import boundary
from streamer.network.connection import Connection
from streamer.network.frame_pace import FramePace
from streamer.network.handshake import open_transport
from streamer.network.transport import Transport
from tests.unit.streamer.loopback import (
    PATIENCE,
    eventually,
    no_garbage_collector,
    readable,
    reset,
)

CONFIG = ConnectionConfig(
    ping_every=180.0, pong_within=10.0, handshake_timeout=10.0, close_timeout=2.0
)
BEGAN = 1000.0


class Server:
    """The other end of a socket pair, with the oracle's frames."""

    def __init__(self, sock):
        sock.settimeout(PATIENCE)
        self.sock = sock
        self.protocol = Protocol(Side.SERVER)
        self.frames = []

    def send(self, opcode, payload=b""):
        self.sock.sendall(Frame(Opcode(opcode), payload).serialize(mask=False))

    def text(self, payload):
        self.send(0x1, payload)

    def receive(self, count):
        """Return the next `count` frames that the client sent."""
        while len(self.frames) < count:
            data = self.sock.recv(65536)
            assert data, "the client hung up"
            self.protocol.receive_data(data)
            assert self.protocol.parser_exc is None
            self.frames += self.protocol.events_received()
        taken, self.frames = self.frames[:count], self.frames[count:]
        return taken

    def receive_json(self):
        (frame,) = self.receive(1)
        assert frame.opcode is Opcode.TEXT
        return json.loads(bytes(frame.data))

    def silent(self):
        """Whether nothing has come from the client."""
        self.sock.setblocking(False)
        try:
            data = self.sock.recv(65536)
            self.protocol.receive_data(data)
            self.frames += self.protocol.events_received()
        except BlockingIOError:
            pass
        finally:
            self.sock.settimeout(PATIENCE)
        return not self.frames


@pytest.fixture
def ends():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # `silent` does not wait
    yield client, right
    client.close()
    right.close()


@pytest.fixture
def server(ends):
    return Server(ends[1])


@pytest.fixture
def connection(ends):
    return Connection(7, "main", Transport(ends[0]), CONFIG, BEGAN, lambda: 5e8, FramePace())


def receive(connection, now=BEGAN):
    readable(connection)
    return connection.receive(now)


def ended(connection, now=BEGAN):
    """Let the loop's turns go by until the connection ends; return how, and what came before."""
    payloads = []

    def turn():
        try:
            payloads.extend(connection.receive(now))
            connection.tick(now)
        except ConnectionEnded as end:
            return end
        return None

    return eventually(turn), payloads


def assert_ends(connection, at, reason, match=None):
    """The connection ends by `tick` at this moment, and not before."""
    connection.tick(at - 0.1)
    with pytest.raises(ConnectionEnded, match=match) as caught:
        connection.tick(at)
    assert caught.value.reason == reason


def reason_of_end(connection):
    """As `ended`, without the end itself, whose frames would hold it and the connection."""

    def turn():
        try:
            connection.receive(BEGAN)
            connection.tick(BEGAN)
        except ConnectionEnded as end:
            return end.reason
        return None

    return eventually(turn)


def test_text_comes_as_it_is(connection, server):
    server.text(b'{"a":1}')
    assert receive(connection, BEGAN + 5) == [b'{"a":1}']
    assert connection.opened_at == BEGAN
    assert connection.last_message_at == BEGAN + 5
    assert connection.receive(BEGAN + 6) == []
    assert connection.last_message_at == BEGAN + 5


def test_a_ping_is_answered_with_its_payload_and_between_messages(connection, server):
    server.sock.sendall(
        Frame(Opcode.TEXT, b"a").serialize(mask=False)
        + Frame(Opcode.PING, b"1700000000").serialize(mask=False)
        + Frame(Opcode.TEXT, b"b").serialize(mask=False)
    )
    assert receive(connection) == [b"a", b"b"]
    (pong,) = server.receive(1)
    assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"1700000000")


def test_of_too_many_pings_the_latest_is_answered_in_the_end(connection, server):
    pings = [b"%d" % number for number in range(20)]
    server.sock.sendall(b"".join(Frame(Opcode.PING, ping).serialize(mask=False) for ping in pings))
    assert receive(connection) == []
    (pong,) = server.receive(1)
    assert bytes(pong.data) == pings[0]
    connection.tick(BEGAN + 0.4)
    assert server.silent()
    connection.tick(BEGAN + 0.5)
    (pong,) = server.receive(1)
    assert bytes(pong.data) == pings[-1]
    connection.tick(BEGAN + 9)
    assert server.silent()


def test_binary_messages_are_kept_apart(connection, server):
    server.send(0x2, b"\x00\x01")
    server.text(b"text")
    payloads = []
    eventually(lambda: payloads.extend(connection.receive(BEGAN)) or payloads)
    assert payloads == [b"text"]
    assert connection.take_binary() == [b"\x00\x01"]
    assert connection.take_binary() == []


def test_subscribing_to_its_acknowledgement_and_its_check(connection, server):
    assert not connection.subscribed
    connection.subscribe(["btcusdt@trade", "typo@trade"], BEGAN)
    question = server.receive_json()
    assert question["method"] == "SUBSCRIBE"
    assert question["params"] == ["btcusdt@trade", "typo@trade"]
    assert not connection.answer(b'{"stream":"btcusdt@trade","data":{}}')
    assert not connection.subscribed
    assert connection.answer(b'{"result":null,"id":%d}' % question["id"])
    assert connection.subscribed
    connection.tick(BEGAN + 0.4)
    assert server.silent()
    connection.tick(BEGAN + 0.5)
    question = server.receive_json()
    assert question["method"] == "LIST_SUBSCRIPTIONS"
    assert connection.answer(b'{"result":["btcusdt@trade"],"id":%d}' % question["id"])
    assert connection.missing_streams == ("typo@trade",)
    connection.tick(BEGAN + 179.9)  # no deadline of the subscription is left
    assert server.silent()
    assert connection.trouble is None


def moments(connection, server, seconds, before_each=lambda now: None):
    """Return when, in tenths of a second, frames were sent, and what they were."""
    sent = []
    for tenth in range(seconds * 10):
        now = BEGAN + tenth / 10
        before_each(now)
        connection.tick(now)
        if not server.silent():
            sent.append((tenth, server.receive(len(server.frames))))
    assert all(len(frames) == 1 for _, frames in sent)
    return [(tenth, frame.opcode) for tenth, (frame,) in sent]


def test_our_frames_are_spaced_evenly(connection, server):
    connection.subscribe([f"symbol{n:04}usdt@aggTrade" for n in range(1024)], BEGAN)
    server.receive(1)
    sent = moments(connection, server, 6)
    assert [tenth for tenth, _ in sent] == [5, 10, 15, 20, 25, 30, 35]
    assert_ends(connection, BEGAN + 3.5 + 10.0, "subscribe_timeout")  # after the last one's turn


def test_a_pong_and_a_ping_have_their_places_among_them(connection, server):
    connection.subscribe([f"symbol{n:04}usdt@aggTrade" for n in range(400)], BEGAN)
    server.receive(1)
    connection._ping_at = BEGAN + 0.7
    server.send(0x9, b"p")
    receive(connection, BEGAN + 0.1)
    assert server.silent()
    pong, ping, text = Opcode.PONG, Opcode.PING, Opcode.TEXT
    expected = [(5, pong), (10, ping), (15, text), (20, text), (25, text)]
    assert moments(connection, server, 4) == expected


def test_a_flood_of_pings_does_not_keep_control_messages_back(connection, server):
    connection.subscribe([f"symbol{n:04}usdt@aggTrade" for n in range(400)], BEGAN)
    server.receive(1)

    def ping(now):
        server.send(0x9, b"p")
        receive(connection, now)

    sent = moments(connection, server, 3, ping)
    assert [tenth for tenth, _ in sent] == [5, 10, 15, 20, 25]
    assert [opcode for _, opcode in sent[:4]] == [Opcode.PONG, Opcode.TEXT] * 2


def test_after_a_complaint_they_are_further_apart(connection, server):
    connection._pace.hear_close(1008, BEGAN)
    connection.subscribe([f"symbol{n:04}usdt@aggTrade" for n in range(400)], BEGAN)
    server.receive(1)
    assert [tenth for tenth, _ in moments(connection, server, 4)] == [10, 20, 30]
    assert_ends(connection, BEGAN + 3 + 10.0, "subscribe_timeout")


def test_a_change_that_asks_for_nothing_waits_for_no_answer(connection, server):
    connection.change([], ["never@trade"], BEGAN)
    connection.tick(BEGAN + 179.9)
    assert server.silent()


@pytest.mark.parametrize(
    "refusal", [b'{"code":2,"msg":"bad name","id":1}', b'{"error":{"code":2,"msg":"bad name"}}']
)
def test_a_refused_subscription_ends_it(connection, refusal):
    connection.subscribe(["bad"], BEGAN)
    assert connection.answer(refusal)
    with pytest.raises(ConnectionEnded, match="bad name") as caught:
        connection.tick(BEGAN)
    assert caught.value.reason == "subscription_refused"


@pytest.fixture
def mistakes(monkeypatch):
    monkeypatch.setattr(boundary, "_told", set())

    def fail(*_):
        raise LookupError("foreign\x1b[2J")

    return fail


def ended_by_a_mistake(connection, caplog):
    with pytest.raises(ConnectionEnded, match=r"LookupError: foreign\\x1b") as caught:
        connection.tick(BEGAN)
    assert (caught.value.reason, caught.value.code) == ("internal", 1006)
    assert "LookupError" in caplog.text
    return True


def test_a_mistake_in_reading_ends_the_connection(connection, server, mistakes, caplog):
    connection._parser.feed = mistakes
    server.text(b"{}")
    with pytest.raises(ConnectionEnded):
        receive(connection)
    assert ended_by_a_mistake(connection, caplog)


def test_a_mistake_in_an_answer_ends_the_connection(connection, mistakes, caplog):
    connection.subscribe(["a@trade"], BEGAN)
    connection._subscriptions.take = mistakes
    assert connection.answer(b'{"result":null,"id":1}')
    assert ended_by_a_mistake(connection, caplog)


def test_a_mistake_in_a_turn_ends_the_connection(connection, mistakes, caplog):
    connection._check_deadlines = mistakes
    assert ended_by_a_mistake(connection, caplog)


def test_a_subscription_without_an_answer_ends_it(connection):
    connection.subscribe(["a@trade"], BEGAN)
    assert_ends(connection, BEGAN + 10.0, "subscribe_timeout", "10 s")


def test_our_ping_and_its_pong(connection, server):
    connection.tick(BEGAN + 179.9)
    assert server.silent()
    connection.tick(BEGAN + 180.0)
    (ping,) = server.receive(1)
    assert ping.opcode is Opcode.PING
    server.send(0xA, b"unsolicited")
    receive(connection, BEGAN + 181)
    assert connection.last_pong_time is None
    server.send(0xA, bytes(ping.data))
    receive(connection, BEGAN + 182)
    assert connection.last_pong_time == 5e8
    connection.tick(BEGAN + 361.9)  # past the pong's deadline, and before the next ping
    assert server.silent()
    connection.tick(BEGAN + 362.0)
    assert server.receive(1)[0].opcode is Opcode.PING


def test_our_ping_waits_for_its_turn(connection, server):
    server.send(0x9, b"p")
    receive(connection, BEGAN + 179.75)
    server.receive(1)
    connection.tick(BEGAN + 180.2)
    assert server.silent()
    connection.tick(BEGAN + 180.25)
    assert server.receive(1)[0].opcode is Opcode.PING


def test_a_pong_that_does_not_come(connection, server):
    connection.tick(BEGAN + 180.0)
    server.text(b"data is no pong")
    assert receive(connection, BEGAN + 185) == [b"data is no pong"]
    assert_ends(connection, BEGAN + 190.0, "pong_timeout")


def test_a_pong_that_lies_unread_is_not_late(connection, server):
    """After a pause of our own process, the answer is in the kernel's buffer."""
    connection.tick(BEGAN + 180.0)
    (ping,) = server.receive(1)
    server.send(0xA, bytes(ping.data))
    readable(connection)
    connection.tick(BEGAN + 500.0)
    assert connection.receive(BEGAN + 500.0) == []
    assert connection.last_pong_time == 5e8


def test_endless_data_does_not_hide_a_missing_pong(connection, server):
    connection.tick(BEGAN + 180.0)
    server.text(b"more")
    assert receive(connection, BEGAN + 190.5) == [b"more"]
    server.text(b"and more")
    readable(connection)
    with pytest.raises(ConnectionEnded) as caught:
        connection.tick(BEGAN + 190.6)
    assert caught.value.reason == "pong_timeout"


def test_no_pings_when_they_are_switched_off(ends, server):
    config = ConnectionConfig(ping_every=0.0)
    connection = Connection(1, "main", Transport(ends[0]), config, BEGAN, lambda: 0.0, FramePace())
    connection.tick(BEGAN + 1e9)
    assert server.silent()


def test_a_close_by_the_server_is_answered_and_told(connection, server):
    server.text(b"last")
    server.send(0x8, Close(1008, "Pong timeout").serialize())
    end, payloads = ended(connection)
    assert payloads == [b"last"]
    assert (end.reason, end.code) == ("server_close", 1008)
    assert "Pong timeout" in end.detail
    (close,) = server.receive(1)
    assert Close.parse(bytes(close.data)).code == 1008


def test_a_close_without_a_code(connection, server):
    server.send(0x8)
    end, _ = ended(connection)
    assert end.code == 1005
    assert bytes(server.receive(1)[0].data) == b""


def test_what_came_with_the_close_is_returned_before_the_end_is_raised(connection, server):
    server.sock.sendall(
        Frame(Opcode.TEXT, b"last").serialize(mask=False)
        + Frame(Opcode.CLOSE, b"\x03\xe9").serialize(mask=False)
    )
    assert receive(connection) == [b"last"]
    for turn in (connection.tick, connection.receive):
        with pytest.raises(ConnectionEnded):
            turn(BEGAN)


def test_our_own_close_hears_the_rest_and_ends_with_the_answer(connection, server):
    connection.close(BEGAN)
    connection.close(BEGAN + 1)  # once is enough
    assert connection.closing
    (close,) = server.receive(1)
    assert Close.parse(bytes(close.data)).code == 1000
    server.text(b"still on its way")
    assert receive(connection) == [b"still on its way"]
    server.send(0x8, bytes(close.data))
    end, _ = ended(connection)
    assert (end.reason, end.code) == ("closed", 1000)
    assert server.silent()


def test_our_own_close_is_not_awaited_for_ever(connection, server):
    connection.close(BEGAN)
    connection.close(BEGAN + 1)  # the first one's deadline stands
    server.text(b"unread")
    readable(connection)
    connection.tick(BEGAN + 2.0)  # what lies there is read first
    assert connection.receive(BEGAN + 2.0) == [b"unread"]
    with pytest.raises(ConnectionEnded) as caught:
        connection.tick(BEGAN + 2.0)
    assert caught.value.reason == "close_timeout"


@pytest.mark.parametrize("asked", ["subscription", "ping"])
def test_after_our_close_no_other_deadline_ends_it(connection, asked):
    if asked == "subscription":
        connection.subscribe(["a@trade"], BEGAN + 180)
    connection.tick(BEGAN + 180)  # our ping
    connection.close(BEGAN + 189)
    assert_ends(connection, BEGAN + 191, "close_timeout")


def test_an_answer_after_our_close_makes_us_ask_nothing_more(connection, server):
    connection.subscribe(["a@trade"], BEGAN)
    server.receive(1)
    connection.close(BEGAN)
    server.receive(1)
    assert connection.answer(b'{"result":null,"id":1}')
    connection.tick(BEGAN + 1.0)
    server.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.sock.recv(1)
    assert_ends(connection, BEGAN + 2.0, "close_timeout")  # no deadline but that of the close


def test_a_drop_while_closing_counts_as_closed(connection, server):
    connection.close(BEGAN)
    server.receive(1)
    server.sock.close()
    end, _ = ended(connection)
    assert end.reason == "closed"


@pytest.mark.parametrize(("finish", "reason"), [(reset, "reset"), (socket.socket.close, "eof")])
def test_a_drop_in_the_middle_of_a_frame(connection, server, finish, reason):
    whole = Frame(Opcode.TEXT, b"whole").serialize(mask=False)
    server.sock.sendall(whole + whole[:3])
    assert receive(connection) == [b"whole"]
    finish(server.sock)
    end, payloads = ended(connection)
    assert (end.reason, end.code, payloads) == (reason, 1006, [])


def test_broken_frames_end_it_after_what_was_good(connection, server):
    server.sock.sendall(Frame(Opcode.TEXT, b"good").serialize(mask=False) + b"\xff\xff\xff")
    assert receive(connection) == [b"good"]
    with pytest.raises(ConnectionEnded, match="reserved bit") as caught:
        connection.receive(BEGAN)
    assert caught.value.reason == "protocol_error"
    (close,) = server.receive(1)
    assert Close.parse(bytes(close.data)).code == 1002


def test_a_server_that_takes_nothing_is_given_up(connection):
    connection._transport._end_sending("send_buffer_full", "takes nothing")
    with pytest.raises(ConnectionEnded) as caught:
        connection.tick(BEGAN)
    assert caught.value.reason == "send_buffer_full"


def test_abort_closes_the_socket_at_once(connection, server):
    connection.abort()
    connection.abort()
    assert connection.fileno() == -1
    assert server.sock.recv(1) == b""


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (lambda server: server.send(0x8, b"\x03\xe8"), "server_close"),
        (lambda server: server.sock.sendall(b"\xff\xff"), "protocol_error"),
        (lambda server: server.sock.close(), "eof"),
        (lambda server: reset(server.sock), "reset"),
    ],
)
def test_one_that_has_ended_is_freed_without_the_garbage_collector(ends, server, finish, reason):
    """That comes every dozen rotations, days apart; each would keep 260 KiB until then."""
    with no_garbage_collector():
        connection = Connection(
            7, "main", Transport(ends[0]), CONFIG, BEGAN, lambda: 5e8, FramePace()
        )
        freed = weakref.ref(connection)
        finish(server)
        assert reason_of_end(connection) == reason
        connection.abort()
        del connection
        assert freed() is None


def test_with_a_real_server():
    """From the URL to the clean close, with an independent implementation on the other side."""

    def handle(peer):
        for message in peer:
            request = json.loads(message)
            asked = request.get("params", ["a@trade"])
            result = None if request["method"] == "SUBSCRIBE" else asked
            peer.send(json.dumps({"result": result, "id": request["id"]}))
            peer.ping()
            peer.send('{"stream":"a@trade","data":{}}')

    with serve_websockets(handle, "127.0.0.1", 0) as real:
        threading.Thread(target=real.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{real.socket.getsockname()[1]}/stream"
        transport = open_transport(url, CONFIG, ExchangeConfig(websocket_url=url), None)
        connection = Connection(1, "main", transport, CONFIG, BEGAN, lambda: 0.0, FramePace())
        connection.subscribe(["a@trade"], BEGAN)
        data, turns = [], itertools.count()

        def turn():
            now = BEGAN + next(turns) / 10
            data.extend(p for p in connection.receive(now) if not connection.answer(p))
            connection.tick(now)
            return len(data) == 2

        eventually(turn)
        assert connection.subscribed
        assert connection.missing_streams == ()
        connection.close(BEGAN)
        end, _ = ended(connection)
        assert (end.reason, end.code) == ("closed", 1000)
        connection.abort()
        real.shutdown()
