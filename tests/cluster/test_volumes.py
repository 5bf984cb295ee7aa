"""Volumes of claims that wait for their first consumer: given or asked for before the pod is bound, and waited for."""

from __future__ import annotations

from typing import Any

from kai_sched.localcluster import LocalCluster
from tests.cluster.objects import a_pod, a_pod_group, a_queue, with_nodes
from tests.cluster.operators import RunningOperator, StartOperator

Document = dict[str, Any]
SELECTED = "volume.kubernetes.io/selected-node"


def a_class(name: str, provisioner: str = "kubernetes.io/no-provisioner") -> Document:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def a_claim(name: str, namespace: str, storage_class: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def a_volume(name: str, node: str, storage_class: str, claim: Document | None = None) -> Document:
    host = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "hostPath": {"path": "/data"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
            **({"claimRef": claim} if claim else {}),
        },
    }


def mounting(*claims: str) -> Document:
    return {
        "volumes": [
            {"name": f"v{number}", "persistentVolumeClaim": {"claimName": claim}}
            for number, claim in enumerate(claims)
        ]
    }


def node_of(cluster: LocalCluster, name: str, namespace: str) -> str:
    return str(cluster.api.get("Pod", name, namespace)["spec"].get("nodeName", ""))


def is_bound(cluster: LocalCluster, name: str, namespace: str) -> bool:
    claim = cluster.api.get("PersistentVolumeClaim", name, namespace)
    return claim["status"].get("phase") == "Bound"


def selected_node(cluster: LocalCluster, name: str, namespace: str) -> str:
    claim = cluster.api.get("PersistentVolumeClaim", name, namespace)
    return str(claim["metadata"].get("annotations", {}).get(SELECTED, ""))


def make_volume(cluster: LocalCluster, name: str, namespace: str) -> None:
    """As a provisioner does."""
    claim = cluster.api.get("PersistentVolumeClaim", name, namespace)
    reference = {
        "kind": "PersistentVolumeClaim",
        "namespace": namespace,
        "name": name,
        "uid": claim["metadata"]["uid"],
    }
    node = selected_node(cluster, name, namespace)
    cluster.api.create(a_volume("made", node, claim["spec"]["storageClassName"], reference))


def test_a_pod_goes_where_a_free_volume_is_and_its_claim_gets_it(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=3)
    cluster.api.create(a_queue())
    cluster.api.create(a_class("local"))
    cluster.api.create(a_volume("disk", "plugin-2", "local"))
    cluster.api.create(a_claim("data", namespace, "local"))

    cluster.api.create(a_pod("p", namespace, gpus=1, **mounting("data")))
    operator.wait_until(lambda: node_of(cluster, "p", namespace) != "")

    assert node_of(cluster, "p", namespace) == "plugin-2"
    assert is_bound(cluster, "data", namespace)
    assert cluster.api.get("PersistentVolumeClaim", "data", namespace)["spec"]["volumeName"] == "disk"


def test_every_pod_of_a_gang_gets_a_volume_of_its_own(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=2)
    cluster.api.create(a_queue())
    cluster.api.create(a_class("local"))
    cluster.api.create_all(a_volume(f"disk-{n}", f"plugin-{n % 2}", "local") for n in range(4))
    cluster.api.create_all(a_claim(f"data-{n}", namespace, "local") for n in range(4))
    cluster.api.create(a_pod_group("gang", namespace, minMember=4))

    cluster.api.create_all(
        a_pod(f"p{n}", namespace, group="gang", gpus=1, **mounting(f"data-{n}")) for n in range(4)
    )
    operator.wait_until(lambda: all(node_of(cluster, f"p{n}", namespace) for n in range(4)))

    claims = cluster.api.list("PersistentVolumeClaim", namespace)
    assert len({claim["spec"]["volumeName"] for claim in claims}) == 4
    assert (
        sorted(node_of(cluster, f"p{n}", namespace) for n in range(4)) == ["plugin-0"] * 2 + ["plugin-1"] * 2
    )


def test_a_volume_is_asked_for_on_the_pods_node_and_the_pod_waits_for_it(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=2)
    cluster.api.create(a_queue())
    cluster.api.create(a_class("cloud", "cloud.example.com"))
    cluster.api.create(a_claim("data", namespace, "cloud"))
    cluster.api.create(a_pod("p", namespace, gpus=1, **mounting("data")))

    operator.wait_until(lambda: selected_node(cluster, "data", namespace) != "")
    node = selected_node(cluster, "data", namespace)
    assert node_of(cluster, "p", namespace) == ""

    make_volume(cluster, "data", namespace)
    operator.wait_until(lambda: node_of(cluster, "p", namespace) != "")

    assert node_of(cluster, "p", namespace) == node
    assert is_bound(cluster, "data", namespace)


def test_pods_of_one_claim_meet_where_its_volume_is(
    cluster: LocalCluster, namespace: str, operator: RunningOperator
) -> None:
    with_nodes(cluster, plugin=3)
    cluster.api.create(a_queue())
    cluster.api.create(a_class("local"))
    cluster.api.create_all(a_volume(f"disk-{n}", f"plugin-{n}", "local") for n in range(3))
    cluster.api.create(a_claim("data", namespace, "local"))

    cluster.api.create_all(a_pod(f"p{n}", namespace, gpus=6, **mounting("data")) for n in range(2))

    def refused() -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in cluster.api.list("Pod", namespace)
            for condition in pod["status"].get("conditions", ())
            if condition["type"] == "PodScheduled" and condition["status"] == "False"
        ]

    # One finds no room there and waits, though there is some elsewhere.
    operator.wait_until(lambda: is_bound(cluster, "data", namespace) and len(refused()) == 1)
    assert [bool(node_of(cluster, f"p{n}", namespace)) for n in range(2)].count(True) == 1


def test_an_operator_that_was_killed_while_a_volume_was_made_is_followed_by_one_that_binds_the_pod(
    cluster: LocalCluster, namespace: str, start_operator: StartOperator
) -> None:
    with_nodes(cluster, plugin=3)
    cluster.api.create(a_queue())
    cluster.api.create(a_class("cloud", "cloud.example.com"))
    cluster.api.create(a_claim("data", namespace, "cloud"))
    cluster.api.create(a_pod("p", namespace, gpus=1, **mounting("data")))
    victim = start_operator().wait_leading()
    victim.wait_until(lambda: selected_node(cluster, "data", namespace) != "")
    node = selected_node(cluster, "data", namespace)
    victim.kill()

    follower = start_operator().wait_leading()
    make_volume(cluster, "data", namespace)
    follower.wait_until(lambda: node_of(cluster, "p", namespace) != "")

    assert node_of(cluster, "p", namespace) == node
    assert selected_node(cluster, "data", namespace) == node
