import stat
from pathlib import Path

import pytest

from scripts.kafka_tool import broker
from scripts.kafka_tool.settings import PLAIN_USER, SUPER_USER, Settings, Wishes


def test_settings_survive_their_file_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    settings = Settings.draw(Wishes(nodes=3, sasl=True, properties={"a": "b"}))
    settings.save(tmp_path)
    assert Settings.load(tmp_path) == settings
    assert stat.S_IMODE((tmp_path / "cluster.json").stat().st_mode) == 0o600


def test_a_directory_without_a_cluster_has_no_settings(tmp_path: Path) -> None:
    assert Settings.load(tmp_path) is None


def test_no_two_listeners_share_a_port() -> None:
    settings = Settings.draw(Wishes(nodes=3))
    ports = [port for n in settings.nodes.values() for port in (n.client, n.internal, n.controller)]
    assert len({*ports, settings.registry_port}) == 10


@pytest.mark.parametrize(
    ("sasl", "tls", "protocol"),
    [
        (False, False, None),
        (True, False, "SASL_PLAINTEXT"),
        (False, True, "SSL"),
        (True, True, "SASL_SSL"),
    ],
)
def test_a_client_is_told_what_it_needs(
    sasl: bool, tls: bool, protocol: str | None, tmp_path: Path
) -> None:
    settings = Settings.draw(Wishes(sasl=sasl, tls=tls))
    client = settings.client_settings(PLAIN_USER, tmp_path)
    assert client.get("security.protocol") == protocol
    assert ("sasl.password" in client) == sasl
    assert ("ssl.ca.location" in client) == tls
    if sasl:
        assert client != settings.client_settings(SUPER_USER, tmp_path)


def test_every_listener_is_on_loopback_and_asked_properties_win(tmp_path: Path) -> None:
    wishes = Wishes(nodes=3, properties={"message.max.bytes": "2000", "min.insync.replicas": "1"})
    properties = broker.properties(Settings.draw(wishes), tmp_path, 2)
    for listener in properties["listeners"].split(","):
        assert "://127.0.0.1:" in listener
    assert properties["message.max.bytes"] == "2000"
    assert properties["min.insync.replicas"] == "1"
    assert properties["default.replication.factor"] == "3"


def test_data_can_lie_elsewhere_but_the_metadata_stays(tmp_path: Path) -> None:
    wishes = Wishes(log_directory=str(tmp_path / "small"))
    properties = broker.properties(Settings.draw(wishes), tmp_path, 1)
    assert properties["log.dirs"] == str(tmp_path / "small" / "node-1")
    assert properties["metadata.log.dir"] == str(tmp_path / "node-1" / "metadata")
