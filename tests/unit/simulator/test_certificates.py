"""Certificates: private on disk, and accepted by a strict client."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from simulator.certificates import server_context


def handshake(ca_file: Path, server: ssl.SSLContext, name: str) -> None:
    """Shake hands in memory, as a client that trusts this CA only."""
    client = ssl.create_default_context(cafile=str(ca_file))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        done = 0
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                continue
        if done == 2:
            return
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize("name", ["127.0.0.1", "::1", "localhost"])
def test_a_strict_client_accepts_every_loopback_name(tmp_path: Path, name: str) -> None:
    context, ca_file = server_context(tmp_path / "made")
    handshake(ca_file, context, name)


def test_other_names_and_other_authorities_are_refused(tmp_path: Path) -> None:
    context, ca_file = server_context(tmp_path / "one")
    _, other_ca = server_context(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(ca_file, context, "exchange.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        handshake(other_ca, context, "localhost")


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "made"
    server_context(directory)
    server_context(directory)  # a second run in the same place
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    assert {path.name for path in directory.iterdir()} == {"ca.pem", "server.pem"}
