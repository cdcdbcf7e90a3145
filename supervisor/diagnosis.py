"""Diagnoses of streamers: what is seen from outside, what the streamer tells, what we know.

The loop owns them and never waits: a thread looks from outside and packs the bundle, while the
streamer is asked for its own view by a command. Whoever wants to end the process asks `seen`.
"""

from __future__ import annotations

import logging
import os
import threading
import time as clocks
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streamer.messages import CommandResult
from streamer.strict_json import encode_readable
from supervisor import bundles
from supervisor.evidence import FILE_BYTES, gather, put
from supervisor.runtime_directory import RECENT_LOG

log = logging.getLogger(__name__)

PACKED_WITHIN_SECONDS: Final = 5.0  # of the streamer's view, after which the bundle goes without


Ask = Callable[[str, float, str], str | None]
"""Sends a streamer the command to write into a directory (name, now, directory); returns its id,
or None where it cannot be reached."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The process that is looked at."""

    name: str
    generation: int
    pid: int
    stacks_file: Path


@dataclass(slots=True)
class Diagnosis:
    """One bundle in the making."""

    subject: Subject
    directory: Path | None  # None: it could not be made
    looks_left: int
    look_every_seconds: float
    look_at: float  # monotonic; when the next look is asked for
    told_by: float  # monotonic; afterwards the streamer's view is not waited for
    asked: str | None = None  # the id of the command under way
    told: bool = False  # all looks are there, or not to be had
    outside: threading.Event = field(default_factory=threading.Event)
    inside: threading.Event = field(default_factory=threading.Event)
    packed: threading.Event = field(default_factory=threading.Event)
    archive: Path | None = None

    def seen(self, now: float) -> bool:
        """Return whether the process is needed no more: a thread of ours does the rest."""
        return self.directory is None or (
            self.outside.is_set() and (self.told or now >= self.told_by)
        )


class Diagnoses:
    """All that are under way."""

    def __init__(
        self,
        place: Path,
        runtime_directory: Path,
        ask: Ask,
        describe: Callable[[], Mapping[str, str]],
    ) -> None:
        """`place` outlives a reboot; in the runtime directory are the last lines of logs.

        `describe` returns what is known without the process, by file name.
        """
        self._place = place
        self._runtime_directory = runtime_directory
        self._ask = ask
        self._describe = describe
        self._under_way: list[Diagnosis] = []
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return what to poll: it is readable when a thread has got further."""
        return self._wake_read

    @property
    def next_at(self) -> float:
        """When `turn` has something to do at the latest, threads aside."""
        due = [min(one.look_at, one.told_by) for one in self._under_way if not one.told]
        return min(due, default=float("inf"))

    def begin(
        self,
        subject: Subject,
        reason: str,
        now: float,
        dump_stacks: Callable[[], object],
        *,
        looks: int,
        look_every_seconds: float,
        within_seconds: float,
    ) -> Diagnosis:
        """Begin to look at a process, which is asked to dump its stacks; never raises.

        With `looks` of 0 the process itself is not asked: it does not hear, or has no time.
        """
        time = clocks.time()
        deadline = now + within_seconds
        diagnosis = Diagnosis(subject, None, looks, look_every_seconds, now, deadline)
        diagnosis.told = looks == 0
        try:
            stacks_from = subject.stacks_file.stat().st_size if subject.stacks_file.exists() else 0
            dump_stacks()
            stem = f"{subject.name}.{subject.generation}"
            diagnosis.directory = bundles.begin(self._place, stem, time)
        except OSError as error:
            log.error("%s: no diagnosis: %s", subject.name, error)  # noqa: TRY400 - a full disk
            diagnosis.told = True
            diagnosis.packed.set()
            return diagnosis
        self._under_way.append(diagnosis)
        known = {**self._describe(), "reason.json": _reason(subject, reason, time)}
        threading.Thread(
            target=self._look, args=(diagnosis, known, stacks_from), name="diagnosis", daemon=True
        ).start()
        self.turn(now)
        return diagnosis

    def turn(self, now: float) -> None:
        """Ask streamers for the looks that are due; give up those that do not answer."""
        with suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass
        for one in tuple(self._under_way):
            if one.packed.is_set():
                self._under_way.remove(one)
            elif not one.told and now >= one.told_by:
                self._is_told(one)
            elif not one.told and one.asked is None and now >= one.look_at:
                one.asked = self._ask(one.subject.name, now, str(one.directory))
                if one.asked is None:
                    self._is_told(one)

    def answered(self, answer: CommandResult, now: float) -> None:
        """Hear what a streamer says to the command."""
        for one in self._under_way:
            if one.asked == answer.id:
                one.asked = None
                one.looks_left -= 1
                one.look_at = now + one.look_every_seconds
                # A streamer that has looked before tells what has grown since, at once.
                if not answer.ok or one.looks_left == 0 or answer.result.get("looks") != 1:
                    self._is_told(one)

    def finish(self, within_seconds: float) -> None:
        """Wait for what is being packed: the process is about to end, and its threads with it."""
        deadline = clocks.monotonic() + within_seconds
        for one in self._under_way:
            self._is_told(one)
        for one in self._under_way:
            one.packed.wait(max(deadline - clocks.monotonic(), 0.0))

    def _is_told(self, diagnosis: Diagnosis) -> None:
        diagnosis.told = True
        diagnosis.inside.set()

    def _look(self, diagnosis: Diagnosis, known: Mapping[str, str], stacks_from: int) -> None:
        """Do what a thread of its own does; a subject that blocks it blocks nothing else."""
        subject, directory = diagnosis.subject, diagnosis.directory
        assert directory is not None  # noqa: S101 - for mypy: otherwise there is no thread
        try:
            for name, text in known.items():
                put(directory / name, text)
            for name in (subject.name, "supervisor"):
                recent = self._runtime_directory / f"{name}{RECENT_LOG}"
                put(directory / f"{name}.log", _tail(recent))
            gather(subject.pid, subject.stacks_file, stacks_from, directory)
            self._tell(diagnosis.outside)
            if not diagnosis.told:
                diagnosis.inside.wait(PACKED_WITHIN_SECONDS + diagnosis.look_every_seconds)
            diagnosis.archive = bundles.pack(directory)
            bundles.remove_oldest(self._place)
            log.info("%s: a diagnosis is kept in %s", subject.name, diagnosis.archive)
        except OSError as error:
            log.error("%s: the diagnosis is not complete: %s", subject.name, error)  # noqa: TRY400
        finally:
            self._tell(diagnosis.outside)
            self._tell(diagnosis.packed)

    def _tell(self, event: threading.Event) -> None:
        event.set()
        with suppress(BlockingIOError):  # it is full of wakes already
            os.write(self._wake_write, b"\0")


def _reason(subject: Subject, reason: str, time: float) -> str:
    told = {
        "reason": reason,
        "time": time,
        "streamer": subject.name,
        "generation": subject.generation,
        "pid": subject.pid,
    }
    return encode_readable(told).decode()


def _tail(path: Path) -> str:
    """Return the end of a log that may just be beginning anew, with what was before it."""
    texts = []
    for part in (path.with_name(f"{path.name}.1"), path):
        try:
            texts.append(part.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return "".join(texts)[-FILE_BYTES:]
