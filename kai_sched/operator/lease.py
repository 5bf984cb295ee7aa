"""Leader election by a Lease, lost safely: writing stops before anybody else may begin.

The time that counts is when a renewal was *sent*: from then the Lease is ours for its duration, as every other
candidate counts from a later moment, when it sees the renewal. The clock goes on while the process is stopped or
the machine sleeps, so a process that wakes up late finds its fence closed before it writes anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol

import structlog

from kai_sched.cluster.kube.resources import LEASES
from kai_sched.cluster.ports import Document
from kai_sched.errors import ApiFailure

_log = structlog.get_logger(__name__)

SAFETY_FRACTION: Final = 0.25
"""Part of the duration kept free at its end, for a call that is on its way when the time runs out."""


_WHO_AM_I: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_ACCOUNT_PREFIX: Final = "system:serviceaccount:"
_SYSTEM_NAMESPACE: Final = "kube-system"


class LeaseCalls(Protocol):
    """The calls that holding a Lease takes."""

    async def get(self, path: str) -> Document: ...

    async def put(self, path: str, body: Document) -> Document: ...

    async def post(self, path: str, body: Document) -> Document: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """Which Lease, for whom, for how long. An empty namespace is that of the ServiceAccount we run as."""

    namespace: str
    name: str
    identity: str
    duration_seconds: float = 15.0
    renew_seconds: float = 3.0


def boot_clock() -> float:
    """Seconds that pass also while the process is stopped or the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class AlwaysOpen:
    """The fence of an operator that runs alone, without leader election."""

    def may_write(self) -> bool:
        return True


class Leadership:
    """Takes and keeps the Lease; ``may_write`` is the fence that every write asks."""

    def __init__(self, terms: LeaseTerms, calls: LeaseCalls, clock: Callable[[], float] = boot_clock) -> None:
        self._terms = terms
        self._calls = calls
        self._clock = clock
        self._namespace = terms.namespace
        self._last_failure = ""
        self._ours_until = 0.0
        self._seen = ""
        self._seen_at = clock()

    def may_write(self) -> bool:
        """Whether the Lease is ours for long enough to finish a call."""
        return self._clock() < self._ours_until - SAFETY_FRACTION * self._terms.duration_seconds

    async def acquired(self) -> None:
        """Return once the Lease is ours."""
        while not self.may_write():
            await self._attempt()
            if not self.may_write():
                await asyncio.sleep(self._terms.renew_seconds)

    async def lost(self) -> None:
        """Renew for as long as it is ours; return as soon as the fence is closed."""
        while self.may_write():
            await asyncio.sleep(self._terms.renew_seconds)
            if self.may_write():
                await self._attempt()

    async def release(self) -> None:
        """Give it back, so that a successor need not wait for it to run out."""
        if not self.may_write():
            return
        self._ours_until = 0.0
        try:
            path = await self._path()
            lease = await self._calls.get(path)
            if lease["spec"].get("holderIdentity") == self._terms.identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._calls.put(path, lease)
        except ApiFailure:
            # It runs out by itself.
            return

    async def _attempt(self) -> None:
        """Take or renew once. A refusal or no answer changes nothing: what is ours runs out by the clock."""
        sent_at = self._clock()
        patience = max(self._ours_until - sent_at, self._terms.renew_seconds)
        try:
            async with asyncio.timeout(patience):
                held = await self._take(sent_at)
        except (ApiFailure, TimeoutError) as failure:
            self._note_failure(failure)
            return
        self._last_failure = ""
        if held:
            self._ours_until = sent_at + self._terms.duration_seconds

    def _note_failure(self, failure: Exception) -> None:
        """Once for each kind of failure: it is tried again every few seconds."""
        text = str(failure) or "no answer in time"
        if text != self._last_failure:
            self._last_failure = text
            _log.warning("the Lease could not be taken or renewed", lease=self._terms.name, failure=text)

    async def _path(self) -> str:
        if not self._namespace:
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            user = (await self._calls.post(_WHO_AM_I, review))["status"]["userInfo"].get("username", "")
            is_account = user.startswith(_ACCOUNT_PREFIX)
            account = user.removeprefix(_ACCOUNT_PREFIX)
            self._namespace = account.partition(":")[0] if is_account else _SYSTEM_NAMESPACE
        return LEASES.item(self._terms.name, self._namespace)

    async def _take(self, now: float) -> bool:
        path = await self._path()
        try:
            lease = await self._calls.get(path)
        except ApiFailure as failure:
            if failure.status != HTTPStatus.NOT_FOUND:
                raise
            await self._calls.post(LEASES.collection(self._namespace), self._new_lease())
            return True
        spec = lease.setdefault("spec", {})
        holder = spec.get("holderIdentity") or ""
        if holder not in {"", self._terms.identity} and not self._has_run_out(lease, now):
            self._ours_until = 0.0
            return False
        if holder != self._terms.identity:
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
            spec["acquireTime"] = _now_text()
        spec.update(self._claimed())
        # The Lease's resourceVersion makes this a compare-and-swap.
        await self._calls.put(path, lease)
        return True

    def _has_run_out(self, lease: Document, now: float) -> bool:
        """Whether another's Lease stood unchanged for its duration by our own clock; no clocks are compared."""
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at = version, now
            return False
        duration = float(lease["spec"].get("leaseDurationSeconds") or self._terms.duration_seconds)
        return now - self._seen_at > duration

    def _new_lease(self) -> Document:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._terms.name, "namespace": self._namespace},
            "spec": {"acquireTime": _now_text(), "leaseTransitions": 0, **self._claimed()},
        }

    def _claimed(self) -> Document:
        return {
            "holderIdentity": self._terms.identity,
            "leaseDurationSeconds": max(1, round(self._terms.duration_seconds)),
            "renewTime": _now_text(),
        }


def _now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
