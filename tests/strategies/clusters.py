"""Whole small clusters: nodes, queues, and gangs in every state, with or without devices."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from kai_sched.model.queues import Queue
from kai_sched.model.selectors import LabelSelector, Operator, Requirement, Taint, Toleration
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import (
    GpuShare,
    HostPort,
    Pod,
    PodAffinityTerm,
    PodGroup,
    PodSpec,
    PodState,
    SubGroup,
)
from tests.builders import a_group, a_node, a_pod, a_queue, a_snapshot, a_spec
from tests.strategies.devices import CLASSES, equipped

HOSTNAME = "kubernetes.io/hostname"


@st.composite
def nodes(draw: st.DrawFn):
    """Up to six nodes in up to three racks, some outside the topology, some tainted or cordoned."""
    count = draw(st.integers(1, 6))
    found = []
    for index in range(count):
        labels = {"rack": f"r{draw(st.integers(0, 2))}"} if draw(st.integers(0, 9)) else {}
        node = a_node(
            f"n{index}",
            gpus=draw(st.sampled_from([0, 1, 2, 4, 8])),
            cpu=draw(st.sampled_from([2000, 64_000])),
            labels=labels,
        )
        if draw(st.integers(0, 9)) == 0:
            node = replace(node, taints=(Taint("dedicated", "x", "NoSchedule"),))
        if draw(st.integers(0, 9)) == 0:
            node = replace(node, is_cordoned=True)
        found.append(node)
    return found


@st.composite
def specs(draw: st.DrawFn) -> PodSpec:
    """What pods ask for; one in four has a field that depends on other pods."""
    more: dict[str, object] = {"labels": (("app", draw(st.sampled_from(["a", "b"]))),)}
    match draw(st.integers(0, 11)):
        case 0:
            term = PodAffinityTerm(
                HOSTNAME, LabelSelector((Requirement("app", Operator.IN, ("a",)),)), ("team",)
            )
            more["pod_anti_affinity"] = (term,)
        case 1:
            more["host_ports"] = (HostPort(8080),)
        case 2:
            more["tolerations"] = (Toleration("dedicated", "Exists"),)
        case 3:
            more["node_selector"] = (("rack", "r1"),)
        case 4 | 5:
            portion = draw(st.sampled_from([200, 300, 500]))
            share = GpuShare(portion_micros=portion * 1000, devices=draw(st.sampled_from([1, 1, 2])))
            return a_spec(gpus=0, cpu=100, gpu_share=share, **more)
        case _:
            pass
    return a_spec(
        gpus=draw(st.sampled_from([0, 1, 1, 2, 3, 4, 8])),
        cpu=draw(st.sampled_from([100, 1000, 4000])),
        **more,
    )


@st.composite
def quota_trees(draw: st.DrawFn) -> tuple[Queue, ...]:
    """A department with two teams and a team of its own."""
    bound = st.sampled_from([-1.0] * 7 + [0.0, 2.0, 4.0, 8.0])

    def queue(name: str, parent: str | None) -> Queue:
        deserved, limit = draw(bound), draw(bound)
        if limit >= 0 and deserved > limit:
            deserved = limit
        return a_queue(
            name, parent=parent, gpu=deserved, limit=limit, weight=draw(st.sampled_from([0.0, 1.0, 2.0]))
        )

    return (queue("dept", None), queue("team-a", "dept"), queue("team-b", "dept"), queue("lone", None))


@st.composite
def groups(draw: st.DrawFn, index: int, node_names: list[str]) -> tuple[PodGroup, list[Pod]]:
    """A pod group with its pods: some running, some releasing, some done, most pending."""
    held = [PodState.RELEASING, PodState.RUNNING]
    name = f"g{index}"
    size = draw(st.integers(1, 5))
    level = draw(st.sampled_from(["", "", "rack", HOSTNAME]))
    preferred = draw(st.sampled_from(["", "", HOSTNAME])) if level != HOSTNAME else ""
    group = a_group(
        name,
        queue=draw(st.sampled_from(["team-a", "team-b", "lone"] * 4 + ["dept"])),
        min_member=draw(st.sampled_from([1, size, *range(size)])),
        required=level,
        preferred=preferred,
        priority=draw(st.sampled_from([50, 75, 100])),
        is_preemptible=draw(st.booleans()),
        created_at=float(draw(st.integers(0, 3))),
    )
    subgroups = draw(st.integers(0, 3)) == 0
    if subgroups:
        group = replace(group, min_member=0, **draw(trees()))
    kinds = [draw(specs()) for _ in range(draw(st.integers(1, 2)))]
    # Most pods are in a leaf; the others name an inner subgroup, one that is not there, or none.
    leaves = (
        ["x", "y", "z"] * 8 + ["inner", "nowhere", ""] if subgroups else [""] * 30 + ["default", "nowhere"]
    )
    pods = []
    for number in range(size):
        state = draw(st.sampled_from([PodState.PENDING] * 16 + [PodState.GATED, PodState.SUCCEEDED, *held]))
        node = draw(st.sampled_from(node_names)) if state in held else None
        pod = a_pod(f"{name}-{number}", draw(st.sampled_from(kinds)), group=name, node=node, state=state)
        if node is not None and pod.spec.gpu_share is not None:
            pod = replace(pod, gpu_groups=("s0", "s1")[: pod.spec.gpu_share.devices])
        pods.append(replace(pod, subgroup=draw(st.sampled_from(leaves))))
    return group, pods


@st.composite
def trees(draw: st.DrawFn) -> dict[str, object]:
    """Subgroups x, y and z, two of them perhaps below another, with minima that may be more than there are."""
    few = st.sampled_from([None, None, 0, 1, 2, 3])
    parent = draw(st.sampled_from(["", "inner"]))
    leaves = tuple(
        SubGroup(name=name, parent=above, min_member=draw(st.integers(0, 2)))
        for name, above in (("x", parent), ("y", parent), ("z", ""))
    )
    inner = (SubGroup(name="inner", min_sub_group=draw(few)),) if parent else ()
    return {"min_sub_group": draw(few), "sub_groups": inner + leaves}


@st.composite
def snapshots(draw: st.DrawFn) -> ClusterSnapshot:
    """A whole small cluster."""
    fleet = draw(nodes())
    names = [node.name for node in fleet]
    found = [draw(groups(index, names)) for index in range(draw(st.integers(1, 5)))]
    having = draw(equipped(fleet, [pods for _, pods in found]))
    return a_snapshot(
        nodes=fleet,
        pods=having.pods,
        groups=[group for group, _ in found],
        queues=draw(quota_trees()),
        slices=having.slices,
        device_classes=CLASSES if having.slices else (),
        claims=tuple(having.claims[key] for key in sorted(having.claims)),
    )
