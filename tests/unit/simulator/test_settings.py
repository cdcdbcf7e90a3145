"""The command line."""

from __future__ import annotations

import pytest

from simulator.settings import parse


def test_defaults_are_the_exchanges_numbers() -> None:
    settings = parse([])
    assert settings.symbols == {"BTCUSDT": 1.0, "ETHUSDT": 1.0, "BNBUSDT": 1.0}
    assert (settings.ping_interval, settings.pong_timeout) == (20.0, 60.0)
    assert (settings.max_connection_age, settings.stream_limit) == (86400.0, 1024)
    assert (settings.message_limit, settings.attempt_limit) == (5, 300)
    assert settings.weight_limit == 6000


def test_values_are_read() -> None:
    settings = parse(
        ["--symbols", "AUSDT,BUSDT=0.5", "--ping-interval", "500ms", "--fault", "kind=reset at=1s",
         "--fault", "kind=stall"]
    )  # fmt: skip
    assert settings.symbols == {"AUSDT": 1.0, "BUSDT": 0.5}
    assert settings.ping_interval == 0.5
    assert settings.fault == ("kind=reset at=1s", "kind=stall")


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["--symbols", "btcusdt"], "expected BTCUSDT"),
        (["--symbols", "BTCUSDT=0"], "above 0"),
        (["--rate", "none"], "no number above 0"),
        (["--ping-interval", "0s"], "above 0"),
        (["--lag", "soon"], "expected 500ms"),
        (["--port", "65536"], "'65536' is no port; expected 0 to 65535"),
        (["--rest-port", "-1"], "is no port"),
        (["--control-port", "http"], "is no port"),
    ],
)
def test_mistakes_end_with_2_and_a_cure(
    arguments: list[str], cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert cure in capsys.readouterr().err


def test_help_explains_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert "refuse_connections duration=10.0 how=tcp" in text
    assert "negative_price" in text
