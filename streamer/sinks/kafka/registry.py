"""A client for what is needed of a schema registry: the id of our schema under a subject.

It is asked at the start only and may wait there; the ids hold for as long as the process lives,
so that a registry that goes away later disturbs nothing.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from streamer.config import KafkaConfig
from streamer.dialing.http_connection import HttpConnection
from streamer.dialing.tcp import connect
from streamer.errors import HandshakeError, SettingsError, SinkAway, SinkUnavailable
from streamer.printable import printable
from streamer.secret import Secret

RETRY_SECONDS = 1.0  # a registry that restarts takes some seconds; asking costs it nothing
_MAGIC = b"\0"  # Confluent's wire format: this byte, the schema's id in four bytes, the record
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_TRY_AGAIN = {408, 425, 429}  # beside every 5xx
_ANSWER_LIMIT = 300  # bytes of an answer that are repeated in an error
_ANSWER_BYTES_MAX = 1 << 20  # our largest schema has 8 kB
_ID_MAX = (1 << 31) - 1  # ids have four bytes, signed in Java
_NO_MEANING = {"doc", "aliases", "default"}  # what leaves the bytes of a record as they are

_log = logging.getLogger(__name__)


class RegistryAway(Exception):  # noqa: N818 - an event of every day, not a fault
    """The registry cannot answer now; later it may. The text says why."""


class SchemaRegistry:
    """Speaks Confluent's REST interface. Each call raises RegistryAway or SinkUnavailable."""

    def __init__(self, config: KafkaConfig) -> None:
        """Prepare; nothing is asked yet. Raises SettingsError."""
        self._url = config.schema_registry_url or ""
        self._path = urlsplit(self._url).path
        self._timeout_seconds = config.schema_registry_timeout
        self._headers = {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE}
        if config.schema_registry_user is not None:
            password = config.schema_registry_password or Secret("")
            credentials = f"{config.schema_registry_user}:{password.reveal()}"
            encoded = base64.b64encode(credentials.encode()).decode()
            self._headers["Authorization"] = f"Basic {encoded}"
        ca_file = config.schema_registry_ca_file
        context = None
        if self._url.startswith("https:"):
            context = ssl.create_default_context()
            try:
                context.load_verify_locations(ca_file) if ca_file else None
            except OSError as error:
                raise SettingsError(
                    f"kafka.schema_registry_ca_file = {ca_file}: no certificates in PEM: {error}"
                ) from None
        self._http = HttpConnection(self._url, connect, context)

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """Return the id of a schema, which becomes the subject's newest unless it is there."""
        body = {"schema": json.dumps(schema, ensure_ascii=False)}
        return self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", body)[0]

    def latest(self, subject: str) -> tuple[int, dict[str, Any]]:
        """Return the id and the schema of a subject's newest version."""
        return self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions/latest")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(
        self, method: str, path: str, body: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return the id and the schema, {} where none is told, of an answer."""
        url = f"{self._url}{path}"
        content = None if body is None else json.dumps(body).encode()
        deadline = time.monotonic() + self._timeout_seconds
        try:
            answer = self._http.ask(
                method, self._path + path, self._headers, deadline, _ANSWER_BYTES_MAX, content
            )
        except HandshakeError as error:
            if error.error_type != "tls":
                raise RegistryAway(f"{url}: {error}") from error
            raise SinkUnavailable(
                f"{url}: {error}; kafka.schema_registry_ca_file names further certificates to trust"
            ) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RegistryAway(f"{url}: {printable(str(error), _ANSWER_LIMIT)}") from error
        text = printable(answer.body.decode(errors="replace"), _ANSWER_LIMIT)
        if answer.status >= 500 or answer.status in _TRY_AGAIN:
            raise RegistryAway(f"{url}: HTTP {answer.status}: {text}")
        if answer.status != 200:
            raise SinkUnavailable(_refusal(method, url, answer.status, text))
        try:
            return _read(answer.body)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SinkUnavailable(f"{url} is no schema registry; it answered: {text}") from error


def _read(body: bytes) -> tuple[int, dict[str, Any]]:
    """Return the id and the schema of an answer. Raises as what is not the registry's JSON."""
    found = json.loads(body)
    schema_id = found["id"]
    if type(schema_id) is not int or not 0 <= schema_id <= _ID_MAX:
        raise ValueError(f"id {schema_id!r}")
    return schema_id, json.loads(found.get("schema", "{}"))


