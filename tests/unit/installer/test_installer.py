from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.installer import machine, releases, removal, services, settings


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with a file of each kind that a release is made of."""
    (tmp_path / "deploy" / "systemd").mkdir(parents=True)
    for name in ("requirements.txt", "requirements-build.txt", "deploy/systemd/vigil.service"):
        (tmp_path / name).write_text(name)
    (tmp_path / "accelerator").mkdir()
    for name in (*releases.ACCELERATOR, releases.ACCELERATOR_PINS):
        (tmp_path / name).write_text(name)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    for name in releases.PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "module.py").write_text(name)
    monkeypatch.setattr(releases, "SOURCE", tmp_path)
    return tmp_path


def test_a_release_is_named_by_its_version_and_all_that_is_in_it(source: Path) -> None:
    name = releases.release_name("python3")
    assert name.startswith("1.2.3-")
    assert releases.release_name("python3") == name
    (source / "streamer" / "module.pyc").write_text("compiled meanwhile")
    assert releases.release_name("python3") == name
    names = {name}
    for changed in ("requirements.txt", "deploy/systemd/vigil.service", "monitor/module.py"):
        (source / changed).write_text("changed")
        names.add(releases.release_name("python3"))
    (source / "supervisor" / "module.py").rename(source / "supervisor" / "other.py")
    names.add(releases.release_name("python3"))
    assert len(names) == 5


def test_a_release_with_the_compiled_encoder_is_another_one_and_named_by_its_source(source) -> None:
    without = releases.release_name("python3")
    names = {without, releases.release_name("python3", accelerated=True)}
    for changed in (*releases.ACCELERATOR, releases.ACCELERATOR_PINS):
        (source / changed).write_text("changed")
        names.add(releases.release_name("python3", accelerated=True))
    assert len(names) == 5
    assert releases.release_name("python3") == without


def test_an_upgrade_keeps_the_compiled_encoder_until_told_otherwise(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(releases, "ACCELERATED", tmp_path / "accelerated")
    assert not releases.is_accelerated(None)
    releases.remember(accelerated=releases.is_accelerated(True))
    releases.remember(accelerated=releases.is_accelerated(None))
    assert releases.is_accelerated(None)
    releases.remember(accelerated=releases.is_accelerated(False))
    assert not releases.is_accelerated(None)


PYTHON = Path(sys.executable).resolve().name


@pytest.mark.parametrize(
    ("headers", "named"), [(True, "gcc libc6-dev"), (False, f"gcc libc6-dev {PYTHON}-dev")]
)
def test_without_a_compiler_an_accelerated_release_is_refused_before_anything_is_made(
    source, tmp_path, monkeypatch, headers, named
) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexit 100\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setattr(releases, "RELEASES", tmp_path / "releases")
    monkeypatch.setattr(machine, "has_headers", lambda _: headers)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CC", "/nowhere/cc")
    with pytest.raises(SystemExit, match=rf"apt-get install {named}\).*--no-accelerated"):
        releases.build(sys.executable, accelerated=True)
    assert not (tmp_path / "releases").exists()
    update, install = asked.read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith(named)


def test_what_builds_extensions_is_found_by_building_one(monkeypatch, tmp_path) -> None:
    for compiler, can in (("true", True), ("false", False), ("/nowhere/cc", False)):
        monkeypatch.setenv("CC", f"{compiler} -O2")
        assert machine.can_compile(sys.executable) == can
    (tmp_path / "cc").write_text("#!/bin/sh\ncat > /dev/null\necho no such header >&2; exit 1\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    assert not machine.can_compile(sys.executable)  # it is there, and what it needs is not


def test_the_first_port_that_no_settings_name_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SETTINGS", tmp_path)
    assert settings.free_port() == 9091
    (tmp_path / "vigil.toml").write_text('metrics_address = "127.0.0.1:9091"')
    (tmp_path / "vigil@btc.toml").write_text('metrics_address = "[::1]:9092"')
    assert settings.free_port() == 9093


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"[sink]\nkind = kafka", "line 2"), (b"\xff", "utf-8"), (b'[sink]\nkind = "kafka"', None)],
)
def test_settings_that_are_no_toml_are_refused_before_anything_is_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, why: str | None
) -> None:
    there, wanted = tmp_path / "vigil.toml", tmp_path / "wanted.toml"
    settings.check_syntax(there, None, sys.executable)  # the first time: the example is taken
    for path, asked in ((wanted, wanted), (there, None)):
        path.write_bytes(content)
        if why is None:
            settings.check_syntax(there, asked, sys.executable)
            continue
        with pytest.raises(SystemExit, match=rf"of {path} are refused: nothing is changed"):
            settings.check_syntax(there, asked, sys.executable)
        assert why in capfd.readouterr().err


def test_old_releases_go_but_not_the_one_in_use_nor_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (tmp_path / "releases" / f"r{number}").mkdir(parents=True)
    monkeypatch.setattr(releases, "RELEASES", tmp_path / "releases")
    monkeypatch.setattr(releases, "PROGRAM", tmp_path / "vigil")
    monkeypatch.setattr(releases, "PREVIOUS", tmp_path / "releases" / "previous")
    (tmp_path / "vigil").symlink_to(tmp_path / "releases" / "r0")  # a rollback
    (tmp_path / "releases" / "previous").symlink_to(tmp_path / "releases" / "r1")
    releases.remove_old_releases()
    left = {path.name for path in (tmp_path / "releases").iterdir()} - {"previous"}
    assert len(left) == releases.KEPT_RELEASES
    assert left > {"r0", "r1"}


def test_units_are_compared_with_those_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "UNITS", tmp_path)
    release = tmp_path / "release"
    release.mkdir()
    (release / "vigil.service").write_text("new")
    assert not services.units_are_of(release)
    for name in services.UNIT_FILES:
        (tmp_path / name).write_text("new")
    assert services.units_are_of(release)
    (tmp_path / "vigil@.service").write_text("old")
    assert not services.units_are_of(release)


@pytest.fixture
def two_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return what is run on a machine with the instances `btc` and `eth`."""
    ran: list[tuple[str, ...]] = []
    for name in ("btc", "eth"):
        (tmp_path / "etc").mkdir(exist_ok=True)
        (tmp_path / f"etc/vigil@{name}.toml").write_text(name)
        (tmp_path / f"lib/vigil@{name}/data").mkdir(parents=True)
    monkeypatch.setattr(removal, "SETTINGS", tmp_path / "etc")
    monkeypatch.setattr(removal, "STATE", tmp_path / "lib")
    monkeypatch.setattr(removal, "instances", lambda: ["vigil@btc.service", "vigil@eth.service"])
    monkeypatch.setattr(removal, "enabled", list)
    monkeypatch.setattr(removal, "run", lambda *command, **_: ran.append(command) or 0)
    return ran


