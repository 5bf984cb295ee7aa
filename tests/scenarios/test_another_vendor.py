"""A vendor that nobody here has heard of, known by settings alone: confidential nodes, partitions, counts, memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kai_sched.api import kinds
from kai_sched.api.objects import ObjectSet
from kai_sched.api.settings import load_settings
from kai_sched.api.shard_policy import base_policy
from kai_sched.api.snapshot import snapshot_of
from kai_sched.cluster.mirror import Mirror
from kai_sched.devices.index import DeviceIndex
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.queues import QuotaVector
from kai_sched.planning.accounting import Accounting
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import plan_cycle
from tests.documents import Document, a_node_document, a_pod_document, a_queue_document
from tests.unit.devices.dra import a_claim_document, a_class, a_device, a_request, a_slice

SETTINGS = r"""
apiVersion: kai-sched.dev/v1alpha1
kind: Configuration
gpuResources: [acme.com/accelerator]
partitionResources: acme\.com/slice-of-(\d+)
gpuCountLabel: acme.com/accelerators
gpuMemoryLabel: acme.com/mebibytes
confidential:
  teeLabels: {-vault: acme.com/enclave}
  modeLabel: acme.com/wanted
  modeStateLabel: acme.com/seal
  readyLabel: ""
  modes: [sealed, bonded]
  wholeNodeModes: [bonded]
  resourcePrefix: acme.com/
  drivers: [acme.com]
  passthroughAttribute: form
  passthroughValues: [raw]
