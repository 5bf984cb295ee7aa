"""Opening: what a cycle begins with, worked out once and changed by nobody; every run of its stages starts from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.shares import divide_capacity
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.ids import QueueName
from kai_sched.model.plan import Contained, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QueueShare, QuotaVector
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.gangs import Gang
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.world.build import build_world
from kai_sched.placement.world.world import World
from kai_sched.planning.accounting import Accounting
from kai_sched.planning.demand import select_demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The state of the cluster before any decision: capacity divided, demand selected, world built."""

    snapshot: ClusterSnapshot
    policy: Policy
    world: World
    tree: QueueTree
    shares: Mapping[QueueName, QueueShare]
    total: QuotaVector
    ledger: Ledger
    accounting: Accounting
    gangs: tuple[Gang, ...]
    """Those considered, in key order."""
    early: tuple[Verdict, ...]
    """Verdicts of groups that are not considered at all."""
    contained: tuple[Contained, ...] = ()

    @classmethod
    def of(cls, snapshot: ClusterSnapshot, policy: Policy, cache: FleetCache) -> Opening:
        """The steps before the stages."""
        world = build_world(snapshot, policy, cache)
        tree = QueueTree.build(snapshot.queues)
        accounting = Accounting.of(snapshot, policy, world.base.device_index)
        demand = select_demand(snapshot, policy, tree, world.base.domains, world.base.fabric_of)
        total = accounting.total_capacity()
        shares = divide_capacity(tree, accounting.usage(), total, policy.k_value)
        return cls(
            snapshot=snapshot,
            policy=policy,
            world=world,
            tree=tree,
            shares=shares,
            total=total,
            ledger=Ledger.open(tree, shares),
            accounting=accounting,
            gangs=tuple(demand.gangs),
            early=tuple(demand.early),
            contained=tuple(demand.contained),
        )
