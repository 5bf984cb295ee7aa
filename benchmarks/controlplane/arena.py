"""One control plane on which rivals have the same pods to bind, one rival at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.controlplane.bindings import AuditLog
from benchmarks.controlplane.rivals import Rival
from benchmarks.controlplane.traffic import cpu_seconds, memory_mib, writes_so_far
from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster import Audit, LocalCluster
from kai_sched.localcluster.conformance import ConformanceWatcher
from kai_sched.localcluster.kinds import collection_path

Document = dict[str, Any]
NAMESPACE = "race"
CRDS = Path(__file__).parents[2] / "crds"
_POLL_SECONDS = 0.05
_QUIET_SECONDS = 1.5
"""So long without a write is quiet: the events and statuses that come after the binds have been counted then."""
_PATIENCE_SECONDS = 120.0
_CLEARED = ("Pod", "ResourceClaim", "ResourceClaimTemplate", "PodGroup", "Event")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How one rival did with one lot of pods."""

    rival: str
    pods: int
    seconds: float
    """From the first bind to the last: the clock."""
    first_bind_seconds: float
    """From the start of the scheduler's process to its first bind."""
    refused_binds: int
    start_cpu_seconds: float
    """The scheduler's, until its first bind was seen: starting, reading the cluster, the first decision."""
    scheduler_cpu_seconds: float
    """The scheduler's from there to the last bind."""
    apiserver_cpu_seconds: float
    """From the start of the scheduler to the last bind."""
    scheduler_mib: float
    writes_per_pod: dict[str, float]
    """``POST pods/binding`` -> how many for each pod until all was quiet; those of kubelets and controllers included."""
    violations: tuple[str, ...]

    @property
    def pods_per_second(self) -> float:
        return self.pods / self.seconds if self.seconds else 0.0

    def document(self) -> Document:
        return {**asdict(self), "pods_per_second": self.pods_per_second}


class Arena:
    """A control plane with nodes. Use ``open_arena``."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self._audit = AuditLog(cluster.audit_log)

    def race(self, rival: Rival, before: Iterable[Document], pods: Sequence[Document]) -> Round:
        """Creates objects and pods, starts the rival, waits until all pods are bound and all is quiet; clears up."""
        api = self.cluster.api
        api.create_all(before)
        api.create_all(pods)
        self._wait_quiet()
        self._audit.restart()
        writes_before = writes_so_far(api)
        apiserver = self.cluster.alive()["kube-apiserver"]
        cpu_before = cpu_seconds(apiserver)
        began_at = time.time()
        with rival.running(self.cluster) as scheduler:
            self._wait_bound(1, rival)
            start_cpu = cpu_seconds(scheduler)
            self._wait_bound(len(pods), rival)
            apiserver_cpu = cpu_seconds(apiserver) - cpu_before
            scheduler_cpu, memory = cpu_seconds(scheduler) - start_cpu, memory_mib(scheduler)
            self._wait_quiet()
            writes = writes_so_far(api) - writes_before
        bindings = self._audit.bindings()
        result = Round(
            rival=rival.name,
            pods=len(bindings.at),
            seconds=bindings.seconds,
            first_bind_seconds=bindings.at[0] - began_at,
            refused_binds=bindings.refused,
            start_cpu_seconds=start_cpu,
            scheduler_cpu_seconds=scheduler_cpu,
            apiserver_cpu_seconds=apiserver_cpu,
            scheduler_mib=memory,
            writes_per_pod=_per_pod(writes, len(pods)),
            violations=self._judge(),
        )
        self._clear()
        return result

    def _wait_bound(self, expected: int, rival: Rival) -> None:
        last, since = 0, time.monotonic()
        while (seen := len(self._audit.bindings().at)) < expected:
            if seen > last:
                last, since = seen, time.monotonic()
            if time.monotonic() - since > _PATIENCE_SECONDS:
                raise ControlPlaneError(f"{rival.name} bound {seen} of {expected} pods, then nothing more")
            time.sleep(_POLL_SECONDS)

    def _wait_quiet(self) -> None:
        api, deadline = self.cluster.api, time.monotonic() + _PATIENCE_SECONDS
        before, since = writes_so_far(api), time.monotonic()
        while time.monotonic() - since < _QUIET_SECONDS:
            time.sleep(_POLL_SECONDS * 4)
            now = writes_so_far(api)
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() > deadline:
                raise ControlPlaneError("the API server is written to all the time")

    def _judge(self) -> tuple[str, ...]:
        """Judges what there is in the end; a watcher that looked on would have cost the rivals time."""
        with ConformanceWatcher(self.cluster) as watcher:
            return tuple(map(str, watcher.check()))

    def _clear(self) -> None:
        """Removes what a race left; nodes and devices stay."""
        api, deadline = self.cluster.api, time.monotonic() + _PATIENCE_SECONDS
        for kind in _CLEARED:
            path = collection_path(kind, NAMESPACE)
            while left := api.list(kind, NAMESPACE):
                if time.monotonic() > deadline:
                    raise ControlPlaneError(f"{len(left)} objects of kind {kind} do not go")
                api.request("DELETE", path, {"gracePeriodSeconds": 0}, timeout=_PATIENCE_SECONDS)
                time.sleep(_POLL_SECONDS)
        self._wait_quiet()


@contextmanager
def open_arena(fleet: Sequence[Document], rivals: Sequence[Rival]) -> Iterator[Arena]:
    """A new control plane with that fleet, ready for these rivals."""
    with LocalCluster(name="race", crds=CRDS, objects=fleet, audit=Audit.BINDINGS) as cluster:
        cluster.new_namespace(NAMESPACE)
        for rival in rivals:
            rival.prepare(cluster)
        yield Arena(cluster)


def alternate(
    race: Callable[[Rival], Round], rivals: tuple[Rival, Rival], pairs: int, tell: Callable[[Round], None]
) -> list[tuple[Round, Round]]:
    """Pairs of rounds, in the order of ``rivals``; who begins changes from pair to pair. One pair before warms up."""
    found = []
    for number in range(pairs + 1):
        order = rivals if number % 2 == 0 else tuple(reversed(rivals))
        rounds = {rival.name: race(rival) for rival in order}
        if number == 0:
            continue
        for rival in rivals:
            tell(rounds[rival.name])
        found.append((rounds[rivals[0].name], rounds[rivals[1].name]))
    return found


def _per_pod(writes: Counter[str], pods: int) -> dict[str, float]:
    return {what: round(count / pods, 3) for what, count in sorted(writes.items()) if count}
