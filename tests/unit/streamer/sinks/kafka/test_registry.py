from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from simulator.certificates import server_context
from streamer.config import KafkaConfig
from streamer.data.records import load_schema
from streamer.errors import SettingsError, SinkUnavailable
from streamer.secret import Secret
from streamer.sinks.kafka import registry
from streamer.sinks.kafka.registry import differences, wire_headers
from tests.unit.streamer.loopback import read_head, serve

SCHEMA = load_schema("trade")
Answer = tuple[int, Any]


class Asked:
    """What the registry of a test was asked: method, path, headers and body."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.url = ""


@contextmanager
def answering(
    answer: Callable[[int], Answer], context: ssl.SSLContext | None = None
) -> Iterator[Asked]:
    """A registry that answers its n-th request, from 0, with a status and JSON or text."""
    asked = Asked()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.title(): value for name, value in self.headers.items()}
            asked.requests.append((self.command, self.path, headers, body))
            status, content = answer(len(asked.requests) - 1)
            self.send_response(status)
            self.end_headers()
            text = content if isinstance(content, str) else json.dumps(content)
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 - the base class names it

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        asked.url = f"{scheme}://127.0.0.1:{server.server_port}/base"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def headers(url: str, within: float = 60.0, **more: Any) -> dict[str, bytes]:
    config = KafkaConfig(schema_registry_url=url, start_within=within, **more)
    return wire_headers(config, {"trades": SCHEMA}, time.monotonic() + within)


def refused(url: str, within: float = 60.0, **more: Any) -> str:
    with pytest.raises(SinkUnavailable) as raised:
        headers(url, within, **more)
    return str(raised.value)


def test_a_schema_is_registered_under_the_topics_value():
    with answering(lambda _: (200, {"id": 70_000})) as asked:
        assert headers(asked.url) == {"trades": b"\0\0\x01\x11\x70"}

    ((method, path, _, body),) = asked.requests
    assert (method, path) == ("POST", "/base/subjects/trades-value/versions")
    assert json.loads(body["schema"]) == SCHEMA


def test_user_and_password_are_sent_and_never_told():
    secrets = {"schema_registry_user": "jörg", "schema_registry_password": Secret("hünter2")}
    with answering(lambda _: (401, "who are you?")) as asked:
        said = refused(asked.url, **secrets)

    sent = asked.requests[0][2]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "jörg:hünter2"
    assert "kafka.schema_registry_user" in said
    assert "hünter2" not in said
    assert "hünter2" not in repr(KafkaConfig(**secrets))


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_what_passes_is_waited_for(monkeypatch, status):
    monkeypatch.setattr(registry, "RETRY_SECONDS", 0.01)
    with answering(lambda n: (status, "later") if n < 3 else (200, {"id": 5})) as asked:
        assert headers(asked.url) == {"trades": b"\0\0\0\0\x05"}

    assert len(asked.requests) == 4


def test_what_lasts_is_an_error_at_the_deadline(monkeypatch):
    monkeypatch.setattr(registry, "RETRY_SECONDS", 0.01)
    with answering(lambda _: (503, "later")) as asked:
        said = refused(asked.url, 2.0)

    assert "did not answer within kafka.start_within (2 s)" in said
    assert "HTTP 503: later" in said
    assert len(asked.requests) > 1


@pytest.mark.parametrize(
    ("status", "content", "cure"),
    [
        (403, "no", "must be those of a user who may do this"),
        (404, "nothing here", "must be the base URL of a registry"),
        (409, {"message": "incompatible"}, "incompatible"),
        (422, {"message": "invalid"}, "does not take our schema"),
        (200, "<html>", "is no schema registry; it answered: <html>"),
        (200, {"name": "another service"}, "is no schema registry"),
        (200, "[" * 100_000, "is no schema registry"),
        (200, '{"id":' + "9" * 5000 + "}", "is no schema registry"),
        (200, {"id": 1 << 31}, "is no schema registry"),
        (200, {"id": True}, "is no schema registry"),
        (200, {"id": 1, "schema": 7}, "is no schema registry"),
        (200, "\x1b[2J", r"it answered: \x1b[2J"),
    ],
)
def test_a_refusal_is_told_at_once_with_its_cure(status, content, cure):
    with answering(lambda _: (status, content)) as asked:
        assert cure in refused(asked.url)

    assert len(asked.requests) == 1


def test_an_answer_that_never_ends_is_waited_for_no_longer_than_the_timeout(monkeypatch):
    monkeypatch.setattr(registry, "RETRY_SECONDS", 0.01)

    def drip(sock):
        read_head(sock)
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.02)

    with serve(drip) as port:
        said = refused(f"http://127.0.0.1:{port}", 0.3, schema_registry_timeout=0.1)
    assert "did not answer within kafka.start_within (0.3 s)" in said
    assert "timed out" in said


def latest(schema: Any) -> Callable[[int], Answer]:
    return lambda _: (200, {"id": 9, "version": 2, "schema": json.dumps(schema)})


def changed(**changes: Any) -> dict[str, Any]:
    """The schema with changes to its field `price`."""
    fields = [field | changes if field["name"] == "price" else field for field in SCHEMA["fields"]]
    return SCHEMA | {"fields": fields}


def test_without_registration_the_latest_is_used_when_it_is_ours():
    same = changed(doc="said otherwise", aliases=["rate"])
    with answering(latest(same)) as asked:
        assert headers(asked.url, schema_registry_register=False) == {"trades": b"\0\0\0\0\x09"}

    assert asked.requests[0][:2] == ("GET", "/base/subjects/trades-value/versions/latest")


def test_without_registration_another_latest_is_refused_with_the_difference():
    number = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 8}
    with answering(latest(changed(type=number))) as asked:
        said = refused(asked.url, schema_registry_register=False)

    assert "fields.price.type.scale is 18 here and 8 there" in said
    assert "(id 9)" in said


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (changed(name="rate"), "fields is record_id"),
        (SCHEMA | {"name": "Other"}, 'name is "Trade" here and "Other" there'),
        (changed(type=["null", "string"]), "fields.price.type is"),
        (changed(order="ignore"), 'fields.price.order is "ignore" there only'),
        ("string", "the schema is"),
    ],
)
def test_differences_are_named_where_they_are(theirs, said):
    assert any(found.startswith(said) for found in differences(SCHEMA, theirs))


def test_tls_wants_a_certificate_that_is_trusted(tmp_path):
    context, ca_file = server_context(tmp_path)
    with answering(lambda _: (200, {"id": 1}), context) as asked:
        assert "kafka.schema_registry_ca_file" in refused(asked.url)
        assert headers(asked.url, schema_registry_ca_file=ca_file) == {"trades": b"\0\0\0\0\x01"}


def test_a_file_without_certificates_is_a_wrong_setting(tmp_path):
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("nothing")
    with pytest.raises(SettingsError, match=r"kafka\.schema_registry_ca_file"):
        headers("https://127.0.0.1:1", schema_registry_ca_file=ca_file)
