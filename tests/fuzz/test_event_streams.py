"""Whatever clients of event streams do, and whatever is told: all others get whole messages."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import Entry
from monitor.live.feed import Cursor, Message
from monitor.live.streams import StreamTable
from monitor.snapshot import Snapshot
from monitor.web.server import MetricsServer
from tests.fuzzing import fuzz
from tests.unit.monitor.observations import EPOCH
from tests.unit.monitor.runs import Run
from tests.waiting import WITHIN_SECONDS, eventually

REQUEST = b"GET /events HTTP/1.1\r\nHost: localhost\r\n"
HEADERS = st.sampled_from(
    [b"", b"Last-Event-ID: 9\r\n", b"Accept: text/event-stream\r\n", b"Content-Length: 3\r\n"]
)
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets
STEPS = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=200).map(lambda data: ("send", data)),
        st.integers(1, 5000).map(lambda size: ("read", size)),
        st.sampled_from([("publish", None), ("half close", None), ("again", None)]),
    ),
    max_size=3,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["\r\n\r\nevent: state\r\n", "data: x\n\n", "\u2028", "</script>", "\x00"]
)
DETAILS = st.dictionaries(TEXT, TEXT | st.integers() | st.floats() | st.none(), max_size=2)
ENTRIES = st.builds(
    lambda kind, detail, streamer: Entry(1.0, EPOCH + 1.0, kind, detail, streamer),
    st.sampled_from(["action", "gap", "connection_lost", "sink_error"]) | TEXT,
    DETAILS,
    TEXT | st.none(),
)


def messages(stream: bytes) -> list[tuple[str, object]]:
    """Return the events of whole messages, as a browser reads them; fails where it is no event."""
    found = []
    for block in stream.decode().split("\n\n"):
        if block.startswith("retry: ") or not block:
            continue
        first, second = block.split("\n")  # two lines: what is told adds none
        assert first.startswith("event: ")
        assert second.startswith("data: ")
        found.append((first.removeprefix("event: "), json.loads(second.removeprefix("data: "))))
    return found


class Reader:
    """A client that behaves: it reads what comes, for as long as the fuzzed ones come and go."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._client = socket.create_connection(address, timeout=WITHIN_SECONDS)
        self._client.sendall(REQUEST.replace(b"1.1", b"1.0") + b"\r\n")  # no chunks, then
        self.head = b""
        self.states = 0
        self.faults: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()

    def _read(self) -> None:
        data = b""
        try:
            while received := self._client.recv(65536):
                data += received
                if not self.head and b"\r\n\r\n" in data:
                    self.head, _, data = data.partition(b"\r\n\r\n")
                whole, end, data = data.rpartition(b"\n\n")
                if end:
                    self.states += sum(name == "state" for name, _ in messages(whole))
        except (OSError, ValueError, AssertionError) as error:
            self.faults.append(repr(error))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    run = Run(None).seconds(3)
    return run.recorder.snapshot(run.now, EPOCH)


@pytest.fixture(scope="module")
def table(snapshot: Snapshot) -> StreamTable:
    return StreamTable(snapshot)


@pytest.fixture(scope="module")
def server(snapshot: Snapshot) -> Iterator[MetricsServer]:
    opened = MetricsServer("127.0.0.1:0")
    opened.start()
    opened.publish(snapshot)
    reader = Reader(opened.address)
    eventually(lambda: reader.states == 1, what="the first message")
    yield opened

    def alone() -> bool:
        return opened._counts.clients == 1 and opened._counts.event_streams == 1

    eventually(alone, what="the end of all fuzzed clients")
    before = reader.states
    opened.publish(snapshot)
    eventually(lambda: reader.states > before, what="a message to who has stayed")
    assert reader.head.startswith(b"HTTP/1.1 200 ")
    assert reader.faults == []
    reader.close()
    eventually(lambda: opened._counts.clients == 0, what="the end of the last client")
    assert "internal error" not in opened._counts.dropped
    opened.close()


@fuzz
@given(HEADERS, STEPS, st.booleans())
def test_a_client_that_stays_is_told_whatever_the_others_do(
    server: MetricsServer,
    snapshot: Snapshot,
    headers: bytes,
    steps: list[tuple[str, bytes | int | None]],
    resets: bool,
) -> None:
    with socket.create_connection(server.address, timeout=WITHIN_SECONDS) as client:
        try:
            client.sendall(REQUEST + headers + b"\r\n")
            for action, what in steps:
                match action:
                    case "send":
                        assert isinstance(what, bytes)
                        client.sendall(what)
                    case "read":
                        assert isinstance(what, int)
                        # Not by MSG_DONTWAIT: a socket with a timeout waits for data before it.
                        client.setblocking(False)
                        with suppress(BlockingIOError):  # nothing has come
                            client.recv(what)
                        client.settimeout(WITHIN_SECONDS)
                    case "publish":
                        server.publish(snapshot)
                    case "half close":
                        client.shutdown(socket.SHUT_WR)
                    case _:
                        client.sendall(REQUEST + b"\r\n")
        except OSError:
            pass  # it was hung up on before the rest
        if resets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@fuzz
@given(st.lists(ENTRIES, max_size=2), TEXT, st.integers(0, 3))
def test_what_is_told_never_ends_a_message(
    snapshot: Snapshot, table: StreamTable, entries: list[Entry], profile: str, known: int
) -> None:
    told = replace(
        snapshot,
        profile=profile,
        recent_events=tuple(entries),
        event_counts={"any": len(entries)},
        actions={(profile, "warn"): 1},
    )
    cursor = Cursor(events=min(known, len(entries)))
    sent = messages(Message(told, table).after(cursor))
    assert [name for name, _ in sent][:2] == ["state", "memory"]
    events = [
        one for name, data in sent if name == "events" and isinstance(data, list) for one in data
    ]
    assert len(events) == len(entries) - min(known, len(entries))