"""
SEALED = {"acme.com/enclave": "true", "acme.com/wanted": "sealed", "acme.com/seal": "sealed"}
BONDED = {"acme.com/enclave": "true", "acme.com/wanted": "bonded", "acme.com/seal": "bonded"}
OTHER = {"nvidia.com/cc.mode": "on", "nvidia.com/cc.mode.state": "on", "nvidia.com/gpu.count": "1"}
VAULT = "kata-vault"


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    return replace(base_policy(load_settings(path, environment={})), stages=Policy().stages)


def a_node(labels: dict[str, str], **amounts: str) -> Document:
    basics = {"cpu": "64", "memory": "512Gi", "pods": "110"}
    node = a_node_document(
        "n1",
        allocatable=basics | {f"acme.com/{key.replace('_', '-')}": value for key, value in amounts.items()},
    )
    node["metadata"]["labels"] |= labels
    return node


def a_pod(*, runtime: str = "", claim: str = "", **amounts: str) -> Document:
    counted = {f"acme.com/{key.replace('_', '-')}": value for key, value in amounts.items()}
    spec: dict[str, Any] = {
        "containers": [
            {"name": "main", "resources": {"requests": {"cpu": "1", **counted}, "limits": counted}}
        ]
    }
    if runtime:
        spec["runtimeClassName"] = runtime
    if claim:
        spec["resourceClaims"] = [{"name": "it", "resourceClaimName": claim}]
    return a_pod_document("p", spec=spec, labels={"kai.scheduler/queue": "team-a"})


def devices(*forms: str) -> list[Document]:
    """A slice of the vendor's driver and its class."""
    found = [a_device(f"d{number}", attributes={"form": form}) for number, form in enumerate(forms)]
    return [
        {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", **a_slice(*found, driver="acme.com")},
        {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", **a_class("acme")},
    ]


def a_claim(count: int) -> Document:
    return a_claim_document(a_request(count=count, deviceClassName="acme"))


def planned(policy: Policy, *objects: Document) -> Plan:
    snapshot = snapshot_of(ObjectSet([*objects, a_queue_document()]), now=1_800_000_000.0, policy=policy)
    assert snapshot.unreadable == ()
    plan = plan_cycle(snapshot, policy)
    assert PlanChecker()(snapshot, policy, plan) == ()
    return plan


BY_COUNT = [
    (SEALED, {"runtime": VAULT, "accelerator": "1"}, ""),
    (SEALED, {"accelerator": "1"}, "have their GPUs in a confidential mode"),
    (SEALED, {"slice_of_2": "1"}, "have their GPUs in a confidential mode"),
    (SEALED, {"runtime": VAULT, "slice_of_2": "1"}, "cannot share a GPU with a confidential pod"),
    (
        SEALED | {"acme.com/wanted": "open"},
        {"runtime": VAULT, "accelerator": "1"},
        "changing their confidential",
    ),
    (
        SEALED | {"acme.com/enclave": "no"},
        {"runtime": VAULT},
        "lack the trusted execution environment acme.com/enclave",
    ),
    (OTHER, {"accelerator": "1"}, ""),
    (OTHER, {"runtime": "kata-qemu-nvidia-gpu-snp", "accelerator": "1"}, ""),
    (BONDED, {"runtime": VAULT, "accelerator": "8", "slice_of_2": "0"}, ""),
    (BONDED, {"runtime": VAULT, "accelerator": "7"}, "mode bonded, all"),
]


@pytest.mark.parametrize(("labels", "asked", "reason"), BY_COUNT, ids=str)
def test_counted_accelerators_are_under_the_rules_for_confidential_nodes(policy, labels, asked, reason):
    slices = {} if "mode.state" in str(labels) or labels is BONDED else {"slice_of_2": "4"}

    plan = planned(policy, a_node(labels, accelerator="8", **slices), a_pod(**asked))

    (verdict,) = plan.verdicts
    assert len(plan.binds) == (0 if reason else 1), verdict.message
    words = [word for word in reason.split() if word not in {"have", "lack"}]
    assert " ".join(words) in verdict.message


BY_CLAIM = [
    (SEALED, ("raw", "raw"), 1, VAULT, ""),
    (SEALED, ("host", "host"), 1, VAULT, "passed through"),
    (SEALED, ("host", "host"), 1, "", "no driver on the host has them"),
    (SEALED, ("raw", "raw"), 1, "", ""),
    (BONDED, ("raw", "raw"), 2, VAULT, ""),
    (BONDED, ("raw", "raw"), 1, VAULT, "mode bonded, all"),
    (OTHER, ("host", "host"), 1, "", ""),
]


@pytest.mark.parametrize(("labels", "forms", "count", "runtime", "reason"), BY_CLAIM, ids=str)
def test_claimed_accelerators_are_under_them_too(policy, labels, forms, count, runtime, reason):
    pod = a_pod(runtime=runtime, claim="claim")

    plan = planned(policy, a_node(labels), *devices(*forms), a_claim(count), pod)

    (verdict,) = plan.verdicts
    assert len(plan.binds) == (0 if reason else 1), verdict.message
    assert reason in verdict.message


def test_partitions_and_whole_accelerators_count_in_quotas(policy):
    pod = a_pod(accelerator="1", slice_of_2="3")
    snapshot = snapshot_of(ObjectSet([a_node({}), pod]), now=0.0, policy=policy)
    account = Accounting.of(snapshot, policy, DeviceIndex.of(snapshot.fleet))

    (usage,) = account.usage().values()

    assert usage.pending.gpu == 1 + 3 * 2


@pytest.mark.parametrize(("label", "total"), [({"acme.com/accelerators": "2"}, 2), (OTHER, 4)])
def test_the_vendors_label_says_whether_plugin_and_slices_offer_the_same(policy, label, total):
    published = devices("host", "host")
    published[1]["metadata"]["name"] = "gpu"
    snapshot = snapshot_of(ObjectSet([a_node(label, accelerator="2"), *published]), now=0.0, policy=policy)
    account = Accounting.of(snapshot, policy, DeviceIndex.of(snapshot.fleet))

    assert account.total_capacity() == QuotaVector(total, 64_000, (512 << 30) / 1_000_000)


def test_the_running_scheduler_reads_the_vendors_memory_label(policy):
    mirror = Mirror()
    node = a_node({"acme.com/mebibytes": "40000", "nvidia.com/gpu.memory": "1"})
    node["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    mirror.event(kinds.NODE, "ADDED", node)

    (found,) = mirror.snapshot(0.0, policy).fleet.nodes

    assert found.gpu_memory_mib == 40_000


@pytest.mark.parametrize("pattern", ["acme(", "acme", "(a)(b)"])
def test_a_pattern_of_partitions_has_one_group(tmp_path, pattern):
    path = tmp_path / "settings.yaml"
    path.write_text(
        f"apiVersion: kai-sched.dev/v1alpha1\nkind: Configuration\npartitionResources: '{pattern}'\n"
    )

    with pytest.raises(Exception, match="partitionResources"):
        load_settings(path, environment={})
