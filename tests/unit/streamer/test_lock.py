from __future__ import annotations

import subprocess
import sys

import pytest

from streamer.errors import SinkUnavailable
from streamer.lock import LOCK_FILE, shard_lock

PATIENCE_SECONDS = 60.0
HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX); print("held", flush=True); sys.stdin.read()
"""


def test_a_second_writer_is_refused(tmp_path):
    with (
        shard_lock(tmp_path / "new" / "data", 0.0),
        pytest.raises(SinkUnavailable, match="another streamer writes there") as raised,
        shard_lock(tmp_path / "new" / "data", 0.1),
    ):
        pass
    assert raised.value.exit_code == 5
    assert str(tmp_path) in str(raised.value)


def test_a_successor_waits_for_its_predecessor(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / LOCK_FILE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SinkUnavailable), shard_lock(tmp_path, 0.0):
            pass
        holder.stdin.close()
        with shard_lock(tmp_path, PATIENCE_SECONDS):
            pass


def test_the_lock_ends_with_what_it_was_for(tmp_path):
    with pytest.raises(KeyError), shard_lock(tmp_path, 0.0):
        raise KeyError
    with shard_lock(tmp_path, 0.0):
        pass


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "data").write_text("a file")

    with (
        pytest.raises(SinkUnavailable, match=r"sink\.directory"),
        shard_lock(tmp_path / "data", 0.0),
    ):
        pass


def test_a_lock_whose_directory_lost_its_place_can_be_taken_again(tmp_path):
    with shard_lock(tmp_path / "data", 0.0) as lock:
        assert lock.is_in_place()
        (tmp_path / "data").rename(tmp_path / "moved")
        assert not lock.is_in_place()
        assert lock.take_again()
        assert lock.is_in_place()
        with pytest.raises(SinkUnavailable), shard_lock(tmp_path / "data", 0.0):
            pass


def test_a_lock_that_another_one_holds_by_now_is_not_taken(tmp_path):
    with shard_lock(tmp_path / "data", 0.0) as lock:
        (tmp_path / "data").rename(tmp_path / "moved")
        with shard_lock(tmp_path / "data", 0.0):
            assert not lock.is_in_place()
            assert not lock.take_again()
