"""A row: one promise, how a good plan (or the engine that makes it) is tampered with, and what the judge must say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from kai_sched.model.ids import NodeName
from kai_sched.model.plan import ClaimPlacement, Placement, Plan
from kai_sched.model.pods import PodTable
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle

GREEDY = Policy(use_solver=False)
World = Callable[[], ClusterSnapshot]
Tamper = Callable[[ClusterSnapshot, Plan], tuple[ClusterSnapshot, Plan]]


@dataclass(frozen=True)
class Row:
    """``says``: part of the sentence that the judge must say of the tampered plan."""

    kind: ViolationKind
    promise: str
    tampering: str
    world: World
    tamper: Tamper
    says: str
    policy: Policy = field(default=GREEDY)

    def __str__(self) -> str:
        return f"{self.kind}: {self.tampering}"

    def honest(self) -> tuple[ClusterSnapshot, Plan]:
        """The world and the engine's plan for it."""
        snapshot = self.world()
        return snapshot, plan_cycle(snapshot, self.policy)

    def complaints(self) -> tuple[Violation, ...]:
        """What the judge says of the tampered plan, of the kind that the row is about."""
        snapshot, plan = self.tamper(*self.honest())
        found = PlanChecker()(snapshot, self.policy, plan)
        return tuple(one for one in found if one.kind is self.kind and self.says in str(one))


def binds(change: Callable[[Placement], Placement], *, only: str = "") -> Tamper:
    """Every bind, or that of one pod, changed."""

    def tamper(snapshot: ClusterSnapshot, plan: Plan) -> tuple[ClusterSnapshot, Plan]:
        changed = tuple(
            change(one) if not only or one.pod.endswith(f"/{only}") else one for one in plan.binds
        )
        assert plan.binds
        return snapshot, replace(plan, binds=changed)

    return tamper


def bind(only: str = "", **fields: Any) -> Tamper:
    """Binds with other fields."""
    return binds(lambda one: replace(one, **fields), only=only)


def to(node: str, only: str = "") -> Tamper:
    """Bound to another node."""
    return bind(only, node=NodeName(node))


def without(name: str) -> Tamper:
    """A pod's bind is left out."""

    def tamper(snapshot: ClusterSnapshot, plan: Plan) -> tuple[ClusterSnapshot, Plan]:
        left = tuple(one for one in plan.binds if not one.pod.endswith(f"/{name}"))
        assert len(left) < len(plan.binds)
        return snapshot, replace(plan, binds=left)

    return tamper


def plan_with(change: Callable[[Plan], Plan]) -> Tamper:
    """The plan changed as a whole."""
    return lambda snapshot, plan: (snapshot, change(plan))


def world_with(change: Callable[[ClusterSnapshot], ClusterSnapshot]) -> Tamper:
    """The plan of a world without a rule, judged in the world that has it: as if the engine had forgotten it."""
    return lambda snapshot, plan: (change(snapshot), plan)


def nodes_with(**fields: Any) -> Tamper:
    """All nodes are different from what the engine believed."""

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        nodes = tuple(replace(node, **fields) for node in snapshot.fleet.nodes)
        return replace(snapshot, fleet=replace(snapshot.fleet, nodes=nodes))

    return world_with(change)


def specs_with(only: Iterable[str] = (), **fields: Any) -> Tamper:
    """All pods, or some, ask for something that the engine did not see."""
    names = {f"team/{name}" for name in only}

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        pods = (
            replace(pod, spec=replace(pod.spec, **fields)) if not names or pod.key in names else pod
            for pod in snapshot.pods
        )
        return replace(snapshot, pods=PodTable(pods))

    return world_with(change)


def pods_with(only: str = "", **fields: Any) -> Tamper:
    """All pods, or one, are different from what the engine believed."""

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        pods = (
            replace(pod, **fields) if not only or pod.key == f"team/{only}" else pod for pod in snapshot.pods
        )
        return replace(snapshot, pods=PodTable(pods))

    return world_with(change)


def groups_with(**fields: Any) -> Tamper:
    """All groups are different from what the engine believed."""

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        groups = tuple(replace(group, **fields) for group in snapshot.pod_groups)
        return replace(snapshot, pod_groups=groups)

    return world_with(change)


def claim_of(change: Callable[[ClaimPlacement], ClaimPlacement]) -> Tamper:
    """The claims of every bind changed."""
    return binds(lambda one: replace(one, claims=tuple(map(change, one.claims))))
