"""Writes to etcd: each goes to one member at a time, and never to a second one while the first may have done it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from pgops.dcs import DcsFault, DcsOutcomeUnknown
from pgops.dcs.etcd3_channel import Channel, MemberStatus
from pgops.dcs.etcd3_meaning import NotTaken
from pgops.dcs.race import Asked, first_answer

T = TypeVar("T")

Write = Callable[[Channel, float], T]
"""Sends one write over a channel, within that many seconds."""

FIRST_SHARE = 0.4
"""Of the time of a repeatable write: what the first member has before another is asked."""


class Writes:
    """Which member takes the writes: the one that answered last, else the first that proves to see the leader.

    `choose`, before the first write, prefers the leader itself; that is a matter of speed alone.
    """

    def __init__(self, channels: Callable[[], Mapping[str, Channel]], timeout_s: float) -> None:
        self._channels = channels
        self._timeout_s = timeout_s
        self._chosen: str | None = None

    def choose(self) -> None:
        """Find a member for the next write: one that will do, then the leader, to which any other would pass it on.

        Raises `DcsFault`.
        """
        deadline = time.monotonic() + self._timeout_s
        self._chosen = self._find(deadline, {})
        channels = self._channels()
        asked: Asked[MemberStatus] = Asked()
        for url, channel in channels.items():
            asked.ask(url, channel.read_status)
        while asked.await_one(deadline):
            leader = next((url for url, item in asked.answers.items() if item.member_id == item.leader_id), None)
            if leader is not None:
                channels[leader].prove_quorum()  # one that was cut off takes itself for the leader for a while
                self._chosen = leader
                return

    def chosen(self) -> str | None:
        """The URL of the member that answered last."""
        return self._chosen

    def forget(self, url: str) -> None:
        """It did not answer: the next write finds another, or finds it again."""
        if self._chosen == url:
            self._chosen = None

    def send(self, write: Write[T]) -> T:
        """Have it done at most once. Raises `DcsFault`: not done; `DcsOutcomeUnknown`: nobody can tell."""
        return self._attempt(write, repeatable=False)

    def repeat(self, write: Write[T]) -> T:
        """Have it done, where twice is as good as once. Raises as `send` does."""
        return self._attempt(write, repeatable=True)

    def grant_lease(self, ttl_s: int) -> int:
        """A lease with an id made here. Raises as `send` does."""
        lease = secrets.randbits(62) + 1
        asked = 0

        def grant(channel: Channel, limit_s: float) -> int:
            nonlocal asked
            asked += 1
            try:
                channel.grant_lease(ttl_s, lease, limit_s)
            except DcsOutcomeUnknown:
                raise
            except DcsFault as fault:
                if asked == 1 or "lease already exists" not in str(fault):
                    raise
            return lease

        return self.repeat(grant)

    def revoke_lease(self, lease: int) -> None:
        """End it; one already gone is no fault. Raises as `send` does."""

        def revoke(channel: Channel, limit_s: float) -> None:
            try:
                channel.revoke_lease(lease, limit_s)
            except DcsOutcomeUnknown:
                raise
            except DcsFault as fault:
                if str(fault) != "the lease is gone":
                    raise

        self.repeat(revoke)

    def _attempt(self, write: Write[T], *, repeatable: bool) -> T:
        deadline = time.monotonic() + self._timeout_s
        channels = self._channels()
        declined: dict[str, str] = {}
        unknown: DcsOutcomeUnknown | None = None
        while True:
            try:
                url = self._chosen
                if url is None or url not in channels or url in declined:
                    url = self._find(deadline, declined)
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise DcsFault(f"{url}: no time was left for the write within {self._timeout_s:g} s")
            except DcsFault:
                if unknown is not None:
                    raise unknown from None
                raise
            limit_s = left_s * FIRST_SHARE if repeatable and not declined and len(channels) > 1 else left_s
            try:
                answer = write(channels[url], limit_s)
            except NotTaken as fault:
                self.forget(url)
                declined[url] = str(fault)
            except DcsOutcomeUnknown as fault:
                self.forget(url)
                unknown = unknown or DcsOutcomeUnknown(f"{url}: {fault}")
                if not repeatable:
                    raise unknown from None
                declined[url] = str(fault)
            except DcsFault as fault:  # after an unknown one it tells nothing of the first attempt
                raise unknown or DcsFault(f"{url}: {fault}") from None
            else:
                self._chosen = url
                return answer

    def _find(self, deadline: float, declined: Mapping[str, str]) -> str:
        """The first member, but those that declined, that is in touch with the leader. Raises `DcsFault`."""
        untried = {url: channel.prove_quorum for url, channel in self._channels().items() if url not in declined}
        told = "; ".join(f"{url}: {reason}" for url, reason in declined.items())
        if not untried:
            raise DcsFault(told)
        try:
            return first_answer(untried, deadline)[0]
        except DcsFault as fault:
            raise DcsFault(f"{told}; {fault}" if told else str(fault)) from None
