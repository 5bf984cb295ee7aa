"""Confidential GPUs on the fleet of ``examples/fleets/confidential.yaml``: who may run where, and with which devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.grouping import group_objects
from kai_sched.localcluster.fleet import fleet_objects, read_fleet
from kai_sched.model.plan import Placement, Verdict
from kai_sched.model.policy import Policy
from kai_sched.planning.cycle import plan_cycle
from tests.documents import Document, a_pod_document, a_queue_document

FLEET = Path(__file__).parents[3] / "examples/fleets/confidential.yaml"
POLICY = Policy(use_solver=False, default_queue="team-a")
TEE_NODES = ("cc-on-0", "cc-on-1", "cc-ppcie-0", "cc-ppcie-dra-0", "cc-changing-0")
SNP, TDX = "kata-qemu-nvidia-gpu-snp", "kata-qemu-nvidia-gpu-tdx"


def a_pod(
    runtime_class: str = "", claim: str = "", annotations: dict[str, str] | None = None, **extended: str
) -> Document:
    """A pod with claim ``gpu`` of that class, or with extended resources of ``nvidia.com``."""
    amounts = {f"nvidia.com/{name}": count for name, count in extended.items()}
    spec: dict[str, Any] = {
        "containers": [
            {"name": "main", "resources": {"requests": {"cpu": "1", **amounts}, "limits": amounts}}
        ]
    }
    if runtime_class:
        spec["runtimeClassName"] = runtime_class
    if claim:
        spec["resourceClaims"] = [{"name": "gpu", "resourceClaimName": "gpu"}]
    return a_pod_document("new", annotations=annotations, spec=spec)


def decide(
    pod: Document,
    claim: str = "",
    *,
    labels: dict[str, dict[str, str]] | None = None,
    **allocatable: dict[str, str],
) -> tuple[Placement | None, Verdict]:
    """The placement of the pod on the fleet. ``labels`` and ``allocatable``: what nodes (``_`` for ``-``) have besides."""
    objects = [*fleet_objects(read_fleet(FLEET)), a_queue_document(), pod]
    for node in (each for each in objects if each["kind"] == "Node"):
        name = node["metadata"]["name"]
        node["metadata"]["labels"] |= (labels or {}).get(name, {})
        node["status"]["allocatable"] |= allocatable.get(name.replace("-", "_"), {})
    if claim:
        request = {"name": "gpu", "exactly": {"deviceClassName": claim}}
        objects.append(
            {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceClaim",
                "metadata": {"name": "gpu", "namespace": "team"},
                "spec": {"devices": {"requests": [request]}},
            }
        )
    snapshot = snapshot_of(ObjectSet(objects), now=1_800_000_000.0, policy=POLICY, group=group_objects)
    plan = plan_cycle(snapshot, POLICY)
    (verdict,) = plan.verdicts
    return next(iter(plan.binds), None), verdict


def test_a_confidential_pod_gets_a_passthrough_gpu_of_a_node_that_is_ready_for_it():
    placement, verdict = decide(a_pod(SNP, claim="vfio"), "vfio.gpu.nvidia.com")

    assert placement is not None, verdict.message
    assert placement.node == "cc-on-0"
    assert placement.claims[0].devices == ("gpu.nvidia.com/cc-on-0/gpu-vfio-0",)


def test_an_ordinary_pod_gets_an_ordinary_gpu():
    placement, verdict = decide(a_pod(claim="gpu"), "gpu.nvidia.com")

    assert placement is not None, verdict.message
    assert placement.node.startswith("plain-")
    assert placement.claims[0].devices == (f"gpu.nvidia.com/{placement.node}/gpu-0",)


def test_protected_pcie_gives_all_gpus_and_switches_to_one_pod():
    placement, verdict = decide(a_pod(SNP, pgpu="8", nvswitch="4"))

    assert placement is not None, verdict.message
    assert placement.node == "cc-ppcie-0"


@pytest.mark.parametrize("part", [{"pgpu": "1"}, {"pgpu": "8"}, {"pgpu": "8", "nvswitch": "2"}], ids=str)
def test_no_part_of_a_node_in_protected_pcie_mode_is_given_out(part):
    placement, verdict = decide(a_pod(SNP, **part))

    assert placement is None
    assert "2 are in mode ppcie, all their GPUs go to one pod" in verdict.message


def test_a_pod_for_another_trusted_execution_environment_finds_no_node():
    placement, verdict = decide(a_pod(TDX, claim="vfio"), "vfio.gpu.nvidia.com")

    assert placement is None
    assert "lack the trusted execution environment intel.feature.node.kubernetes.io/tdx" in verdict.message


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"nvidia.com/cc.mode.state": "off"}, "not in a confidential GPU mode"),
        ({"nvidia.com/cc.mode.state": "failed"}, "not in a confidential GPU mode"),
        ({"nvidia.com/cc.mode": "off"}, "changing its confidential GPU mode"),
        ({"nvidia.com/cc.ready.state": "false"}, "not have nvidia.com/cc.ready.state=true"),
        ({"amd.feature.node.kubernetes.io/snp": "false"}, "the trusted execution environment"),
    ],
    ids=str,
)
def test_each_label_of_the_node_counts(labels, reason):
    placement, verdict = decide(
        a_pod(SNP, claim="vfio"), "vfio.gpu.nvidia.com", labels=dict.fromkeys(TEE_NODES, labels)
    )

    assert placement is None
    assert reason in verdict.message


def test_an_ordinary_pod_keeps_off_gpus_that_are_in_a_confidential_mode():
    offered = {"nvidia.com/gpu": "8"}

    placement, verdict = decide(a_pod(gpu="1"), cc_on_0=offered, cc_on_1=offered)

    assert placement is None or placement.node.startswith("plain-"), verdict.message


def test_a_pod_without_gpus_may_use_a_confidential_node():
    pod = a_pod()
    pod["spec"]["nodeSelector"] = {"nvidia.com/cc.mode.state": "on"}

    placement, verdict = decide(pod)

    assert placement is not None, verdict.message
    assert placement.node == "cc-on-0"


def test_gpus_are_not_shared_with_a_confidential_pod():
    placement, verdict = decide(a_pod(SNP, annotations={"gpu-fraction": "0.5"}))

    assert placement is None
    assert "share a GPU with a confidential pod" in verdict.message
