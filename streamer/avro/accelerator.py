"""The optional extension `vigil_accelerator`, compiled twins of the hottest functions.

Nothing needs it (docs/accelerator.md). What is installed is taken only if its interface is the one
known here and it encodes a number as it should be; else Python does the work.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol

NAME = "vigil_accelerator"
INTERFACE = 1
_NUMBER, _ENCODED = "65105.33000000", bytes.fromhex("140dc95df4742d96850000")

log = logging.getLogger(__name__)


class Accelerator(Protocol):
    """What the extension has."""

    def plain_decimal(self, text: str, /) -> bytes:
        """As `streamer.avro.binary.plain_decimal`."""

    def RecordEncoder(  # noqa: N802 - a class
        self,
        prefix: bytes,
        id_text: bytes,
        symbol: bytes,
        fields: tuple[tuple[str, str, Mapping[str, bytes]], ...],
        suffix: bytes,
        /,
    ) -> Callable[[Any, int], bytes]:
        """As the encoder of a kind."""


def load(
    import_module: Callable[[str], ModuleType] = importlib.import_module,
) -> tuple[Accelerator | None, str]:
    """Return the extension, None without a usable one; and why an installed one is not used."""
    try:
        found: Any = import_module(NAME)
        if found.INTERFACE != INTERFACE:
            return None, f"its interface is {found.INTERFACE}, expected {INTERFACE}"
        if found.plain_decimal(_NUMBER) != _ENCODED:
            return None, f"it encodes {_NUMBER} as {found.plain_decimal(_NUMBER).hex()}"
    except ModuleNotFoundError:
        return None, ""
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, Python does the work
        return None, repr(error)
    return found, ""


ACCELERATOR, UNUSABLE = load()


def announce(accelerator: object | None = ACCELERATOR, unusable: str = UNUSABLE) -> None:
    """Log whether the extension is used; nothing where it is not installed."""
    if accelerator is not None:
        log.info("%s is used", NAME)
    elif unusable:
        log.warning("%s is not used, Python does its work: %s", NAME, unusable)
