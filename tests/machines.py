"""Machines as network namespaces, each with its own address, around the one that calls.

What listens on a loopback address of the caller is reached from a machine at that address, through
the machine's own link: so an exchange and a Kafka can be cut off from one machine each by itself.
To be called in a network namespace that was made for it (`unshare --net`), as root.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

KAFKA, EXCHANGE = "127.0.0.1", "127.0.0.2"


class Machine:
    """A network namespace that is gone with `close`."""

    def __init__(self, number: int) -> None:
        self.address = f"10.213.{number}.2"
        self._gateway = f"10.213.{number}.1"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo up && exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"
        link = f"machine{number}"
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0",
             "netns", str(self._holder.pid))  # fmt: skip
        _run("ip", "address", "add", f"{self._gateway}/24", "dev", link)
        _run("ip", "link", "set", link, "up")
        self._inside("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self._inside("ip", "link", "set", "eth0", "up")
        self._inside("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
        for service in (KAFKA, EXCHANGE):
            self.join(service)

    @property
    def network(self) -> Sequence[str]:
        """What goes before a command that is to run on the machine."""
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net")

    def cut(self, service: str) -> None:
        """Let nothing more reach a service, without a word to either side."""
        self._inside("ip", "route", "replace", "blackhole", service)

    def join(self, service: str) -> None:
        """Let the service be reached again."""
        self._inside(
            "ip", "route", "replace", service, "via", self._gateway, "dev", "eth0",
            "src", self.address,
        )  # fmt: skip

    def close(self) -> None:
        """End it, with its link."""
        self._holder.kill()
        self._holder.wait()

    def _inside(self, *command: str) -> None:
        _run(*self.network, *command)


def open_hub() -> None:
    """Make this network namespace one that machines can be around."""
    _run("ip", "link", "set", "lo", "up")
    Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
