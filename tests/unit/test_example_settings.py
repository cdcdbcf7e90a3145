"""The settings file that people begin with: as it is, and with every comment taken away."""

from __future__ import annotations

import re
from pathlib import Path

from streamer.settings import changes
from supervisor.settings import Settings, load

EXAMPLE = Path(__file__).parents[2] / "deploy" / "vigil.example.toml"
_COMMENTED = re.compile(r"^# (?=\[\[|[a-z_]+ = )", re.MULTILINE)


def test_it_holds_the_defaults() -> None:
    assert load(EXAMPLE) == Settings()


def test_every_commented_key_exists_and_shows_its_default(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    path = tmp_path / "vigil.toml"
    path.write_text(_COMMENTED.sub("", text), encoding="utf-8")
    settings = load(path)
    assert [rule.name for rule in settings.rules] == ["many threads"]
    assert set(changes(Settings(), settings)) == {"rules", "kafka.client"}  # examples, no defaults
