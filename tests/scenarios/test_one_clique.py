"""All members in one NVLink domain, asked for in each of the ways there are, without anybody naming a rack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kai_sched.model.devices import Claim, Consumer, DeviceConstraint, DeviceRequest, OpaqueConfig
from kai_sched.model.plan import Blocker, Outcome, Plan
from kai_sched.model.policy import Policy
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.workloads import Pod, PodGroup, PodSpec, PodState
from kai_sched.placement.checker import check_plan
from kai_sched.planning.cycle import improving_plans, plan_cycle
from tests.builders import NOW, a_group
from tests.fleets import a_claim, a_fleet, asks_gpu, claiming, on_fleet

CLIQUE = "nvidia.com/gpu.clique"
FABRIC = "kai-sched.dev/fabric"


def nvl_fleet(*trays: int) -> Fleet:
    """One clique for each number, with so many trays of four GPUs and the channels of compute domains."""
    pools = [
        {
            "name": f"rack-{number}",
            "count": count,
            "nodeName": f"r{number}-{{n}}",
            "domains": [{"label": CLIQUE, "nodes": count, "name": f"c{number}"}],
            "devices": [{"profile": "nvidia-gb200"}, {"profile": "nvidia-compute-domain"}],
        }
        for number, count in enumerate(trays)
    ]
    topology = {"name": "nvl", "levels": [{"nodeLabel": CLIQUE}, {"nodeLabel": "kubernetes.io/hostname"}]}
    return a_fleet(*pools, topologies=[topology])


def decide(snapshot: ClusterSnapshot) -> Plan:
    """The last plan; every plan on the way must pass the checker."""
    for plan in improving_plans(snapshot, Policy()):
        assert check_plan(snapshot, Policy(), plan) == ()
    return plan


def where(plan: Plan, group: str) -> set[str]:
    """First parts of the names of the nodes that a group's pods are on: their racks."""
    return {bind.node.rsplit("-", 1)[0] for bind in plan.binds if bind.pod_group == f"team/{group}"}


def bound(plan: Plan, group: str) -> int:
    return sum(bind.pod_group == f"team/{group}" for bind in plan.binds)


def channel(domain: str) -> Claim:
    """What the ComputeDomain controller's template asks for."""
    request = DeviceRequest(name="channel", device_class="compute-domain-default-channel.nvidia.com")
    config = OpaqueConfig(
        "compute-domain.nvidia.com",
        f'{{"allocationMode":"Single","domainID":"{domain}","kind":"ComputeDomainChannelConfig"}}',
        ("channel",),
    )
    return a_claim("template", request, configs=(config,))


class Workloads:
    """Collects pods with their own claims."""

    def __init__(self) -> None:
        self.pods: list[Pod] = []
        self.groups: list[PodGroup] = []
        self.claims: list[Claim] = []

    def gang(
        self, name: str, pods: int, *, gpus: int = 4, domain: str = "", first: int = 0, **more: object
    ) -> None:
        if not any(group.key == f"team/{name}" for group in self.groups):
            self.groups.append(
                a_group(name, min_member=pods, created_at=NOW - 100 + len(self.groups), **more)
            )
        for number in range(first, first + pods):
            pod = f"{name}-{number}"
            own = [a_claim(f"{pod}-gpu", asks_gpu(gpus), owner=pod)] if gpus else []
            if domain:
                spec = channel(domain).spec
                own.append(a_claim(f"{pod}-ch", *spec.requests, configs=spec.configs, owner=pod))
            self.claims += own
            self.pods.append(claiming(pod, name, *own))

    def on(self, fleet: Fleet) -> ClusterSnapshot:
        return on_fleet(fleet, self.pods, self.groups, self.claims)


