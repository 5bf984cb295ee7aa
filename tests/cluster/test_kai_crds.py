"""Where KAI installed its CRDs first: we run on them; what they do not know is pruned and never written in a loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from kai_sched.api.crd_compare import CrdState, compare, replacement
from kai_sched.api.generated import RESOURCES
from kai_sched.api.schema import OURS, crd_document
from kai_sched.localcluster import Audit, LocalCluster
from tests.cluster.objects import a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import StartOperator

Document = dict[str, Any]
WATCH_SECONDS = 4.0


def without_ours(document: Any) -> Any:
    """The definition as KAI has it: no field and no column of ours."""
    if isinstance(document, dict):
        return {key: without_ours(value) for key, value in document.items() if key != OURS}
    if isinstance(document, list):
        return [without_ours(one) for one in document if not is_our_column(one)]
    return document


def is_our_column(entry: Any) -> bool:
    return isinstance(entry, dict) and f".{OURS}" in str(entry.get("jsonPath"))


@pytest.fixture
def kai_crds(tmp_path: Path) -> Path:
    folder = tmp_path / "crds"
    folder.mkdir()
    for resource in RESOURCES:
        (folder / f"{resource.name}.yaml").write_text(yaml.safe_dump(without_ours(crd_document(resource))))
    return folder


def test_the_operator_runs_on_the_crds_of_kai(
    start_cluster: Callable[..., LocalCluster], kai_crds: Path, start_operator: StartOperator
) -> None:
    cluster = start_cluster(crds=kai_crds, audit=Audit.REQUESTS)
    cluster.new_namespace("team")
    with_nodes(cluster, plugin=1, gpus=4)
    cluster.api.create(a_queue())
    operator = start_operator(on=cluster).wait_leading()
    cluster.api.create(a_pod_group("gang", "team", minMember=2))
    cluster.api.create_all(a_pod(f"p{n}", "team", group="gang", gpus=1) for n in range(2))
    cluster.api.create(a_pod_group("big", "team", minMember=2))
    cluster.api.create_all(a_pod(f"b{n}", "team", group="big", gpus=3) for n in range(2))

    def nodes() -> set[str]:
        return {
            pod["metadata"]["name"] for pod in cluster.api.list("Pod", "team") if pod["spec"].get("nodeName")
        }

    def told() -> bool:
        group = cluster.api.get("PodGroup", "big", "team")
        return bool((group.get("status") or {}).get("schedulingConditions"))

    def pruned_on(kind: str, name: str) -> Document:
        conditions = (cluster.api.get(kind, name).get("status") or {}).get("conditions") or []
        return next((entry for entry in conditions if entry["type"] == "FieldsPruned"), {})

    operator.wait_until(lambda: nodes() == {"p0", "p1"}, "the gang that fits")
    operator.wait_until(told, "the reason of the one that does not")
    operator.wait_until(
        lambda: "nvidia.com/gpu" in orjson.dumps(cluster.api.get("Queue", "team-a").get("status")).decode(),
        "the queue's status",
    )
    assert OURS not in cluster.api.get("Queue", "team-a")["status"]
    operator.wait_until(
        lambda: "podgroups" in pruned_on("Queue", "team-a").get("message", ""), "the word about it"
    )
    said = pruned_on("Queue", "team-a")
    assert (said["status"], said["reason"]) == ("True", "OtherDefinitions")
    assert "podgroups.scheduling.run.ai and queues.scheduling.run.ai" in said["message"]
    assert cluster.api.get("PodGroup", "big", "team")["status"]["resourcesStatus"]["requested"] == {
        "cpu": "2",
        "nvidia.com/gpu": "6",
    }
    time.sleep(WATCH_SECONDS)
    before = operator.writes("queues/status", "podgroups/status")
    time.sleep(WATCH_SECONDS)
    assert operator.writes("queues/status", "podgroups/status") == before

    # A shard, which KAI's installation has, says it from then on; the queue no more.
    cluster.api.create(
        {"apiVersion": "kai.scheduler/v1", "kind": "SchedulingShard", "metadata": {"name": "default"}}
    )
    operator.wait_until(lambda: pruned_on("SchedulingShard", "default") != {}, "the word on the shard")
    operator.wait_until(lambda: pruned_on("Queue", "team-a") == {}, "its end on the queue")
    assert pruned_on("SchedulingShard", "default")["message"] == said["message"]
    for resource in RESOURCES:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource.name}"
        found = compare(resource, cluster.api.request("GET", path))
        has_ours = OURS in orjson.dumps(crd_document(resource)).decode()
        assert (found.state is CrdState.BEHIND, found.lacks_our_fields) == (has_ours, has_ours)

    # Our own definitions in their place: everything is shown, and the condition is taken back.
    for resource in RESOURCES:
        present = cluster.api.get("CustomResourceDefinition", resource.name)
        cluster.api.replace(replacement(resource, present))
    for name in ("p0", "b0", "b1"):
        cluster.api.delete("Pod", name, "team")
    operator.wait_until(lambda: OURS in cluster.api.get("Queue", "team-a")["status"], "our part")
    operator.wait_until(
        lambda: "podgroups" not in pruned_on("SchedulingShard", "default")["message"], "the condition's end"
    )
    assert pruned_on("SchedulingShard", "default")["status"] == "False"
