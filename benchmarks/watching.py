"""The watcher's end of a streamer's telemetry, for streamers that are measured alone."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import zmq

from benchmarks.processes import Child
from monitor.report_assembly import ReportAssembler
from streamer.messages import CommandResult, Report, StreamsPart, unpack


class Watcher:
    """A ROUTER socket that hears a streamer's reports."""

    def __init__(self, directory: Path) -> None:
        self.endpoint = f"ipc://{directory}/t"  # short: a socket's path has 107 bytes at most
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(self.endpoint)
        self._assemblers: dict[int, ReportAssembler] = {}  # by process id

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._context.term()

    def acknowledged(self, streamer: Child, count: int, within_seconds: float) -> Report:
        """Return the first report of a streamer that has `count` records acknowledged.

        Raises NotMeasured when none comes in time, or the streamer rejects or loses something.
        """
        deadline = time.monotonic() + within_seconds
        report: Report | None = None
        while time.monotonic() < deadline:
            if streamer.ended:
                raise streamer.failed("ended")
            if not self._socket.poll(100):
                continue
            message = unpack(self._socket.recv_multipart()[1:])
            if isinstance(message, CommandResult) or message.pid != streamer.pid:
                continue
            assembler = self._assemblers.setdefault(message.pid, ReportAssembler())
            if isinstance(message, StreamsPart):
                assembler.take(message)
                continue
            report = assembler.whole(message)
            if any(report.message_errors.values()) or any(
                each.gaps_total for each in report.streams
            ):
                raise streamer.failed(f"lost something: {report}")
            if report.sink.acknowledged_total >= count:
                return report
        raise streamer.failed(f"did not acknowledge {count} records; last: {report}")