def running(snapshot: ClusterSnapshot, plan: Plan) -> tuple[list[Pod], list[Claim]]:
    """Pods and claims as they are once the plan was carried out."""
    node_of = {bind.pod: bind for bind in plan.binds}
    allocations = {
        entry.claim: (entry.allocation, bind.pod, bind.uid) for bind in plan.binds for entry in bind.claims
    }
    pods = [
        replace(pod, node=node_of[pod.key].node, state=PodState.RUNNING) if pod.key in node_of else pod
        for pod in snapshot.pods
    ]
    claims = [
        replace(
            claim,
            allocation=allocations[claim.key][0],
            reserved_for=(Consumer("pods", allocations[claim.key][1], allocations[claim.key][2]),),
        )
        if claim.key in allocations
        else claim
        for claim in snapshot.claims
    ]
    return pods, claims


@pytest.mark.parametrize("trays", [(2, 3), (3, 2), (4, 3), (2, 2, 3)])
def test_by_a_required_level_the_gang_takes_the_clique_that_fits(trays: Sequence[int]) -> None:
    work = Workloads()
    work.gang("train", 3, required=CLIQUE, topology="nvl")

    plan = decide(work.on(nvl_fleet(*trays)))

    assert bound(plan, "train") == 3
    assert where(plan, "train") == {f"r{trays.index(3)}"}


@pytest.mark.parametrize("trays", [(2, 3), (3, 2), (4, 3), (2, 2, 3)])
def test_by_channel_claims_of_a_compute_domain_it_does_so_without_a_level(trays: Sequence[int]) -> None:
    work = Workloads()
    work.gang("train", 3, domain="d1")

    plan = decide(work.on(nvl_fleet(*trays)))

    assert bound(plan, "train") == 3
    assert where(plan, "train") == {f"r{trays.index(3)}"}
    channels = [d for bind in plan.binds for entry in bind.claims for d in entry.devices if "channel" in d]
    assert len(set(channels)) == 3


def test_a_compute_domain_that_no_clique_holds_waits_and_says_so() -> None:
    work = Workloads()
    work.gang("train", 4, domain="d1")

    plan = decide(work.on(nvl_fleet(3, 3)))

    (verdict,) = plan.verdicts
    assert verdict.outcome is Outcome.UNPLACED
    assert verdict.blocker is Blocker.TOPOLOGY
    assert CLIQUE in verdict.message


def test_a_launcher_without_a_channel_does_not_bind_the_workers_choice() -> None:
    work = Workloads()
    work.gang("mpi", 3, domain="d1")
    work.pods.append(claiming("mpi-launcher", "mpi", is_leader=True))
    (group,) = work.groups
    work.groups[0] = a_group("mpi", min_member=4)

    plan = decide(work.on(nvl_fleet(2, 3, 2)))

    assert group.key == "team/mpi"
    workers = {bind.node[:2] for bind in plan.binds if "launcher" not in bind.pod}
    assert (bound(plan, "mpi"), workers) == (4, {"r1"})


def test_a_pod_that_joins_later_goes_to_the_clique_where_its_domain_runs() -> None:
    work = Workloads()
    work.gang("train", 2, domain="d1")
    fleet = nvl_fleet(3, 4)
    before = work.on(fleet)
    first = decide(before)
    pods, claims = running(before, first)
    late = Workloads()
    late.gang("late", 1, domain="d1")

    plan = decide(on_fleet(fleet, [*pods, *late.pods], [*work.groups, *late.groups], [*claims, *late.claims]))

    assert where(plan, "late") == where(first, "train")


def test_a_full_clique_keeps_later_pods_of_its_domain_waiting() -> None:
    work = Workloads()
    work.gang("train", 3, domain="d1")
    fleet = nvl_fleet(3, 4)
    before = work.on(fleet)
    first = decide(before)
    assert where(first, "train") == {"r0"}
    pods, claims = running(before, first)
    late = Workloads()
    late.gang("late", 1, domain="d1")

    plan = decide(on_fleet(fleet, [*pods, *late.pods], [*work.groups, *late.groups], [*claims, *late.claims]))

    verdict = next(verdict for verdict in plan.verdicts if verdict.pod_group == "team/late")
    assert verdict.blocker is Blocker.TOPOLOGY
    assert "c0" in verdict.message


