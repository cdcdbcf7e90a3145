"""The optional extension `vigil_accelerator`, compiled twins of the hottest functions.

Nothing needs it (docs/accelerator.md). What is installed is taken only if its interface is the one
known here and it encodes a number as it should be; else Python does the work.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal, Protocol

NAME = "vigil_accelerator"
INTERFACE = 1
_NUMBER, _ENCODED = "65105.33000000", bytes.fromhex("140dc95df4742d96850000")

log = logging.getLogger(__name__)


class Accelerator(Protocol):
    """What the extension has. Both ask their twin about whatever they cannot encode."""

    def DecimalEncoder(  # noqa: N802 - a class
        self, twin: Callable[[str], bytes], /
    ) -> Callable[[str], bytes]:
        """As `twin`, which is `streamer.avro.binary.plain_decimal`."""

    def RecordEncoder(  # noqa: N802 - a class
        self,
        twin: Callable[[Any, int], bytes],
        prefix: bytes,
        id_text: bytes,
        symbol: bytes,
        fields: tuple[tuple[str, str, Mapping[str, bytes]], ...],
        suffix: bytes,
        /,
    ) -> Callable[[Any, int], bytes]:
        """As `twin`, the encoder of a kind in Python."""


def load(
    import_module: Callable[[str], ModuleType] = importlib.import_module,
) -> tuple[Accelerator | None, str]:
    """Return the extension, None without a usable one; and why an installed one is not used."""
    try:
        found: Any = import_module(NAME)
        if found.INTERFACE != INTERFACE:
            return None, f"its interface is {found.INTERFACE}, expected {INTERFACE}"
        encoded = found.DecimalEncoder(_refuse)(_NUMBER)
        if encoded != _ENCODED:
            return None, f"it encodes {_NUMBER} as {encoded.hex()}, expected {_ENCODED.hex()}"
    except ModuleNotFoundError:
        return None, ""
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, Python does the work
        return None, repr(error)
    return found, ""


def _refuse(text: str) -> bytes:
    raise ValueError(f"it does not encode {text}")


def name_encoder(accelerator: object | None) -> Literal["compiled", "python"]:
    """Return which of the two encodes the records, as it is told to people."""
    return "python" if accelerator is None else "compiled"


ACCELERATOR, UNUSABLE = load()
ENCODER = name_encoder(ACCELERATOR)


def announce(accelerator: object | None = ACCELERATOR, unusable: str = UNUSABLE) -> None:
    """Log which encoder is used, and what is wrong with an extension that is not."""
    if unusable:
        log.warning(
            "%s is installed and not used: %s; build it anew (docs/accelerator.md)", NAME, unusable
        )
    log.info("encoder=%s", name_encoder(accelerator))


if __name__ == "__main__":  # what installs it asks whether it is taken
    sys.exit(None if ACCELERATOR is not None else f"{NAME} is not used: {UNUSABLE or 'not found'}")
