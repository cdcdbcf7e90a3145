"""What librdkafka tells about itself, every `kafka.statistics_every`."""

from __future__ import annotations

import msgspec


class _Window(msgspec.Struct, frozen=True):
    p99: int = 0  # microseconds


class _Broker(msgspec.Struct):
    nodeid: int = -1  # -1: an address to begin with, no broker yet
    nodename: str = ""
    txretries: int = 0
    req_timeouts: int = 0
    rtt: _Window = _Window()


class _Partition(msgspec.Struct):
    msgq_cnt: int = 0
    xmit_msgq_cnt: int = 0
    msgs_inflight: int = 0


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class _Document(msgspec.Struct):
    msg_size: int = 0
    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}


class Statistics(msgspec.Struct, frozen=True):
    """The latest look at one client; totals are since it was made."""

    queued_bytes: int = 0  # not acknowledged, under way or waiting
    retries_total: int = 0
    timeouts_total: int = 0
    latency_seconds: dict[str, float] = {}  # of requests, 99 of 100 are below, by HOST:PORT
    queued_by_topic: dict[str, int] = {}  # records not acknowledged
    broker_ports: frozenset[int] = frozenset()


class ClientStatistics:
    """What librdkafka told last, with the totals of the producers that are gone."""

    def __init__(self) -> None:
        self.now = Statistics()
        self.text = "{}"  # all of what was told last, for people
        self._before = Statistics()

    @property
    def retries_total(self) -> int:
        """Requests that were sent again."""
        return self._before.retries_total + self.now.retries_total

    @property
    def timeouts_total(self) -> int:
        """Requests that had no answer in time."""
        return self._before.timeouts_total + self.now.timeouts_total

    def take(self, text: str) -> None:
        """Take the next look at the same producer. Raises msgspec.MsgspecError."""
        self.now = parse(text)
        self.text = text

    def renew(self) -> None:
        """Begin anew with another producer."""
        self._before = msgspec.structs.replace(
            self._before, retries_total=self.retries_total, timeouts_total=self.timeouts_total
        )
        self.now = Statistics()


_decoder = msgspec.json.Decoder(_Document)


def parse(text: str | bytes) -> Statistics:
    """Return what is exported of librdkafka's JSON. Raises msgspec.MsgspecError."""
    document = _decoder.decode(text)
    brokers = [broker for broker in document.brokers.values() if broker.nodeid >= 0]
    return Statistics(
        queued_bytes=document.msg_size,
        retries_total=sum(broker.txretries for broker in brokers),
        timeouts_total=sum(broker.req_timeouts for broker in brokers),
        latency_seconds={
            broker.nodename: broker.rtt.p99 / 1e6 for broker in brokers if broker.rtt.p99
        },
        broker_ports=frozenset(
            int(port)
            for broker in brokers
            if (port := broker.nodename.rpartition(":")[2]).isascii() and port.isdigit()
        ),
        queued_by_topic={
            name: sum(
                one.msgq_cnt + one.xmit_msgq_cnt + one.msgs_inflight
                for one in topic.partitions.values()
            )
            for name, topic in document.topics.items()
        },
    )
