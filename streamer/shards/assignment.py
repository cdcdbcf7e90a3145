"""Which shard a symbol belongs to: the same answer in every process, on every machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def shard_of(symbol: str, count: int) -> int:
    """Return the shard of `symbol`, in [0, `count`), by rendezvous hashing (Thaler, Ravishankar).

    Each shard gets a share of `1 / count`. When `count` grows by one, only that share moves, all of
    it to the new shard; when it shrinks by one, only the symbols of the last shard move.
    """
    if count < 1:
        raise ValueError(f"expected at least one shard, got {count}")
    return max(range(count), key=lambda shard: _weight(symbol, shard))


def symbols_of(shard: int, symbols: Iterable[str], count: int) -> tuple[str, ...]:
    """Return those of `symbols` that belong to `shard`, in their order."""
    return tuple(each for each in symbols if shard_of(each, count) == shard)


def _weight(symbol: str, shard: int) -> bytes:
    """Return what decides between shards: a digest, since `hash` differs from run to run."""
    return blake2b(f"{shard}:{symbol}".encode(), digest_size=8).digest()
