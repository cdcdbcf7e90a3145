import os
import signal
import sys
from pathlib import Path

from scripts.kafka_tool.processes import Process, end, spawn, wait_for_end

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"


def start(directory: Path, program: str) -> Process:
    """Start Python on a program that says something once it is set up, and wait for that."""
    log = directory / "log"
    process = spawn([sys.executable, "-c", program], directory, log, os.environ)
    while process.alive and not log.read_bytes():
        wait_for_end(process.pid, 0.01)
    return process


def test_a_process_is_found_again_by_its_pid_file(tmp_path: Path) -> None:
    process = start(tmp_path, "print(1, flush=True); import time; time.sleep(60)")
    try:
        assert Process.read(tmp_path / "pid") == process
        assert os.getsid(process.pid) == process.pid
    finally:
        end([process], 10)
    assert Process.read(tmp_path / "pid") is None
    assert wait_for_end(process.pid, 10)


def test_one_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, f"{DEAF}; time.sleep(60)")
    end([process], 0.1)
    assert not process.alive


def test_one_that_is_stopped_is_ended_too(tmp_path: Path) -> None:
    process = start(tmp_path, "print(1, flush=True); import time; time.sleep(60)")
    process.send(signal.SIGSTOP)
    end([process], 10)
    assert not process.alive


def test_a_recycled_number_is_somebody_else() -> None:
    me = Process.of(os.getpid())
    assert me is not None
    assert me.alive
    other = Process(me.pid, me.started_ticks - 1)
    assert not other.alive
    other.send(signal.SIGKILL)  # reaches nobody: otherwise this test run ends here


def test_output_of_all_starts_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        process = start(tmp_path, f"print({word!r}, flush=True)")
        assert wait_for_end(process.pid, 10)
    assert (tmp_path / "log").read_text() == "first\nsecond\n"
