"""What happens to streams in the network, for whoever keeps account of what was covered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing serves these streams any more: wire names."""

    wire_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """These streams are served again, after so many seconds without."""

    wire_names: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange refuses the subscription of one stream, though it accepts others."""

    wire_name: str
    error: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The exchange accepts the subscription of a stream that it had refused."""

    wire_name: str


CoverageEvent: TypeAlias = Lost | Restored
NetworkEvent: TypeAlias = CoverageEvent | Refused | Accepted
