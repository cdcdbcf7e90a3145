"""`python -m streamer head`: the last records of a sink."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.head.last_records import LastRecords, Wanted
from streamer.printable import printable
from streamer.sink_command import (
    NOTHING,
    NothingToRead,
    SinkParser,
    asking_kafka,
    kafka_place,
    list_argument,
    reads_kafka,
    record_topics,
    say,
    settings_of,
    symbols_argument,
)

if TYPE_CHECKING:
    from streamer.settings import StreamerSettings

SHOWN = 0
"""Exit code beside those of every command."""
_PROBLEMS_SHOWN = 10

_EPILOG = """\
Times are UTC. The latest record is the last of its stream and symbol. Files in progress are read to
their last whole block, so that a streamer may go on writing meanwhile. Only the end is searched: a
stream that has long been silent is not shown.

Exit codes: 0 something is shown; 2 usage or configuration; 4 there is nothing to show.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = SinkParser(
        "head",
        "Shows the last records of each stream and symbol.",
        _EPILOG,
    )
    add = parser.add_argument
    parser.add_directory()
    add("-n", "--records", type=_count, default=3, metavar="N", help="of each (default: 3)")
    add(
        "--streams",
        type=list_argument,
        default=(),
        metavar="LIST",
        help="only these, such as trade,gap",
    )
    add(
        "--symbols",
        type=symbols_argument,
        default=(),
        metavar="LIST",
        help="only these, with commas",
    )
    parser.add_kafka()
    parser.add_settings()
    add("--json", action="store_true", help="for machines, on stdout: every field")
    options = parser.parse(arguments)

    from streamer.head.table import for_machines, tables  # after the usage is known to be right

    wanted = Wanted(options.records, options.streams, options.symbols)
    kinds, problems, where = _read(options, settings_of(options), wanted)
    if options.json:
        document = {"source": where, "streams": for_machines(kinds), "problems": problems}
        print(json.dumps(document, indent=2, default=str))  # noqa: T201 - what was asked for
    else:
        for line in tables(kinds):
            print(line)  # noqa: T201 - likewise
    for problem in problems[:_PROBLEMS_SHOWN]:
        say(f"unreadable: {printable(problem)}")
    if len(problems) > _PROBLEMS_SHOWN:
        say(f"unreadable: {len(problems) - _PROBLEMS_SHOWN} more")
    if not any(kind.found for kind in kinds):
        say(f"{where}: no records{' of these' if options.streams or options.symbols else ''}")
        return NOTHING
    return SHOWN


def _read(
    options: argparse.Namespace, settings: StreamerSettings, wanted: Wanted
) -> tuple[list[LastRecords], list[str], str]:
    """Return what was found, what could not be read, and where. Raises NothingToRead."""
    if reads_kafka(options, settings):
        from streamer.head.topics import read_topics

        kafka = settings.kafka
        with asking_kafka(kafka):
            return (*read_topics(kafka, record_topics(kafka), wanted), kafka_place(kafka))
    from streamer.head.files import read_directory

    directory: Path = options.directory or settings.sink.directory
    try:
        return (*read_directory(directory, wanted), str(directory))
    except OSError as error:
        raise NothingToRead(
            f"{directory}: {error.strerror or error}; expected a sink.directory, or one kind's "
            "directory in it"
        ) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 1000, not {text!r}")
    return int(text)
