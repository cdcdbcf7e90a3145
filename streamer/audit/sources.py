"""Where the records of a sink are read from, for the commands that read all of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from streamer.audit.batches import Source
from streamer.audit.directory import Directory
from streamer.audit.layouts import DIRECTORIES
from streamer.config import KafkaConfig
from streamer.sink_command import NothingToRead, asking_kafka, record_topics


def files_of(path: Path, kinds: Collection[str] = DIRECTORIES) -> Directory:
    """Return the files of a `sink.directory`, of these kinds.

    Raises NothingToRead where they cannot be listed.
    """
    try:
        return Directory(path, kinds)
    except OSError as error:
        raise NothingToRead(f"{path}: {error.strerror or error}") from None


def topics_of(config: KafkaConfig, kinds: Collection[str] = DIRECTORIES) -> Source:
    """Return the topics of these kinds. Raises NothingToRead where brokers do not answer."""
    from streamer.audit.topics import Topics  # here: who reads files needs no client

    topics = record_topics(config)
    with asking_kafka(config):
        return Topics(config, {kind: topics[kind] for kind in topics if kind in kinds})
