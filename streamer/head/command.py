"""`python -m streamer head`: the last records of a sink."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from streamer.config import RECORD_TOPICS, KafkaConfig, SinkConfig
from streamer.errors import SettingsError
from streamer.head.last_records import LastRecords, Wanted
from streamer.printable import printable

SHOWN, USAGE, NOTHING = 0, 2, 4
"""Exit codes; the last two mean what they mean of `audit`."""
_PROBLEMS_SHOWN = 10

_EPILOG = """\
Times are UTC. The latest record is the last of its stream and symbol. Files in progress are read to
their last whole block, so that a streamer may go on writing meanwhile. Only the end is searched: a
stream that has long been silent is not shown.

Exit codes: 0 something is shown; 2 usage or configuration; 4 there is nothing to show.
"""


class NothingToShow(Exception):  # noqa: N818 - a reason, for people
    """There is no sink to be read."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m streamer head",
        description="Shows the last records of each stream and symbol.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("directory", nargs="?", type=Path, help="of Avro files (default: sink.directory)")
    add("-n", "--records", type=_count, default=3, metavar="N", help="of each (default: 3)")
    add("--streams", type=_list, default=(), metavar="LIST", help="only these, such as trade,gap")
    add("--symbols", type=_symbols, default=(), metavar="LIST", help="only these, with commas")
    add("--kafka", action="store_true", help="read kafka.topics (default with sink.kind = kafka)")
    add("--config", type=Path, metavar="FILE", help="settings in TOML")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting (repeatable)")
    add("--json", action="store_true", help="for machines, on stdout: every field")
    options = parser.parse_args(arguments)
    if options.kafka and options.directory:
        parser.error("a directory or --kafka: not both")

    from streamer.head.table import for_machines, tables  # after the usage is known to be right
    from streamer.settings import StreamerSettings, load

    wanted = Wanted(options.records, options.streams, options.symbols)
    try:
        settings = load(StreamerSettings, options.config, options.set, dials=False)
        kinds, problems, where = _read(options, settings.sink, settings.kafka, wanted)
    except SettingsError as error:
        _say(str(error))
        return USAGE
    except NothingToShow as reason:
        _say(str(reason))
        return NOTHING
    if options.json:
        document = {"source": where, "streams": for_machines(kinds), "problems": problems}
        print(json.dumps(document, indent=2, default=str))  # noqa: T201 - what was asked for
    else:
        for line in tables(kinds):
            print(line)  # noqa: T201 - likewise
    for problem in problems[:_PROBLEMS_SHOWN]:
        _say(f"unreadable: {printable(problem)}")
    if len(problems) > _PROBLEMS_SHOWN:
        _say(f"unreadable: {len(problems) - _PROBLEMS_SHOWN} more")
    if not any(kind.found for kind in kinds):
        _say(f"{where}: no records{' of these' if options.streams or options.symbols else ''}")
        return NOTHING
    return SHOWN


def _read(
    options: argparse.Namespace, sink: SinkConfig, kafka: KafkaConfig, wanted: Wanted
) -> tuple[list[LastRecords], list[str], str]:
    """Return what was found, what could not be read, and where. Raises NothingToShow."""
    if options.kafka or (options.directory is None and sink.kind == "kafka"):
        return (*_topics(kafka, wanted), f"Kafka at {kafka.bootstrap_servers}")
    directory: Path = options.directory or sink.directory
    from streamer.head.files import read_directory

    try:
        return (*read_directory(directory, wanted), str(directory))
    except OSError as error:
        raise NothingToShow(
            f"{directory}: {error.strerror or error}; expected a sink.directory, or one kind's "
            "directory in it"
        ) from None


def _topics(config: KafkaConfig, wanted: Wanted) -> tuple[list[LastRecords], list[str]]:
    from confluent_kafka import KafkaException

    from streamer.head.topics import read_topics

    where = f"Kafka at {config.bootstrap_servers}"
    try:
        return read_topics(config, {**RECORD_TOPICS, **config.topics}, wanted)
    except KafkaException as error:
        raise NothingToShow(f"{where}: {error.args[0].str()}") from None
    except LookupError as error:
        raise NothingToShow(f"{where}: {error.args[0]}; kafka.topics names them") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 1000, not {text!r}")
    return int(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _symbols(text: str) -> tuple[str, ...]:
    return _list(text.upper())


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - for people, beside what is shown
