"""The parser against the RFC and, with arbitrary bytes, against the `websockets` library."""

import itertools
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, Side

from streamer.network.frames import (
    CLOSE,
    PING,
    TEXT,
    Binary,
    Close,
    FrameParser,
    Ping,
    Pong,
    ProtocolError,
    encode,
    encode_close,
)

LIMIT = 1000


def frame(opcode, payload=b"", fin=True, rsv1=False, mask=False):
    """A frame by the oracle's own hand, without its checks."""
    unchecked = Frame(Opcode(opcode), payload, fin, rsv1)
    unchecked.check = lambda: None
    return unchecked.serialize(mask=mask)


def parse(chunks, limit=LIMIT):
    """Feed everything; return the items and the code of the error, if any."""
    parser = FrameParser(limit)
    items = []
    for chunk in chunks:
        try:
            items += parser.feed(chunk)
        except ProtocolError as error:
            return items + list(error.completed), error.code
    return items, None


def oracle(chunks, limit=LIMIT):
    """The same by `websockets`: items, code of the error."""
    protocol = Protocol(Side.CLIENT, max_size=limit)
    for chunk in chunks:
        protocol.receive_data(chunk)
    items, parts, opcode = [], [], None
    for event in protocol.events_received():
        data = bytes(event.data)
        if event.opcode is Opcode.PING:
            items.append(Ping(data))
        elif event.opcode is Opcode.PONG:
            items.append(Pong(data))
        elif event.opcode is Opcode.CLOSE:
            close = protocol.close_rcvd
            items.append(Close(int(close.code), close.reason))
        else:
            opcode = event.opcode if event.opcode is not Opcode.CONT else opcode
            parts.append(data)
            if event.fin:
                message = b"".join(parts)
                items.append(message if opcode is Opcode.TEXT else Binary(message))
                parts = []
    error = protocol.parser_exc
    return items, None if error is None else int(protocol.close_sent.code)


def chunked(data, cuts):
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


payloads = st.one_of(
    st.binary(max_size=20), st.integers(0, 900).map(lambda size: b"x" * size), st.just(b"y" * 126)
)
control_payloads = st.binary(max_size=125)
controls = st.builds(frame, st.sampled_from([0x9, 0xA]), control_payloads)


@st.composite
def messages(draw):
    """One whole message in one or more fragments, with control frames in between."""
    opcode = draw(st.sampled_from([0x1, 0x1, 0x2]))
    parts = draw(st.lists(st.binary(max_size=150), min_size=1, max_size=4))
    out = []
    for index, part in enumerate(parts):
        out.append(frame(opcode if index == 0 else 0, part, fin=index == len(parts) - 1))
        if index < len(parts) - 1:
            # Short ones: the oracle counts control frames against what a message has left.
            out += draw(st.lists(st.builds(frame, st.just(0x9), st.binary(max_size=9)), max_size=2))
    return b"".join(out)


closes = st.one_of(
    st.just(frame(0x8)),
    st.builds(
        lambda code, reason: frame(0x8, struct.pack("!H", code) + reason.encode()),
        st.integers(0, 5100),
        st.text(max_size=20),
    ),
    st.binary(max_size=8).map(lambda data: frame(0x8, data)),
)
streams = st.builds(
    lambda parts, end: b"".join(parts) + end,
    st.lists(
        st.one_of(payloads.map(lambda data: frame(0x1, data)), messages(), controls), max_size=8
    ),
    st.one_of(st.just(b""), closes),
)
cut_places = st.lists(st.integers(0, 5000), max_size=12)


@given(data=streams, cuts=cut_places)
@settings(max_examples=200)
def test_any_chunking_gives_what_the_oracle_gives(data, cuts):
    chunks = chunked(data, cuts)
    assert parse(chunks) == oracle(chunks) == parse([data])


@given(data=streams)
@settings(max_examples=50)
def test_byte_by_byte(data):
    assert parse([data[i : i + 1] for i in range(len(data))]) == oracle([data])


@given(
    data=streams,
    changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=3),
    cuts=cut_places,
)
@example(data=frame(0x1, b"abc"), changes=[(0, 0xC1)], cuts=[])
@settings(max_examples=300)
def test_mutated_bytes_are_accepted_or_refused_as_by_the_oracle(data, changes, cuts):
    mutated = bytearray(data or b"\x81")
    for place, value in changes:
        mutated[place % len(mutated)] = value
    mutated = bytes(mutated)
    items, code = parse(chunked(mutated, cuts))
    expected, expected_code = oracle([mutated])
    if code is not None and expected_code is None:
        # We refuse a header at once, the oracle when the payload is there: give it one.
        expected, expected_code = oracle([mutated, bytes(LIMIT)])
    if oracle_objects_to_a_lawful_frame(mutated):
        assert items[: len(expected)] == expected
    elif expected_code in (1002, 1009) and code in (1002, 1009):
        # One frame can break two rules at once, such as a reserved bit and the size limit.
        assert items == expected
    else:
        assert (items, code) == (expected, expected_code)


def oracle_objects_to_a_lawful_frame(data):
    """Two things that RFC 6455 allows and the oracle does not, both inside a fragmented message.

    A Close there (5.4: control frames may be injected), and a control frame that is longer than
    what the size limit leaves for the rest of the message.
    """
    protocol = Protocol(Side.CLIENT, max_size=LIMIT)
    protocol.receive_data(data + bytes(LIMIT))
    message = str(protocol.parser_exc)
    left = LIMIT - (protocol.current_size or 0)
    return "incomplete fragmented message" in message or (
        protocol.current_size is not None and "exceeds" in message and left < 125
    )


