"""The container image and the manifests, as far as they can be judged without an engine.

The Dockerfile's own steps are done in a directory; its entry point is started there, with its
environment, and ends as an engine would end it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamer.settings import StreamerSettings, load
from supervisor.settings import Settings, SupervisorConfig
from tests.dockerfile import Instruction, build, stages
from tests.exchange import Exchange
from tests.ports import free_port
from tests.streaming import at_exchange, eventually

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"
KUBERNETES = ROOT / "deploy" / "kubernetes"
MIB = 1 << 20
UNITS = {"Mi": MIB, "Gi": 1 << 30}


def of(stage: list[Instruction], name: str) -> list[Instruction]:
    return [one for one in stage if one.name == name]


def test_the_base_is_named_exactly_and_both_stages_share_it() -> None:
    bases = {stage[0].value.split()[0] for stage in stages(DOCKERFILE)}
    (base,) = bases
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.\d+-slim-bookworm", base)


def test_only_what_is_pinned_gets_in_and_no_index_is_named() -> None:
    installs = [
        one.value
        for stage in stages(DOCKERFILE)
        for one in of(stage, "RUN")
        if "pip install" in one.value
    ]
    assert installs
    for install in installs:
        assert "--no-deps" in install
        assert "--require-hashes" in install or install.endswith("--no-build-isolation .")
        assert "index" not in install
        assert "://" not in install


def test_it_runs_as_a_user_with_a_number_under_a_process_that_reaps() -> None:
    *_, final = stages(DOCKERFILE)
    (user,) = of(final, "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.value)
    assert final.index(user) > max(final.index(run) for run in of(final, "RUN"))
    (entry,), (command,) = of(final, "ENTRYPOINT"), of(final, "CMD")
    assert entry.command[:2] == ["/usr/bin/tini", "--"]
    assert command.command == ["run"]
    (stop,) = of(final, "STOPSIGNAL")
    assert stop.value == "SIGTERM"
    (health,) = of(final, "HEALTHCHECK")
    assert "/healthz" in health.command[-1]


def test_nothing_is_copied_but_what_is_allowed_into_the_context() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    first, _ = stages(DOCKERFILE)
    copied = {word for one in of(first, "COPY") for word in one.value.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / one).exists() for one in allowed)
    assert any(fnmatch.fnmatch("a/__pycache__", rule) for rule in rules[1:])


def documents() -> dict[str, Any]:
    files = [path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml"]
    found = [one for path in files for one in yaml.safe_load_all(path.read_text())]
    assert all(one["apiVersion"] and one["metadata"]["name"] for one in found)
    return {one["kind"]: one for one in found}


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = documents()["StatefulSet"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


def test_what_is_named_is_there_and_labels_find_each_other() -> None:
    found = documents()
    template = found["StatefulSet"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    for selector in (
        found["StatefulSet"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    monitor = found["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert monitor.items() <= found["Service"]["metadata"]["labels"].items()
    assert found["StatefulSet"]["spec"]["serviceName"] == found["Service"]["metadata"]["name"]
    for directory in (KUBERNETES, KUBERNETES / "options", KUBERNETES / "cluster"):
        rendered = yaml.safe_load((directory / "kustomization.yaml").read_text())
        files = {path.name for path in directory.glob("*.yaml")} - {"kustomization.yaml"}
        assert set(rendered["resources"]) == files
    base = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    (generated,) = base["configMapGenerator"]
    assert all((KUBERNETES / one).exists() for one in generated["files"])
    (config,) = [one for one in template["spec"]["volumes"] if "configMap" in one]
    assert config["configMap"]["name"] == generated["name"]


def test_a_cluster_is_the_same_set_of_pods_with_a_member_each(tmp_path) -> None:
    component = yaml.safe_load((KUBERNETES / "cluster" / "kustomization.yaml").read_text())
    (change,) = component["patches"]
    patch, base = yaml.safe_load(change["patch"]), documents()["StatefulSet"]
    assert [change["target"][one] for one in ("kind", "name")] == ["StatefulSet", "vigil"]
    assert patch["metadata"] == base["metadata"]
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    (other,) = base["spec"]["template"]["spec"]["containers"]
    assert container["name"] == other["name"]
    variables = {one["name"]: one.get("value", "vigil-0") for one in container["env"]}
    settings = load(StreamerSettings, KUBERNETES / "vigil.toml", (), variables, dials=False)
    assert (settings.group.enabled, settings.group.member) == (True, "vigil-0")
    assert patch["spec"]["replicas"] <= settings.group.shards


def test_it_may_do_nothing_that_it_does_not_need(pod, container) -> None:
    *_, final = stages(DOCKERFILE)
    user, group = of(final, "USER")[0].value.split(":")
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    assert security["fsGroup"] == int(group)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_directory_that_it_writes_to_is_a_volume(pod, container) -> None:
    *_, final = stages(DOCKERFILE)
    (environment,) = of(final, "ENV")
    written = [
        value.partition("=")[2] for value in environment.value.split() if "DIRECTORY=" in value
    ]
    assert len(written) == 3
    mounts = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    for path in (*written, "/tmp/x"):
        assert any(Path(path).is_relative_to(mount) for mount in mounts), path
    names = {one["name"] for one in pod["volumes"]}
    names |= {
        one["metadata"]["name"]
        for one in documents()["StatefulSet"]["spec"]["volumeClaimTemplates"]
    }
    assert {one["name"] for one in container["volumeMounts"]} == names


def size(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


def test_our_own_limits_act_before_the_kernels(container) -> None:
    ceiling = 450 * MIB
    resources = container["resources"]
    assert size(resources["limits"]["memory"]) > 1.2 * ceiling + 90 * MIB
    assert size(resources["requests"]["memory"]) < size(resources["limits"]["memory"])
    (claim,) = documents()["StatefulSet"]["spec"]["volumeClaimTemplates"]
    room = size(claim["spec"]["resources"]["requests"]["storage"])
    assert room > 2 * Settings().kafka.overflow_bytes


def test_a_drain_has_its_time(pod) -> None:
    config = SupervisorConfig()
    graces = config.drain_grace + config.term_grace + config.abort_grace + config.kill_grace
    assert pod["terminationGracePeriodSeconds"] > graces


def test_probes_reach_the_pages_that_they_ask(container) -> None:
    (port,) = container["ports"]
    addresses = {one["name"]: one["value"] for one in container["env"]}
    assert addresses["VIGIL_MONITOR__METRICS_ADDRESS"] == f"0.0.0.0:{port['containerPort']}"
    pages = {
        probe: container[f"{probe}Probe"]["httpGet"]
        for probe in ("startup", "liveness", "readiness")
    }
    assert {one["port"] for one in pages.values()} == {port["name"]}
    assert [one["path"] for one in pages.values()] == ["/healthz", "/healthz", "/readyz"]
    startup = container["startupProbe"]
    started_within = startup["periodSeconds"] * startup["failureThreshold"]
    assert started_within > SupervisorConfig().startup_timeout


def test_the_settings_that_are_shipped_are_accepted(container, tmp_path) -> None:
    file = KUBERNETES / "vigil.toml"
    assert tomllib.loads(file.read_text())["sink"]["kind"] == "kafka"
    environment = {one["name"]: one["value"] for one in container["env"]}
    shown = subprocess.run(
        [sys.executable, "-m", "supervisor", "--config", str(file), "config"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "0.0.0.0:9091" in shown.stdout


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_steps_of_the_image_make_a_vigil_that_streams_and_ends(tmp_path: Path) -> None:
    first, final = stages(DOCKERFILE)
    source, place = tmp_path / "src", tmp_path / "opt" / "vigil"
    source.mkdir()
    build(first, ROOT, source, {"/opt/vigil": place, "python -m": Path(f"{sys.executable} -m")})
    shutil.rmtree(source)
    (environment,) = of(final, "ENV")
    variables = dict(one.split("=", 1) for one in environment.value.split())
    variables = {
        key: value.replace("/var/lib/vigil", f"{tmp_path}/state").replace("/run", f"{tmp_path}/run")
        for key, value in variables.items()
    }
    address = f"127.0.0.1:{free_port()}"
    variables["VIGIL_MONITOR__METRICS_ADDRESS"] = address
    entry = of(final, "ENTRYPOINT")[0].command[2:]  # without tini, which the engine's image has
    entry[0] = entry[0].replace("/opt/vigil", str(place))
    health = [
        word.replace("/opt/vigil", str(place)).replace("127.0.0.1:9091", address)
        for word in of(final, "HEALTHCHECK")[0].command
    ]
    with Exchange(tmp_path) as exchange:
        settings = [*at_exchange(exchange), "--set", "sink.kind=files"]
        process = subprocess.Popen(
            [*entry, *settings, *of(final, "CMD")[0].command],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **variables},
        )
        try:

            def ready() -> bool:
                try:
                    with urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
                        return True
                except OSError:
                    return False

            eventually(ready, what="readiness")
            # Engines hand their own proxies to containers; nobody listens at this one.
            proxied = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""}
            subprocess.run(health, check=True, timeout=30, env=proxied)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    assert subprocess.run(health, check=False, timeout=30, capture_output=True).returncode != 0
    assert list((tmp_path / "state" / "records").rglob("*.avro"))
