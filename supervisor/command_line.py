"""The command line: options that every command shares, then one command with its own."""

from __future__ import annotations

import argparse
import errno
import logging
import platform
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from streamer import output
from streamer.errors import SettingsError
from streamer.strict_json import encode_readable
from supervisor.commands import COMMANDS, SERVING
from supervisor.errors import ExitCode, SupervisorError, UsageError
from supervisor.signals import WATCHED, hold


def run(arguments: Sequence[str]) -> int:
    """Carry out a command and return the exit code; errors become a sentence on stderr.

    With `--json` they become JSON on stdout, like everything else: `ok` (false), `detail` and
    `exit_code`.
    """
    _say_whose_name_it_is()
    as_json = any("--json".startswith(one) for one in arguments if one.startswith("--j"))
    try:
        code = _run(arguments, _JsonParser if as_json else argparse.ArgumentParser)
        _look_at_output(arguments)
    except SettingsError as error:
        return _refuse(str(error), ExitCode.USAGE, as_json)
    except SupervisorError as error:
        return _refuse(str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        return _refuse("interrupted", ExitCode.INTERRUPTED, as_json)
    except Exception as error:
        logging.getLogger(__name__).exception("an error of the program itself")
        sentence = f"internal error: {type(error).__name__}: {error}"
        return _refuse(sentence, ExitCode.INTERNAL_ERROR, as_json)
    return code


def _look_at_output(arguments: Sequence[str]) -> None:
    """Raise SupervisorError when stdout took less than was said, and saying it was the task.

    The code of a verdict or a service stays, whatever became of its words; and who closed the pipe
    has had enough (`vigil status | head -1`).
    """
    problem = output.failure()
    words = {one for one in arguments if one in COMMANDS}
    if problem is None or problem.errno == errno.EPIPE or words & {*SERVING, "judge"}:
        return
    raise SupervisorError(f"stdout could not be written: {problem.strerror}")


def _run(arguments: Sequence[str], parser_type: type[argparse.ArgumentParser]) -> int:
    outer = _parser(parser_type).parse_args(arguments)
    if outer.version:
        from streamer.version import version  # 10 ms that other commands need not wait

        sys.stdout.write(f"vigil {version()} (Python {platform.python_version()})\n")
        return ExitCode.PASS
    if outer.command in SERVING:
        hold()
    else:  # these end by a signal, as any program; `__main__` has held it until here
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    command = import_module(f"supervisor.commands.{outer.command}")
    inner_parser = parser_type(prog=f"vigil {outer.command}", description=COMMANDS[outer.command])
    _add_shared(inner_parser)
    command.add_arguments(inner_parser)
    options = inner_parser.parse_args(outer.arguments)
    options.config = options.config or outer.config
    options.assignments = [*outer.assignments, *options.assignments]
    code: int = command.run(options)
    return code


class _JsonParser(argparse.ArgumentParser):
    """Raises what the usual one writes to stderr as text."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _refuse(detail: str, code: ExitCode, as_json: bool) -> ExitCode:
    if as_json:
        told = {"ok": False, "detail": detail, "exit_code": int(code)}
        print(encode_readable(told).decode(), flush=True)  # noqa: T201
    else:
        for line in detail.splitlines():
            _complain(line)
    return code


def _parser(parser_type: type[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    listing = "\n".join(f"  {name:<8} {summary}" for name, summary in COMMANDS.items())
    parser = parser_type(
        prog="vigil",
        description="Keep a Binance market-data stream running, judge it from outside, prove it.",
        epilog=f"commands:\n{listing}\n\n'vigil COMMAND --help' explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_shared(parser)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
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
        # A directory that this user may not look into, such as another's home, has none for us.
        with suppress(OSError):
            if not (theirs / "supervisord.py").is_file():
                continue
            mixed = "mixed with" if theirs.resolve() == ours.resolve() else "beside"
            _complain(
                f"the PyPI project 'supervisor' is installed in {theirs}, {mixed} the package of "
                "the same import name that this program is; expected an environment of its own "
                "(or: pip uninstall supervisor, then install vigil again)"
            )


def _complain(sentence: str) -> None:
    from streamer.logs import priority_prefix  # seldom needed; --help stays quick

    print(f"{priority_prefix(logging.ERROR)}vigil: {sentence}", file=sys.stderr)  # noqa: T201
