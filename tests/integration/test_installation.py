"""What is pinned is what gets installed, also where the index has newer releases of everything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import package_index

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))

import environment  # noqa: E402 - the scripts are no package

# Spark is no part of an installation: it has an environment of its own, and comes as source only.
FILES = sorted({*ROOT.glob("requirements*.txt")} - {ROOT / "requirements-spark.txt"})
PIN = re.compile(r"^([\w.-]+)(?:\[[\w, -]+\])?==([\w.]+)(?: ; (.*?))? \\$", re.MULTILINE)
IMAGE = ROOT / "deploy/container/Dockerfile"
COMMANDS = ["README.md", "deploy/README.md", IMAGE, ".github/workflows/soak.yml"]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the index and the environments."""
    return tmp_path_factory.mktemp("installation")


@pytest.fixture(scope="module")
def index(directory):
    """The URL of an index with every pinned wheel and a newer release of each."""
    wheels = directory / "index"
    package_index.download([ROOT / "requirements-bench.txt", ROOT / "tests/oldest-pip.txt"], wheels)
    package_index.add_newer_releases(wheels)
    package_index.lay_out(wheels)
    with package_index.serving(wheels) as url:
        yield url


@pytest.fixture(scope="module")
def offline(index):
    """Variables with which pip knows the index of this test only."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {**variables, "PIP_INDEX_URL": index, "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="module")
def interpreter(directory, offline) -> Path:
    """The interpreter of an empty environment with the oldest pip."""
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    python = directory / "venv" / "bin" / "python"
    command = environment.install_command(python, ROOT / "tests/oldest-pip.txt")
    subprocess.run(command, env=offline, check=True)
    version = subprocess.run([python, "-m", "pip", "--version"], check=True, capture_output=True)
    assert b"pip 22.3 " in version.stdout
    return python


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_comes_is_what_is_pinned(file, interpreter, offline, directory):
    report = directory / f"{file.stem}.json"
    command = environment.install_command(interpreter, file)
    subprocess.run([*command, "--dry-run", "--report", report], env=offline, check=True)
    came = {
        (normalised(item["metadata"]["name"]), item["metadata"]["version"])
        for item in json.loads(report.read_text())["install"]
    }
    pinned = PIN.findall(file.read_text())
    assert len(pinned) == len(re.findall(r"(?m)^\S.*==", file.read_text()))
    always = {(normalised(name), version) for name, version, marker in pinned if not marker}
    assert always <= came
    assert came <= {(normalised(name), version) for name, version, _ in pinned}


def test_resolving_anew_would_fail_here(interpreter, offline, directory):
    """The index of this test is one that broke the installation once."""
    file = directory / "without-extras.txt"
    file.write_text(re.sub(r"\[[\w, -]+\]==", "==", (ROOT / "requirements-dev.txt").read_text()))
    command = environment.install_command(interpreter, file)
    command.remove("--no-deps")
    refused = subprocess.run(
        [*command, "--dry-run"], env=offline, capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0
    assert "must have their versions pinned" in refused.stderr


def test_the_project_installs_as_the_image_does(interpreter, offline, directory):
    checkout = directory / "checkout"
    shutil.copytree(
        ROOT, checkout, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "demo")
    )
    commands = [one for one in pip_commands(IMAGE) if "accelerator" not in one]
    assert len(commands) == 2
    for command in commands:
        parts = [str(interpreter), "-m", "pip", *command.split()[1:]]
        subprocess.run(parts, cwd=checkout, env=offline, check=True, timeout=300)
    subprocess.run([interpreter, "-m", "pip", "check"], check=True)
    for arguments in (["-m", "supervisor", "config"], ["-m", "streamer", "--help"]):
        subprocess.run([interpreter, *arguments], cwd=directory, check=True, capture_output=True)
    vigil = interpreter.with_name("vigil")
    subprocess.run([vigil, "--help"], cwd=directory, check=True, capture_output=True)


@pytest.mark.parametrize("document", COMMANDS)
def test_no_document_has_pip_resolve(document):
    for command in pip_commands(ROOT / document):
        assert "--no-deps" in command
        assert "--require-hashes" in command or "--no-build-isolation" in command


def test_the_build_backend_is_the_one_with_a_hash():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pinned = PIN.findall((ROOT / "requirements-build.txt").read_text())
    assert project["build-system"]["requires"] == [f"{name}=={v}" for name, v, _ in pinned]


def test_the_installer_of_services_resolves_nothing_either():
    text = (ROOT / "scripts/installer/releases.py").read_text()
    assert '"install", "--quiet", "--no-deps"]' in text
    assert '"--require-hashes", *pins' in text
    assert '"--no-build-isolation"' in text


def test_every_action_of_the_workflow_is_pinned_by_its_commit():
    workflow = (ROOT / ".github/workflows/soak.yml").read_text()
    actions = re.findall(r"uses: *(\S+)", workflow)
    assert actions
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in actions)


def pip_commands(document: Path) -> list[str]:
    """The lines of a document that have pip install something, from `pip` on."""
    return re.findall(r"(?m)\bpip install (?!'plotly)[^\n#`]+", document.read_text())


def normalised(name: str) -> str:
    """A project's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
