"""Bugs planted in the engine, one for each of its parts: what it then decides is refused by the judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from kai_sched.devices import index, taints
from kai_sched.devices.cel.selector import SelectorVerdict
from kai_sched.devices.counters import CounterLedger
from kai_sched.fairness.entitlement import Taking
from kai_sched.fairness.ledger import Ledger
from kai_sched.model.policy import Policy
from kai_sched.model.selectors import Taint
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import HostPort
from kai_sched.placement.checker import Violation, ViolationKind
from kai_sched.placement.rules import dynamic, static
from kai_sched.placement.world.world import World
from kai_sched.planning.accounting import Accounting
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from kai_sched.planning.eviction import rights
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec
from tests.scenarios.eviction_stories import it, n, run, teams, with_min_runtime, world
from tests.tamper.row import GREEDY
from tests.tamper.rows_of_evictions import POLICY
from tests.unit.devices.dra import (
    a_claim_document,
    a_device,
    a_request,
    a_slice,
    a_user,
    counters,
    decide,
)


@dataclass(frozen=True)
class Bug:
    """``owner.name`` is replaced while the engine decides."""

    kind: ViolationKind
    tampering: str
    world: Callable[[], ClusterSnapshot]
    owner: Any
    name: str
    replacement: Any
    policy: Policy = GREEDY

    @property
    def promise(self) -> str:
        return f"bug in {getattr(self.owner, '__name__', self.owner).removeprefix('kai_sched.')}"

    def __str__(self) -> str:
        return f"{self.kind}: {self.tampering}"

    def complaints(self, *, planted: bool = True) -> tuple[Violation, ...]:
        """What the judge says of what the engine with the bug, or the honest one, decides."""
        snapshot = self.world()
        with patch.object(
            self.owner, self.name, self.replacement if planted else getattr(self.owner, self.name)
        ):
            plan = plan_cycle(snapshot, self.policy)
        found = PlanChecker()(snapshot, self.policy, plan)
        return tuple(one for one in found if not planted or one.kind is self.kind)


def limited() -> ClusterSnapshot:
    """A pod for eight GPUs in a queue that may have four."""
    return a_snapshot(
        nodes=[a_node("a")],
        pods=[a_pod("p", a_spec(gpus=8), group="g")],
        groups=[a_group("g")],
        queues=(a_queue("dept", parent=None), a_queue("team-a", limit=4)),
    )


def tainted() -> ClusterSnapshot:
    """A pod and a node that it does not tolerate."""
    node = a_node("a", taints=(Taint("k", "", "NoSchedule"),))
    return a_snapshot(nodes=[node], pods=[a_pod("p", group="g")], groups=[a_group("g")])


def a_full_house() -> ClusterSnapshot:
    """Two gangs of two whole nodes each, on three nodes: only one of them fits."""
    pods = [a_pod(f"{name}-{index}", a_spec(gpus=8), group=name) for name in "gh" for index in range(2)]
    groups = [a_group(name, min_member=2) for name in "gh"]
    return a_snapshot(nodes=[a_node(name) for name in "abc"], pods=pods, groups=groups)


def one_port() -> ClusterSnapshot:
    """Two pods that want one port of one node."""
    spec = a_spec(host_ports=(HostPort(80),))
    pods = [a_pod(f"p{number}", spec, group=f"g{number}") for number in range(2)]
    groups = [a_group(f"g{number}") for number in range(2)]
    return a_snapshot(nodes=[a_node("a")], pods=pods, groups=groups)


def a_choosy_claim() -> ClusterSnapshot:
    """A claim for a large device where only a small one is."""
    selector = 'device.attributes["gpu.example.com"].model == "large"'
    small = a_device("small", attributes={"model": "small"})
    return decide(a_slice(small), a_claim_document(a_request("gpu", selector)), a_user("p", "claim")).snapshot


def a_broken_device() -> ClusterSnapshot:
    """A claim, and a device with a taint."""
    broken = a_device("d", taints=[{"key": "broken", "effect": "NoSchedule"}])
    listed = a_request("gpu", count=1)
    return decide(a_slice(broken), a_claim_document(listed), a_user("p", "claim")).snapshot


def few_counters() -> ClusterSnapshot:
    """Two claims for partitions of which the counters allow one."""
    return decide(
        a_slice(name="counters", sharedCounters=counters(units="2"), of=2),
        a_slice(*(a_device(f"d{n}", counters={"units": "2"}) for n in range(2)), name="devices", of=2),
        a_claim_document(name="c0"),
        a_claim_document(name="c1"),
        a_user("p0", "c0"),
        a_user("p1", "c1"),
    ).snapshot


def _half(world: World, *_: object) -> None:
    """A rollback that forgets."""


def within_quota() -> ClusterSnapshot:
    """A queue that holds a GPU more than its quota, another that wants four."""
    return world(n(gpus=5), *(run(f"s{number}", ["n0"]) for number in range(5)), it(4))


def equals() -> ClusterSnapshot:
    """All of one queue, and of one worth."""
    return world(
        n(), *(run(f"s{number}", ["n0"], queue="team-a") for number in range(8)), it(), queues=teams(8, 0)
    )


def young() -> ClusterSnapshot:
    """Gangs that began an hour ago, in a queue that lets them run for ten."""
    queues = with_min_runtime(teams(), "team-b", reclaim_min_runtime_seconds=36_000.0)
    return world(n(), *(run(f"s{number}", ["n0"]) for number in range(8)), it(), queues=queues)


BUGS: Final = [
    Bug(ViolationKind.QUEUE_LIMIT, "limits ignored", limited, Ledger, "over_limit", lambda *_: None),
    Bug(ViolationKind.QUEUE_LIMIT, "GPUs count 0", limited, Accounting, "_plain_gpus", lambda *_: 0.0),
    Bug(ViolationKind.STATIC_RULE, "taints forgotten", tainted, static, "_keep_tolerated", lambda *_: None),
    Bug(ViolationKind.NODE_RESOURCES, "room not counted", a_full_house, World, "_count", lambda *_: None),
    Bug(ViolationKind.GANG, "half a gang left", a_full_house, World, "rollback", _half),
    Bug(ViolationKind.DYNAMIC_RULE, "ports forgotten", one_port, dynamic, "port_rules", lambda *_: ()),
    Bug(
        ViolationKind.DEVICE,
        "selectors always true",
        a_choosy_claim,
        index.DeviceIndex,
        "verdict_on",
        lambda *_: SelectorVerdict(is_match=True),
    ),
    Bug(
        ViolationKind.DEVICE,
        "device taints forgotten",
        a_broken_device,
        taints,
        "_BLOCKING",
        frozenset(),
    ),
    Bug(
        ViolationKind.DEVICE_COUNTER,
        "counters not charged",
        few_counters,
        CounterLedger,
        "charge",
        lambda *_: True,
    ),
    Bug(
        ViolationKind.EVICTION,
        "rights ignored",
        within_quota,
        Taking,
        "take",
        lambda *_: True,
        POLICY,
    ),
    Bug(
        ViolationKind.EVICTION,
        "protection forgotten",
        young,
        rights,
        "is_protected",
        lambda *_: False,
        POLICY,
    ),
    Bug(
        ViolationKind.EVICTION,
        "worth forgotten",
        equals,
        rights.PreemptRights,
        "may_lose",
        lambda *_: True,
        POLICY,
    ),
]
