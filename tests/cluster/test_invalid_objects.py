"""What a schema cannot say: each such mistake becomes condition Invalid on its object naming the path, and costs only it."""

from __future__ import annotations

import time
from typing import Any

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator

Document = dict[str, Any]


def leaf(name: str, **fields: Any) -> Document:
    return {"name": name, "minMember": 1, **fields}


GROUPS: dict[str, tuple[Document, str]] = {
    "cycle": (
        {"subGroups": [leaf("x"), {"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}]},
        "spec.subGroups[1].parent: cycle",
    ),
    "own-parent": ({"subGroups": [leaf("x"), leaf("a", parent="a")]}, "spec.subGroups[1].parent: cycle"),
    "no-parent": ({"subGroups": [leaf("a", parent="none")]}, "spec.subGroups[0].parent: no subgroup 'none'"),
    "twice": ({"subGroups": [leaf("a"), leaf("b"), leaf("a")]}, "spec.subGroups[2].name: 'a' is also"),
    "no-member": ({"subGroups": [{"name": "a"}]}, "spec.subGroups[0].minMember: is missing"),
    "empty-middle": (
        {"subGroups": [{"name": "a", "minSubGroup": 1}]},
        "spec.subGroups[0].minSubGroup: 'a' has no subgroups",
    ),
    "full-middle": (
        {"subGroups": [leaf("a"), leaf("b", parent="a")]},
        "spec.subGroups[0].minMember: 'a' has subgroups",
    ),
    "no-topology": (
        {"topologyConstraint": {"topology": "nowhere", "requiredTopologyLevel": "rack"}},
        "spec.topologyConstraint: ",
    ),
    "no-level": (
        {"topologyConstraint": {"topology": "racks", "preferredTopologyLevel": "aisle"}},
        "spec.topologyConstraint: ",
    ),
    "no-topology-below": (
        {
            "subGroups": [
                leaf("a"),
                leaf("b", topologyConstraint={"topology": "nowhere", "requiredTopologyLevel": "rack"}),
            ]
        },
        "spec.subGroups[1].topologyConstraint: ",
    ),
    "level-of-nothing": (
        {"topologyConstraint": {"requiredTopologyLevel": "rack"}},
        "spec.topologyConstraint.topology: is missing",
    ),
}
QUEUES: dict[str, tuple[Document, str]] = {
    "own-child": (a_queue("own-child", parentQueue="own-child"), "spec.parentQueue: cycle"),
    "snake": (a_queue("snake", parentQueue="tail"), "spec.parentQueue: cycle snake -> tail -> snake"),
    "tail": (a_queue("tail", parentQueue="snake"), "spec.parentQueue: cycle tail -> snake -> tail"),
    "bitten": (a_queue("bitten", parentQueue="tail"), 'spec.parentQueue: ancestor "tail" is invalid'),
    "orphan": (a_queue("orphan", parentQueue="nobody"), 'spec.parentQueue: queue "nobody" does not exist'),
    "greedy": (
        a_queue("greedy", gpu_quota=8, gpu_limit=4),
        "spec.resources.gpu.limit: 4 is below the quota of 8",
    ),
}


def invalid(document: Document) -> str:
    """What its condition Invalid says; "" if it is not invalid."""
    for condition in (document.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Invalid" and condition["status"] == "True":
            return str(condition["message"])
    return ""


def test_what_a_schema_cannot_say_is_said_in_the_condition_of_the_object(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    cluster.api.create(
        {
            "apiVersion": "kai.scheduler/v1alpha1",
            "kind": "Topology",
            "metadata": {"name": "racks"},
            "spec": {"levels": [{"nodeLabel": "rack"}]},
        }
    )
    cluster.api.create_all(document for document, _ in QUEUES.values())
    cluster.api.create_all(a_pod_group(name, namespace, **spec) for name, (spec, _) in GROUPS.items())
    cluster.api.create_all(a_pod(f"{name}-0", namespace, group=name) for name in GROUPS)
    cluster.api.create(a_pod_group("good", namespace, minMember=2))
    cluster.api.create_all(a_pod(f"good-{n}", namespace, group="good", gpus=1) for n in range(2))

    def said() -> dict[str, str]:
        groups = cluster.api.list("PodGroup", namespace)
        return {one["metadata"]["name"]: invalid(one) for one in (*groups, *cluster.api.list("Queue"))}

    wanted = {name: text for table in (GROUPS, QUEUES) for name, (_, text) in table.items()}

    def missing() -> list[str]:
        now = said()
        return [
            f"{name}: {now[name]!r}, not {text!r}" for name, text in wanted.items() if text not in now[name]
        ]

    deadline = time.monotonic() + 25
    while missing() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert missing() == []
    assert (said()["good"], said()["team-a"]) == ("", "")
    operator.wait_until(lambda: len(bound(cluster, namespace)) == 2, "the good gang")
    assert bound(cluster, namespace) == {"good-0", "good-1"}


def bound(cluster: LocalCluster, namespace: str) -> set[str]:
    return {
        pod["metadata"]["name"] for pod in cluster.api.list("Pod", namespace) if pod["spec"].get("nodeName")
    }
