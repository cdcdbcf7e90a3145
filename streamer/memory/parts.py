"""What holds a streamer's memory, part by part, with the limit of each that has one.

What is told here is not taken for a leak, up to its limit: so limits come from the settings and
from constants, and what has none explains nothing. Sizes are estimates; that what is told is too
little does no harm.
"""

from __future__ import annotations

from collections.abc import Callable

from streamer.avro.binary import remembered_bytes
from streamer.config import KafkaConfig
from streamer.memory.free_heap import FreeHeap
from streamer.memory.paced_look import PacedLook
from streamer.memory.python_heap import PythonHeap, python_heap
from streamer.memory.trimmer import resident_memory
from streamer.messages import MemoryPart, MemoryParts, SinkCounts

MIB = 1 << 20
FILE_PAGES_LIMIT = 48 * MIB  # libraries: 16 MiB measured with the sink of files
FREE_HEAP_LIMIT = 32 * MIB  # the heap is trimmed before, once it has stopped growing
PYTHON_FREE_LIMIT = 32 * MIB
"""Arenas are given back only when all of them is free, and few objects that live on keep many."""
ENCODER_CACHES_LIMIT = 4 * MIB  # all of them full
HELD_LIMIT = 32 * MIB  # three streams whose events wait above a gap, all that are kept in memory
FILES_QUEUE_LIMIT = 16 * MIB  # what the files' sink keeps while the disk refuses it
KAFKA_QUEUE_FACTOR = 3
"""Memory of a full queue per `kafka.queue_bytes`: for a record of 120 bytes librdkafka keeps 350,
measured."""
HELD_EVENT_BYTES = 520  # of an event above a gap: 20,000 take 10 MiB
KAFKA_RECORD_BYTES = 230  # that librdkafka keeps with each record, measured
FILES_RECORD_BYTES = 50  # of a bytes object in a list, measured


class MemoryAccount:
    """Tells the parts for a report."""

    def __init__(
        self,
        kafka: KafkaConfig,
        heap: FreeHeap,
        resident: Callable[[], tuple[int, int]] = resident_memory,
        python: Callable[[], PythonHeap | None] = python_heap,
        remembered: Callable[[], int] = remembered_bytes,
    ) -> None:
        self._kafka_limit = KAFKA_QUEUE_FACTOR * kafka.queue_bytes
        self._heap = heap
        self._resident = resident
        self._python = PacedLook(python)
        self._remembered = remembered

    def parts(self, sink: SinkCounts, held_events: int) -> MemoryParts:
        """Return the parts; `held_events` wait above gaps, in memory."""
        parts = {
            "sink_queue": self._queue(sink),
            "held_events": MemoryPart(held_events * HELD_EVENT_BYTES, HELD_LIMIT),
            "encoder_caches": MemoryPart(self._remembered(), ENCODER_CACHES_LIMIT),
        }
        heap, python = self._heap.use(), self._python.latest()
        if heap is not None:
            parts["free_heap"] = MemoryPart(heap.free, FREE_HEAP_LIMIT)
            parts["heap_in_use"] = MemoryPart(heap.in_use)
        if python is not None:
            parts["python_free"] = MemoryPart(python.free, PYTHON_FREE_LIMIT)
            parts["python_objects"] = MemoryPart(python.in_use)
        try:
            resident, file_pages = self._resident()
        except OSError:  # there is no /proc
            return parts
        parts["file_pages"] = MemoryPart(file_pages, FILE_PAGES_LIMIT)
        if heap is not None and python is not None:
            named = file_pages + heap.in_use + heap.free + python.in_use + python.free
            parts["other"] = MemoryPart(max(resident - named, 0))  # stacks, the allocators' own
        return parts

    def _queue(self, sink: SinkCounts) -> MemoryPart:
        """Return what waits in memory; what waits on disk takes none."""
        kafka = sink.kind == "kafka"
        limit = self._kafka_limit if kafka else FILES_QUEUE_LIMIT
        record = sink.bytes_total // max(sink.accepted_total, 1)
        record += KAFKA_RECORD_BYTES if kafka else FILES_RECORD_BYTES
        return MemoryPart(max(sink.queued - sink.overflow_records, 0) * record, limit)
