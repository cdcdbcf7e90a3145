from pathlib import Path

import pytest

from scripts.kafka_tool.command_line import main, vigil_environment
from scripts.kafka_tool.settings import PLAIN_USER, Settings, Wishes
from streamer.secret import Secret
from streamer.settings import StreamerSettings, load


def test_vigil_understands_what_run_puts_into_the_environment(tmp_path: Path) -> None:
    settings = Settings.draw(Wishes(nodes=3, sasl=True, tls=True))
    client = settings.client_settings(PLAIN_USER, tmp_path)
    environment = vigil_environment(
        {
            "bootstrap_servers": settings.bootstrap_servers,
            "client": client,
            "registry_url": None,
        }
    )
    kafka = load(StreamerSettings, environment=environment).kafka
    assert kafka.bootstrap_servers == settings.bootstrap_servers
    taken = {
        key: value.reveal() if isinstance(value, Secret) else value
        for key, value in kafka.client.items()
    }
    assert taken == client


@pytest.mark.parametrize("command", ["stop", "status", "start-node 1", "registry stop"])
def test_a_directory_without_a_cluster_is_said_so(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), f"--directory={tmp_path}"]) == 1
    assert f"{tmp_path} holds no cluster" in capsys.readouterr().err


def test_a_directory_that_cannot_be_made_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["start", f"--directory={tmp_path / 'file'}"]) == 1
    assert "file: File exists; expected a directory" in capsys.readouterr().err


def test_a_machine_without_java_has_an_exit_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert main(["start", f"--directory={tmp_path}"]) == 4
    assert "Java 17 or newer" in capsys.readouterr().err


def test_a_stopped_cluster_starts_again_only_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Settings.draw(Wishes(nodes=3)).save(tmp_path)
    assert main(["start", f"--directory={tmp_path}"]) == 1
    assert "with other options" in capsys.readouterr().err


def test_a_property_needs_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["start", "--set", "message.max.bytes"])
    assert "is not KEY=VALUE" in capsys.readouterr().err
