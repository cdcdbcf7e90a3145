"""The files that there should be, by the manifest of the writer, and where the streams should end.

What can be told by it alone: a file that is gone, wherever it was in the order; one whose content
was changed; a stream that ends too early, or is not there at all.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamer.audit.findings import Finding
from streamer.audit.layouts import DIRECTORIES
from streamer.audit.period import Period
from streamer.data.catalogue import CONTIGUOUS, kind_of
from streamer.shards.directories import directories
from streamer.sinks.avro_writer import OPEN_SUFFIX
from streamer.sinks.directories import BACKFILL_DIRECTORY
from streamer.sinks.file_positions import POSITIONS, POSITIONS_MAX_BYTES
from streamer.sinks.manifest import Entry, checksum, manifest_path, read


@dataclass(slots=True)
class Holdings:
    """What was found about files: what is wrong with them, and what cannot be said."""

    problems: list[str] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)


def check_files(root: Path, period: Period) -> Holdings:
    """Compare the files of a sink's directory, or of one kind's, with the manifest."""
    holdings = Holdings()
    for base in (*directories(root), root / BACKFILL_DIRECTORY):
        for directory in _kinds_of(base):
            _check_kind(directory, period, holdings)
    return holdings


def _kinds_of(root: Path) -> Iterator[Path]:
    if root.name in DIRECTORIES and manifest_path(root).exists():
        yield root
        return
    if any(root.glob("*.avro")):
        yield root
    for kind in DIRECTORIES:
        if (root / kind).is_dir() or manifest_path(root / kind).exists():
            yield root / kind


def _check_kind(directory: Path, period: Period, holdings: Holdings) -> None:
    manifest = manifest_path(directory)
    try:
        entries, spoilt = read(manifest)
    except OSError:
        if any(directory.glob("*.avro")):
            holdings.not_judged.append(
                f"{directory}: there is no manifest ({manifest}), so missing or changed files "
                "cannot be detected"
            )
        return
    found = {path.name: path for path in sorted(directory.glob("*.avro"))}
    if found.keys() - entries.keys():
        entries, spoilt = read(manifest)  # one may have been completed just now
    if spoilt:
        holdings.not_judged.append(f"{manifest}: {spoilt} lines cannot be read")
    for name, entry in entries.items():
        path = directory / name
        if path.exists():
            holdings.problems += _changed(path, entry)
        elif not _is_open(path) and period.touches(_begun_us(name), entry.completed_us):
            holdings.problems.append(_gone(directory, entry))
    holdings.not_judged += [
        f"{path}: has no line in the manifest, so it cannot be checked for changes"
        for name, path in found.items()
        if name not in entries
    ]


def _is_open(path: Path) -> bool:
    """Return whether a file is not complete yet, or was completed just now."""
    return path.with_name(path.name + OPEN_SUFFIX.removeprefix(".avro")).exists() or path.exists()


def _changed(path: Path, entry: Entry) -> Iterator[str]:
    try:
        if path.stat().st_size != entry.bytes or checksum(path) != entry.sha256:
            yield f"{path}: is not what was written: its checksum differs from the manifest's"
    except OSError as error:
        yield f"{path}: {error.strerror or error}"


def _gone(directory: Path, entry: Entry) -> str:
    ends = ", ".join(f"{name} to {number}" for name, number in list(entry.ends.items())[:3])
    when = datetime.fromtimestamp(entry.completed_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"{directory / entry.file}: is gone, with {entry.records:,} records, completed {when}"
        f"{f' ({ends})' if ends else ''}; --from and --to leave out what was moved away"
    )


def _begun_us(name: str) -> int | None:
    try:
        begun = datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%SZ")
    except ValueError:
        return None
    return int(begun.replace(tzinfo=UTC).timestamp() * 1e6)


def early_ends(
    root: Path, findings: Iterable[Finding], symbols: Collection[str] | None
) -> Iterator[str]:
    """Yield the streams that end before the position that the writer has noted, or are not there.

    Only ids that are contiguous can be compared; of the others, whether there is anything.
    """
    ends: dict[tuple[str, str], int | None] = {
        (finding.stream, finding.symbol): finding.end_id for finding in findings
    }
    for path in (
        base / POSITIONS / f"{kind}.json" for base in directories(root) for kind in DIRECTORIES
    ):
        for name, position in _positions(path).items():
            symbol, _, stream = name.partition("@")
            epoch, last_id = position
            key = f"{stream}:{epoch}" if epoch else stream, symbol.upper()
            if symbols is not None and key[1] not in symbols:
                continue
            if key not in ends:
                yield f"{key[0]} {key[1]}: no records, though the positions name {last_id}"
            elif kind_of(stream) in CONTIGUOUS and (ends[key] or 0) < last_id:
                end = "has no records of its own" if ends[key] is None else f"ends at {ends[key]}"
                yield f"{key[0]} {key[1]}: {end}, though the positions name {last_id}"


def _positions(path: Path) -> Mapping[str, tuple[int, int]]:
    """Return epoch and last id of each route; nothing where that cannot be read."""
    try:
        with path.open("rb") as file:
            document: Any = json.loads(file.read(POSITIONS_MAX_BYTES))
        return {
            str(name): (int(one.get("epoch", 0)), int(one["last_id"]))
            for name, one in document["positions"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
