"""The exchange through proxies that demand a user: real ones, and one that environment names."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from streamer.config import ExchangeConfig
from streamer.connection_config import ConnectionConfig
from streamer.errors import HandshakeError
from streamer.network.handshake import make_ssl_context, open_transport
from streamer.repair.rest import RestClient
from streamer.repair.rest_requests import TIME_REQUEST, RestFailure, RestResponse, read_time
from streamer.secret import SecretUrl
from tests.exchange import Exchange
from tests.ports import free_port
from tests.streaming import ROOT
from tests.tools import required
from tests.unit.streamer.loopback import connect_proxy, eventually, readable, serve
from tests.waiting import WITHIN_SECONDS

PATIENT = ConnectionConfig(handshake_timeout=WITHIN_SECONDS)
USER, PASSWORD = "vigil", "p4ss-word"
TINYPROXY = """\
Listen 127.0.0.1
Port {port}
BasicAuth {user} {password}
LogFile "{log}"
LogLevel Connect
Timeout 60
MaxClients 20
"""


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def running(command, port, log):
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        eventually(lambda: listens(port))
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def tinyproxy(directory: Path):
    port, log = free_port(), directory / "tinyproxy.log"
    settings = directory / "tinyproxy.conf"
    settings.write_text(TINYPROXY.format(port=port, user=USER, password=PASSWORD, log=log))
    command = [required("tinyproxy", "tinyproxy"), "-d", "-c", str(settings)]
    with running(command, port, directory / "tinyproxy.out"):
        yield port, log


@contextlib.contextmanager
def microsocks(directory: Path):
    port, log = free_port(), directory / "microsocks.log"
    command = [required("microsocks", "microsocks"), "-i", "127.0.0.1", "-p", str(port)]
    with running([*command, "-u", USER, "-P", PASSWORD], port, log):
        yield port, log


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    with Exchange(tmp_path_factory.mktemp("exchange"), rate=50) as exchange:
        yield exchange


def settings_through(exchange, proxy):
    return ExchangeConfig(
        websocket_url=exchange.websocket_url,
        rest_url=exchange.rest_url,
        ca_file=exchange.ca_file,
        proxy=SecretUrl(proxy),
    )


@pytest.mark.parametrize(
    ("scheme", "proxy"), [("http", tinyproxy), ("socks5", microsocks), ("socks5h", microsocks)]
)
def test_websocket_and_rest_go_through_a_proxy_that_demands_a_user(
    scheme, proxy, exchange, tmp_path
):
    url = f"{exchange.websocket_url}/stream?streams=btcusdt@trade"
    with proxy(tmp_path) as (port, log):
        config = settings_through(exchange, f"{scheme}://{USER}:p4ss%2Dword@127.0.0.1:{port}")
        tls = make_ssl_context(config)
        transport = open_transport(url, PATIENT, config, tls)
        with contextlib.closing(transport):
            readable(transport)
            assert b"btcusdt@trade" in eventually(transport.receive)
        rest = RestClient(config, tls, WITHIN_SECONDS)
        with contextlib.closing(rest):
            answer = rest.ask(TIME_REQUEST)
            assert isinstance(answer, RestResponse)
            assert abs(read_time(answer.body) - time.time()) < 3600
        told = log.read_text()
        assert PASSWORD not in told  # so it tells of targets, not of everything it hears
        for target in (exchange.websocket_url, exchange.rest_url):
            assert target.rpartition(":")[2] in told

        wrong = settings_through(exchange, f"{scheme}://{USER}:wrong@127.0.0.1:{port}")
        with pytest.raises(HandshakeError, match="the proxy") as caught:
            open_transport(url, PATIENT, wrong, tls)
        assert caught.value.error_type == "proxy"
        refused = RestClient(wrong, tls, WITHIN_SECONDS).ask(TIME_REQUEST)
        assert isinstance(refused, RestFailure)
        assert "the proxy" in refused.detail


def test_a_supervised_streamer_takes_the_proxy_of_the_environment(vigil, exchange):
    heads: list[bytes] = []
    addresses = {
        name: getattr(exchange, name).replace("127.0.0.1", f"{name}.invalid".replace("_", "-"))
        for name in ("websocket_url", "rest_url")
    }
    with serve(connect_proxy(heads, host="127.0.0.1")) as port:
        supervisor = vigil.start(
            "", "run", launcher=("-m", "supervisor"),
            settings={f"exchange.{name}": url for name, url in addresses.items()}
            | {"exchange.verify_tls": "false"},  # the names are not those of the certificate
            environment={"HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{port}", "NO_PROXY": "a,::/0"},
        )  # fmt: skip
        vigil.until_logged("generation 1 reports")
        listening = [
            one.laddr.port
            for one in psutil.Process(supervisor.pid).net_connections("tcp")
            if one.status == psutil.CONN_LISTEN
        ]

        def streams() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{listening[0]}/status") as answer:
                told = json.load(answer)
            assert set(told["proxies"].values()) == {f"http://********@127.0.0.1:{port}"}
            # The log is written before the page knows of the streamer; the exchange's clock is
            # asked for over REST.
            return [
                (one["state"], one["clock_offset_seconds"] is not None) for one in told["streamers"]
            ] == [("streaming", True)]

        vigil.until(streams)
        supervisor.terminate()
        assert vigil.exit_code() == 0
    authorization = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss")
    assert all(authorization in head for head in heads)
    asked = {head.split()[1].decode() for head in heads}
    assert asked == {url.rpartition("/")[2] for url in addresses.values()}


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("supervisor", "config"), 2, "HTTPS_PROXY in the environment asks for TLS to the proxy"),
        (("supervisor", "run"), 2, "HTTPS_PROXY in the environment asks for TLS to the proxy"),
        (("supervisor", "--set=supervisor.runtime_directory=absent", "status"), 2, "absent"),
        (("streamer", "audit"), 4, ""),
    ],
)
def test_only_what_reaches_the_exchange_minds_an_unusable_proxy(command, code, said, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HTTPS_PROXY": "https://proxy:3128"},
    )  # fmt: skip
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
