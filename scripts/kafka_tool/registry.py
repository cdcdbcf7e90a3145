"""Apicurio Registry with its Confluent-compatible API, its schemas in the cluster's directory."""

import json
import os
import ssl
import urllib.request
from pathlib import Path

from .java import QUICK_START, java
from .processes import Process, spawn
from .settings import Settings

_API = "/apis/ccompat/v7"
_ANSWER_SECONDS = 5.0  # its first answers take a second
_HEAP = "-Xmx320m"  # at rest it holds 240 MB in all


def home(directory: Path) -> Path:
    """Return the directory of the registry: schemas, log, pid."""
    return directory / "registry"


def log_file(directory: Path) -> Path:
    """Return where the registry's output goes, over all its starts."""
    return home(directory) / "registry.log"


def url(settings: Settings) -> str:
    """Return the address that clients of Confluent's registry are given."""
    scheme = "https" if settings.wishes.tls else "http"
    return f"{scheme}://127.0.0.1:{settings.registry_port}{_API}"


def launch(settings: Settings, directory: Path, distribution: Path) -> Process:
    """Start the registry's process; it is ready when ``ready`` says so."""
    here = home(directory)
    (runner,) = distribution.glob("*-runner.jar")
    environment = dict(os.environ) | {
        "QUARKUS_HTTP_HOST": "127.0.0.1",
        # A file instead of its default, memory: schema ids survive a restart, as they must.
        "QUARKUS_DATASOURCE_JDBC_URL": f"jdbc:h2:file:{here / 'schemas'}",
        "QUARKUS_HTTP_PORT": str(settings.registry_port),
        "LOG_LEVEL": "INFO",
        "ENABLE_ACCESS_LOG": "true",  # tests read there what a client asked
    }
    if settings.wishes.tls:
        environment |= {
            "QUARKUS_HTTP_PORT": "0",
            "QUARKUS_HTTP_INSECURE_REQUESTS": "disabled",
            "QUARKUS_HTTP_SSL_PORT": str(settings.registry_port),
            "QUARKUS_HTTP_SSL_CERTIFICATE_KEY_STORE_FILE": str(directory / "server.p12"),
            "QUARKUS_HTTP_SSL_CERTIFICATE_KEY_STORE_PASSWORD": settings.keystore_password,
        }
    command = [java(), _HEAP, *QUICK_START, "-jar", str(runner)]
    return spawn(command, here, log_file(directory), environment)


def ready(settings: Settings, directory: Path) -> bool:
    """Whether the registry answers."""
    try:
        _call(settings, directory, "/subjects")
    except OSError:
        return False
    return True


def demand_compatibility(settings: Settings, directory: Path) -> None:
    """Refuse incompatible schemas everywhere, Confluent's default; Apicurio's is to take all."""
    _call(settings, directory, "/config", {"compatibility": "BACKWARD"})


def _call(
    settings: Settings, directory: Path, path: str, body: dict[str, str] | None = None
) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own loopback address
        url(settings) + path,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        method="PUT" if body else "GET",
    )
    context = None
    if settings.wishes.tls:
        context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    # Without the environment's proxies: they cannot reach our loopback.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    opener.open(request, timeout=_ANSWER_SECONDS).close()
