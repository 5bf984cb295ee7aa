"""The operator among others: their objects stay as they are, their mistakes harm only themselves."""

from __future__ import annotations

from typing import Any

import yaml

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import GPU, a_claim_template, a_job, a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import MANIFESTS, RunningOperator, StartOperator
from tests.cluster.test_operator_binding import nodes_of

Document = dict[str, Any]


def invalid_of(document: Document) -> Document:
    """The condition Invalid of an object; {} if it has none."""
    conditions = document.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == "Invalid"), {})


def test_bad_objects_hurt_nobody_else(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue())
    # A queue below itself, one below nobody, a shard with an unknown knob, a gang whose subgroups go in a circle.
    cluster.api.create(a_queue("snake", parentQueue="tail"))
    cluster.api.create(a_queue("tail", parentQueue="snake"))
    cluster.api.create(a_queue("orphan", parentQueue="nobody"))
    cluster.api.create(
        {
            "apiVersion": "kai.scheduler/v1",
            "kind": "SchedulingShard",
            "metadata": {"name": "default"},
            "spec": {"args": {"no-such-knob": "1"}},
        }
    )
    circle = [{"name": "a", "parent": "b", "minMember": 1}, {"name": "b", "parent": "a", "minMember": 1}]
    cluster.api.create(a_pod_group("circle", namespace, subGroups=circle))
    cluster.api.create(a_pod("c0", namespace, group="circle"))
    # Pods: of a group in a circle of queues, with a number that is none, with a selector that cannot be.
    cluster.api.create(a_pod("lost", namespace, queue="snake"))
    strange = a_pod("strange", namespace)
    strange["metadata"]["annotations"]["gpu-fraction"] = "a half"
    cluster.api.create(strange)

    cluster.api.create(a_pod("good", namespace, gpus=1))
    cluster.api.create(a_job("train", namespace, pods=2, minimum=2, gpus=1))

    operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 3)
    assert {name.partition("-")[0] for name in nodes_of(cluster, namespace)} == {"good", "train"}
    for kind, name, where, word in (
        ("Queue", "snake", "", "parentQueue"),
        ("PodGroup", "circle", namespace, "subGroups"),
    ):
        operator.wait_until(
            lambda k=kind, n=name, w=where: invalid_of(cluster.api.get(k, n, w)).get("status") == "True",  # type: ignore[misc]
            f"condition Invalid on {kind} {name}",
        )
        assert word in invalid_of(cluster.api.get(kind, name, where))["message"]
    # The rest of the shard holds: its key is named, and nothing is invalid.
    conditions = cluster.api.get("SchedulingShard", "default")["status"]["conditions"]
    told = {one["type"]: (one["status"], one["message"]) for one in conditions}
    assert told["KeysNotServed"][0] == "True"
    assert "no-such-knob" in told["KeysNotServed"][1]
    operator.wait_until(lambda: "Orphan" in str(cluster.api.get("Queue", "orphan").get("status")))


def test_an_object_is_heard_again_once_it_is_mended(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1)
    cluster.api.create(a_queue("a", parentQueue="a"))
    cluster.api.create(a_pod("p0", namespace, queue="a"))
    operator.wait_until(lambda: invalid_of(cluster.api.get("Queue", "a")).get("status") == "True")

    cluster.api.patch("Queue", "a", body={"spec": {"parentQueue": None}})

    operator.wait_until(lambda: "p0" in nodes_of(cluster, namespace))
    operator.wait_until(lambda: invalid_of(cluster.api.get("Queue", "a")).get("status") == "False")


def test_a_shard_that_moves_to_another_node_pool_schedules_there(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    pool = {"kai.scheduler/node-pool": "gold"}
    with_nodes(cluster, plugin=1, labels=pool)
    cluster.api.create(a_queue())
    gold_queue = a_queue("team-gold")
    gold_queue["metadata"]["labels"] = pool
    cluster.api.create(gold_queue)
    gold = a_pod("gold", namespace, queue="team-gold")
    gold["metadata"]["labels"] |= pool
    cluster.api.create(gold)
    cluster.api.create(a_pod("plain", namespace))
    operator.wait_until(lambda: any(entry["verdicts"] for entry in operator.entries("cycle")))
    assert nodes_of(cluster, namespace) == {}

    cluster.api.create(
        {
            "apiVersion": "kai.scheduler/v1",
            "kind": "SchedulingShard",
            "metadata": {"name": "default"},
            "spec": {"partitionLabelValue": "gold"},
        }
    )

    operator.wait_until(lambda: nodes_of(cluster, namespace).keys() == {"gold"}, seconds=60)
    assert len(operator.entries("started")) == 2


def test_pods_of_another_scheduler_only_take_room(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    with_nodes(cluster, plugin=1, gpus=4)
    cluster.api.create(a_queue())
    cluster.start_scheduler()
    try:
        cluster.api.create_all(
            a_pod(f"theirs-{n}", namespace, gpus=1, scheduler="default-scheduler") for n in range(3)
        )
        operator = start_operator().wait_leading()
        operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 3)
        cluster.api.create_all(a_pod(f"ours-{n}", namespace, gpus=1) for n in range(2))

        operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 4)
    finally:
        cluster.stop_scheduler()

    assert len([name for name in nodes_of(cluster, namespace) if name.startswith("theirs")]) == 3
    assert operator.calls()["create", "pods/binding", 201] == 1
    assert operator.writes("pods/status") in ([], [("patch", "pods/status")])
    queue = cluster.api.get("Queue", "team-a")["status"]
    operator.wait_until(
        lambda: cluster.api.get("Queue", "team-a")["status"]["allocated"][GPU] == "1", str(queue)
    )


