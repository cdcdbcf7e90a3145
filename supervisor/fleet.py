"""The streamers of one supervisor: who runs, who waits for a restart, who is done.

The policy of restarts is here; what leads to an ending is decided in `service`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field

from monitor.model import Exited, Launched, Sample
from monitor.sampler import Sampler
from supervisor.lifecycle import LOOK_AGAIN_SECONDS, Lifecycle, Phase
from supervisor.process_tree import end_strays
from supervisor.restart import RestartHistory, RestartPolicy, grant, grant_later, remaining


@dataclass(slots=True)
class Member:
    """One streamer with what its next launch depends on."""

    lifecycle: Lifecycle
    launch_at: float | None = None  # None: no launch is planned
    ever_reported: bool = False
    history: RestartHistory = field(default_factory=RestartHistory)
    sampler: Sampler | None = None


class Fleet:
    """All streamers, by name."""

    def __init__(
        self,
        lifecycles: Iterable[Lifecycle],
        policy: RestartPolicy,
        make_sampler: Callable[[int, str, int], Sampler],
        now: float,
        *,
        apart_seconds: float = 0.0,
    ) -> None:
        """Plan the first launches: the first one for `now`, each next one so much later."""
        self.members = {
            one.name: Member(one, launch_at=now + place * apart_seconds)
            for place, one in enumerate(lifecycles)
        }
        self.policy = policy
        self._make_sampler = make_sampler
        self._strays_until = 0.0  # orphans of a child that is gone are looked for until then
        self._look_again_at = float("inf")

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members.values())

    @property
    def over(self) -> bool:
        """Whether nobody runs and no launch is planned."""
        idle = all(member.launch_at is None and member.lifecycle.child is None for member in self)
        return idle and not self._strays_until

    @property
    def next_at(self) -> float:
        """When the next planned thing is due."""
        planned = [member.launch_at for member in self if member.launch_at is not None]
        ending = [member.lifecycle.next_at for member in self]
        return min([*planned, *ending, self._look_again_at])

    def pidfds(self) -> list[int]:
        """Return what becomes readable when a process ends; ended ones are swept by time."""
        children = [member.lifecycle.child for member in self if not member.lifecycle.sweeping]
        return [child.pidfd for child in children if child is not None]

    def launch_due(self, now: float, time: float) -> list[Launched]:
        """Launch whoever is due. Raises OSError."""
        events: list[Launched] = []
        for member in self:
            if member.launch_at is not None and now >= member.launch_at:
                member.launch_at = None
                launched = member.lifecycle.launch(now, time)
                member.sampler = self._make_sampler(
                    launched.pid, launched.streamer, launched.generation
                )
                events.append(launched)
        return events

    def sample(self, now: float, time: float) -> list[Sample]:
        """Look at every process that lives."""
        looks = [member.sampler.sample(now, time) for member in self if member.sampler]
        return [look for look in looks if look is not None]

    def advance(self, now: float, time: float) -> list[Exited]:
        """Do what is due for endings under way; return the processes that are gone."""
        gone: list[Exited] = []
        for member in self:
            exited = member.lifecycle.advance(now, time)
            if exited is not None:
                member.sampler = None
                gone.append(exited)
        if gone:
            self._strays_until = now + max(one.lifecycle.graces.kill_seconds for one in self)
        if self._strays_until:
            self._look_again_at = now + LOOK_AGAIN_SECONDS
            if not end_strays(self._pids()) or now >= self._strays_until:
                self._strays_until, self._look_again_at = 0.0, float("inf")
        return gone

    def late_starters(self, now: float, startup_timeout_seconds: float) -> list[Member]:
        """Return who was launched longer ago than this without a report."""
        return [
            member
            for member in self
            if member.lifecycle.phase is Phase.STARTING
            and now - member.lifecycle.launched_at >= startup_timeout_seconds
        ]

    def restart(self, name: str, now: float) -> float | None:
        """Plan the next launch and return the delay in seconds; None: the budget is spent."""
        member = self.members[name]
        lived = now - member.lifecycle.launched_at
        member.history, delay = grant(
            self.policy, member.history, now, lived_seconds=lived, jitter=random.random()
        )
        if delay is not None:
            member.launch_at = now + delay
        return delay

    def restart_later(self, name: str, now: float) -> float | None:
        """Plan a launch for when a spent budget allows one, and return the delay in seconds.

        None, and nothing is planned: no other streamer goes on, or there is no budget at all.
        """
        if not self.others_go_on(name, now):
            return None
        member = self.members[name]
        member.history, delay = grant_later(self.policy, member.history, now)
        if delay is not None:
            member.launch_at = now + delay
        return delay

    def others_go_on(self, name: str, now: float) -> bool:
        """Return whether another streamer that has reported runs, or is about to be launched."""
        soon = now + self.policy.backoff_max_seconds
        return any(
            other.ever_reported
            and (
                other.lifecycle.child is not None
                or (other.launch_at is not None and other.launch_at <= soon)
            )
            for other in self
            if other.lifecycle.name != name
        )

    def restarts_remaining(self, now: float) -> dict[str, int]:
        """Return what is left of each streamer's restart budget."""
        return {
            name: remaining(self.policy, member.history, now)
            for name, member in self.members.items()
        }

    def _pids(self) -> Container[int]:
        return {member.lifecycle.child.pid for member in self if member.lifecycle.child}
