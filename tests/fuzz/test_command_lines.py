"""Command lines of anybody: usage and settings are told with exit code 2, whatever they say."""

from __future__ import annotations

import contextlib
import io
import os

from hypothesis import given
from hypothesis import strategies as st

from streamer.__main__ import main as streamer
from supervisor.command_line import run as supervisor
from tests.fuzzing import fuzz

WORDS = [
    "--set", "--config", "--json", "--from", "--to", "--symbols", "--output", "--duration", "/",
    "--profile", "--log-format", "--help", "-h", "--", "-", "", "--no-copies", "sink.kind=x",
    "kafka.client=x", "exchange.symbols=", "connection.max_age=9999999h", "9" * 5_000, "/nowhere",
    "\udcff", "\x1b[2J", "nonsense", "2026-11-27", "{}",
]  # fmt: skip
words = st.lists(st.sampled_from(WORDS) | st.text(max_size=12), max_size=6)
# Commands that look at something and end; `run` and `soak` would stream if all were right.
COMMANDS = ["config", "judge", "status", "rotate", "diagnose", "collect", "stop", "nonsense"]


def exit_code(main, arguments, directory):
    output = io.TextIOWrapper(io.BytesIO(), errors="backslashreplace", write_through=True)
    before = os.getcwd()  # noqa: PTH109 - what chdir goes back to
    os.chdir(directory)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            return main(arguments)
    except SystemExit as ended:  # argparse's
        return ended.code
    finally:
        os.chdir(before)


@fuzz
@given(words)
def test_any_audit(tmp_path_factory, arguments):
    directory = tmp_path_factory.getbasetemp()
    assert exit_code(streamer, ["audit", *arguments], directory) in (0, 2, 3, 4)


@fuzz
@given(st.sampled_from(COMMANDS), words)
def test_any_command(tmp_path_factory, command, arguments):
    directory = tmp_path_factory.getbasetemp()
    nowhere = f"--set=supervisor.runtime_directory={directory}/nowhere"
    assert exit_code(supervisor, [nowhere, command, *arguments], directory) in (0, 1, 2, 3, 4)


@fuzz
@given(words)
def test_a_streamer_with_wrong_settings_does_not_start(tmp_path_factory, arguments):
    wrong = ["--set=sink.kind=nonsense", *arguments]
    assert exit_code(streamer, wrong, tmp_path_factory.getbasetemp()) in (0, 2)
