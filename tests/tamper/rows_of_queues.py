"""Rows of quotas: limits and deserved quota, in the queue itself and above it, whatever the GPUs come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kai_sched.model.devices import Claim, ClaimAllocation, ClaimSpec, DeviceRequest, DeviceResult
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.queues import QueueResource
from kai_sched.model.selectors import LabelSelector, Operator, Requirement
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import GpuShare, PodClaimRef
from kai_sched.placement.checker import ViolationKind as Kind
from tests.builders import a_group, a_node, a_pod, a_snapshot, a_spec
from tests.tamper.row import Row, Tamper, groups_with, pods_with, specs_with, world_with
from tests.unit.devices.dra import a_claim_document, a_device, a_slice, a_user, decide


def a_department(**more: Any) -> ClusterSnapshot:
    """A pod for two GPUs in a queue where another one runs."""
    pods = [a_pod("p", a_spec(gpus=2), group="g"), a_pod("runs", a_spec(gpus=2), group="r", node="n1")]
    groups = [a_group("g"), a_group("r")]
    return a_snapshot(nodes=[a_node("n1")], pods=pods, groups=groups, **more)


def a_part() -> ClusterSnapshot:
    """A pod for half a GPU."""
    spec = a_spec(gpus=0, gpu_share=GpuShare(portion_micros=500_000))
    return a_snapshot(nodes=[a_node("n1")], pods=[a_pod("p", spec, group="g")], groups=[a_group("g")])


def a_claimant() -> ClusterSnapshot:
    """A pod whose GPU is a device of its claim."""
    return decide(a_slice(a_device("d0")), a_claim_document(), a_user("p", "claim")).snapshot


def bounded(name: str, *, resource: str = "gpu", **quota: float) -> Tamper:
    """A bound of which the engine knew nothing."""

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        bound = QueueResource(**{"deserved": -1.0, "over_quota_weight": 1.0, "limit": -1.0, **quota})
        queues = tuple(
            replace(one, **{resource: bound}) if one.name == name else one  # type: ignore[arg-type]
            for one in snapshot.queues
        )
        return replace(snapshot, queues=queues)

    return world_with(change)


def open_to(name: str, value: str, key: str = "kubernetes.io/metadata.name") -> Tamper:
    """A queue for namespaces with this label only, of which the engine knew nothing."""
    selector = LabelSelector((Requirement(key, Operator.IN, (value,)),))

    def change(snapshot: ClusterSnapshot) -> ClusterSnapshot:
        queues = tuple(
            replace(one, namespace_selector=selector) if one.name == name else one for one in snapshot.queues
        )
        return replace(snapshot, queues=queues)

    return world_with(change)


def both(first: Tamper, second: Tamper) -> Tamper:
    return lambda snapshot, plan: second(*first(snapshot, plan))


def holding_a_claim(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """The pod that runs holds three devices of a claim, too."""
    results = tuple(DeviceResult(request="r", driver="d", pool="n", device=f"d{n}") for n in range(3))
    claim = Claim(
        key=ClaimKey("team/c"),
        uid=Uid("u"),
        spec=ClaimSpec(requests=(DeviceRequest(name="r", device_class="gpu", count=3),)),
        allocation=ClaimAllocation(results=results),
    )
    changed, _ = pods_with("runs", claims=(PodClaimRef("c", claim.key, is_own=False),))(snapshot, _NO_PLAN)
    return replace(changed, claims=(claim,))


_NO_PLAN: Any = None
_LIMIT: Final = "no queue, and no queue above it, is filled beyond its limit"
_QUOTA: Final = "work that cannot be taken back stays within deserved quota, in every queue above it"
_ACCESS: Final = "a queue is used by the namespaces that it is open to"

ROWS_OF_QUEUES: Final = [
    Row(
        Kind.QUEUE_LIMIT,
        _LIMIT,
        "the limit forgotten",
        a_department,
        bounded("team-a", limit=3),
        "2 allocated + 2 planned > 3",
    ),
    Row(
        Kind.QUEUE_LIMIT, _LIMIT, "the limit above forgotten", a_department, bounded("dept", limit=3), "dept"
    ),
    Row(
        Kind.QUEUE_LIMIT,
        _LIMIT,
        "the limit on memory forgotten",
        a_department,
        bounded("team-a", resource="memory", limit=1500),
        "memory",
    ),
    Row(
        Kind.QUEUE_LIMIT,
        _LIMIT,
        "parts of GPUs not counted",
        a_part,
        bounded("team-a", limit=0.25),
        "0.5 planned",
    ),
    Row(
        Kind.QUEUE_LIMIT,
        _LIMIT,
        "devices of claims not counted",
        a_claimant,
        bounded("team-a", limit=0),
        "1 planned",
    ),
    Row(
        Kind.QUEUE_LIMIT,
        _LIMIT,
        "devices that are held already not counted",
        a_department,
        both(world_with(holding_a_claim), bounded("team-a", limit=6)),
        "5 allocated + 2 planned > 6",
    ),
    Row(
        Kind.QUEUE_LIMIT,
        _LIMIT,
        "what runs for a lost group not counted",
        a_department,
        both(
            both(
                specs_with(["runs"], labels=(("kai.scheduler/queue", "team-a"),)),
                world_with(
                    lambda one: replace(
                        one, pod_groups=tuple(group for group in one.pod_groups if group.key != "team/r")
                    )
                ),
            ),
            bounded("team-a", limit=3),
        ),
        "2 allocated + 2 planned > 3",
    ),
    Row(
        Kind.NON_PREEMPTIBLE_OVER_QUOTA,
        _QUOTA,
        "deserved quota forgotten",
        a_department,
        both(groups_with(is_preemptible=False), bounded("team-a", deserved=3)),
        "2 allocated + 2 planned > 3",
    ),
    Row(
        Kind.NON_PREEMPTIBLE_OVER_QUOTA,
        _QUOTA,
        "deserved quota above forgotten",
        a_department,
        both(groups_with(is_preemptible=False), bounded("dept", deserved=3)),
        "dept",
    ),
    Row(
        Kind.QUEUE_ACCESS,
        _ACCESS,
        "namespaceSelector forgotten",
        a_department,
        open_to("team-a", "other"),
        "namespace team may not use queue team-a",
    ),
    Row(
        Kind.QUEUE_ACCESS,
        _ACCESS,
        "namespaceSelector above forgotten",
        a_department,
        open_to("dept", "other"),
        "namespace team may not use queue dept",
    ),
    Row(
        Kind.QUEUE_ACCESS,
        _ACCESS,
        "labels of the namespace misread",
        a_department,
        open_to("team-a", "team", key="tier"),
        "namespace team may not use queue team-a",
    ),
]
