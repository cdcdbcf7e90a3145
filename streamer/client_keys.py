"""Settings that are passed through to librdkafka: their keys, and which values may be shown."""

from __future__ import annotations

from typing import Any

from streamer.secret import MASK, Secret

_HARMLESS_KEYS = """
acks allow.auto.create.topics api.version.fallback.ms api.version.request
api.version.request.timeout.ms auto.offset.reset batch.num.messages batch.size bootstrap.servers
broker.address.family broker.address.ttl broker.version.fallback builtin.features check.crcs
client.dns.lookup client.id client.rack compression.codec compression.level compression.type
connections.max.idle.ms debug delivery.report.only.error delivery.timeout.ms enable.auto.commit
enable.auto.offset.store enable.gapless.guarantee enable.idempotence enable.metrics.push
enable.partition.eof enable.random.seed enable.sasl.oauthbearer.unsecure.jwt
enable.ssl.certificate.verification fetch.error.backoff.ms fetch.max.bytes fetch.message.max.bytes
fetch.min.bytes fetch.queue.backoff.ms fetch.wait.max.ms group.id group.instance.id group.protocol
heartbeat.interval.ms internal.termination.signal isolation.level linger.ms log.connection.close
log.queue log.thread.name log_level max.in.flight max.in.flight.requests.per.connection
max.partition.fetch.bytes max.poll.interval.ms message.copy.max.bytes message.max.bytes
message.send.max.retries message.timeout.ms metadata.broker.list metadata.max.age.ms
metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy msg.order.cmp partitioner
partition.assignment.strategy produce.offset.report queue.buffering.backpressure.threshold
queue.buffering.max.kbytes queue.buffering.max.messages queue.buffering.max.ms
queued.max.messages.kbytes queued.min.messages queuing.strategy receive.message.max.bytes
reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms request.required.acks
request.timeout.ms retries retry.backoff.max.ms retry.backoff.ms sasl.kerberos.keytab
sasl.kerberos.min.time.before.relogin sasl.kerberos.service.name sasl.mechanism sasl.mechanisms
sasl.oauthbearer.grant.type sasl.oauthbearer.method security.protocol session.timeout.ms
socket.blocking.max.ms socket.connection.setup.timeout.ms socket.keepalive.enable socket.max.fails
socket.nagle.disable socket.receive.buffer.bytes socket.send.buffer.bytes socket.timeout.ms
ssl.ca.certificate.stores ssl.ca.location ssl.certificate.location ssl.cipher.suites
ssl.crl.location ssl.curves.list ssl.endpoint.identification.algorithm ssl.key.location
ssl.keystore.location ssl.providers ssl.sigalgs.list statistics.interval.ms
sticky.partitioning.linger.ms topic.blacklist topic.metadata.propagation.max.ms
topic.metadata.refresh.fast.cnt topic.metadata.refresh.fast.interval.ms
topic.metadata.refresh.interval.ms topic.metadata.refresh.sparse transaction.timeout.ms
transactional.id
"""
HARMLESS = frozenset(_HARMLESS_KEYS.split())
"""Keys of librdkafka's whose values hold nothing secret. Any other value is a `Secret`: a list of
the secret ones would miss those of a version to come."""

_REDACTED_CHARACTERS = 3
ClientValue = str | int | float | bool | Secret


def dotted_keys(table: dict[Any, Any]) -> dict[str, Any]:
    """Return client settings with dotted keys, one level of them.

    TOML reads `sasl.password = …` as a table in a table, and environment names can only hold
    `sasl_password`.
    """
    return {key if key in HARMLESS else key.replace("_", "."): item for key, item in _flat(table)}


def _flat(table: dict[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, item in table.items():
        name = f"{prefix}{key}"
        pairs += _flat(item, f"{name}.") if isinstance(item, dict) else [(name, item)]
    return pairs


def revealed(client: dict[str, ClientValue]) -> dict[str, str | int | float | bool]:
    """Return the settings as librdkafka takes them."""
    return {
        key: value.reveal() if isinstance(value, Secret) else value for key, value in client.items()
    }


def redacted(text: str, client: dict[str, ClientValue]) -> str:
    """Return what librdkafka says with every secret of its settings masked.

    It repeats wrong values and the commands that it runs. Shorter ones than `_REDACTED_CHARACTERS`
    would mask half of the text.
    """
    secrets = [value.reveal() for value in client.values() if isinstance(value, Secret)]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _REDACTED_CHARACTERS:
            text = text.replace(secret, MASK)
    return text
