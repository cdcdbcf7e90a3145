from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType

import pytest

from streamer.avro import accelerator
from streamer.avro.binary import plain_decimal


def module(interface: int = 1, encode: Callable[[str], bytes] = plain_decimal) -> ModuleType:
    made = ModuleType(accelerator.NAME)
    vars(made).update({"INTERFACE": interface, "DecimalEncoder": lambda twin: encode})
    return made


def broken(error: Exception):
    def import_module(name: str) -> ModuleType:
        raise error

    return import_module


def test_an_extension_with_our_interface_that_encodes_rightly_is_taken() -> None:
    extension = module()

    assert accelerator.load(lambda _: extension) == (extension, "")


def test_nothing_is_said_where_it_is_not_installed() -> None:
    assert accelerator.load(broken(ModuleNotFoundError("no module"))) == (None, "")


def asks_its_twin() -> ModuleType:
    made = module()
    vars(made)["DecimalEncoder"] = lambda twin: twin
    return made


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (module(interface=2), "interface is 2, expected 1"),
        (module(encode=lambda text: b"\2\1"), "encodes 65105.33000000 as 0201, expected 140dc95d"),
        (asks_its_twin(), "does not encode 65105.33000000"),
        (ModuleType("empty"), "INTERFACE"),
    ],
)
def test_another_one_is_not_taken(extension: ModuleType, reason: str) -> None:
    found, why = accelerator.load(lambda _: extension)

    assert found is None
    assert reason in why


def test_one_that_cannot_be_loaded_is_not_taken() -> None:
    found, why = accelerator.load(broken(ImportError("undefined symbol: Py_X")))

    assert found is None
    assert "undefined symbol" in why


@pytest.mark.parametrize(
    ("extension", "unusable", "lines"),
    [
        (object(), "", [("INFO", "encoder=compiled")]),
        (None, "", [("INFO", "encoder=python")]),
        (
            None,
            "its interface is 2, expected 1",
            [
                (
                    "WARNING",
                    "vigil_accelerator is installed and not used: its interface is 2, expected 1; "
                    "build it anew (docs/accelerator.md)",
                ),
                ("INFO", "encoder=python"),
            ],
        ),
    ],
)
def test_the_log_tells_which_encoder_is_used(extension, unusable, lines, caplog) -> None:
    with caplog.at_level(logging.INFO):
        accelerator.announce(extension, unusable)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == lines
