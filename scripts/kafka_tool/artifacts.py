"""The pinned artifacts: read from the lock, fetched from a Maven repository, verified, cached.

No address of a repository is known here. It comes from ``VIGIL_MAVEN_REPOSITORY``
(for example ``https://HOST/PATH``), or else from the configuration of the ``mvn`` on this machine.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from .errors import KafkaToolError, UnavailableError

LOCK = Path(__file__).with_name("artifacts.toml")
REPOSITORY_VARIABLE = "VIGIL_MAVEN_REPOSITORY"
DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"

_FETCH_TIMEOUT_SECONDS = 900  # 190 MB at 2 Mbit/s
_READ_TIMEOUT_SECONDS = 60  # a silent connection, not a slow one
_ATTEMPTS = 3  # one lost connection in 45 files is nothing to report


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a Maven repository and the SHA-256 (hexadecimal) that it must have."""

    group: str
    name: str
    version: str
    sha256: str
    extension: str = "jar"
    classifier: str = ""

    @classmethod
    def parse(cls, coordinate: str, sha256: str) -> "Artifact":
        """Read ``group:name:version[:extension[:classifier]]``."""
        group, name, version, *rest = coordinate.split(":")
        return cls(group, name, version, sha256, *rest)

    @property
    def coordinate(self) -> str:
        """The inverse of ``parse``, as ``dependency:copy`` wants it."""
        fields = [self.group, self.name, self.version]
        if self.classifier:
            fields += [self.extension, self.classifier]
        elif self.extension != "jar":
            fields.append(self.extension)
        return ":".join(fields)

    @property
    def file_name(self) -> str:
        """The file's name in a repository and in a directory of jars."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{classifier}.{self.extension}"

    @property
    def repository_path(self) -> str:
        """Where the file is below a repository's address."""
        group = self.group.replace(".", "/")
        return f"{group}/{self.name}/{self.version}/{self.file_name}"


def locked(component: str, lock: Path = LOCK) -> list[Artifact]:
    """Return the pinned artifacts of ``kafka`` or ``registry``."""
    table = tomllib.loads(lock.read_text())[component]
    return [Artifact.parse(coordinate, sha256) for coordinate, sha256 in table.items()]


def cache_directory() -> Path:
    """Return ``$XDG_CACHE_HOME/vigil``, by default ``~/.cache/vigil``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vigil"


def install(component: str, artifacts: list[Artifact], cache: Path) -> Path:
    """Return a directory with the verified files, archives unpacked, fetching what is not cached.

    The directory's name holds a digest of the lock, and it appears by one rename when it is
    complete: what is there is verified, and two starts at once do not disturb each other.
    """
    digest = hashlib.sha256(repr(artifacts).encode()).hexdigest()[:12]
    target = cache / f"{component}-{digest}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{component}-") as staging:
        content = Path(staging, "content")
        content.mkdir()
        fetch(artifacts, content)
        for artifact in artifacts:
            verify(artifact, content / artifact.file_name)
            if artifact.extension == "tar.gz":
                _unpack(content / artifact.file_name)
        try:
            content.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another start was faster, with the same files
                raise
    return target


def verify(artifact: Artifact, file: Path) -> None:
    """Raise unless the file's SHA-256 is the locked one."""
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != artifact.sha256:
        raise KafkaToolError(
            f"{artifact.coordinate} has SHA-256 {actual}, but {LOCK.name} pins {artifact.sha256}: "
            "the repository served another file; it was not installed"
        )


def fetch(artifacts: Iterable[Artifact], directory: Path) -> None:
    """Fetch the files into a directory, unverified: from the variable's address, else by mvn."""
    repository = os.environ.get(REPOSITORY_VARIABLE)
    if repository:
        with ThreadPoolExecutor(max_workers=4) as pool:
            for _ in pool.map(lambda item: _download(repository, item, directory), artifacts):
                pass
    elif shutil.which("mvn"):
        run_maven("copy", _copy_project(artifacts, directory), directory)
    else:
        raise UnavailableError(
            "Apache Kafka is not in the cache and there is nothing to fetch it with: install "
            f"Maven (mvn), or set {REPOSITORY_VARIABLE} to the address of a Maven repository"
        )


def run_maven(goal: str, project: str, directory: Path, *options: str) -> None:
    """Run one goal of the pinned dependency plugin on a project given as XML."""
    pom = directory.with_name("pom.xml")
    pom.write_text(project)
    command = ["mvn", "--batch-mode", "--quiet", f"--file={pom}"]
    result = subprocess.run(
        [*command, f"{DEPENDENCY_PLUGIN}:{goal}", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_FETCH_TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise KafkaToolError(f"mvn could not fetch the artifacts:\n{result.stdout[-2000:]}")


def project_xml(body: str) -> str:
    """Return a Maven project that exists to resolve things."""
    return (
        "<project><modelVersion>4.0.0</modelVersion>"
        f"<groupId>vigil</groupId><artifactId>kafka</artifactId><version>1</version>{body}</project>"
    )


def _copy_project(artifacts: Iterable[Artifact], directory: Path) -> str:
    items = "".join(
        f"<artifactItem><groupId>{escape(item.group)}</groupId>"
        f"<artifactId>{escape(item.name)}</artifactId><version>{escape(item.version)}</version>"
        f"<type>{escape(item.extension)}</type><classifier>{escape(item.classifier)}</classifier>"
        "</artifactItem>"
        for item in artifacts
    )
    group, name, version = DEPENDENCY_PLUGIN.split(":")
    return project_xml(
        f"<build><plugins><plugin><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version><configuration>"
        f"<outputDirectory>{escape(str(directory))}</outputDirectory>"
        f"<artifactItems>{items}</artifactItems></configuration></plugin></plugins></build>"
    )


def _download(repository: str, artifact: Artifact, directory: Path) -> None:
    if not repository.startswith(("https://", "http://")):  # what is served is verified either way
        raise KafkaToolError(
            f"{REPOSITORY_VARIABLE} is {repository!r}, but must be an http(s) address"
        )
    url = f"{repository.rstrip('/')}/{artifact.repository_path}"
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with (
                urllib.request.urlopen(url, timeout=_READ_TIMEOUT_SECONDS) as response,  # noqa: S310 - the scheme is checked above
                (directory / artifact.file_name).open("wb") as file,
            ):
                shutil.copyfileobj(response, file)
        except OSError as error:  # URLError among them
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or attempt == _ATTEMPTS:
                raise KafkaToolError(f"{url} could not be fetched: {error}") from error
        else:
            return


def _unpack(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(archive.parent)  # noqa: S202 - its content is pinned by SHA-256
    archive.unlink()
