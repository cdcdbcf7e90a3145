"""`python -m streamer audit`: reads a sink again and says what is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from streamer.audit.batches import Source
from streamer.audit.period import Period
from streamer.sink_command import (
    NOTHING,
    NothingToRead,
    SinkParser,
    kafka_place,
    reads_kafka,
    say,
    settings_of,
    symbols_argument,
    time_argument,
)

EXPLAINED, UNEXPLAINED = 0, 3
"""Exit codes of its own: those of a verdict pass and fail; NOTHING is an inconclusive one."""
NOT_JUDGED = NOTHING
EXPORT_NOTES = "_export"
"""In the target of an export: what is in its files."""

_EPILOG = """\
What counts as explained: every id between the first and the last one is recorded, or in a recorded
gap; first occurrences are in ascending order; copies say the same as the first one; every record's
id is its own; every file of the manifest is there and is what was written; no stream ends before
the position that was noted; books that are rebuilt from snapshots and changes are not crossed, and
their tops are those of the recorded quotes, none of which is missing where the top changed, unless
a recorded gap says so. Files in progress are read to their last whole block,
so that a streamer may go on writing meanwhile. Of the target of an export, its Parquet files are
read: each must be there as it was exported.

Exit codes: 0 all is explained; 2 usage or configuration; 3 something is missing, changed, out of
order, unreadable, or a copy that differs; 4 there is nothing to read, or something cannot be judged
(files without a manifest), which is said and never counts as explained.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = SinkParser(
        "audit",
        "Reads a sink from the beginning and reports, per stream and symbol: ids, "
        "records, what is missing, copies, disorder, the back-filled share, recorded gaps.",
        _EPILOG,
    )
    add = parser.add_argument
    parser.add_directory()
    parser.add_kafka()
    parser.add_settings()
    add("--json", action="store_true", help="for machines, on stdout")
    add("--no-copies", action="store_true", help="copies count as unexplained, too")
    for name, what in (("--from", "first"), ("--to", "after the last")):
        add(
            name,
            type=time_argument,
            metavar="TIME",
            help=f"{what} time of receipt, UTC: 2026-11-27T13:30",
        )
    add(
        "--symbols",
        type=symbols_argument,
        metavar="LIST",
        help="only these, with commas; each must be there",
    )
    options = parser.parse(arguments)
    period = Period(getattr(options, "from"), options.to)
    if period.from_us is not None and period.to_us is not None and period.from_us >= period.to_us:
        parser.error("--from must be before --to")
    symbols = options.symbols or None

    from streamer.audit.books import check_books, sizes_of
    from streamer.audit.holdings import check_files, early_ends
    from streamer.audit.run import audit  # after the usage is known to be right
    from streamer.audit.sources import topics_of
    from streamer.audit.table import jumping, table

    settings = settings_of(options)
    source: Source
    root: Path | None = None  # of files that a streamer wrote, with what it noted of them
    is_kafka = reads_kafka(options, settings)
    if is_kafka:
        source, where = topics_of(settings.kafka), kafka_place(settings.kafka)
    else:
        directory: Path = options.directory or settings.sink.directory
        where = str(directory)
        exported = _exported(directory)
        source, root = (exported, None) if exported else (_directory(directory), directory)
    outcome = audit(source, say, period, symbols)
    if root is not None:
        holdings = check_files(root, period)
        outcome.problems_of_files.extend(holdings.problems)
        outcome.not_judged.extend(holdings.not_judged)
        if not period.is_bounded:
            outcome.problems_of_files.extend(early_ends(root, outcome.findings, symbols))
    if not period.is_bounded:  # a book goes on from what was before
        outcome.books.extend(check_books(source, symbols, sizes_of(outcome.findings)))
    explained = not outcome.problems(no_copies=options.no_copies)
    if options.json:
        print(json.dumps(outcome.as_json(no_copies=options.no_copies), indent=2))  # noqa: T201
    else:
        lines = table(outcome.findings, no_copies=options.no_copies)
        lines += [f"unreadable: {problem}" for problem in outcome.unreadable]
        lines += [line for book in outcome.books for line in book.lines()]
        lines += outcome.problems_of_files + outcome.problems_of_books()
        lines += [f"not judged: {reason}" for reason in outcome.not_judged]
        if is_kafka:
            lines += jumping(outcome.findings)
        rate = outcome.records / max(outcome.seconds, 0.001)
        lines.append(
            f"{where}: {outcome.records:,} records in {outcome.seconds:.1f} s ({rate:,.0f} a "
            f"second); {_sentence(explained, outcome.not_judged)}"
        )
        print("\n".join(lines))  # noqa: T201 - for the person at the prompt
    if not explained:
        return UNEXPLAINED
    if not outcome.records:
        say(f"{where}: no records")
        return NOTHING
    return NOT_JUDGED if outcome.not_judged else EXPLAINED


def _sentence(explained: bool, not_judged: list[str]) -> str:
    if not explained:
        return "not all is explained"
    return "what can be judged is explained" if not_judged else "all is explained"


def _directory(path: Path) -> Source:
    from streamer.audit.sources import files_of
    from streamer.shards.directories import directories
    from streamer.sinks.manifest import MANIFEST

    directory = files_of(path)
    manifests = (one for base in directories(path) for one in (base / MANIFEST).glob("*.jsonl"))
    if not directory and not any(manifests):
        reason = "holds no Avro files" if path.is_dir() else "is no directory"
        raise NothingToRead(f"{path} {reason}; expected a sink.directory, or one kind's in it")
    return directory


def _exported(path: Path) -> Source | None:
    """Return what is in the target of an export, unless Avro files are there."""
    try:
        if not (path / EXPORT_NOTES).is_dir() or any(path.glob("*/*.avro*")):
            return None
    except OSError:  # such as a name that is too long: who reads the files says so
        return None
    try:
        from streamer.export.reading import ExportedFiles
    except ImportError:
        reason = "expected pyarrow, which reads what was exported: pip install 'pyarrow>=21'"
        raise NothingToRead(f"{path}: {reason}") from None
    try:
        return ExportedFiles(path)
    except OSError as error:
        raise NothingToRead(f"{error.filename or path}: {error.strerror or error}") from None
