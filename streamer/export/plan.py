"""What is to be exported: the files of a kind and day that are new, or all of them again. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

PARTITIONS = ("date", "symbol")
_DATE_DIGITS = 8


class Source(msgspec.Struct, frozen=True):
    """A complete Avro file, as it was read; `streamer` is the directory of one of several."""

    file: str
    bytes: int
    streamer: str = ""


class Output(msgspec.Struct, frozen=True):
    """A Parquet file: its path below the target, how many records are in it."""

    file: str
    records: int
    bytes: int


class Exported(msgspec.Struct, frozen=True):
    """What is in the target of one kind and day: `_export/KIND/DATE.json`."""

    partition: tuple[str, ...]
    sources: tuple[Source, ...] = ()
    outputs: tuple[Output, ...] = ()
    version: int = 1
    superseded: tuple[str, ...] | None = None
    """None: all is in place. Else outputs are whole, and may still lack their names; these files
    are then to be removed."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to read of a kind and day; the outputs get this number in their names."""

    kind: str
    date: str  # 2026-11-27
    read: tuple[Source, ...]
    keep: Exported  # what stays beside the new outputs
    number: int


def date_of(file_name: str) -> str | None:
    """Return the day in the name of a file of the sink, such as 2026-11-27; None for others."""
    digits = file_name[:_DATE_DIGITS]
    if not (digits.isascii() and digits.isdecimal() and file_name[_DATE_DIGITS:].startswith("T")):
        return None
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def by_date(sources: Iterable[Source]) -> dict[str, list[Source]]:
    """Return files by day, those of a day in the order of their numbers."""
    days: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if (date := date_of(source.file)) is not None:
            days[date].append(source)
    for files in days.values():
        files.sort(key=lambda one: number_of(one.file))
    return dict(sorted(days.items()))


def number_of(file_name: str) -> tuple[int, str]:
    """Return what files are ordered by: the number in the name."""
    number = file_name.partition(".")[0].rpartition("-")[2]
    return (int(number) if number.isdecimal() else 0), file_name


def job_of(kind: str, date: str, found: Sequence[Source], before: Exported) -> Job | None:
    """Return what is to be done for a kind and day; None: all that is found is exported.

    While every file that was exported is still there, a day is written again as a whole, so that it
    has one file a partition. Where some were moved away, what is new becomes files of their own.
    """
    known = {(source.streamer, source.file) for source in before.sources}
    new = tuple(source for source in found if (source.streamer, source.file) not in known)
    if not new:
        return None
    if known <= {(source.streamer, source.file) for source in found}:
        return Job(kind, date, tuple(found), Exported(before.partition), 0)
    number = 1 + max((_part_of(output.file) for output in before.outputs), default=-1)
    return Job(kind, date, new, before, number)


def _part_of(path: str) -> int:
    number = path.rpartition("-")[2].partition(".")[0]
    return int(number) if number.isdecimal() else 0


def path_of(job: Job, partition: Collection[str], symbol: str | None) -> str:
    """Return the path of an output below the target; `symbol` is quoted for a path."""
    values: Mapping[str, str | None] = {"date": job.date, "symbol": symbol}
    directories = [f"{name}={values[name]}" for name in partition]
    return "/".join([job.kind, *directories, f"{job.date}-{job.number}.parquet"])
