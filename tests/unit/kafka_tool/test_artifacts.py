import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.kafka_tool.artifacts import REPOSITORY_VARIABLE, Artifact, install, locked
from scripts.kafka_tool.errors import KafkaToolError, UnavailableError


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository over HTTP on loopback; files put below the path are served."""
    root = tmp_path / "repository"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv(REPOSITORY_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield root
    server.shutdown()
    thread.join()
    server.server_close()


def publish(root: Path, coordinate: str, content: bytes) -> Artifact:
    artifact = Artifact.parse(coordinate, hashlib.sha256(content).hexdigest())
    file = root / artifact.repository_path
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return artifact


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("coordinate", "path"),
    [
        (
            "org.apache.kafka:kafka_2.13:4.3.1",
            "org/apache/kafka/kafka_2.13/4.3.1/kafka_2.13-4.3.1.jar",
        ),
        ("a.b:c:1:tar.gz:all", "a/b/c/1/c-1-all.tar.gz"),
        ("a:c:1:zip", "a/c/1/c-1.zip"),
    ],
)
def test_a_coordinate_tells_the_path_and_back(coordinate: str, path: str) -> None:
    artifact = Artifact.parse(coordinate, "")
    assert artifact.repository_path == path
    assert artifact.coordinate == coordinate


@pytest.mark.parametrize("component", ["kafka", "registry"])
def test_everything_in_the_lock_has_a_full_checksum(component: str) -> None:
    artifacts = locked(component)
    assert artifacts
    for artifact in artifacts:
        assert len(bytes.fromhex(artifact.sha256)) == hashlib.sha256().digest_size


def test_files_are_fetched_once_and_archives_unpacked(repository: Path, tmp_path: Path) -> None:
    artifacts = [
        publish(repository, "a:jar:1", b"jar"),
        publish(repository, "a:app:1:tar.gz:all", archive("lib/inner.jar", b"inner")),
    ]
    installed = install("kafka", artifacts, tmp_path / "cache")
    found = {str(file.relative_to(installed)) for file in installed.rglob("*") if file.is_file()}
    assert found == {"jar-1.jar", "lib/inner.jar"}

    (repository / artifacts[0].repository_path).unlink()
    assert install("kafka", artifacts, tmp_path / "cache") == installed


def test_another_file_than_the_pinned_one_is_refused_and_leaves_nothing(
    repository: Path, tmp_path: Path
) -> None:
    artifact = publish(repository, "a:jar:1", b"as pinned")
    (repository / artifact.repository_path).write_bytes(b"as served")
    with pytest.raises(KafkaToolError, match="a:jar:1 has SHA-256"):
        install("kafka", [artifact], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("repository")
def test_a_missing_file_is_named_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(KafkaToolError, match=r"/a/jar/1/jar-1\.jar could not be fetched: .*404"):
        install("kafka", [Artifact.parse("a:jar:1", "")], tmp_path / "cache")


def test_without_maven_or_an_address_it_says_what_would_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(REPOSITORY_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match=REPOSITORY_VARIABLE):
        install("kafka", [Artifact.parse("a:jar:1", "")], tmp_path / "cache")


def test_an_address_that_is_no_web_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPOSITORY_VARIABLE, "file:///etc")
    with pytest.raises(KafkaToolError, match="must be an http"):
        install("kafka", [Artifact.parse("a:jar:1", "")], tmp_path / "cache")