def test_nothing_is_written_on_the_objects_of_others(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=1, dra=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("two", namespace, gpus=2))
    cluster.api.create(a_pod_group("gang", namespace, minMember=2))
    topology = {
        "apiVersion": "kai.scheduler/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": "t"},
        "spec": {"levels": [{"nodeLabel": "kubernetes.io/hostname"}]},
    }
    cluster.api.create(topology)
    cluster.api.create_all(a_pod(f"p{n}", namespace, group="gang", template="two") for n in range(2))
    operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 2)
    operator.wait_until(lambda: operator.writes("queues/status", "podgroups/status") != [])
    operator.wait_until(lambda: operator.calls()["create", "events", 201] == 2)

    for kind, name, where in (
        ("Queue", "team-a", ""),
        ("Topology", "t", ""),
        ("PodGroup", "gang", namespace),
        ("Pod", "p0", namespace),
        ("Node", "dra-0", ""),
    ):
        metadata = cluster.api.get(kind, name, where)["metadata"]
        assert "kopf" not in str(metadata), kind
        assert "finalizers" not in metadata, kind
        ours = [entry for entry in metadata["managedFields"] if entry["manager"] == "kai-sched"]
        assert {entry.get("subresource") for entry in ours} <= {"status", "binding"}, kind
    allowed = {
        ("create", "selfsubjectreviews"),
        ("create", "leases"),
        ("update", "leases"),
        ("update", "resourceclaims"),
        ("update", "resourceclaims/status"),
        ("create", "pods/binding"),
        ("patch", "queues/status"),
        ("patch", "podgroups/status"),
        ("create", "events"),
    }
    assert set(operator.writes()) <= allowed


UNUSED_HERE = {
    # What a run like this one has no cause for, with where it is needed.
    ("patch", "podgroups"): "a Job that changes",
    ("patch", "schedulingshards/status"): "a shard that cannot be used",
    ("patch", "persistentvolumeclaims"): "a claim whose volume is made once its node is chosen",
    ("patch", "persistentvolumes"): "the same, with a volume that is there",
    ("patch", "pods/status"): "a pod that waits",
    ("create", "resourceclaims"): "extended resources that a node serves by DRA",
    ("delete", "resourceclaims"): "the same, when the attempt fails",
    ("update", "resourceclaims/binding"): "synthetic: checked within the update of the status",
    ("arbitrary-node:update", "resourceclaims/driver"): "synthetic, when a device's status is taken back",
}


def test_the_role_holds_no_right_that_is_not_used(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, dra=1)
    cluster.api.create(a_queue())
    cluster.api.create(a_claim_template("two", namespace, gpus=2))
    cluster.api.create(a_job("train", namespace, pods=2, minimum=2, template="two"))
    operator.wait_until(lambda: len(nodes_of(cluster, namespace)) == 2)
    operator.wait_until(lambda: operator.calls()["create", "podgroups", 201] == 1)
    operator.wait_until(lambda: ("patch", "podgroups/status") in operator.writes())
    operator.wait_until(lambda: ("patch", "queues/status") in operator.writes())
    operator.wait_until(lambda: ("update", "leases") in operator.writes())
    operator.wait_until(lambda: operator.calls()["create", "events", 201] == 2)

    used = {(verb, resource) for verb, resource, _ in operator.calls()}
    granted = {
        (verb, resource)
        for document in yaml.safe_load_all((MANIFESTS / "rbac.yaml").read_text())
        for rule in document.get("rules", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    # Who may list may read one.
    surplus = {(verb, resource) for verb, resource in granted - used if verb != "get"}
    assert surplus == UNUSED_HERE.keys()
