"""What the commands beside the streamer share: arguments, settings, which sink, what they say.

`audit`, `backfill`, `book`, `export` and `head`. Nothing that takes long to import comes in before
the usage is known to be right.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.audit.period import parse_time
from streamer.config import RECORD_TOPICS, KafkaConfig
from streamer.errors import SettingsError

if TYPE_CHECKING:
    from streamer.settings import StreamerSettings

USAGE, NOTHING, INTERRUPTED = 2, 4, 130
"""Exit codes: usage or configuration; there is nothing to read; a shell's for SIGINT."""


class NothingToRead(Exception):  # noqa: N818 - a reason, for people
    """There is no sink to be read."""


def run(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    try:
        return main(arguments)
    except SettingsError as error:
        say(str(error))
        return USAGE
    except NothingToRead as reason:
        say(str(reason))
        return NOTHING


class SinkParser(argparse.ArgumentParser):
    """The parser of `python -m streamer NAME`."""

    def __init__(self, name: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=f"python -m streamer {name}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_directory(self) -> None:
        """Add the directory that is read."""
        self.add_argument(
            "directory", nargs="?", type=Path, help="of Avro files (default: sink.directory)"
        )

    def add_kafka(self) -> None:
        """Add the choice of topics, of a command that has a directory as well."""
        self.add_argument(
            "--kafka",
            action="store_true",
            help="read kafka.topics (default with sink.kind = kafka)",
        )

    def add_settings(self) -> None:
        """Add where settings come from."""
        self.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
        self.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="one setting (repeatable)",
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options; ends the process where the usage is wrong."""
        options = self.parse_args(arguments)
        if getattr(options, "kafka", False) and options.directory:
            self.error("a directory or --kafka: not both")
        return options


def settings_of(options: argparse.Namespace, *, dials: bool = False) -> StreamerSettings:
    """Return the settings that were asked for. Raises SettingsError.

    `dials`: the command asks the exchange, so that what it needs for that is checked.
    """
    from streamer.settings import StreamerSettings, load

    return load(StreamerSettings, options.config, options.set, dials=dials)


def reads_kafka(options: argparse.Namespace, settings: StreamerSettings) -> bool:
    """Return whether topics are to be read, and no directory."""
    return bool(options.kafka) or (options.directory is None and settings.sink.kind == "kafka")


def kafka_place(config: KafkaConfig) -> str:
    """Return the brokers, for people."""
    return f"Kafka at {config.bootstrap_servers}"


def record_topics(config: KafkaConfig) -> dict[str, str]:
    """Return the names of the topics of records by kind; a `{symbol}` stands for any."""
    return {**RECORD_TOPICS, **config.topics}


@contextmanager
def asking_kafka(config: KafkaConfig) -> Iterator[None]:
    """Raise NothingToRead where the brokers cannot be asked, or have none of the topics."""
    from confluent_kafka import KafkaException

    where = kafka_place(config)
    try:
        yield
    except KafkaException as error:
        raise NothingToRead(f"{where}: {error.args[0].str()}") from None
    except LookupError as error:
        raise NothingToRead(f"{where}: {error.args[0]}; kafka.topics names them") from None


def time_argument(text: str) -> int:
    """Return Unix microseconds."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def list_argument(text: str) -> tuple[str, ...]:
    """Return the parts between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def symbols_argument(text: str) -> tuple[str, ...]:
    """Return symbols, in upper case."""
    return list_argument(text.upper())


def say(message: str) -> None:
    """Tell the person at the prompt something beside what is shown."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - for people