def test_two_gangs_of_one_domain_land_in_one_clique_in_the_same_cycle() -> None:
    work = Workloads()
    work.gang("leader", 1, domain="d1")
    work.gang("workers", 2, domain="d1")
    work.gang("other", 2, domain="d2")

    plan = decide(work.on(nvl_fleet(3, 3)))

    assert where(plan, "leader") == where(plan, "workers")
    assert bound(plan, "workers") == 2
    assert bound(plan, "other") == 2
    assert len(where(plan, "other")) == 1


def test_room_is_made_for_a_compute_domain_that_earlier_pods_would_strand() -> None:
    # Two early pods of two GPUs go to one tray of the small rack; a third fills it up, a fourth opens the next.
    work = Workloads()
    work.gang("early", 5, gpus=2)
    work.gang("train", 3, domain="d1")

    greedy = plan_cycle(work.on(nvl_fleet(3, 3)), Policy(use_solver=False))
    plan = decide(work.on(nvl_fleet(3, 3)))

    assert bound(greedy, "train") in {0, 3}
    assert bound(plan, "early") == 5
    assert (bound(plan, "train"), len(where(plan, "train"))) == (3, 1)


def test_nodes_that_the_driver_has_marked_for_another_domain_are_left_alone() -> None:
    fleet = nvl_fleet(3, 4)
    mark = ("resource.nvidia.com/computeDomain", "other")
    nodes = tuple(
        replace(node, labels=tuple(sorted((*node.labels, mark)))) if node.name == "r0-1" else node
        for node in fleet.nodes
    )
    work = Workloads()
    work.gang("train", 3, domain="d1")
    work.gang("theirs", 3, domain="other")

    plan = decide(work.on(replace(fleet, nodes=nodes)))

    assert where(plan, "train") == {"r1"}
    assert where(plan, "theirs") == {"r0"}


def fabric_fleet(*nodes: int) -> Fleet:
    """Hosts in groups of so many, each group with four accelerators on a network of its own."""
    pools = [
        {
            "name": f"f{number}",
            "count": count,
            "nodeName": f"f{number}-{{n}}",
            "cpu": "4",
            "domains": [{"label": FABRIC, "nodes": count, "name": f"fabric-{number}"}],
        }
        for number, count in enumerate(nodes)
    ]
    attached = [
        {
            "name": f"fabric-{number}",
            "profile": "fabric-accelerator",
            "nodeLabels": {FABRIC: f"fabric-{number}"},
        }
        for number in range(len(nodes))
    ]
    return a_fleet(*pools, attached=attached)


def accelerators(count: int) -> Claim:
    """One claim for the whole gang: accelerators of one fabric."""
    return a_claim(
        "shared",
        DeviceRequest(name="acc", device_class="fabric-accelerator", count=count),
        constraints=(DeviceConstraint((), match_attribute="fabric.kai-sched.dev/fabric"),),
    )


@pytest.mark.parametrize("groups", [(1, 4), (4, 1), (2, 1, 4), (1, 1, 1, 4)])
def test_by_a_network_attached_device_the_gang_lands_where_all_of_it_reaches_the_device(
    groups: Sequence[int],
) -> None:
    claim = accelerators(2)
    # One pod a host: three CPUs each on hosts of four.
    spec = PodSpec(namespace="team", requests=amounts({"cpu": 3000, "pods": 1}))
    pods = [claiming(f"g-{number}", "g", claim, spec=spec) for number in range(4)]

    plan = decide(on_fleet(fabric_fleet(*groups), pods, [a_group("g", min_member=4)], [claim]))

    assert bound(plan, "g") == 4
    assert where(plan, "g") == {f"f{groups.index(4)}"}
    allocations = [
        entry.allocation for bind in plan.binds for entry in bind.claims if entry.allocation is not None
    ]
    assert {result.pool for one in allocations for result in one.results} == {f"fabric-{groups.index(4)}"}
