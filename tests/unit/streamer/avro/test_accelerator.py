from __future__ import annotations

import logging
from types import ModuleType

import pytest

from streamer.avro import accelerator
from streamer.avro.binary import plain_decimal


def module(**attributes: object) -> ModuleType:
    made = ModuleType(accelerator.NAME)
    vars(made).update({"INTERFACE": 1, "plain_decimal": plain_decimal, **attributes})
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


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (module(INTERFACE=2), "interface is 2, expected 1"),
        (module(plain_decimal=lambda text: b"\2\1"), "encodes 65105.33000000 as 0201"),
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


def test_the_log_tells_whether_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        accelerator.announce(object(), "")
        accelerator.announce(None, "its interface is 2, expected 1")
        accelerator.announce(None, "")

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "vigil_accelerator is used"),
        (
            "WARNING",
            "vigil_accelerator is not used, Python does its work: its interface is 2, expected 1",
        ),
    ]
