"""The command line of ``scripts/kafka``."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from .artifacts import cache_directory, install, locked
from .cluster import Cluster, Description
from .errors import KafkaToolError, UnavailableError
from .lock import write_lock
from .processes import wait_for_end
from .settings import Wishes

EXIT_ERROR = 1
EXIT_NOT_RUNNING = 3  # as `systemctl status` has it
EXIT_UNAVAILABLE = 4
_START_SECONDS = 240.0  # 3 s is usual; a machine with a load of 25 took more than 60
_COMMAND_GRACE_SECONDS = 30.0  # more than a supervised streamer's own stop takes
_WATCH_SECONDS = 1.0


class Terminated(KeyboardInterrupt):
    """SIGTERM: like Ctrl-C, but the command that ``run`` started has not seen it."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except KafkaToolError as error:
        print(f"kafka: {error}", file=sys.stderr)
        return EXIT_UNAVAILABLE if isinstance(error, UnavailableError) else EXIT_ERROR
    except Terminated:
        return 143
    except KeyboardInterrupt:
        return 130
    return code


def default_directory() -> Path:
    """Return ``$XDG_STATE_HOME/vigil/kafka``, by default ``~/.local/state/vigil/kafka``."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "vigil" / "kafka"


def _start(options: argparse.Namespace) -> int:
    cluster = Cluster.make(options.directory, _wishes(options))
    cluster.start(options.timeout, os.getppid() if options.die_with_parent else None)
    print(json.dumps(cluster.describe()))
    return 0


def _stop(options: argparse.Namespace) -> int:
    Cluster.of(options.directory).stop()
    if options.remove:
        shutil.rmtree(options.directory)
    return 0


def _status(options: argparse.Namespace) -> int:
    cluster = Cluster.of(options.directory)
    print(json.dumps(cluster.describe()))
    return 0 if cluster.complete() else EXIT_NOT_RUNNING


def _start_node(options: argparse.Namespace) -> int:
    Cluster.of(options.directory).start_node(options.node, options.timeout)
    return 0


def _stop_node(options: argparse.Namespace) -> int:
    Cluster.of(options.directory).stop_node(options.node)
    return 0


def _kill_node(options: argparse.Namespace) -> int:
    Cluster.of(options.directory).kill_node(options.node)
    return 0


def _registry(options: argparse.Namespace) -> int:
    cluster = Cluster.of(options.directory)
    if options.action == "start":
        cluster.start_registry(options.timeout)
    else:
        cluster.stop_registry()
    return 0


def _fetch(options: argparse.Namespace) -> int:
    del options
    for component in ("kafka", "registry"):
        print(install(component, locked(component), cache_directory()))
    return 0


def _lock(options: argparse.Namespace) -> int:
    del options
    write_lock()
    return 0


def _watch(options: argparse.Namespace) -> int:
    """Wait for the owner's end, then stop the cluster; ``stop`` ends this process before that."""
    cluster = Cluster.of(options.directory)
    while not wait_for_end(options.owner, _WATCH_SECONDS):
        if not options.directory.exists():
            return 0
    cluster.stop()
    return 0


def _run(options: argparse.Namespace) -> int:
    """Run a command beside a cluster, which stops whatever happens."""
    temporary = options.directory is None
    directory = Path(tempfile.mkdtemp(prefix="vigil-kafka-")) if temporary else options.directory
    cluster = Cluster.make(directory, _wishes(options))
    code = EXIT_ERROR
    try:
        cluster.start(options.timeout, os.getpid())
        code = _run_command(options.program, cluster)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # nothing may interrupt the stop
            signal.signal(number, signal.SIG_IGN)
        cluster.stop()
        if temporary and code == 0:
            shutil.rmtree(directory)
        elif temporary:
            print(f"kafka: logs and data are kept in {directory}", file=sys.stderr)
    return code


def _run_command(program: list[str], cluster: Cluster) -> int:
    try:
        child = subprocess.Popen(program, env=os.environ | vigil_environment(cluster.describe()))
    except OSError as error:
        raise KafkaToolError(f"{program[0]} could not be started: {error.strerror}") from error
    try:
        code = child.wait()
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, Terminated):  # Ctrl-C reached the command by itself
            child.terminate()
        _end_command(child)
        raise
    return code if code >= 0 else 128 - code  # as a shell tells a signal


