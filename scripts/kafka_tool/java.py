"""The machine's Java: found, and used for brokers, registry and keys."""

import os
import shutil
import subprocess
from pathlib import Path

from .errors import KafkaToolError, UnavailableError

_TOOL_SECONDS = 240  # a second is usual; a machine with a load of 25 took more than 60
QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # for what ends or idles soon


def java(program: str = "java") -> str:
    """Return the path of a program of ``JAVA_HOME``, or else of the ``PATH``."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(program, path=str(Path(home, "bin")) if home else None)
    if found is None:
        where = f"JAVA_HOME ({home})" if home else "the PATH"
        raise UnavailableError(
            f"Kafka needs Java 17 or newer, and there is no {program} in {where}: "
            "install a JRE (Debian: openjdk-17-jre-headless) or set JAVA_HOME"
        )
    return found


def run_to_end(command: list[str], log: Path) -> None:
    """Run a Java tool, its output in a log; raise with the log's end when it fails."""
    with log.open("ab") as output:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_TOOL_SECONDS,
            check=False,
        )
    if result.returncode != 0:
        raise KafkaToolError(f"{Path(command[0]).name} failed, see {log}:\n{tail(log)}")


def tail(log: Path, size: int = 2000) -> str:
    """Return the end of a log, for an error message."""
    return log.read_text(errors="replace")[-size:] if log.exists() else "(no log)"


def make_keystore(directory: Path, password: str) -> None:
    """Make ``server.p12``, self-signed for this machine's loopback, and ``ca.pem`` to trust it."""
    keystore, log = directory / "server.p12", directory / "keytool.log"
    store = ["-keystore", str(keystore), "-storetype", "PKCS12", "-alias", "server"]
    # By file, because a command line can be read by every user of the machine.
    secret = directory / "keystore_password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    store += ["-storepass:file", str(secret)]
    names = ["-dname", "CN=localhost", "-ext", "SAN=ip:127.0.0.1,dns:localhost"]
    key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650"]
    run_to_end([java("keytool"), *key, *store, *names], log)
    certificate = ["-exportcert", "-rfc", "-file", str(directory / "ca.pem")]
    run_to_end([java("keytool"), *certificate, *store], log)