def _refusal(method: str, url: str, status: int, text: str) -> str:
    if status in (401, 403):
        cure = "kafka.schema_registry_user and _password must be those of a user who may do this"
    elif status == 404 and method == "GET":
        cure = "no schema is registered; kafka.schema_registry_register = true does it at the start"
    elif status in (409, 422):
        cure = (
            "the registry does not take our schema as the next version; see its compatibility "
            "level and the versions it has"
        )
    else:
        cure = "kafka.schema_registry_url must be the base URL of a registry"
    return f"{url}: HTTP {status}: {text}; {cure}"


def wire_headers(
    config: KafkaConfig, schemas: Mapping[str, Mapping[str, Any]], deadline: float
) -> dict[str, bytes]:
    """Return what goes before each record by topic, for the schemas by topic.

    Waits for a registry that is away until `deadline` (monotonic). Raises SinkAway when it stays
    away, and SinkUnavailable when it refuses, or holds another schema than ours where it may not be
    registered.
    """
    registry = SchemaRegistry(config)
    headers = {}
    try:
        for topic, schema in schemas.items():
            subject = f"{topic}-value"
            for attempt in range(1_000_000):
                try:
                    schema_id = _id_of(registry, config, subject, schema)
                    break
                except RegistryAway as error:
                    _wait(error, attempt, config, deadline)
            headers[topic] = _MAGIC + schema_id.to_bytes(4, "big")
            _log.info("subject %s: schema id %d", subject, schema_id)
    finally:
        registry.close()
    return headers


def _id_of(
    registry: SchemaRegistry, config: KafkaConfig, subject: str, schema: Mapping[str, Any]
) -> int:
    if config.schema_registry_register:
        return registry.register(subject, schema)
    schema_id, latest = registry.latest(subject)
    found = list(differences(schema, latest))
    if found:
        raise SinkUnavailable(
            f"subject {subject}: its latest schema (id {schema_id}) is not the one that records "
            f"are written with: {'; '.join(found)}. Register ours "
            "(kafka.schema_registry_register = true does it), or run the version of Vigil that "
            "writes the latest"
        )
    return schema_id


def _wait(error: RegistryAway, attempt: int, config: KafkaConfig, deadline: float) -> None:
    if time.monotonic() + RETRY_SECONDS >= deadline:
        raise SinkAway(
            f"the schema registry did not answer within kafka.start_within "
            f"({config.start_within:g} s): {error}"
        ) from error
    if attempt == 0:
        _log.warning("waiting for the schema registry: %s", error)
    time.sleep(RETRY_SECONDS)


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON
    """Say where two schemas would write different bytes, or give them another meaning.

    Documentation, aliases and defaults make no difference.
    """
    name = path or "the schema"
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted((ours.keys() | theirs.keys()) - _NO_MEANING):
            step = f"{path}.{key}" if path else key
            if key not in theirs:
                yield f"{step} is missing there"
            elif key not in ours:
                yield f"{step} is {json.dumps(theirs[key])} there only"
            else:
                yield from differences(ours[key], theirs[key], step)
    elif isinstance(ours, list) and isinstance(theirs, list):
        names = [[_name(item) for item in items] for items in (ours, theirs)]
        if names[0] != names[1]:
            yield f"{name} is {', '.join(names[0])} here and {', '.join(names[1])} there"
        else:
            for item, other in zip(ours, theirs, strict=True):
                yield from differences(item, other, f"{path}.{_name(item)}")
    elif ours != theirs:
        yield f"{name} is {json.dumps(ours)} here and {json.dumps(theirs)} there"


def _name(item: Any) -> str:  # noqa: ANN401 - JSON
    return str(item.get("name", item.get("type"))) if isinstance(item, dict) else str(item)
