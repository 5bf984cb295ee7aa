"""Books: a snapshot and a plan laid out by key, the common ground of all checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kai_sched.model.devices import Claim
from kai_sched.model.ids import ClaimKey, NodeName, PodGroupKey, PodKey
from kai_sched.model.nodes import Node
from kai_sched.model.plan import Placement, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import ACTIVE, HOLDS_ROOM, Pod, PodGroup, PodState
from kai_sched.placement.checker.pools import Pools
from kai_sched.placement.checker.selectors import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The two sides of every check.

    ``binds`` and ``pipelined`` hold only placements of known pods on known nodes, each pod once: the others are
    reported by ``check_pods`` and would only blur the rest.
    """

    snapshot: ClusterSnapshot
    policy: Policy
    plan: Plan
    pods: Mapping[PodKey, Pod]
    nodes: Mapping[NodeName, Node]
    groups: Mapping[PodGroupKey, PodGroup]
    claims: Mapping[ClaimKey, Claim]
    evicted: frozenset[PodKey]
    binds: tuple[Placement, ...]
    pipelined: tuple[Placement, ...]
    pools: Pools
    catalogue: Catalogue

    def is_leaving(self, pod: Pod) -> bool:
        """Whether the room of a pod that holds some is coming free."""
        return pod.state is PodState.RELEASING or pod.key in self.evicted

    def stays_active(self, pod: Pod) -> bool:
        """Whether a pod counts towards its gang's minimum after the plan."""
        return pod.state in ACTIVE and pod.key not in self.evicted

    def holders(self, *, in_future: bool) -> Iterator[tuple[Pod, NodeName]]:
        """Pods that hold room and where: this moment, or once what is leaving has left."""
        for pod in self.snapshot.pods:
            if pod.node is None or pod.state not in HOLDS_ROOM:
                continue
            if not (in_future and self.is_leaving(pod)):
                yield pod, pod.node

    def newcomers(self, *, in_future: bool) -> Iterator[tuple[Pod, Placement]]:
        """Pods that the plan puts somewhere: this moment the binds, in future the pipelined ones too."""
        for placement in self.binds + (self.pipelined if in_future else ()):
            yield self.pods[placement.pod], placement


def open_books(snapshot: ClusterSnapshot, policy: Policy, plan: Plan) -> Books:
    """Lay out a snapshot and a plan."""
    pods = {pod.key: pod for pod in snapshot.pods}
    nodes = {node.name: node for node in snapshot.fleet.nodes}
    times = Counter(placement.pod for placement in plan.binds + plan.pipelined)

    def is_sound(placement: Placement) -> bool:
        return placement.pod in pods and placement.node in nodes and times[placement.pod] == 1

    return Books(
        snapshot=snapshot,
        policy=policy,
        plan=plan,
        pods=pods,
        nodes=nodes,
        groups={group.key: group for group in snapshot.pod_groups},
        claims={claim.key: claim for claim in snapshot.claims},
        evicted=frozenset(eviction.pod for eviction in plan.evictions),
        binds=tuple(filter(is_sound, plan.binds)),
        pipelined=tuple(filter(is_sound, plan.pipelined)),
        pools=Pools(snapshot.fleet.slices),
        catalogue=Catalogue.of(snapshot.fleet),
    )


def devices_for_extended(placement: Placement) -> dict[str, int]:
    """Devices by extended resource that claims made for this placement give."""
    given: dict[str, int] = {}
    for entry in placement.claims:
        if entry.creation is None or entry.allocation is None:
            continue
        resource_of = {mapping.request: mapping.resource for mapping in entry.creation.mappings}
        for result in entry.allocation.results:
            resource = resource_of.get(result.request, result.request)
            given[resource] = given.get(resource, 0) + 1
    return given
