"""The sink `kafka`, and everything that it needs of Kafka and of a schema registry."""

from streamer.sinks.kafka.client import LINGER_MS, PROTECTED, UNSAFE, RepeatFilter
from streamer.sinks.kafka.dead_letters import DeadLetterTopic
from streamer.sinks.kafka.opening import open_kafka_sink
from streamer.sinks.kafka.sink import KafkaSink

__all__ = [
    "LINGER_MS",
    "PROTECTED",
    "UNSAFE",
    "DeadLetterTopic",
    "KafkaSink",
    "RepeatFilter",
    "open_kafka_sink",
]
