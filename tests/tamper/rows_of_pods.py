"""Rows of pods, nodes, GPUs of device plugins, gangs, topology, evictions and verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kai_sched.model.ids import PodGroupKey, PodKey, Uid
from kai_sched.model.plan import Eviction, Outcome, Plan
from kai_sched.model.policy import StageName
from kai_sched.model.rests import Rest
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import GpuShare, GroupOrigin, PodClaimRef, PodState, SubGroup
from kai_sched.placement.checker import ViolationKind as Kind
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec, racks
from tests.tamper.row import Row, bind, groups_with, plan_with, pods_with, specs_with, to, without, world_with


def a_gang() -> ClusterSnapshot:
    """Two pods in one rack of two, beside a pod that runs in the other rack."""
    pods = [a_pod(f"p{number}", a_spec(gpus=6), group="g") for number in range(2)]
    runs = a_pod("runs", a_spec(gpus=8), group="r", node="r1-n00")
    groups = [a_group("g", min_member=2, required="rack"), a_group("r")]
    return a_snapshot(nodes=racks(2, 2), pods=[*pods, runs], groups=groups)


def a_tree() -> ClusterSnapshot:
    """A gang of a leader and two workers."""
    pods = [
        a_pod("leader", group="g", subgroup="leader"),
        *(a_pod(f"w{number}", group="g", subgroup="workers") for number in range(2)),
    ]
    tree = (SubGroup(name="leader", min_member=1), SubGroup(name="workers", min_member=2))
    group = a_group("g", min_member=0, sub_groups=tree)
    return a_snapshot(nodes=[a_node("n1")], pods=pods, groups=[group])


def sharers() -> ClusterSnapshot:
    """Two pods that fill one GPU together."""
    spec = a_spec(gpus=0, gpu_share=GpuShare(portion_micros=500_000))
    pods = [a_pod(f"p{number}", spec, group=f"g{number}") for number in range(2)]
    groups = [a_group(f"g{number}") for number in range(2)]
    return a_snapshot(nodes=[a_node("n1", gpu_memory_mib=80_000)], pods=pods, groups=groups)


def waiting() -> ClusterSnapshot:
    """A pod that waits for another one's room."""
    leaving = a_pod("leaving", a_spec(gpus=8), group="l", node="n1", state=PodState.RELEASING)
    pod = a_pod("p", a_spec(gpus=8), group="g")
    return a_snapshot(nodes=[a_node("n1")], pods=[leaving, pod], groups=[a_group("g"), a_group("l")])


def _twice(plan: Plan) -> Plan:
    return replace(plan, binds=(*plan.binds, plan.binds[0]))


def _bound_now(plan: Plan) -> Plan:
    return replace(plan, binds=plan.pipelined, pipelined=())


def _verdict(**fields: object):
    def change(plan: Plan) -> Plan:
        verdicts = tuple(replace(one, **fields) for one in plan.verdicts)  # type: ignore[arg-type]
        return replace(plan, verdicts=verdicts)

    return plan_with(change)


def _evicting(name: str, **fields: object):
    fields = {"uid": Uid(f"uid-team/{name}"), "pod_group": PodGroupKey("team/r"), **fields}
    return Eviction(pod=PodKey(f"team/{name}"), stage=StageName.RECLAIM, beneficiary=None, **fields)  # type: ignore[arg-type]


def _evict(*evictions: Eviction):
    return plan_with(lambda plan: replace(plan, evictions=evictions))


_POD: Final = "only known, pending pods of sound groups are placed, each once"
_ROOM: Final = "nothing is given that a node does not have"
_INDEX: Final = "every GPU of a node has one owner"
_PARTS: Final = "a shared GPU is never filled beyond its whole"
_WHOLE: Final = "a gang gets its minimum or nothing"
_LEVEL: Final = "a required level holds all pods of a group"
_LEAVES: Final = "only active pods are evicted, and who waits waits for somebody leaving"
_HEARS: Final = "every group that waits hears once, and truly, what became of it"

