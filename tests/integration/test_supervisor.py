"""The supervisor as a process, with scripted streamers: every ending, and nothing left after it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

import pytest

from supervisor.control_socket import ask
from tests import soaking
from tests.ports import free_port
from tests.streaming import ROOT
from tests.supervising import DEADLINE_SECONDS, GRACES, Supervised

# Runs that go well --------------------------------------------------------------------------------


def test_a_soak_ends_with_a_passed_verdict(vigil: Supervised) -> None:
    # Its rate is judged over a time in which a busy machine does not keep it from reporting.
    plan = vigil.directory / "plan.toml"
    plan.write_text('base = "smoke"\nduration = "25s"\nrate_window = "12s"\n')
    vigil.start("healthy", "soak", f"--profile={plan}")
    code, profile = vigil.exit_code(), vigil.profile()
    soaking.assert_passed(soaking.Soak(code, profile, vigil.log.read_text()))
    assert all(sample["rss_mb"] > 0 for sample in profile["memory_samples"])
    assert vigil.output.stat().st_mode & 0o777 == 0o600
    again = subprocess.run(
        [sys.executable, "-m", "supervisor", "judge", "--json", vigil.output],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert again.returncode == 0
    verdict = json.loads(again.stdout)
    assert verdict["outcome"] == "pass"
    assert verdict["criteria"] == profile["criteria"]  # the live verdict, to the letter


def test_a_suspect_is_asked_to_collect_and_what_came_back_is_recorded(vigil: Supervised) -> None:
    address = f"127.0.0.1:{free_port()}"
    process = vigil.start(
        "hoards",
        "soak",
        "--profile=smoke",
        settings={"monitor.metrics_address": address},
        environment={"VIGIL_TEST_SUSPECT": "1"},
    )

    def collected() -> bool:
        with urllib.request.urlopen(f"http://{address}/status", timeout=10) as answer:
            return "collected" in json.load(answer)["event_counts"]

    vigil.until(collected)
    process.send_signal(signal.SIGINT)
    assert vigil.exit_code() == 4
    profile = vigil.profile()
    (event,) = [one for one in profile["events"] if one["kind"] == "collected"]
    given_back = event["detail"]["before_bytes"] - event["detail"]["after_bytes"]
    assert given_back == pytest.approx(40 << 20, abs=3 << 20)
    assert (event["detail"]["objects"], event["detail"]["trimmed"]) == (3, True)
    (action,) = [one for one in profile["actions"] if one["action"] == "collect"]
    assert action["count"] == 1
    (generation,) = profile["streamers"][0]["generations"]
    (collection,) = generation["collections"]
    assert collection["before_bytes"] == event["detail"]["before_bytes"]


def test_one_signal_ends_the_service_after_a_complete_drain(vigil: Supervised) -> None:
    process = vigil.start("healthy", "run")
    vigil.until_logged("generation 1 reports")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
    assert (vigil.evidence / "profile.json").exists()


def test_an_incomplete_drain_is_no_success(vigil: Supervised) -> None:
    process = vigil.start("leaves_unacknowledged", "run")
    vigil.until_logged("generation 1 reports")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 1
    assert "the drain was not complete" in vigil.log.read_text()


def test_a_soak_that_a_person_stops_is_inconclusive(vigil: Supervised) -> None:
    process = vigil.start("healthy", "soak", "--profile=smoke")
    vigil.until_logged("generation 1 reports")
    process.send_signal(signal.SIGINT)
    assert vigil.exit_code() == 4, vigil.log.read_text()
    assert vigil.profile()["verdict"] == "inconclusive"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_skips_the_drain(vigil: Supervised, number: int, code: int) -> None:
    process = vigil.start(
        "ignores_term",
        "soak",
        "--profile=smoke",
        settings={f"supervisor.{grace}": 60 for grace in GRACES},
    )
    vigil.until_logged("generation 1 reports")
    process.send_signal(number)
    vigil.until_logged("a second signal skips that")
    process.send_signal(number)
    assert vigil.exit_code() == code
    assert vigil.profile()["verdict"] in ("fail", "inconclusive")


def test_the_first_signal_after_a_command_skips_nothing(vigil: Supervised) -> None:
    graces = {f"supervisor.{grace}": 60 for grace in GRACES}
    process = vigil.start("ignores_term", "run", settings=graces)
    vigil.until_logged("generation 1 reports")
    assert ask(vigil.directory / "run", "stop", DEADLINE_SECONDS)["ok"]
    vigil.until_logged("a second signal skips that")
    process.send_signal(signal.SIGTERM)  # as systemd does when somebody stops the unit meanwhile
    vigil.until_logged("drained already; a second signal skips that")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 143


# Streamers that fail ------------------------------------------------------------------------------


def test_a_leaking_streamer_is_signalled_before_it_is_far_above_the_ceiling(
    vigil: Supervised,
) -> None:
    (vigil.directory / "small.toml").write_text('base = "smoke"\nmemory_ceiling = "120MiB"\n')
    vigil.start(
        "leaks",
        "soak",
        f"--profile={vigil.directory / 'small.toml'}",
        settings={"monitor.sample_every": 0.5},
    )
    assert vigil.exit_code() == 3
    profile = vigil.profile()
    assert profile["verdict"] == "fail"
    assert profile["memory_samples"][-1]["rss_mb"] > 120
    failed = [one["name"] for one in profile["criteria"] if one["outcome"] == "fail"]
    assert "memory ceiling" in failed
    # SIGTERM came, not SIGKILL: it was noticed and signalled before it had 24 MiB more. How many
    # periods that may take is a matter of the clock of tests/unit/supervisor/test_fleet_controller.
    assert (vigil.directory / "flushed").exists()
    kept = bundle(vigil)
    assert "is above 120.0 MiB" in json.loads(kept["reason.json"])["reason"]
    assert "VmRSS" in kept["status.txt"]
    assert "in speak" in kept["stacks.txt"]


def bundle(vigil: Supervised) -> dict[str, str]:
    """Return the files of the first diagnosis that was kept, by name."""
    archive, *_ = vigil.until(lambda: sorted(vigil.evidence.glob("diagnosis-*.tar.gz")))
    with tarfile.open(archive) as tar:
        members = [(one.name, tar.extractfile(one)) for one in tar]
        return {Path(name).name: file.read().decode() for name, file in members if file}


def test_far_above_the_ceiling_evidence_comes_first_and_the_kill_soon(vigil: Supervised) -> None:
    config = vigil.directory / "vigil.toml"
    config.write_text(
        '[[rules]]\nname = "memory ceiling"\nmetric = "rss_bytes"\n'
        'above = "64KiB"\naction = "restart"\n'  # from its first moment it is above 1.2 of it
    )
    only_once = {"supervisor.restart_limit": 0}
    vigil.start("healthy", "run", f"--config={config}", settings=only_once)
    assert vigil.exit_code() in (5, 6)  # 5 when that is before its first report
    # How soon is a matter of the clock of tests/unit/supervisor/test_fleet_controller.py.
    told, _, after = vigil.log.read_text().partition("it is restarted")
    assert "ended by" not in told
    assert "ended by SIGKILL" in after
    assert not (vigil.directory / "flushed").exists()  # nothing was asked of it before
    kept = bundle(vigil)
    assert "VmRSS" in kept["status.txt"]
    assert "Private_Dirty" in kept["smaps_rollup.txt"]


def test_a_killed_streamer_is_launched_again(vigil: Supervised) -> None:
    process = vigil.start("healthy", "run")
    vigil.until_logged("generation 1 reports")
    vigil.streamer().kill()
    vigil.until_logged("generation 1 ended by SIGKILL")
    vigil.until_logged("generation 2 reports")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0


def test_a_killed_streamer_fails_a_soak(vigil: Supervised) -> None:
    vigil.start("healthy", "soak", "--profile=smoke")
    vigil.until_logged("generation 1 reports")
    vigil.streamer().kill()
    assert vigil.exit_code() == 3
    profile = vigil.profile()
    assert profile["verdict"] == "fail"
    assert all(sample["rss_mb"] > 0 for sample in profile["memory_samples"])  # no zombie's zeros


@pytest.mark.parametrize("manner", ["stops_itself", "holds_gil"])
def test_a_silent_streamer_is_replaced(vigil: Supervised, manner: str) -> None:
    config = vigil.directory / "vigil.toml"
    config.write_text(
        '[[rules]]\nname = "heartbeat"\nmetric = "report_age_seconds"\n'
        'above = 5.0\naction = "restart"\n'  # a busy machine alone makes no such silence
    )
    process = vigil.start(manner, "run", f"--config={config}")
    vigil.until_logged("generation 1 reports")
    first = vigil.streamer().pid
    vigil.until_logged("generation 1 ended by SIGABRT")
    vigil.until_logged("generation 2 reports")
    assert vigil.streamer().pid != first
    assert "hread 0x" in (vigil.evidence / "streamer-1.1.stacks").read_text()
    kept = bundle(vigil)
    assert "report" in json.loads(kept["reason.json"])["reason"]
    assert "VmRSS" in kept["status.txt"]
    # On a busy machine the stacks may still come, once it is continued for its end.
    stopped = manner == "stops_itself" and "its state is T (stopped)" in kept["stacks.txt"]
    assert stopped or "hread 0x" in kept["stacks.txt"]
    # Its second streamer is drained, unless it is silent by now, too.
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() in (0, 1)


def test_no_grandchild_outlives_a_crash_even_in_its_own_session(vigil: Supervised) -> None:
    process = vigil.start("has_family", "run", settings={"supervisor.restart_limit": 0})
    vigil.until_logged("generation 1 reports")
    family = vigil.streamer().children(recursive=True)
    assert len(family) == 2
    vigil.streamer().kill()
    assert vigil.exit_code() == 6
    assert process.returncode == 6
    assert [one for one in family if one.is_running()] == []  # reaped, not only killed


def test_a_spent_restart_budget_ends_the_service(vigil: Supervised) -> None:
    vigil.start("dies_young", "run", settings={"supervisor.restart_limit": 2})
    assert vigil.exit_code() == 6
    assert "generation 3 exited with 9" in vigil.log.read_text()
    assert "its 2 restarts in 600 s are spent" in vigil.log.read_text()


@pytest.mark.parametrize("command", [("run",), ("soak", "--profile=smoke")])
@pytest.mark.parametrize("manner", ["fails_at_once", "never_reports"])
def test_a_streamer_that_cannot_start(
    vigil: Supervised, manner: str, command: tuple[str, ...]
) -> None:
    vigil.start(manner, *command, settings={"supervisor.startup_timeout": 1.5})
    assert vigil.exit_code() == 5
    assert "could not start" in vigil.log.read_text()


# The supervisor's own end -------------------------------------------------------------------------


def test_a_killed_supervisor_leaves_no_streamer_after_its_flush(vigil: Supervised) -> None:
    process = vigil.start("healthy", "run")
    vigil.until_logged("generation 1 reports")
    process.kill()
    process.wait()
    vigil.until(lambda: not vigil.left())
    assert (vigil.directory / "flushed").exists()


def test_a_mistake_of_ours_ends_streamers_and_writes_the_profile(vigil: Supervised) -> None:
    file = vigil.directory / "break"
    vigil.start("healthy", "soak", "--profile=smoke", environment={"VIGIL_TEST_BREAK": str(file)})
    vigil.until_logged("generation 1 reports")
    file.touch()
    assert vigil.exit_code() == 1
    assert vigil.profile()["test_metadata"]["ended"] == "error"
    assert (vigil.directory / "flushed").exists()
    assert "RuntimeError: a mistake of ours" in vigil.log.read_text()


def test_a_second_supervisor_is_refused_in_the_same_directory(vigil: Supervised) -> None:
    process = vigil.start("healthy", "run")
    vigil.until_logged("generation 1 reports")
    second = vigil.start("healthy", "run")
    assert second.wait(DEADLINE_SECONDS) == 2
    vigil.process = process
    assert "in use by another supervisor" in vigil.log.read_text()
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0


# Its neighbours -----------------------------------------------------------------------------------


def test_a_child_carries_nothing_of_the_supervisor(vigil: Supervised) -> None:
    launcher = vigil.directory / "launcher.py"
    launcher.write_text(
        "import runpy\n"
        "if __name__ == '__main__':\n"
        "    import supervisor.child_setup\n"
        "    from tests.integration import scripted_streamer\n"
        "    supervisor.child_setup.stream = scripted_streamer.lists_modules\n"
        "    runpy.run_module('supervisor', run_name='__main__', alter_sys=True)\n"
    )
    process = vigil.start(
        "", "run", launcher=(str(launcher),), environment={"NOTIFY_SOCKET": "/nowhere"}
    )
    vigil.until_logged("generation 1 reports")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
    modules = json.loads((vigil.directory / "modules.json").read_text())
    assert "streamer.run" in modules
    roots = {module.partition(".")[0] for module in modules}
    assert (
        roots & {"rich", "aiohttp", "prometheus_client", "pydantic", "psutil", "monitor"} == set()
    )
    assert "NOTIFY_SOCKET" not in json.loads((vigil.directory / "environment.json").read_text())


def test_systemd_hears_how_it_goes(vigil: Supervised) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(vigil.directory / "notify"))
        systemd.settimeout(DEADLINE_SECONDS)
        process = vigil.start(
            "healthy",
            "run",
            environment={
                "NOTIFY_SOCKET": str(vigil.directory / "notify"),
                "WATCHDOG_USEC": "1000000",
            },
        )

        def hear(wanted: str) -> list[str]:
            heard: list[str] = []
            while not heard or not heard[-1].startswith(wanted):
                heard.append(systemd.recv(1000).decode())
            return heard

        before_ready = hear("READY=1")
        assert {"WATCHDOG=1", "EXTEND_TIMEOUT_USEC=15000000"} <= set(before_ready)
        hear("STATUS=1 of 1 streaming")
        process.send_signal(signal.SIGTERM)
        hear("STOPPING=1")
    assert vigil.exit_code() == 0


def test_sighup_takes_over_what_it_can_and_names_the_rest(vigil: Supervised) -> None:
    config = vigil.directory / "vigil.toml"
    config.write_text("[supervisor]\nreport_every = 300\n")
    process = vigil.start("healthy", "run", f"--config={config}")
    vigil.until_logged("generation 1 reports")
    config.write_text("[supervisor]\nreport_every = 0.5\n[connection]\nmax_age = 3600\n")
    process.send_signal(signal.SIGHUP)
    vigil.until_logged("SIGHUP: changed: supervisor.report_every")
    vigil.until_logged("SIGHUP: needs a new start: connection.max_age")
    vigil.until_logged('"event":"report"')
    config.write_text("[supervisor]\nreport_every = -1\n")
    process.send_signal(signal.SIGHUP)
    vigil.until_logged("SIGHUP: nothing is changed: supervisor.report_every = -1")
    process.send_signal(signal.SIGTERM)
    assert vigil.exit_code() == 0
