import os
from contextlib import contextmanager
from types import SimpleNamespace

import msgspec
import pytest
import zmq

from streamer.messages import (
    MAX_MESSAGE_BYTES,
    WIRE_VERSION,
    Command,
    CommandResult,
    Report,
    SinkCounts,
    WireError,
    pack,
    unpack,
    unpack_command,
)
from streamer.telemetry import LINGER_MILLISECONDS, SEND_QUEUE, Telemetry
from tests.streaming import eventually


def report(sequence=1):
    return Report(
        "streamer-1", 1, sequence, 4711, 1e9, 1.0, "streaming", (), (), SinkCounts("null")
    )


@contextmanager
def opened_watcher(path):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, 60_000)
        socket.bind(f"ipc://{path}")
        yield socket


@pytest.fixture
def watcher(tmp_path):
    with opened_watcher(tmp_path / "t.sock") as socket:
        yield socket


@pytest.fixture
def telemetry(tmp_path, watcher):
    subject = Telemetry(f"ipc://{tmp_path}/t.sock", "streamer-1", 3)
    yield subject
    subject.close()


def test_messages_survive_the_wire():
    for message in (report(), CommandResult("1", True, "done", {"trimmed": True})):
        assert unpack(pack(message)) == message
    command = Command("7", "rotate", 5.0, {"slot": "slot-1"})
    assert unpack_command(pack(command)) == command


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"x"],
        [WIRE_VERSION],
        [b"vigil/0", b"\x80"],
        [WIRE_VERSION, b"\xc1"],
        [WIRE_VERSION] * 3,
    ],
)
def test_what_is_not_understood_is_a_wire_error(frames):
    with pytest.raises(WireError):
        unpack(frames)


def test_a_reader_passes_over_fields_that_it_does_not_know():
    import msgspec

    fields = msgspec.msgpack.decode(pack(report())[1])
    fields["added_later"] = 1
    assert unpack([WIRE_VERSION, msgspec.msgpack.encode(fields)]) == report()


def test_reports_go_out_under_name_and_generation(watcher, telemetry):
    telemetry.send(report())
    identity, *frames = watcher.recv_multipart()
    assert identity == b"streamer-1.3"
    assert unpack(frames) == report()


def test_commands_come_in_and_nonsense_is_passed_over(watcher, telemetry):
    telemetry.send(report())
    identity, *_ = watcher.recv_multipart()
    watcher.send_multipart([identity, b"nonsense"])
    command = Command("7", "drain", 5.0)
    watcher.send_multipart([identity, *pack(command)])
    assert eventually(telemetry.commands) == [command]
    assert telemetry.commands() == []


def test_nobody_listening_costs_reports_and_never_time(tmp_path):
    lonely = Telemetry(f"ipc://{tmp_path}/late.sock", "streamer-1", 1)
    for sequence in range(SEND_QUEUE + 10):
        lonely.send(report(sequence))
    with opened_watcher(tmp_path / "late.sock") as late:
        received = [unpack(late.recv_multipart()[1:]).sequence for _ in range(SEND_QUEUE)]
        assert received == list(range(SEND_QUEUE))
        lonely.send(report(SEND_QUEUE + 10))
        last = unpack(late.recv_multipart()[1:])
        assert last.sequence == SEND_QUEUE + 10, "the rest is dropped"
        assert last.telemetry_dropped == {"queue full": 10}
        lonely.close()


def test_a_report_that_is_too_large_is_said_and_not_sent(watcher, telemetry, caplog):
    telemetry.send(msgspec.structs.replace(report(), exit_reason="x" * MAX_MESSAGE_BYTES))
    assert "is not sent: above 1048576" in caplog.text
    telemetry.send(report())  # the connection stands
    _, *frames = watcher.recv_multipart()
    assert unpack(frames) == msgspec.structs.replace(report(), telemetry_dropped={"too large": 1})


def test_an_orphan_waits_for_nobody(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(os, "getppid", lambda: 4711)  # the tests themselves may be an orphan
    subject = Telemetry(f"ipc://{tmp_path}/nobody.sock", "streamer-1", 1)
    monkeypatch.setattr(subject, "_socket", SimpleNamespace(close=told.append))
    monkeypatch.setattr(subject, "_context", SimpleNamespace(term=lambda: None))
    subject.close()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    subject.close()
    assert told == [LINGER_MILLISECONDS, 0]
