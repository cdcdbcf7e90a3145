"""What a soak test shows when the supervisor does not even begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soaking import run_soak


def test_a_refusal_is_shown_with_its_message_and_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError) as failed:
        run_soak("smoke", tmp_path / "profile.json", settings=["--set", "exchange.symbol=BTCUSDT"])
    assert "the soak ended with 2, without a profile" in str(failed.value)
    assert "exchange.symbol" in str(failed.value)
    assert "exchange.symbol" in capsys.readouterr().err


def test_an_old_profile_does_not_speak_for_a_soak_that_was_refused(tmp_path: Path) -> None:
    output = tmp_path / "profile.json"
    output.write_text('{"verdict": "pass"}')
    with pytest.raises(AssertionError, match="neither a built-in profile"):
        run_soak("of-nobody", output)
