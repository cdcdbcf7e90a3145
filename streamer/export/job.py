"""One kind and day: read its Avro files, write Parquet, note what was done."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastavro
import msgspec

from streamer.audit.batches import Unreadable
from streamer.audit.container import Container, Torn
from streamer.audit.decoded import parsed
from streamer.avro.container_schema import container_schema
from streamer.data.records import load_schema
from streamer.export.parquet import NEW_SUFFIX, ParquetFiles, place
from streamer.export.plan import Exported, Job
from streamer.sinks.directories import write_atomically
from streamer.sinks.manifest import checksum, manifest_path, read

STATE = "_export"  # below the target; readers pass over the underscore


class ExportError(Exception):
    """A kind and day that cannot be exported; the text says why."""


def run(
    job: Job, root: Path, target: Path, partition: tuple[str, ...], before: Exported
) -> Exported:
    """Do a job; return what is exported now. Raises ExportError.

    What becomes of the files is noted before the first has its name: a run that is killed after
    that is completed by the next one, although what was exported is moved away meanwhile.
    """
    schema = load_schema(job.kind)
    files: ParquetFiles | None = None
    try:
        _clear(target / job.kind, job.date)
        _check(root, job)
        files = ParquetFiles(target, job, partition, container_schema(schema))
        for source in job.read:
            path = root / source.streamer / job.kind / source.file
            for records, length in _blocks(path, source.bytes, schema):
                files.add(records, length)
        outputs = (*job.keep.outputs, *files.finish())
        current = {output.file for output in outputs}
        exported = Exported(
            partition,
            (*job.keep.sources, *job.read),
            outputs,
            superseded=tuple(one.file for one in before.outputs if one.file not in current),
        )
        _write_state(target, job.kind, job.date, exported)
    except _SPOILT as error:
        if files is not None:
            with suppress(OSError):
                files.abandon()
        raise ExportError(_sentence(error)) from error
    return _settled(target, job.kind, job.date, exported)


_SPOILT = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, Unreadable,
           Torn)  # fmt: skip
"""What files of others can do to a reader."""


def _settled(target: Path, kind: str, date: str, exported: Exported) -> Exported:
    """Give files their names, and remove what they replace. Raises ExportError."""
    try:
        for output in exported.outputs:
            place(target / output.file)
        for name in exported.superseded or ():
            (target / name).unlink(missing_ok=True)
        exported = msgspec.structs.replace(exported, superseded=None)
        _write_state(target, kind, date, exported)
    except OSError as error:
        raise ExportError(_sentence(error)) from error
    return exported


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
    if isinstance(error, KeyError):
        return f"a record has no {error}"
    return str(error) or "a file ends within its header"


def read_state(target: Path, kind: str, date: str, partition: tuple[str, ...]) -> Exported:
    """Return what was exported of a kind and day before; complete it. Raises ExportError."""
    path = _state_path(target, kind, date)
    try:
        exported = msgspec.json.decode(path.read_bytes(), type=Exported)
    except FileNotFoundError:
        return Exported(partition)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ExportError(
            f"{path}: cannot be read: {error}; remove it and the day's files to export it again"
        ) from error
    if exported.partition != partition:
        raise ExportError(
            f"{target} is partitioned by {','.join(exported.partition) or 'nothing'}: expected the "
            "same --partition, or another directory"
        )
    if exported.superseded is not None:
        return _settled(target, kind, date, exported)
    return exported


def _write_state(target: Path, kind: str, date: str, exported: Exported) -> None:
    path = _state_path(target, kind, date)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(exported), indent=1) + b"\n")


def _state_path(target: Path, kind: str, date: str) -> Path:
    return target / STATE / kind / f"{date}.json"


def _clear(directory: Path, date: str) -> None:
    """Remove what an export that was killed has left."""
    for path in directory.rglob(f".{date}-*{NEW_SUFFIX}"):
        path.unlink(missing_ok=True)


def _check(root: Path, job: Job) -> None:
    """Compare the files with the manifests, where they know them. Raises ValueError, OSError."""
    for streamer in {source.streamer for source in job.read}:
        directory = root / streamer / job.kind
        with suppress(FileNotFoundError):
            entries, _ = read(manifest_path(directory))
            for source in job.read:
                path, entry = directory / source.file, entries.get(source.file)
                if (
                    source.streamer == streamer
                    and entry is not None
                    and checksum(path) != entry.sha256
                ):
                    raise ValueError(
                        f"{path}: is not what was written: its checksum differs from the manifest's"
                    )


def _blocks(
    path: Path, size_bytes: int, schema: dict[str, Any]
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Yield the records of each block, as the current schema has them, and its length in bytes."""
    with Container(path, size_bytes) as container:
        written, wanted = parsed(container.schema), parsed(schema)
        reader = None if _names(container.schema) == _names(schema) else wanted
        try:
            for count, data in container.blocks():
                stream = io.BytesIO(data)
                try:
                    records: Any = [
                        fastavro.schemaless_reader(stream, written, reader) for _ in range(count)
                    ]
                except Exception as error:
                    raise ValueError(f"{path}: a record cannot be decoded: {error}") from error
                if stream.tell() != len(data):
                    raise ValueError(f"{path}: a block holds more than its {count} records")
                yield records, len(data)
        except Torn:
            raise ValueError(f"{path}: ends within a block, though it is complete") from None


def _names(schema: dict[str, Any]) -> list[str]:
    return [field["name"] for field in schema["fields"]]
