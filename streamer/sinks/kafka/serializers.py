"""The serializer cache: encoders by subject, the least lately used subject put out first.

What a subject needs of the registry, its schema's id, is kept for all of them: an eviction costs
a microsecond or two when the subject comes again, never a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from streamer.data.record_head import Encode
from streamer.data.records import encoder
from streamer.routes import Route


class Serializer(dict[Route, Encode]):
    """The encoders of one subject's routes, made when they are wanted."""

    def __init__(self, header: bytes) -> None:
        super().__init__()
        self._header = header

    def __missing__(self, route: Route) -> Encode:
        encode = self[route] = encoder(
            route.stream, route.symbol, prefix=self._header, epoch=route.epoch
        )
        return encode


class Serializers:
    """At most `limit` serializers. `of(topic)` returns the one of the subject TOPIC-value.

    `of` is the C implementation of `lru_cache` itself: 0.09 µs a record, the encoder included.
    """

    def __init__(self, limit: int, header_of: Mapping[str, bytes]) -> None:
        self.of = lru_cache(maxsize=limit)(lambda topic: Serializer(header_of[topic]))

    @property
    def size(self) -> int:
        """Serializers in the cache."""
        return self.of.cache_info().currsize

    @property
    def evictions_total(self) -> int:
        """Serializers put out so far."""
        info = self.of.cache_info()
        return info.misses - info.currsize
