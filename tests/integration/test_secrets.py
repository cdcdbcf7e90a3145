"""A secret planted in every place a secret can go is found in nothing that comes out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tarfile
import urllib.request
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from streamer.config import URL_NAMES
from tests.exchange import Exchange
from tests.streaming import ROOT
from tests.unit.streamer.loopback import read_head, serve

PLANTED = "hunter2"
"""Part of every secret here, and of nothing else."""
ENVIRONMENT = {
    "VIGIL_KAFKA__CLIENT__SASL_PASSWORD": f"{PLANTED}#1234",
    "VIGIL_KAFKA__CLIENT__SASL_USERNAME": f"{PLANTED}-key",
    "VIGIL_KAFKA__CLIENT__SASL_OAUTHBEARER_CONFIG": f"principal={PLANTED}",
    "VIGIL_KAFKA__CLIENT__SASL_KERBEROS_KINIT_CMD": f"kinit -w {PLANTED}",
    "VIGIL_KAFKA__CLIENT__SSL_KEY_PEM": f"-----BEGIN {PLANTED}",
    "VIGIL_KAFKA__CLIENT__OF_A_VERSION_TO_COME": PLANTED,
    "VIGIL_KAFKA__SCHEMA_REGISTRY_USER": "vigil",
    "VIGIL_KAFKA__SCHEMA_REGISTRY_PASSWORD": f"1{PLANTED}",
    "HTTPS_PROXY": f"http://me:{PLANTED}@127.0.0.1:1",
}
USER, PASSWORD = PLANTED, f"p@/{PLANTED}"
FORMS = {
    "as it is": PLANTED,
    "percent-encoded": quote(PASSWORD, safe=""),
    "percent-encoded, every byte": "".join(f"%{byte:02X}" for byte in PASSWORD.encode()),
    "as it is sent": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
    "in base64": base64.b64encode(PASSWORD.encode()).decode().rstrip("="),
}
"""What may not be found of the proxy's user and password."""


@pytest.fixture
def exchange(vigil):
    with Exchange(vigil.directory, rate=20) as exchange:
        yield exchange


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def asks(vigil, *command):
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", *command],
        cwd=vigil.directory, check=False, capture_output=True, text=True, timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ENVIRONMENT},
    )  # fmt: skip
    return done.stdout + done.stderr


def of_process(process: psutil.Process) -> str:
    """Return the command line and the environment of a process."""
    texts = []
    for name in ("cmdline", "environ"):
        with suppress(OSError):
            texts.append(Path(f"/proc/{process.pid}/{name}").read_bytes().decode(errors="replace"))
    return "\n".join(texts)


def refuse(heads, sock):
    heads.append(read_head(sock))
    sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")


def test_a_planted_secret_is_found_nowhere(vigil, exchange, stack):
    file = vigil.directory / "vigil.toml"
    heads: list[bytes] = []
    port = stack.enter_context(serve(partial(refuse, heads)))
    proxy = f"http://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
    file.write_text(
        f'exchange.proxy = "{proxy}"\nkafka.client.ssl.keystore.password = "{PLANTED}"\n'
    )
    file.chmod(0o600)
    settings = {
        "exchange.websocket_url": exchange.websocket_url,
        "exchange.rest_url": exchange.rest_url,
        "exchange.ca_file": exchange.ca_file,
        "sink.directory": vigil.directory / "records",
    }
    launcher = ("-m", "supervisor", "--config", str(file))
    command = ("soak", "--profile", "smoke", "--duration", "1h")  # the test ends it
    supervisor = vigil.start(
        "", *command, settings=settings, environment=ENVIRONMENT, launcher=launcher
    )
    vigil.until_logged("generation 1 reports")
    vigil.until_logged("does not take")  # an attempt through it has failed, and is logged
    assert FORMS["as it is sent"].encode() in heads[0]  # so it is looked for in the right form
    found = {}
    for child in psutil.Process(supervisor.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            name = f"process {child.pid}: {' '.join(child.cmdline())}"
            found[name] = of_process(child)
    assert len(found) >= 1
    found["command line"] = Path(f"/proc/{supervisor.pid}/cmdline").read_text()

    shared = [
        "--config", str(file), f"--set=supervisor.runtime_directory={vigil.directory}/run"
    ]  # fmt: skip
    found["config"] = asks(vigil, *shared, "config")
    assert '"sasl.password": "********"' in found["config"]
    assert f'"proxy": "http://********@127.0.0.1:{port}"' in found["config"]
    found["status"] = asks(vigil, *shared, "status", "--json")
    shown = f"http://********@127.0.0.1:{port}"
    assert json.loads(found["status"])["proxies"] == dict.fromkeys(URL_NAMES, shown)
    found["status for people"] = asks(vigil, *shared, "status")
    assert f"exchange.rest_url through {shown}" in found["status for people"]
    told = json.loads(asks(vigil, *shared, "diagnose", "--json"))
    kept = Path(told["result"]["streamer-1"]["archive"])
    with tarfile.open(kept) as archive:
        for member in archive:
            content = archive.extractfile(member)
            found[f"diagnosis {member.name}"] = content.read().decode() if content else ""
    kept.unlink()  # compressed, so that a search would be in vain
    listening = [
        one.laddr.port
        for one in psutil.Process(supervisor.pid).net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    ]
    for path in ("metrics", "status", "healthz", "readyz"):
        with suppress(urllib.error.HTTPError):
            url = f"http://127.0.0.1:{listening[0]}/{path}"
            found[path] = urllib.request.urlopen(url, timeout=60).read().decode()
    assert {"metrics", "status"} <= found.keys()
    supervisor.terminate()
    vigil.exit_code()

    file.unlink()
    for path in vigil.directory.rglob("*"):
        if path.is_file():
            found[str(path)] = path.read_bytes().decode(errors="replace")
    assert str(vigil.output) in found
    assert [
        f"{name}: {form}"
        for name, text in found.items()
        for form, secret in FORMS.items()
        if secret in text
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "kafka.sasl.password={}",
        "exchange.websocket_url=wss://u:{}@h",
        "kafka.client=x{}",
        "kafka.client.x={}",
        "kafka.schema_registry_url=http://u:{}@h",
        "exchange.proxy=http://u:{}@h:1",
        "exchange.proxy=u:{}%40h:1",
        "exchange.proxy=http://u:{}",
    ],
)
@pytest.mark.parametrize("module", ["supervisor", "streamer"])
def test_an_error_does_not_repeat_it(text, module, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", module, "--set", text.format(PLANTED)],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ENVIRONMENT},
    )  # fmt: skip
    assert done.returncode == 2
    assert PLANTED not in done.stdout + done.stderr


def test_librdkafkas_refusal_does_not_repeat_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "--set=sink.kind=kafka", "--set=kafka.start_within=1s"],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ENVIRONMENT},
    )  # fmt: skip
    assert done.returncode in (2, 5)
    assert "kafka" in done.stderr
    assert PLANTED not in done.stdout + done.stderr
