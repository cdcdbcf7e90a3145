"""Writes artifacts.toml anew after a change of version here: ``scripts/kafka lock``."""

import hashlib
import tempfile
from pathlib import Path

from .artifacts import LOCK, Artifact, project_xml, run_maven

ROOTS = {
    "kafka": (
        Artifact("org.apache.kafka", "kafka_2.13", "4.3.1", ""),
        # Kafka logs through slf4j 1.7 and brings no implementation; this one writes to stderr.
        Artifact("org.slf4j", "slf4j-simple", "1.7.36", ""),
    ),
    # The newest Apicurio Registry that is published as a whole and runs on Java 17: 3.3 wants 21.
    "registry": (
        Artifact("io.apicurio", "apicurio-registry-app", "2.6.13.Final", "", "tar.gz", "all"),
    ),
}
_EXTENSIONS = (".jar", ".tar.gz")
_HEADER = """\
# Written by `scripts/kafka lock`: coordinate = SHA-256 of the file.
# A coordinate is group:name:version[:extension[:classifier]].
"""


def write_lock(lock: Path = LOCK) -> None:
    """Resolve the roots and all they need at run time, and write each file's SHA-256."""
    sections = [_HEADER]
    for component, roots in ROOTS.items():
        sections.append(f"\n[{component}]\n")
        sections += (f'"{item.coordinate}" = "{item.sha256}"\n' for item in _resolve(roots))
    lock.write_text("".join(sections))


def _resolve(roots: tuple[Artifact, ...]) -> list[Artifact]:
    dependencies = "".join(
        f"<dependency><groupId>{root.group}</groupId><artifactId>{root.name}</artifactId>"
        f"<version>{root.version}</version><type>{root.extension}</type>"
        f"<classifier>{root.classifier}</classifier>"
        # An archive brings all it needs inside.
        + (
            ""
            if root.extension == "jar"
            else "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId>"
            "</exclusion></exclusions>"
        )
        + "</dependency>"
        for root in roots
    )
    with tempfile.TemporaryDirectory() as staging:
        directory = Path(staging, "content")
        directory.mkdir()
        run_maven(
            "copy-dependencies",
            project_xml(f"<dependencies>{dependencies}</dependencies>"),
            directory,
            f"-DoutputDirectory={directory}",
            "-DincludeScope=runtime",
            "-Dmdep.useRepositoryLayout=true",
        )
        # Maven writes notes of its own beside the files.
        files = sorted(path for path in directory.rglob("*") if path.name.endswith(_EXTENSIONS))
        return [_artifact(path, path.relative_to(directory), roots) for path in files]


def _artifact(file: Path, relative: Path, roots: tuple[Artifact, ...]) -> Artifact:
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    *group, name, version, file_name = relative.parts
    for root in roots:  # only roots have another extension or a classifier
        if root.file_name == file_name:
            return Artifact(
                root.group, root.name, root.version, sha256, root.extension, root.classifier
            )
    artifact = Artifact(".".join(group), name, version, sha256)
    if artifact.file_name != file_name:
        raise ValueError(f"{relative} is not laid out as a plain jar: name it in ROOTS")
    return artifact
