"""Fleets with confidential nodes, pods and claims that ask for their devices, and what a cycle says of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.grouping import group_objects
from kai_sched.localcluster.fleet import fleet_objects, read_fleet
from kai_sched.model.plan import Plan
from kai_sched.model.policy import ConfidentialRules, Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import check_plan
from kai_sched.planning.cycle import plan_cycle
from tests.documents import Document, a_pod_document, a_queue_document
from tests.unit.devices.dra import a_claim_document, a_request

FLEETS = Path(__file__).parents[3] / "examples/fleets"
POLICY = Policy(default_queue="team-a", fabric_drivers=("compute-domain.nvidia.com",))
NO_RULES = replace(POLICY, confidential=ConfidentialRules(tee_labels=(), modes=(), whole_node_modes=()))
SNP = "kata-qemu-nvidia-gpu-snp"
VFIO, GPU, MIG = "vfio.gpu.nvidia.com", "gpu.nvidia.com", "mig.nvidia.com"
CHANNEL = "compute-domain-default-channel.nvidia.com"
TEE = {
    "amd.feature.node.kubernetes.io/snp": "true",
    "nvidia.com/cc.mode": "on",
    "nvidia.com/cc.mode.state": "on",
    "nvidia.com/cc.ready.state": "true",
}
PPCIE = {**TEE, "nvidia.com/cc.mode": "ppcie", "nvidia.com/cc.mode.state": "ppcie"}
SMALL = 'device.attributes["gpu.nvidia.com"].profile == "1g.10gb"'
NVSWITCH, PGPU = "nvidia.com/nvswitch", "nvidia.com/pgpu"


@lru_cache
def _fleet(name: str) -> tuple[Document, ...]:
    return tuple(fleet_objects(read_fleet(FLEETS / f"{name}.yaml")))


def a_fleet(name: str = "confidential", *prefixes: str, **labels: str) -> list[Document]:
    """The objects of an example fleet; only nodes with these prefixes, with labels put on all of them."""
    found = []
    for one in deepcopy(_fleet(name)):
        node = one["metadata"]["name"] if one["kind"] == "Node" else one.get("spec", {}).get("nodeName", "")
        if node and prefixes and not node.startswith(prefixes):
            continue
        if one["kind"] == "Node":
            one["metadata"]["labels"] |= labels
        found.append(one)
    return found


def a_pod(name: str = "p", *claims: str, runtime: str = "", group: str = "", **amounts: str) -> Document:
    """A pod that uses claims by name; ``amounts`` of ``nvidia.com`` resources."""
    counted = {f"nvidia.com/{resource}": count for resource, count in amounts.items()}
    spec: dict[str, Any] = {
        "containers": [
            {"name": "main", "resources": {"requests": {"cpu": "1", **counted}, "limits": counted}}
        ],
        "resourceClaims": [{"name": claim, "resourceClaimName": claim} for claim in claims],
    }
    if runtime:
        spec["runtimeClassName"] = runtime
    return a_pod_document(name, spec=spec, annotations={"pod-group-name": group} if group else None)


def a_claim(device_class: str, *selectors: str, name: str = "claim", **fields: Any) -> Document:
    return a_claim_document(a_request("gpu", *selectors, deviceClassName=device_class, **fields), name=name)


def decided(objects: Sequence[Document], policy: Policy = POLICY) -> tuple[ClusterSnapshot, Plan]:
    snapshot = snapshot_of(
        ObjectSet([*objects, a_queue_document()]), now=1_800_000_000.0, policy=policy, group=group_objects
    )
    assert snapshot.unreadable == ()
    return snapshot, plan_cycle(snapshot, policy)


def places(objects: Sequence[Document], policy: Policy = POLICY) -> dict[str, tuple[str, list[str]]]:
    """Pod -> (node, devices), by a plan that the checker finds good."""
    snapshot, plan = decided(objects, policy)
    assert check_plan(snapshot, policy, plan) == ()
    return {
        bind.pod.split("/")[1]: (
            bind.node,
            [device.split("/")[-1] for claim in bind.claims for device in claim.devices],
        )
        for bind in plan.binds
    }


def refusal(objects: Sequence[Document], policy: Policy = POLICY) -> str:
    """Why nothing is placed; without the rules something would be, and the checker refuses that plan."""
    snapshot, careless = decided(objects, NO_RULES)
    assert careless.binds, [verdict.message for verdict in careless.verdicts]
    assert check_plan(snapshot, NO_RULES, careless) == ()
    assert check_plan(snapshot, policy, careless) != ()
    _, plan = decided(objects, policy)
    assert plan.binds == ()
    (verdict,) = plan.verdicts
    return verdict.message


ALL_GPUS = [f"gpu-vfio-{number}" for number in range(8)]