@pytest.mark.parametrize("purge", [False, True])
def test_one_instance_is_removed_and_no_other(
    two_instances: list[tuple[str, ...]], tmp_path: Path, purge: bool
) -> None:
    assert removal.uninstall_instance("btc", purge=purge) == 0
    assert ("systemctl", "disable", "--quiet", "--now", "vigil@btc") in two_instances
    assert not any("vigil@eth" in " ".join(command) for command in two_instances)
    assert (tmp_path / "etc/vigil@btc.toml").exists() is not purge
    assert (tmp_path / "lib/vigil@btc").exists() is not purge
    assert (tmp_path / "etc/vigil@eth.toml").exists()
    assert (tmp_path / "lib/vigil@eth/data").exists()


@pytest.mark.usefixtures("two_instances")
def test_an_instance_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SystemExit, match="no instance sol; expected one of: btc, eth"):
        removal.uninstall_instance("sol", purge=True)


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (["--uninstall", "--settings", "README.md"], "--settings does not go with --uninstall"),
        (["--uninstall", "--no-start"], "--no-start does not go with --uninstall"),
        (["--rollback", "--instance", "btc"], "--instance does not go with --rollback"),
        (["--rollback", "--accelerated"], "--accelerated does not go with --rollback"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(arguments: list[str], refused: str) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "scripts/install", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert refused in done.stderr
