"""The command line: options that every command shares, then one command with its own."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from streamer.errors import SettingsError
from supervisor.commands import COMMANDS
from supervisor.errors import ExitCode, SupervisorError


def run(arguments: Sequence[str]) -> int:
    """Carry out a command and return the exit code; errors become a sentence on stderr."""
    _say_whose_name_it_is()
    outer = _parser().parse_args(arguments)
    command = import_module(f"supervisor.commands.{outer.command}")
    inner_parser = argparse.ArgumentParser(
        prog=f"vigil {outer.command}", description=COMMANDS[outer.command]
    )
    _add_shared(inner_parser)
    command.add_arguments(inner_parser)
    options = inner_parser.parse_args(outer.arguments)
    options.config = options.config or outer.config
    options.assignments = [*outer.assignments, *options.assignments]
    try:
        code: int = command.run(options)
    except SettingsError as error:
        for line in str(error).splitlines():
            _complain(line)
        return ExitCode.USAGE
    except SupervisorError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:
        logging.getLogger(__name__).exception("an error of the program itself")
        _complain(f"internal error: {type(error).__name__}: {error}")
        return ExitCode.INTERNAL_ERROR
    return code


def _parser() -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:<8} {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="vigil",
        description="Keep a Binance market-data stream running, judge it from outside, prove it.",
        epilog=f"commands:\n{listing}\n\n'vigil COMMAND --help' tells more about one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_shared(parser)
    parser.add_argument(
        "command", nargs="?", default="run", choices=tuple(COMMANDS), metavar="COMMAND"
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, in TOML")
    parser.add_argument(
        "--set",
        dest="assignments",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="one setting, over file and environment; can be repeated",
    )


def _say_whose_name_it_is() -> None:
    """Warn when the PyPI project `supervisor`, with the same import name, is on the path too."""
    ours = Path(__file__).parent
    for entry in sys.path:
        theirs = Path(entry or ".") / "supervisor"
        if (theirs / "supervisord.py").is_file():
            mixed = "mixed with" if theirs.resolve() == ours.resolve() else "beside"
            _complain(
                f"the PyPI project 'supervisor' is installed in {theirs}, {mixed} the package of "
                "the same import name that this program is; an environment of its own is wanted "
                "(or: pip uninstall supervisor, then install vigil again)"
            )


def _complain(sentence: str) -> None:
    print(f"vigil: {sentence}", file=sys.stderr)  # noqa: T201
