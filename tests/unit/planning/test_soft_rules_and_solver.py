"""Preferences order nodes; they do not keep the solver from making room, and it moves nobody against them for tidiness."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kai_sched.model.policy import Policy
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
)
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import PodAffinityTerm, PodSpec
from kai_sched.planning.cycle import improving_plans
from tests.builders import NOW, a_group, a_node, a_pod, a_snapshot, a_spec

pytestmark = pytest.mark.solver

UNLIKED = Taint("spare", "", "PreferNoSchedule")
WHOLE = a_spec(gpus=8)
NEAR = PodAffinityTerm("rack", LabelSelector((Requirement("app", Operator.IN, ("x",)),)), ("team",), weight=1)
LIKES_LARGE = ((1, NodeSelectorTerm((Requirement("rack", Operator.IN, ("large",)),))),)


def two_racks(*, loose: PodSpec = WHOLE, tied: PodSpec = WHOLE, unliked: str = "") -> ClusterSnapshot:
    """Greedy gives the loose gang two of the three nodes that the one tied to a rack needs, unless it moves."""
    sizes = {"small": 2, "large": 3}
    nodes = [
        a_node(f"{rack}-{n}", labels={"rack": rack}) for rack, size in sizes.items() for n in range(size)
    ]
    nodes.append(a_node("cpu", gpus=0))
    nodes = [replace(node, taints=(UNLIKED,)) if node.name == unliked else node for node in nodes]
    pods = [
        *(a_pod(f"loose-{n}", loose, group="loose") for n in range(2)),
        *(a_pod(f"tied-{n}", tied, group="tied") for n in range(3)),
    ]
    groups = [
        a_group("loose", min_member=2, created_at=NOW - 90),
        a_group("tied", min_member=3, required="rack", created_at=NOW - 60),
    ]
    return a_snapshot(nodes=nodes, pods=pods, groups=groups)


@pytest.mark.parametrize(
    "world",
    [
        two_racks(),
        two_racks(unliked="cpu"),
        two_racks(unliked="small-0"),
        two_racks(loose=replace(WHOLE, preferred_node_affinity=LIKES_LARGE)),
        two_racks(tied=replace(WHOLE, pod_affinity=(NEAR,))),
    ],
    ids=[
        "nothing preferred",
        "a CPU node unliked",
        "a GPU node unliked",
        "nodes preferred",
        "company preferred",
    ],
)
def test_a_gang_that_fits_is_placed_whatever_is_preferred(world: ClusterSnapshot) -> None:
    plan = list(improving_plans(world, Policy()))[-1]

    assert len(plan.binds) == 5


def test_nobody_is_moved_to_a_node_that_is_liked_less_for_the_sake_of_tidiness() -> None:
    """The node that is in use already would be the tidier place."""
    used = a_node("used", taints=(UNLIKED,))
    pods = [a_pod("runs", group="r", node="used"), a_pod("p", group="g")]
    world = a_snapshot(nodes=[used, a_node("whole")], pods=pods, groups=[a_group("r"), a_group("g")])

    plans = list(improving_plans(world, Policy()))

    assert [bind.node for bind in plans[-1].binds] == ["whole"]