def test_a_close_between_fragments_is_a_close():
    data = frame(0x1, b"begun", fin=False) + frame(0x8, b"\x03\xe9bye")
    assert parse([data]) == ([Close(1001, "bye")], None)


@pytest.mark.parametrize(
    ("bad", "code", "word"),
    [
        (frame(0x1, b"x", rsv1=True), 1002, "reserved bit"),
        (b"\x83\x00", 1002, "reserved"),
        (b"\x8b\x00", 1002, "reserved"),
        (b"\x81\x81\x00\x00\x00\x00x", 1002, "masked"),
        (frame(0x9, b"x", fin=False), 1002, "fragmented"),
        (frame(0x9, b"x" * 126), 1002, "125"),
        (frame(0x0, b"x"), 1002, "continues nothing"),
        (frame(0x1, b"a", fin=False) + frame(0x1, b"b"), 1002, "before the fragmented"),
        (frame(0x8, b"\x03"), 1002, "half a code"),
        (frame(0x8, b"\x03\xed"), 1002, "1005"),
        (frame(0x8, b"\x03\xe8\xff"), 1007, "UTF-8"),
        (frame(0x1, b"x" * (LIMIT + 1)), 1009, "max_message_bytes"),
        (frame(0x1, b"x" * LIMIT, fin=False) + frame(0x0, b"x"), 1009, "max_message_bytes"),
        (b"\x81\x7f" + b"\xff" * 8, 1009, "max_message_bytes"),
    ],
)
def test_refusals_carry_a_code_and_what_came_before(bad, code, word):
    parser = FrameParser(LIMIT)
    with pytest.raises(ProtocolError, match=word) as caught:
        parser.feed(frame(0x1, b"good") + frame(0xA, b"pong") + bad)
    assert caught.value.code == code
    assert list(caught.value.completed) == [b"good", Pong(b"pong")]
    assert parser.feed(frame(0x1, b"later")) == []


@pytest.mark.parametrize(
    "header",
    [
        b"\x09\x05",
        b"\x89\x7e\x00\x7e",
        b"\x89\x7f" + bytes(6) + b"\x01\x00",
        b"\x81\xfe",
        b"\xc1\x05",
        b"\x80\x05",
        b"\x81\x7e\x80\x00",
    ],
)
def test_a_bad_header_is_refused_before_its_payload_is_awaited(header):
    with pytest.raises(ProtocolError):
        FrameParser(LIMIT).feed(header)


def test_a_message_at_the_limit_passes_whole_and_in_fragments():
    whole = b"x" * LIMIT
    assert parse([frame(0x1, whole)]) == ([whole], None)
    assert parse([frame(0x1, whole[:600], fin=False) + frame(0x0, whole[600:])]) == ([whole], None)


def test_the_limit_is_for_each_message_anew():
    half = b"x" * (LIMIT // 2)
    message = frame(0x1, half, fin=False) + frame(0x0, half)
    assert parse([message * 3]) == ([half + half] * 3, None)


def test_a_length_written_longer_than_needed_is_read_in_any_chunking():
    data = b"\x89\x7e\x00\x05abcde\x81\x7f" + bytes(7) + b"\x02ok"
    assert parse([data]) == ([Ping(b"abcde"), b"ok"], None)
    assert parse([data[i : i + 1] for i in range(len(data))]) == parse([data]) == oracle([data])


def test_only_text_tells_whether_there_is_anything_else():
    parser = FrameParser(LIMIT)
    parser.feed(frame(0x1, b"a") + frame(0x1, b"b"))
    assert parser.only_text
    parser.feed(frame(0x1, b"a") + frame(0x9))
    assert not parser.only_text
    parser.feed(frame(0x1, b"a", fin=False) + frame(0x0, b"b"))
    assert parser.only_text
    parser.feed(frame(0x2, b"a"))
    assert not parser.only_text


def test_a_big_message_in_tiny_chunks_is_not_joined_at_each():
    size = 1 << 20
    parser = FrameParser(size)
    data = frame(0x1, b"z" * size)
    # Joined at every chunk this would move 4 GiB; the suite's own timeout would notice.
    items = [item for at in range(0, len(data), 128) for item in parser.feed(data[at : at + 128])]
    assert items == [b"z" * size]


def test_nothing_is_read_after_a_close():
    data = frame(0x8, b"\x03\xe8") + frame(0x1, b"late")
    assert parse([data, frame(0x1, b"later")]) == ([Close(1000, "")], None)


@given(opcode=st.sampled_from([TEXT, PING]), payload=payloads)
def test_what_we_send_a_server_understands(opcode, payload):
    payload = payload if opcode == TEXT else payload[:125]
    server = Protocol(SERVER, max_size=None)
    server.receive_data(encode(opcode, payload))
    (event,) = server.events_received()
    assert (int(event.opcode), bytes(event.data), event.fin) == (opcode, payload, True)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_every_length_of_what_we_send(size):
    server = Protocol(SERVER, max_size=None)
    server.receive_data(encode(TEXT, b"q" * size))
    assert bytes(server.events_received()[0].data) == b"q" * size


def test_masks_differ():
    assert len({encode(TEXT, b"same") for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1002, "ü" * 100), (1005, ""), (4000, "own")]
)
def test_our_close_is_lawful(code, reason):
    server = Protocol(SERVER)
    server.receive_data(encode_close(code, reason))
    assert server.parser_exc is None
    assert server.close_rcvd.code == code
    assert reason.startswith(server.close_rcvd.reason)
    assert server.events_received()[0].opcode == CLOSE