def _end_command(child: subprocess.Popen[bytes]) -> None:
    for insist in (child.terminate, child.kill):
        try:
            child.wait(_COMMAND_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            insist()
        else:
            return
    child.wait()


def vigil_environment(description: Description) -> dict[str, str]:
    """Return the settings that point Vigil at a cluster, as variables of the environment."""
    result = {"VIGIL_KAFKA__BOOTSTRAP_SERVERS": str(description["bootstrap_servers"])}
    client = description["client"]
    if isinstance(client, dict) and client:
        # A string of JSON is one of TOML too, which is what the settings are written in.
        pairs = (f"{json.dumps(key)} = {json.dumps(value)}" for key, value in client.items())
        result["VIGIL_KAFKA__CLIENT"] = f"{{{', '.join(pairs)}}}"
    if description["registry_url"]:
        result["VIGIL_KAFKA__SCHEMA_REGISTRY_URL"] = str(description["registry_url"])
    return result


def terminate(signal_number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM as Ctrl-C is handled, so that nothing is left behind."""
    raise Terminated


def _wishes(options: argparse.Namespace) -> Wishes:
    properties = dict(item.split("=", 1) for item in options.set)
    directory = options.log_directory
    return Wishes(
        nodes=options.nodes,
        registry=options.registry,
        sasl=options.sasl,
        tls=options.tls,
        optimize=options.optimize,
        heap_mib=options.heap_mib,
        log_directory=str(directory.resolve()) if directory else None,
        properties=properties,
    )


def _property(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kafka", description=__doc__, epilog="See docs/kafka.md.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--directory",
        type=Path,
        default=default_directory(),
        metavar="DIR",
        help="where the cluster lives (default: %(default)s)",
    )
    wait = argparse.ArgumentParser(add_help=False)
    wait.add_argument(
        "--timeout",
        type=float,
        default=_START_SECONDS,
        metavar="SECONDS",
        help="until everything must be ready, once fetched (default: %(default)s)",
    )
    wishes = _wish_options()

    start = commands.add_parser(
        "start", parents=[place, wait, wishes], help="start a cluster, print it as a line of JSON"
    )
    start.add_argument(
        "--die-with-parent", action="store_true", help="stop it when the calling process ends"
    )
    start.set_defaults(command=_start)

    stop = commands.add_parser("stop", parents=[place], help="stop everything; data and logs stay")
    stop.add_argument("--remove", action="store_true", help="delete the directory too")
    stop.set_defaults(command=_stop)

    status = commands.add_parser(
        "status", parents=[place], help="print the JSON again; exit 0 if all runs, else 3"
    )
    status.set_defaults(command=_status)

    for name, command, help_ in (
        ("start-node", _start_node, "start a stopped node"),
        ("stop-node", _stop_node, "stop a node in an orderly way"),
        ("kill-node", _kill_node, "SIGKILL a node"),
    ):
        node = commands.add_parser(name, parents=[place, wait], help=help_)
        node.add_argument("node", type=int, metavar="N")
        node.set_defaults(command=command)

    registry = commands.add_parser(
        "registry", parents=[place, wait], help="start or stop the registry on its own"
    )
    registry.add_argument("action", choices=("start", "stop"))
    registry.set_defaults(command=_registry)

    run = commands.add_parser(
        "run", parents=[wait, wishes], help="run a command beside a cluster, then stop it"
    )
    run.add_argument(
        "--directory", type=Path, metavar="DIR", help="default: a temporary one, kept on failure"
    )
    run.add_argument("program", nargs="+", metavar="CMD")
    run.set_defaults(command=_run)

    fetch = commands.add_parser("fetch", help="fill the cache, start nothing")
    fetch.set_defaults(command=_fetch)
    lock = commands.add_parser("lock", help="write artifacts.toml anew (needs mvn)")
    lock.set_defaults(command=_lock)
    watch = commands.add_parser("watch", parents=[place])  # what --die-with-parent starts
    watch.add_argument("--owner", type=int, required=True)
    watch.set_defaults(command=_watch)
    return parser


def _wish_options() -> argparse.ArgumentParser:
    wishes = argparse.ArgumentParser(add_help=False)
    defaults = Wishes()
    wishes.add_argument("--nodes", type=int, choices=(1, 3), default=defaults.nodes)
    wishes.add_argument("--registry", action="store_true", help="a schema registry beside it")
    wishes.add_argument("--sasl", action="store_true", help="SASL/PLAIN and access control")
    wishes.add_argument("--tls", action="store_true", help="TLS for clients and the registry")
    wishes.add_argument(
        "--heap-mib",
        type=int,
        default=defaults.heap_mib,
        metavar="N",
        help="Java heap of a node (default: %(default)s)",
    )
    wishes.add_argument(
        "--optimize",
        action="store_true",
        help="let Java compile fully, as in production: for benchmarks; starts take longer",
    )
    wishes.add_argument(
        "--log-directory",
        type=Path,
        metavar="DIR",
        help="where the nodes keep their data, such as a small tmpfs",
    )
    wishes.add_argument(
        "--set",
        type=_property,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a broker property, such as message.max.bytes=2000",
    )
    return wishes
