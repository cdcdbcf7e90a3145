"""The text of `/metrics`: families of prometheus_client, and ours of the streams behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from monitor.metrics import SnapshotCollector
from monitor.series_limit import SeriesLimit
from monitor.snapshot import Snapshot
from monitor.stream_metrics import Family, Labels, stream_families

STREAMS_MAX = 5000  # of 45,000 series; all symbols of the spot market with three streams each

_END = b"# EOF\n"


class Exposition:
    """Renders the metrics of what `source` returns; used by one thread."""

    def __init__(
        self,
        source: Callable[[], Snapshot | None],
        streams_max: int = STREAMS_MAX,
        also: Collector | None = None,
    ) -> None:
        """`streams_max` is how many streams have series of their own."""
        self._source = source
        self._limit = SeriesLimit(streams_max)
        # One of our own keeps out the `process_*` series of the supervisor.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(SnapshotCollector(source))
        if also is not None:
            self._registry.register(also)

    def text(self) -> tuple[bytes, str]:
        """Return the text and its content type."""
        return generate_latest(self._registry) + self._streams("_total"), CONTENT_TYPE_PLAIN_0_0_4

    def openmetrics(self) -> tuple[bytes, str]:
        """Return the text in OpenMetrics and its content type."""
        generate: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest
        others = generate(self._registry).removesuffix(_END)
        return others + self._streams("") + _END, openmetrics.CONTENT_TYPE_LATEST

    def _streams(self, counter_suffix: str) -> bytes:
        """Return the families of the streams; `counter_suffix` is in the name of a counter's."""
        snapshot = self._source()
        if snapshot is None:
            return b""
        lines = [
            line
            for family in stream_families(snapshot, self._limit)
            for line in _lines(family, counter_suffix)
        ]
        return "".join(lines).encode()


def _lines(family: Family, counter_suffix: str) -> Iterator[str]:
    is_counter = family.kind == "counter"
    name = f"{family.name}{counter_suffix}" if is_counter else family.name
    yield f"# HELP {name} {family.text}\n# TYPE {name} {family.kind}\n"
    sample = f"{family.name}_total" if is_counter else family.name
    for labels, value in family.values.items():
        yield f"{sample}{_labels(family.label_names, labels)} {float(value)}\n"


@lru_cache(maxsize=4 * STREAMS_MAX)  # the same text in ten families, each second
def _labels(names: Labels, values: Labels) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
