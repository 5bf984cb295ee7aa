"""Builders of resource.k8s.io documents and of the allocator's questions, with everything unsaid left sane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kai_sched.api.dra import translate_claim, translate_class, translate_slice, translate_taint_rule
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.devices.allocator import DeviceIndex, DeviceRefusal, DeviceState, Options, allocate
from kai_sched.devices.features import ALL_FEATURES, AllocatorFeatures
from kai_sched.model.devices import Claim, ClaimAllocation
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.plan import Plan, Verdict
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from tests.documents import a_node_document, a_pod_document, a_queue_document

Document = dict[str, Any]
DRIVER = "gpu.example.com"
NOW = 1_800_000_000.0
NODE = Node(name=NodeName("n1"), labels=(("kubernetes.io/hostname", "n1"),))


def a_device(name: str, *, counters: dict[str, str] | None = None, **fields: Any) -> Document:
    """A device; ``counters`` are what it consumes of counter set ``set``; attributes may be given as plain values."""
    attributes = {key: _attribute(value) for key, value in fields.pop("attributes", {}).items()}
    capacity = {
        key: value if isinstance(value, dict) else {"value": value}
        for key, value in fields.pop("capacity", {}).items()
    }
    consumes = [{"counterSet": "set", "counters": {k: {"value": v} for k, v in (counters or {}).items()}}]
    return {
        "name": name,
        "attributes": attributes,
        "capacity": capacity,
        **({"consumesCounters": consumes} if counters else {}),
        **fields,
    }


def _attribute(value: Any) -> Document:
    if isinstance(value, dict):
        return value
    kind = {bool: "bool", int: "int", str: "string", list: "strings"}[type(value)]
    return {kind: value}


def a_slice(*devices: Document, driver: str = DRIVER, pool: str = "n1", **fields: Any) -> Document:
    """The only slice of a pool of node n1."""
    where = (
        {} if {"allNodes", "nodeSelector", "perDeviceNodeSelection"} & fields.keys() else {"nodeName": "n1"}
    )
    pool_fields = {"name": pool, "generation": fields.pop("generation", 1)}
    pool_fields["resourceSliceCount"] = fields.pop("of", 1)
    name = fields.pop("name", f"{driver}-{pool}")
    spec = {"driver": driver, "pool": pool_fields, "devices": list(devices), **where, **fields}
    return {"metadata": {"name": name}, "spec": spec}


def counters(**amounts: str) -> list[Document]:
    """Counter set ``set``."""
    return [{"name": "set", "counters": {name: {"value": value} for name, value in amounts.items()}}]


def a_class(name: str = "gpu", *expressions: str, **spec: Any) -> Document:
    return {"metadata": {"name": name}, "spec": {"selectors": cel(*expressions), **spec}}


def cel(*expressions: str) -> list[Document]:
    return [{"cel": {"expression": expression}} for expression in expressions]


def a_request(name: str = "gpu", *expressions: str, count: int = 1, **fields: Any) -> Document:
    exactly = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count, **fields}
    if fields.get("allocationMode") == "All":
        del exactly["count"]
    return {"name": name, "exactly": {**exactly, "selectors": cel(*expressions)}}


def a_listed_request(name: str, *alternatives: Document) -> Document:
    """A firstAvailable request of requests made by ``a_request``."""
    subs = [{"name": entry["name"], **entry["exactly"]} for entry in alternatives]
    return {"name": name, "firstAvailable": subs}


def a_claim_document(
    *requests: Document,
    name: str = "claim",
    namespace: str = "team",
    status: Document | None = None,
    **devices: Any,
) -> Document:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"},
        "spec": {"devices": {"requests": list(requests) or [a_request()], **devices}},
        **({"status": status} if status else {}),
    }


def a_claim(*requests: Document, allows_admin: bool = False, **more: Any) -> Claim:
    return translate_claim(a_claim_document(*requests, **more), namespace_allows_admin=allows_admin)


def an_index(
    slices: Iterable[Document],
    classes: Iterable[Document] = (),
    *,
    rules: Iterable[Document] = (),
    features: AllocatorFeatures = ALL_FEATURES,
    nodes: tuple[Node, ...] = (NODE,),
) -> DeviceIndex:
    """Class ``gpu`` takes every device unless classes are given."""
    return DeviceIndex(
        [translate_slice(entry) for entry in slices],
        [translate_class(entry) for entry in classes or (a_class(),)],
        [translate_taint_rule(entry) for entry in rules],
        features,
        nodes,
    )


def ask(
    slices: Iterable[Document],
    *claims: Claim,
    held: Sequence[ClaimAllocation] = (),
    options: Options | None = None,
    node: Node = NODE,
    **index: Any,
) -> tuple[ClaimAllocation, ...] | DeviceRefusal:
    """What the allocator says to these claims on node n1 while ``held`` is held."""
    state = DeviceState()
    for allocation in held:
        state.take(allocation)
    return allocate(an_index(slices, **index), state, node, claims, options or Options())


def devices_of(outcome: tuple[ClaimAllocation, ...] | DeviceRefusal) -> list[list[str]]:
    """Names of the devices of each claim; a refusal fails the test with its message."""
    assert not isinstance(outcome, DeviceRefusal), outcome.message
    return [[result.device for result in allocation.results] for allocation in outcome]


def a_user(name: str, *claims: str, group: str = "") -> Document:
    """A pending pod that uses claims by name."""
    refs = [{"name": f"ref-{number}", "resourceClaimName": claim} for number, claim in enumerate(claims)]
    labels = {"kai.scheduler/queue": "team-a"}
    annotations = {"pod-group-name": group} if group else None
    return a_pod_document(name, spec={"resourceClaims": refs}, labels=labels, annotations=annotations)


@dataclass(frozen=True)
class Decided:
    """A cycle over documents and what it decided, checked by the independent judge."""

    snapshot: ClusterSnapshot
    plan: Plan

    def devices_of(self, pod: str) -> list[str]:
        """Devices of a bound pod; a pod without a place fails the test with its verdict."""
        bind = next((entry for entry in self.plan.binds if entry.pod == f"team/{pod}"), None)
        assert bind is not None, [verdict.message for verdict in self.plan.verdicts]
        return [device.split("/")[-1] for claim in bind.claims for device in claim.devices]

    def node_of(self, pod: str) -> str:
        return next(entry.node for entry in self.plan.binds if entry.pod == f"team/{pod}")

    def allocation_of(self, claim: str) -> ClaimAllocation:
        """The allocation that this cycle made."""
        used = (entry for bind in self.plan.binds for entry in bind.claims if entry.claim == f"team/{claim}")
        return next(entry.allocation for entry in used if entry.allocation is not None)

    def verdict_of(self, group: str) -> Verdict:
        return next(entry for entry in self.plan.verdicts if entry.pod_group == f"team/{group}")


def decide(*documents: Document, nodes: int = 1, policy: Policy | None = None) -> Decided:
    """One cycle over nodes n1, n2 ..., queue team-a, class ``gpu`` unless another is given, and these objects."""
    fleet = [a_node_document(f"n{number + 1}") for number in range(nodes)]
    given = [_typed(document) for document in documents]
    if not any(document["kind"] == "DeviceClass" for document in given):
        given.append(_typed(a_class()))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
    if not any(document["kind"] == "Queue" for document in given):
        given.append(a_queue_document())
    objects = ObjectSet([namespace, *fleet, *given])
    policy = policy or Policy()
    snapshot = snapshot_of(objects, now=NOW, policy=policy)
    assert snapshot.unreadable == ()
    plan = plan_cycle(snapshot, policy)
    assert PlanChecker()(snapshot, policy, plan) == ()
    return Decided(snapshot, plan)


def _typed(document: Document) -> Document:
    if "kind" in document:
        return document
    spec = document["spec"]
    kind = "ResourceSlice" if "pool" in spec else "DeviceTaintRule" if "taint" in spec else "DeviceClass"
    return {"apiVersion": "resource.k8s.io/v1", "kind": kind, **document}


def held_by_another(device: str, *, pod: str = "other", uid: str = "uid-elsewhere", **result):
    """A claim's status: allocated on node n1 and reserved for some pod."""
    entry = {"request": "gpu", "driver": DRIVER, "pool": "n1", "device": device, **result}
    here = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    return {
        "allocation": {"devices": {"results": [entry]}, "nodeSelector": {"nodeSelectorTerms": [here]}},
        "reservedFor": [{"resource": "pods", "name": pod, "uid": uid}],
    }
