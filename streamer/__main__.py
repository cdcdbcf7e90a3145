"""`python -m streamer`: one streamer alone, as one process, until SIGTERM."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from streamer.errors import SettingsError

COMMANDS = ("audit", "backfill", "book", "export", "head")
"""Beside the streamer; each has a room of its name, and is imported only when it is asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        from streamer import sink_command

        command = import_module(f"streamer.{arguments[0]}.command")
        return sink_command.run(command.main, arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m streamer",
        description="Streams Binance market data into Kafka or Avro files until SIGTERM; "
        "`python -m streamer head` shows the last records, `python -m streamer audit` checks all "
        "of them, `python -m streamer export` makes Parquet of them, `python -m streamer backfill` "
        "fills their past, `python -m streamer book` rebuilds an order book (each has --help).",
        epilog="Exit codes: 0 everything received is acknowledged; 1 something is not; 2 usage or "
        "configuration; 5 the sink could not be opened; 130/143 a second signal.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, such as exchange.symbols=BTCUSDT,ETHUSDT (repeatable)",
    )
    parser.add_argument(
        "--log-format", choices=("console", "json"), default="console", help="default: console"
    )
    options = parser.parse_args(arguments)
    if options.version:
        from streamer.version import version

        print(f"vigil {version()}")  # noqa: T201 - what was asked for
        return 0

    from streamer import core_dumps

    core_dumps.forbid()
    import streamer.logs as logs  # after the usage is known to be right: --help stays quick
    from streamer.reload import Reload
    from streamer.run import run_streamer
    from streamer.settings import StreamerSettings, load

    logs.configure(options.log_format, "info")
    try:
        settings = load(StreamerSettings, options.config, options.set)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the person at the prompt
        return error.exit_code

    def load_again() -> StreamerSettings:
        return load(StreamerSettings, options.config, options.set)

    return run_streamer(settings.streamer_config(), Reload(settings, load_again))


if __name__ == "__main__":
    from streamer.output import make_lenient

    make_lenient()
    sys.exit(main())
