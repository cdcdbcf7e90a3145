"""The written side of a run: what is recorded, checkpointed, published, and judged at the end."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from monitor import checkpoint
from monitor.recorder import Recorder
from monitor.verdict import Verdict, concluded

log = logging.getLogger(__name__)


class ProfileWriter:
    """Keeps the profile on disk, so that it survives whatever comes."""

    def __init__(self, recorder: Recorder, path: Path, other_path: Path | None = None) -> None:
        """`other_path` is where the last profile goes when `path` cannot be written."""
        self.recorder = recorder
        self.path = path
        self._other_path = other_path
        # A slow disk delays the next checkpoint, never a sample.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._under_way: Future[None] | None = None

    def checkpoint(self, now: float, time: float) -> None:
        """Write the profile so far in the background, unless the previous write is under way."""
        if self._under_way is not None:
            if not self._under_way.done():
                log.warning("the profile's previous checkpoint is still being written")
                return
            if error := self._under_way.exception():
                log.error("the profile could not be written: %s", error)
        document = self.recorder.document(now, time)
        self._under_way = self._writer.submit(checkpoint.write, self.path, document)

    def conclude(self, now: float, time: float, *, judged: bool) -> Verdict | None:
        """Write the profile for the last time, judged or as it is. Raises CheckpointError."""
        self._writer.shutdown(wait=True)  # an older state must not overwrite the last one
        document = self.recorder.document(now, time)
        try:
            checkpoint.write(self.path, document)  # first of all: judging might fail
        except checkpoint.CheckpointError as error:
            if self._other_path is None or self._other_path == self.path:
                raise
            log.error("%s; it goes to %s", error, self._other_path)  # noqa: TRY400 - a full disk
            self.path = self._other_path
            checkpoint.write(self.path, document)
        if not judged:
            return None
        document, verdict = concluded(document)
        checkpoint.write(self.path, document)
        return verdict