ROWS_OF_PODS: Final = [
    Row(
        Kind.POD,
        _POD,
        "bound under a key that nobody has",
        a_gang,
        bind("p0", pod=PodKey("team/x")),
        "is not in",
    ),
    Row(Kind.POD, _POD, "bound twice", a_gang, plan_with(_twice), "more than once"),
    Row(Kind.POD, _POD, "bound to a node that does not exist", a_gang, to("gone"), "not in the snapshot"),
    Row(Kind.POD, _POD, "made again since", a_gang, bind(uid=Uid("older")), "the plan means older"),
    Row(Kind.POD, _POD, "runs already", a_gang, pods_with("p0", state=PodState.RUNNING), "is running"),
    Row(
        Kind.POD,
        _POD,
        "counted to another group",
        a_gang,
        bind(pod_group=PodGroupKey("team/r")),
        "belongs to",
    ),
    Row(
        Kind.POD,
        _POD,
        "its group steps aside",
        a_gang,
        world_with(lambda one: replace(one, rests=(Rest(pod_group=one.pod_groups[0].key, reason="422"),))),
        "steps aside: 422",
    ),
    Row(Kind.POD, _POD, "its group is invalid", a_gang, groups_with(problem="cycle"), "invalid group: cycle"),
    Row(
        Kind.POD,
        _POD,
        "its group is gone",
        a_gang,
        groups_with(origin=GroupOrigin.MISSING),
        "of origin missing",
    ),
    Row(
        Kind.POD, _POD, "a field of it is wrong", a_gang, pods_with("p0", problem="bad"), "must not be placed"
    ),
    Row(
        Kind.POD,
        _POD,
        "asks for what nobody honours",
        a_gang,
        specs_with(["p0"], unsupported=("spec.x: no",)),
        "must not be placed: spec.x",
    ),
    Row(
        Kind.POD,
        _POD,
        "its claim is not made yet",
        a_gang,
        pods_with("p0", claims=(PodClaimRef("c", None, is_own=True),)),
        "does not exist yet",
    ),
    Row(Kind.NODE_RESOURCES, _ROOM, "both pods on one node", a_gang, to("r0-n00"), "nvidia.com/gpu"),
    Row(Kind.NODE_RESOURCES, _ROOM, "on room that a running pod holds", a_gang, to("r1-n00"), "8 held + 12"),
    Row(
        Kind.NODE_RESOURCES,
        _ROOM,
        "bound to room that is only coming free",
        waiting,
        plan_with(_bound_now),
        "8 held + 8 planned",
    ),
    Row(
        Kind.NODE_RESOURCES,
        _ROOM,
        "waits for room that does not come free",
        waiting,
        pods_with("leaving", state=PodState.STUCK_RELEASING),
        "once releasing pods are gone",
    ),
    Row(
        Kind.NODE_RESOURCES,
        _ROOM,
        "memory forgotten",
        a_gang,
        specs_with(["p0"], requests=(("memory", 1 << 50),)),
        "memory",
    ),
    Row(
        Kind.GPU_INDEX,
        _INDEX,
        "two shared GPUs on one index",
        sharers,
        lambda snapshot, plan: (
            snapshot,
            replace(
                plan,
                binds=tuple(
                    replace(one, gpu_indices=(3,), gpu_groups=(f"s{number}",))
                    for number, one in enumerate(plan.binds)
                ),
            ),
        ),
        "GPU 3 has several owners",
    ),
    Row(
        Kind.GPU_INDEX, _INDEX, "an index that the node lacks", sharers, bind(gpu_indices=(8,)), "has 8 GPUs"
    ),
    Row(
        Kind.GPU_INDEX, _INDEX, "fewer indices than asked", a_gang, bind(gpu_indices=(0, 1)), "6 GPUs wanted"
    ),
    Row(
        Kind.GPU_INDEX,
        _INDEX,
        "an index that a running pod has",
        sharers,
        lambda snapshot, plan: (
            a_snapshot(
                nodes=snapshot.fleet.nodes,
                pods=[*snapshot.pods, a_pod("other", group=None, node="n1", gpu_indices=(0,))],
                groups=snapshot.pod_groups,
            ),
            replace(plan, binds=tuple(replace(one, gpu_indices=(0,)) for one in plan.binds)),
        ),
        "GPU 0 has several owners",
    ),
    Row(
        Kind.GPU_SHARE,
        _PARTS,
        "parts larger than the engine thought",
        sharers,
        specs_with(gpu_share=GpuShare(portion_micros=600_000)),
        "is filled to",
    ),
    Row(Kind.GPU_SHARE, _PARTS, "a part of no GPU", sharers, bind(gpu_groups=()), "do not fit its request"),
    Row(
        Kind.GPU_SHARE,
        _PARTS,
        "more memory than one GPU has",
        sharers,
        specs_with(gpu_share=GpuShare(memory_mib=90_000)),
        "cannot serve its GPU memory",
    ),
    Row(Kind.GANG, _WHOLE, "one of two left out", a_gang, without("p1"), "1 of at least 2"),
    Row(Kind.GANG, _WHOLE, "half a subgroup", a_tree, without("w1"), "workers has 1 of at least 2"),
    Row(Kind.GANG, _WHOLE, "a subgroup left out", a_tree, without("leader"), "1 of 2 subgroups"),
    Row(
        Kind.GANG, _WHOLE, "a pod of no leaf", a_tree, pods_with("w0", subgroup="nowhere"), "which is no leaf"
    ),
    Row(Kind.TOPOLOGY, _LEVEL, "two racks", a_gang, to("r1-n01", "p0"), "needs one rack"),
    Row(
        Kind.TOPOLOGY,
        _LEVEL,
        "another rack than where it runs",
        a_gang,
        pods_with("runs", group=PodGroupKey("team/g")),
        "spans",
    ),
    Row(
        Kind.TOPOLOGY,
        _LEVEL,
        "a level that the topology lacks",
        a_gang,
        lambda snapshot, plan: (
            replace(snapshot, fleet=replace(snapshot.fleet, topologies=())),
            plan,
        ),
        "is unknown",
    ),
    Row(
        Kind.EVICTION,
        _LEAVES,
        "a pod that nobody knows",
        a_gang,
        _evict(_evicting("x")),
        "is not in the snapshot",
    ),
    Row(
        Kind.EVICTION,
        _LEAVES,
        "a pod that does not run",
        a_gang,
        _evict(_evicting("p0", pod_group=PodGroupKey("team/g"))),
        "is pending, not active",
    ),
    Row(
        Kind.EVICTION,
        _LEAVES,
        "a pod of another group",
        a_gang,
        _evict(_evicting("runs", pod_group=PodGroupKey("team/g"))),
        "does not belong to",
    ),
    Row(Kind.EVICTION, _LEAVES, "one pod twice", a_gang, _evict(*[_evicting("runs")] * 2), "more than once"),
    Row(
        Kind.EVICTION,
        _LEAVES,
        "moves to a node that does not exist",
        a_gang,
        _evict(_evicting("runs", moves_to="gone")),
        "unknown node",
    ),
    Row(
        Kind.EVICTION,
        _LEAVES,
        "bound now, yet it waits",
        a_gang,
        bind(waits_for=(PodKey("team/runs"),)),
        "although it waits",
    ),
    Row(
        Kind.EVICTION,
        _LEAVES,
        "waits for a pod that stays",
        waiting,
        pods_with("leaving", state=PodState.RUNNING),
        "which is not leaving",
    ),
    Row(
        Kind.VERDICT,
        _HEARS,
        "nobody hears",
        a_gang,
        plan_with(lambda plan: replace(plan, verdicts=())),
        "has 0 verdicts",
    ),
    Row(
        Kind.VERDICT,
        _HEARS,
        "heard twice",
        a_gang,
        plan_with(lambda plan: replace(plan, verdicts=plan.verdicts * 2)),
        "has 2 verdicts",
    ),
    Row(
        Kind.VERDICT,
        _HEARS,
        "said to be placed, nothing is bound",
        a_gang,
        plan_with(lambda plan: replace(plan, binds=())),
        "nothing is bound",
    ),
    Row(
        Kind.VERDICT,
        _HEARS,
        "said to wait, yet bound",
        a_gang,
        _verdict(outcome=Outcome.UNPLACED),
        "yet has placements",
    ),
    Row(
        Kind.VERDICT,
        _HEARS,
        "said to be pipelined, yet bound",
        a_gang,
        _verdict(outcome=Outcome.PIPELINED),
        "is said to be pipelined",
    ),
    Row(
        Kind.VERDICT,
        _HEARS,
        "waits without a reason",
        a_gang,
        lambda snapshot, plan: (
            snapshot,
            replace(
                plan,
                binds=(),
                verdicts=tuple(replace(one, outcome=Outcome.UNPLACED, blocker=None) for one in plan.verdicts),
            ),
        ),
        "has no blocker",
    ),
]
