"""What became of each record on its way into Kafka: the evidence of a seed that failed.

Planted in the child like what `tests.campaign_hooks` disables: a line for each step of each record,
in a file of the campaign's directory.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from streamer.config import StreamerConfig

_RECORD_ID = re.compile(rb"binance:spot:[^:]+:[^:]+:[\d:gap-]+")


def with_trace(config: StreamerConfig) -> int:
    """Stream, with a trace of what goes into Kafka."""
    from streamer.avro.accelerator import ENCODER
    from streamer.run import run_streamer

    print(f"encoder={ENCODER}", file=sys.stderr, flush=True)  # the logs are not set up in here
    if config.sink.kind == "kafka":
        directory = config.sink.directory
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"trace-{config.generation}-{os.getpid()}"
        # Line by line: it may be killed at any moment.
        _plant(path.open("w", buffering=1, encoding="utf-8").write)
    return run_streamer(config)


def _plant(write: Callable[[str], object]) -> None:
    from streamer.sinks.kafka.overflow import Overflow
    from streamer.sinks.kafka.overflow_files import OverflowFiles
    from streamer.sinks.kafka.producer import RestartableProducer
    from streamer.sinks.kafka.sending import Sending
    from streamer.sinks.kafka.sink import KafkaSink

    def say(what: str, values: Iterable[bytes] = (b"",)) -> None:
        for value in values:
            found = _RECORD_ID.search(value)
            write(f"{time.time():.3f} {what} {found.group().decode() if found else ''}\n")

    def traced(owner: Any, name: str, tell: Callable[[Any, Any], object]) -> None:
        method = getattr(owner, name)

        def call(self: Any, *arguments: Any) -> Any:
            outcome = method(self, *arguments)
            tell(arguments, outcome)
            return outcome

        setattr(owner, name, call)

    def values(records: list[Any] | None) -> list[bytes]:
        return [record[1] for record in records or ()]

    traced(KafkaSink, "put", lambda its, _: say(f"put: {its[0].name} {its[1]}"))
    traced(Sending, "enter", lambda its, _: say(f"entered: {its[0]}"))
    traced(Sending, "_produce_all", lambda its, left: say("produced", values(its[0])))
    traced(RestartableProducer, "take_back", lambda _, back: say("taken back", values(back)))
    traced(
        RestartableProducer,
        "_undelivered",
        lambda its, _: say(f"not delivered: {its[0]}", [its[1].value()]),
    )
    traced(Overflow, "append", lambda its, _: say("waits", [its[0][1]]))
    traced(Overflow, "give_back", lambda its, _: say("given back", values(its[0])))
    traced(Overflow, "end", lambda _, taken: say("taken from memory", values(taken)))
    traced(Overflow, "pass_over", lambda its, _: say(f"to be passed over: {its[0]}"))
    traced(OverflowFiles, "write", lambda its, _: say("written", values(its[0])))
    traced(OverflowFiles, "read", lambda _, read: say("read", values(read)))
    traced(OverflowFiles, "drop_first", lambda *_: say("first file dropped"))
