"""Whatever is sent to the control socket ends in one line of JSON or a closed connection."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.control_socket import ControlSocket, answer
from tests.fuzzing import fuzz

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
LINES = st.one_of(
    st.binary(max_size=300),
    JSON.map(json.dumps).map(str.encode),
    st.fixed_dictionaries(
        {"command": JSON | st.sampled_from(["rotate", "status"])},
        optional={"streamer": JSON, "other": JSON},
    )
    .map(json.dumps)
    .map(str.encode),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1), st.integers(1, 5000)),
)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    opened = ControlSocket(tmp_path_factory.mktemp("control"))
    yield opened
    opened.close()


@fuzz
@given(st.lists(LINES, min_size=1, max_size=3), st.sampled_from([b"", b"\n", b"\r\n"]))
def test_every_line_is_answered_or_hung_up_on(commands, pieces, end):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(commands._path))
        client.settimeout(60)
        refused = False
        for piece in [*pieces, end]:
            try:
                client.sendall(piece)
            except OSError:
                refused = True  # it was answered and hung up on before the rest
                break
            for asked in commands.receive(0.0):
                assert isinstance(asked.command, str)
                assert asked.streamer is None or isinstance(asked.streamer, str)
                answer(asked, ok=True, detail=asked.command)
        if not refused:
            client.shutdown(socket.SHUT_WR)
        assert commands.receive(0.0) == []
        assert len(commands.filenos(0.0)) == 1, "nothing of a client stays"
        said = received(client)
    assert said == b"" or set(json.loads(said)) == {"ok", "detail", "result"}


def received(client):
    said = b""
    try:
        while data := client.recv(65536):
            said += data
    except ConnectionResetError:
        pass  # what it said beyond its line was not read
    return said
