"""A catalogue of worlds in which one gang, team/it, waits: what it may hope for, which fact decides, what would help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.localcluster.fleet import Fleet, fleet_objects
from kai_sched.model.outlook import ActionKind as Do
from kai_sched.model.outlook import Fact, Prospect
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QueueResource
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Taint,
)
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import (
    GpuShare,
    HostPort,
    PodAffinityTerm,
    PodState,
    SubGroup,
    TopologyConstraint,
)
from tests.builders import GIB, NOW, a_group, a_node, a_pod, a_queue, a_snapshot, a_spec, racks
from tests.documents import a_pod_document, a_queue_document

NEVER, NOT_NOW, NOT_YOUR_TURN = Prospect.NEVER, Prospect.NOT_NOW, Prospect.NOT_YOUR_TURN
TAINT = Taint("dedicated", "vision", "NoSchedule")
GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class World:
    """``helps``: the kinds of action of each advice, in order; ``held_by`` and ``first``: names without namespace."""

    snapshot: ClusterSnapshot
    prospect: Prospect | None
    helps: Sequence[Sequence[Do]]
    fact: Fact | None = None
    held_by: Sequence[str] = ()
    first: Sequence[str] = ()


def it(pods: int = 1, gpus: int = 1, *, minimum: int | None = None, **more: Any) -> tuple[list, Any]:
    """The gang that waits, last in turn."""
    keys = {"queue", "required", "preferred", "priority", "is_preemptible", "sub_groups", "topology"}
    of_group = {key: more.pop(key) for key in keys & more.keys()}
    members = [a_pod(f"it-{number}", a_spec(gpus=gpus, **more), group="it") for number in range(pods)]
    return members, a_group("it", min_member=minimum or pods, created_at=NOW, **of_group)


def other(
    name: str, gpus: int, node: str | None = None, *, queue: str = "team-a", pods: int = 1, **more: Any
) -> tuple[list, Any]:
    """Another group, that runs on a node or waits since long."""
    of_group = {key: more.pop(key) for key in {"priority", "is_preemptible"} & more.keys()}
    members = [
        a_pod(f"{name}-{number}", a_spec(gpus=gpus, **more), group=name, node=node) for number in range(pods)
    ]
    return members, a_group(name, queue=queue, min_member=pods, created_at=NOW - 500, **of_group)


def cluster(nodes: Sequence[Any], *groups: tuple[list, Any], **more: Any) -> ClusterSnapshot:
    return a_snapshot(
        nodes=nodes,
        pods=[pod for pods, _ in groups for pod in pods],
        groups=[group for _, group in groups],
        **more,
    )


def nodes(count: int = 1, **more: Any) -> list[Any]:
    return [a_node(f"n{number}", **more) for number in range(count)]


def queues(**more: Any) -> list[Any]:
    return [a_queue("dept", parent=None), a_queue("team-a", **more), a_queue("team-b")]


def of_claims(per_node: int, asked: int, count: int = 1, *running: str, model: str = "") -> ClusterSnapshot:
    """Nodes whose GPUs are published as devices; pods ask for them by claims of their own."""
    pools = [
        {
            "name": "dra",
            "count": count,
            "devices": [{"profile": "nvidia-h100", "via": "dra", "count": per_node}],
        }
    ]
    fleet = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet", "pools": pools}
    objects = list(fleet_objects(Fleet.model_validate(fleet)))
    for name in ("it", *running):
        objects += _claiming(name, asked, "dra-0" if name in running else None, model)
    found = snapshot_of(ObjectSet([*objects, a_queue_document()]), now=NOW, policy=Policy())
    assert found.unreadable == ()
    return found


def _claiming(name: str, asked: int, node: str | None, model: str) -> list[dict[str, Any]]:
    request: dict[str, Any] = {
        "name": "gpus",
        "exactly": {"deviceClassName": "gpu.nvidia.com", "count": asked},
    }
    if model:
        expression = f"device.attributes['gpu.nvidia.com'].productName == '{model}'"
        request["exactly"]["selectors"] = [{"cel": {"expression": expression}}]
    claim: dict[str, Any] = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": "team", "uid": f"claim-{name}"},
        "spec": {"devices": {"requests": [request]}},
    }
    spec: dict[str, Any] = {
        "resourceClaims": [{"name": "gpus", "resourceClaimName": name}],
        "containers": [
            {"name": "main", "resources": {"requests": {"cpu": "1"}, "claims": [{"name": "gpus"}]}}
        ],
    }
    pod = a_pod_document(
        name,
        spec=spec | ({"nodeName": node} if node else {}),
        labels={"kai.scheduler/queue": "team-a"},
        annotations={"pod-group-name": name},
    )
    if node:
        pod["status"] = {"phase": "Running"}
        results = [
            {"request": "gpus", "driver": "gpu.nvidia.com", "pool": node, "device": f"gpu-{number}"}
            for number in range(asked)
        ]
        claim["status"] = {
            "allocation": {"devices": {"results": results}},
            "reservedFor": [{"resource": "pods", "name": name, "uid": pod["metadata"]["uid"]}],
        }
    group = {
        "apiVersion": "scheduling.run.ai/v2alpha2",
        "kind": "PodGroup",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"queue": "team-a", "minMember": 1},
    }
    return [claim, pod, group]


def _anti(app: str) -> PodAffinityTerm:
    selector = LabelSelector((Requirement("app", Operator.IN, (app,)),))
    return PodAffinityTerm("kubernetes.io/hostname", selector, ("team",))


def _affinity(key: str, *values: str) -> NodeSelector:
    return NodeSelector((NodeSelectorTerm(expressions=(Requirement(key, Operator.IN, values),)),))


ADD, END, RELAX, LESS = (Do.ADD_NODES,), (Do.END_GROUPS,), (Do.RELAX_LEVEL,), (Do.ASK_FOR_LESS,)
FEWER = (Do.LOWER_MINIMUM,)
LIMIT, QUOTA, UNTAINT = (Do.RAISE_LIMIT,), (Do.RAISE_QUOTA,), (Do.REMOVE_TAINT,)

WORLDS: dict[str, Callable[[], World]] = {
    # Never: the fleet is too small.
    "a gang larger than the fleet": lambda: World(
        cluster(nodes(2), it(3, 8)), NEVER, [ADD, FEWER], Fact.FLEET
    ),
    "a gang far larger than the fleet": lambda: World(
        cluster(nodes(2), it(9, 8)), NEVER, [ADD, FEWER], Fact.FLEET
    ),
    "a gang larger than the fleet, beside others that run": lambda: World(
        cluster(nodes(2), other("a", 4, "n0"), it(3, 8)),
        NEVER,
        [ADD, (Do.LOWER_MINIMUM, Do.END_GROUPS)],
        Fact.FLEET,
    ),
    "a pod larger than the largest node": lambda: World(
        cluster(nodes(2, gpus=4), it(1, 8)), NEVER, [LESS], Fact.BIGGEST_NODE
    ),
    "a pod larger than the largest node that it may use": lambda: World(
        cluster([a_node("small", gpus=4), a_node("large", taints=(TAINT,))], it(1, 8)),
        NEVER,
        [LESS, UNTAINT],
        Fact.BIGGEST_NODE,
    ),
    "a pod with more memory than any node": lambda: World(
        cluster(nodes(2), it(1, 1, memory=900 * GIB)), NEVER, [LESS], Fact.BIGGEST_NODE
    ),
    "a pod with more cores than any node": lambda: World(
        cluster(nodes(2), it(1, 1, cpu=100_000)), NEVER, [LESS], Fact.BIGGEST_NODE
    ),
    "memory of the nodes with GPUs is too short for two": lambda: World(
        cluster([a_node("gpu", memory=16 * GIB), a_node("plain", gpus=0)], it(2, 1, memory=10 * GIB)),
        NEVER,
        [ADD, FEWER],
        Fact.FLEET,
    ),
    # Never: topology.
    "a gang larger than every rack": lambda: World(
        cluster(racks(2, 2), it(3, 8, required="rack")), NEVER, [RELAX, ADD], Fact.BIGGEST_DOMAIN
    ),
    "a gang larger than every rack, most of which is taken": lambda: World(
        cluster(racks(2, 2), other("a", 8, "r0-n00"), it(3, 8, required="rack")),
        NEVER,
        [RELAX, ADD],
        Fact.BIGGEST_DOMAIN,
    ),
    "a gang larger than every rack and than the fleet": lambda: World(
        cluster(racks(2, 2), it(5, 8, required="rack")), NEVER, [ADD, FEWER], Fact.FLEET
    ),
    "two small pods that do not fit on one node": lambda: World(
        cluster(racks(2, 2, gpus=4), it(2, 4, required="kubernetes.io/hostname")),
        NEVER,
        [RELAX, FEWER],
        Fact.BIGGEST_DOMAIN,
    ),
    "a subgroup larger than every rack": lambda: World(
        cluster(
            racks(2, 2),
            (
                [a_pod(f"it-{n}", a_spec(gpus=8), group="it", subgroup="workers") for n in range(3)],
                replace(
                    a_group("it", min_member=3),
                    sub_groups=(
                        SubGroup(
                            name="workers",
                            min_member=3,
                            constraint=TopologyConstraint("racks", "rack", ""),
                        ),
                    ),
                ),
            ),
        ),
        NEVER,
        [RELAX, ADD],
        Fact.BIGGEST_DOMAIN,
    ),
    # Never: queues.
    "a limit below the request": lambda: World(
        cluster(nodes(), it(1, 8), queues=queues(limit=4)), NEVER, [LIMIT], Fact.QUEUE_LIMIT
    ),
    "a limit of nothing": lambda: World(
        cluster(nodes(), it(), queues=queues(limit=0)), NEVER, [LIMIT], Fact.QUEUE_LIMIT
    ),
    "limits of a queue and of its parent below the request": lambda: World(
        cluster(
            nodes(),
            it(1, 8),
            queues=[a_queue("dept", parent=None, limit=6), a_queue("team-a", limit=4)],
        ),
        NEVER,
        [(Do.RAISE_LIMIT, Do.RAISE_LIMIT)],
        Fact.QUEUE_LIMIT,
    ),
    "a limit below the request, of which something runs": lambda: World(
        cluster(nodes(2), other("a", 2, "n0"), it(1, 8), queues=queues(limit=4)),
        NEVER,
        [LIMIT],
        Fact.QUEUE_LIMIT,
    ),
    "a limit of cores below the request": lambda: World(
        cluster(
            nodes(),
            it(1, 1, cpu=4000),
            queues=[
                a_queue("dept", parent=None),
                replace(a_queue("team-a"), cpu=QueueResource(-1, 1, 2000)),
            ],
        ),
        NEVER,
        [LIMIT],
        Fact.QUEUE_LIMIT,
    ),
    "a limit below the request, and no room either": lambda: World(
        cluster(nodes(), other("a", 8, "n0", queue="team-b"), it(1, 8), queues=queues(limit=4)),
        NEVER,
        [(Do.RAISE_LIMIT, Do.END_GROUPS)],
        Fact.QUEUE_LIMIT,
    ),
    "more non-preemptible work than the quota": lambda: World(
        cluster(nodes(), it(1, 4, is_preemptible=False), queues=queues(gpu=2)),
        NEVER,
        [(Do.MAKE_PREEMPTIBLE,), QUOTA],
        Fact.QUEUE_QUOTA,
    ),
    # Never: rules of nodes.
    "a selector that no node has": lambda: World(
        cluster(nodes(2), it(node_selector=(("model", "h200"),))),
        NEVER,
        [(Do.DROP_SELECTOR,)],
        Fact.NODE_RULES,
    ),
    "an affinity that no node meets": lambda: World(
        cluster(nodes(2), it(required_node_affinity=_affinity("zone", "moon"))),
        NEVER,
        [(Do.DROP_SELECTOR,)],
        Fact.NODE_RULES,
    ),
    "all nodes tainted": lambda: World(
        cluster(nodes(2, taints=(TAINT,)), it()), NEVER, [UNTAINT], Fact.NODE_RULES
    ),
    "all nodes cordoned": lambda: World(
        cluster(nodes(2, is_cordoned=True), it()), NEVER, [(Do.UNCORDON,)], Fact.NODE_RULES
    ),
    "all nodes not ready": lambda: World(
        cluster(nodes(2, is_ready=False), it()), NEVER, [(Do.REPAIR_NODES,)], Fact.NODE_RULES
    ),
    "a node cordoned and tainted": lambda: World(
        cluster(nodes(1, is_cordoned=True, taints=(TAINT,)), it()),
        NEVER,
        [(Do.UNCORDON, Do.REMOVE_TAINT)],
        Fact.NODE_RULES,
    ),
    "half of the nodes cordoned": lambda: World(
        cluster([a_node("n0"), a_node("n1", is_cordoned=True)], it(2, 8)),
        NEVER,
        [(Do.UNCORDON,), ADD],
        Fact.FLEET,
    ),
    "pods that keep apart on too few nodes": lambda: World(
        cluster(nodes(2), it(3, 1, labels=(("app", "x"),), pod_anti_affinity=(_anti("x"),))),
        NEVER,
        [ADD, FEWER],
    ),
    "one port for two pods of one node": lambda: World(
        cluster(nodes(1), it(2, 1, host_ports=(HostPort(80),))), NEVER, [ADD, FEWER]
    ),
    # Never: devices.
    "a claim for more devices than a node has": lambda: World(
        of_claims(4, 8), NEVER, [LESS], Fact.BIGGEST_NODE
    ),
    "a claim for a model that no node has": lambda: World(
        of_claims(4, 1, model="H200"), NEVER, [], Fact.DEVICE_KIND
    ),
    # Never: the object itself, or not complete yet.
    "a queue that does not exist": lambda: World(
        cluster(nodes(), it(queue="nowhere")), NEVER, [(Do.CREATE_QUEUE,)], Fact.OBJECT
    ),
    "too few pods": lambda: World(cluster(nodes(), it(2, 1, minimum=4)), None, [(Do.CREATE_PODS,)]),
    "pods behind gates": lambda: World(
        cluster(nodes(), ([a_pod("it", state=PodState.GATED)], a_group("it"))), None, [(Do.UNGATE,)]
    ),
    "too few pods, and behind gates": lambda: World(
        cluster(nodes(), ([a_pod("it", state=PodState.GATED)], a_group("it", min_member=2))),
        None,
        [(Do.UNGATE, Do.CREATE_PODS)],
    ),
    # Not now.
    "one that runs holds all": lambda: World(
        cluster(nodes(), other("a", 8, "n0"), it()), NOT_NOW, [END, ADD], held_by=["a"]
    ),
    "the smaller of two is enough": lambda: World(
        cluster(nodes(2), other("a", 8, "n0"), other("b", 6, "n1"), it(1, 8)),
        NOT_NOW,
        [END, ADD],
        held_by=["b"],
    ),
    "memory is held, GPUs are free": lambda: World(
        cluster(nodes(), other("a", 0, "n0", memory=500 * GIB), it(1, 1, memory=64 * GIB)),
        NOT_NOW,
        [END, ADD],
        held_by=["a"],
    ),
    "two hold what one gang needs": lambda: World(
        cluster(nodes(2), other("a", 8, "n0"), other("b", 8, "n1"), it(2, 8)),
        NOT_NOW,
        [END, ADD],
        held_by=["a", "b"],
    ),
    "small ones are spread over all nodes": lambda: World(
        cluster(
            nodes(4),
            *(other(f"s{number}", 1, f"n{number}") for number in range(4)),
            it(1, 8),
        ),
        NOT_NOW,
        [END, ADD],
        held_by=["s0"],
    ),
    "the rack that would do is taken": lambda: World(
        cluster(racks(2, 2), other("a", 8, "r0-n00"), other("b", 8, "r1-n00"), it(2, 8, required="rack")),
        NOT_NOW,
        [END, ADD],
        held_by=["a"],
    ),
    "who is over its share is named first": lambda: World(
        cluster(
            nodes(2),
            other("fair", 8, "n0", queue="team-a"),
            other("greedy", 8, "n1", queue="team-b"),
            it(1, 8),
            queues=[a_queue("dept", parent=None), a_queue("team-a", gpu=16), a_queue("team-b", gpu=0)],
        ),
        NOT_NOW,
        [END, ADD],
        held_by=["greedy"],
    ),
    "the limit is used up by those who run": lambda: World(
        cluster(nodes(2), other("a", 4, "n0"), it(1, 4), queues=queues(limit=4)),
        NOT_NOW,
        [END, LIMIT],
        held_by=["a"],
    ),
    "the quota for non-preemptible work is used up": lambda: World(
        cluster(
            nodes(2),
            other("a", 2, "n0", is_preemptible=False),
            it(1, 2, is_preemptible=False),
            queues=queues(gpu=2),
        ),
        NOT_NOW,
        [END, (Do.MAKE_PREEMPTIBLE,)],
        held_by=["a"],
    ),
    "a pod of another scheduler holds all": lambda: World(
        cluster(nodes(), ([a_pod("foreign", a_spec(gpus=8), group=None, node="n0")], a_group("x")), it()),
        NOT_NOW,
        [END, ADD],
        held_by=["foreign"],
    ),
    "a pod that keeps others off its node": lambda: World(
        cluster(
            nodes(1),
            other("a", 1, "n0", labels=(("app", "x"),)),
            it(1, 1, pod_anti_affinity=(_anti("x"),)),
        ),
        NOT_NOW,
        [END, ADD],
        held_by=["a"],
    ),
    "a port is taken": lambda: World(
        cluster(nodes(1), other("a", 1, "n0", host_ports=(HostPort(80),)), it(host_ports=(HostPort(80),))),
        NOT_NOW,
        [END, ADD],
        held_by=["a"],
    ),
    "parts of GPUs are taken": lambda: World(
        cluster(
            nodes(1, gpus=1, gpu_memory_mib=80_000),
            (
                [
                    a_pod(
                        "a",
                        a_spec(gpus=0, gpu_share=GpuShare(portion_micros=600_000)),
                        node="n0",
                        gpu_groups=("g",),
                    )
                ],
                a_group("a"),
            ),
            it(1, 0, gpu_share=GpuShare(portion_micros=600_000)),
        ),
        NOT_NOW,
        [END, ADD],
        held_by=["a"],
    ),
    "devices of claims are taken": lambda: World(of_claims(4, 4, 1, "a"), NOT_NOW, [END, ADD], held_by=["a"]),
    # Not its turn.
    "another goes first and takes all": lambda: World(
        cluster(nodes(), other("a", 8), it()), NOT_YOUR_TURN, [END, ADD], first=["a"]
    ),
    "another of higher priority takes the rack": lambda: World(
        cluster(racks(1, 2), other("a", 8, priority=100), it(2, 8, required="rack")),
        NOT_YOUR_TURN,
        [END, ADD],
        first=["a"],
    ),
    "another takes what the limit allows": lambda: World(
        cluster(nodes(2), other("a", 4), it(1, 4), queues=queues(limit=4)),
        NOT_YOUR_TURN,
        [END, LIMIT],
        first=["a"],
    ),
    "another goes first, and one runs": lambda: World(
        cluster(nodes(2), other("a", 8), other("b", 8, "n0"), it(1, 8)),
        NOT_YOUR_TURN,
        [END, ADD],
        first=["a"],
    ),
    "room for the first, none for the second, and one runs": lambda: World(
        cluster(nodes(1), other("a", 8), other("b", 8, "n0"), it(1, 8)),
        NOT_NOW,
        [END],
        held_by=["b"],
        first=["a"],
    ),
}
