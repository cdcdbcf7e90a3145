"""Whatever a server sends over a connection ends in events, in rejected frames, or in its end.

Bytes go the whole way from the socket to the sink: frames, control answers, events.
"""

import gc
import itertools
import random
import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config import ConnectionConfig
from streamer.errors import ConnectionEnded
from streamer.feed_counters import FeedCounters
from streamer.ingest.ingest import Ingest
from streamer.network import boundary
from streamer.network.connection import Connection
from streamer.network.frame_pace import FramePace
from streamer.network.frames import FrameParser
from streamer.network.transport import Transport
from streamer.routes import Routes
from tests.fuzzing import EXAMPLES, fuzz

NAMES = ("btcusdt@trade", "btcusdt@bookTicker")
VALUES = (
    b"null",
    b"true",
    b"false",
    b"0",
    b"1",
    b"2",
    b"3",
    b"-1",
    b"1.0",
    b"1e999",
    b"NaN",
    b"Infinity",
    b'"1"',
    b'""',
    b"[]",
    b"{}",
    b"[1]",
    b'[["x"]]',
    b'[{"a":1}]',
    b'["btcusdt@trade"]',
    b'"btcusdt@trade"',
    b"9" * 20,
    b"9" * 400,
    b"9" * 5000,
    b"[" * 2000,
    b"[" * 997 + b"]" * 997,
    b'{"a":' * 996 + b"1" + b"}" * 996,
    b'"\\u0000\\u001b[2J\\n\\u202e\\ud800"',
    b'"\xff"',
    b'"\x1b]0;t\x07"',
    b'"' + b"x" * 20_000 + b'"',
    b'{"code":2,"msg":"no"}',
    b'{"code":[[]],"msg":{"a":null}}',
    b'"serverShutdown"',
    b'"trade"',
    b'{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true,"M":true}',
)
KEYS = ("id", "result", "error", "code", "msg", "e", "E", "s", "stream", "data", "method", "u")
FIELD = st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES))
OBJECT = st.lists(FIELD, max_size=6)  # keys may come twice
ANSWER = st.sampled_from(
    [
        [("result", b"null"), ("id", b"1")],
        [("result", b"null"), ("id", b"2")],
        [("result", b'["btcusdt@trade"]'), ("id", b"2")],
        [("result", b'[["x"]]'), ("id", b"2")],
        [("code", b"2"), ("msg", b'"no"'), ("id", b"1")],
        [("e", b'"serverShutdown"'), ("E", b"1")],
    ]
)
PAYLOAD = (ANSWER | OBJECT).map(
    lambda fields: (
        b"{" + b",".join(b'"%s":%s' % (key.encode(), value) for key, value in fields) + b"}"
    )
) | st.sampled_from(VALUES)


def framed(opcode, payload):
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 1 << 16:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


FRAMES = (
    PAYLOAD.map(lambda payload: framed(1, payload))
    | st.sampled_from([framed(9, b"p"), framed(10, b"7/1"), framed(2, b"\0"), framed(8, b"")])
    | st.sampled_from([framed(8, b"\x03\xf0"), b"\x01\x01{", b"\x80\x01}", b"\x88\x01\x00"])
    | st.binary(max_size=10)
)
ACKNOWLEDGED = [(framed(1, b'{"result":null,"id":1}'), 0.6)]
ACTIONS = st.tuples(
    st.sampled_from([[], ACKNOWLEDGED]),
    st.lists(st.tuples(FRAMES, st.floats(0.0, 1.0)), max_size=8),
).map(lambda both: [*both[0], *both[1]])


class Sink:
    def put(self, route, event, received_us):
        pass


class Rejected:
    def keep(self, payload, error, connection_id, now):
        assert error.error_type != "internal"
        return True


@pytest.fixture(scope="module", autouse=True)
def _no_mistakes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundary, "_told", set())
        yield
        assert boundary._told == set()


def play(actions):
    """Let a server act; return when frames of ours were sent, and how the connection ended."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    counters = FeedCounters()
    routes = Routes(["trade", "bookTicker"], ["BTCUSDT"])
    ingest = Ingest(routes, Sink(), Rejected(), counters, overlap_seconds=5.0)
    now, sent, reason, detail, parser = 0.0, [], None, "", Unmasked()
    with ours, theirs:
        connection = Connection(
            7, "slot-1", Transport(ours), ConnectionConfig(), now, lambda: 5e8, FramePace()
        )
        connection.subscribe(NAMES, now)
        try:
            for frame, seconds in (*actions, (b"", 0.0)):
                sent += [(now, opcode) for opcode in parser.opcodes(theirs)]
                theirs.sendall(frame)
                now += seconds
                ingest.take(connection, connection.receive(now), {})
                connection.tick(now)
        except ConnectionEnded as end:
            reason, detail = end.reason, end.detail
        sent += [(now, opcode) for opcode in parser.opcodes(theirs)]
        connection.abort()
    assert detail.isprintable()
    assert len(detail) < 1500
    texts = [text for notice in counters.notices for text in notice.detail.values()]
    assert all(text.isprintable() for text in texts if isinstance(text, str))
    assert sum(notice.kind == "server_shutdown" for notice in counters.notices) <= 1
    return sent, reason


class Unmasked:
    """Reads a client's frames, by their headers alone."""

    def opcodes(self, sock):
        try:
            data = sock.recv(1 << 16)
        except BlockingIOError:
            return
        while data:
            length, header = data[1] & 0x7F, 6
            if length == 126:
                length, header = int.from_bytes(data[2:4], "big"), 8
            yield data[0] & 0x0F
            data = data[header + length :]


@fuzz
@given(ACTIONS)
def test_any_frames(actions):
    sent, reason = play(actions)
    assert reason != "internal"
    times = [at for at, opcode in sent if opcode != 8]  # a close is the last, at any time
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(times))


def test_good_answers_are_taken():
    """What the fuzz test takes for an end otherwise might be its own."""
    answers = (b'{"result":null,"id":1}', b'{"result":["btcusdt@trade"],"id":2}')
    sent, reason = play([(framed(1, answer), 0.6) for answer in answers])
    assert [opcode for _, opcode in sent] == [1, 1]
    assert reason is None


def test_frames_leave_no_memory():
    """A thing kept per connection or frame would be one block each at least, every time."""
    chance = random.Random(11)

    def some(count):
        for number in range(count):
            payload = b'{"id":%d,"code":%d,"msg":"%d"}' % (number, number, number)
            odd = chance.choices([value for value in VALUES if len(value) < 1000], k=3)
            play([(framed(1, one), 0.1) for one in (*odd, payload)])
        gc.collect()
        return sys.getallocatedblocks()

    count = max(50, EXAMPLES // 20)
    blocks = [some(count) for _ in range(5)]
    assert min(after - before for before, after in itertools.pairwise(blocks)) < count / 4


def test_the_parser_takes_what_is_framed_here():
    assert FrameParser(1 << 16).feed(framed(1, b"x" * 300)) == [b"x" * 300]
