"""Pods that are many, large, strange or false."""

from __future__ import annotations

from typing import Any

from tests.hostile.documents import GPU, Document, Documents, a_pod
from tests.hostile.world import Shelf

SHELF = Shelf()
HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
ESCAPES = "\x1b]0;owned\x07\x1b[31mRED\x1b[0m\nFAKE LINE default/other Placed \u202e\u2028"


def node_affinity(*terms: Document) -> Document:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}


def expression(key: str, operator: str = "Exists", *values: str) -> Document:
    return {
        "matchExpressions": [{"key": key, "operator": operator, **({"values": values} if values else {})}]
    }


@SHELF.world(300, live=200)
def shapes_that_fit(namespace: str, size: int) -> Documents:
    return [a_pod(f"p{n}", namespace, requests={"cpu": f"{1 + n}m"}) for n in range(size)]


@SHELF.world(60, live=200)
def shapes_too_large(namespace: str, size: int) -> Documents:
    return [a_pod(f"p{n}", namespace, requests={"cpu": f"{100_000 + n}m"}) for n in range(size)]


@SHELF.world(40, live=50)
def anti_affinity_terms(namespace: str, size: int) -> Documents:
    def terms(pod: int) -> Documents:
        return [{"labelSelector": expression(f"k{pod}-{n}"), "topologyKey": HOST} for n in range(20)]

    return [
        a_pod(f"p{n}", namespace, affinity={"podAntiAffinity": {REQUIRED: terms(n)}}) for n in range(size)
    ]


@SHELF.world(40, live=50)
def preferred_affinity_terms(namespace: str, size: int) -> Documents:
    def terms(pod: int) -> Documents:
        term = [{"labelSelector": expression(f"k{pod}-{n}"), "topologyKey": HOST} for n in range(50)]
        return [{"weight": 1 + n % 100, "podAffinityTerm": one} for n, one in enumerate(term)]

    soft = "preferredDuringSchedulingIgnoredDuringExecution"
    return [a_pod(f"p{n}", namespace, affinity={"podAffinity": {soft: terms(n)}}) for n in range(size)]


@SHELF.world(40, live=50)
def node_affinity_terms(namespace: str, size: int) -> Documents:
    def affinity(pod: int) -> Document:
        return node_affinity(*(expression(f"k{pod}-{n}", "DoesNotExist") for n in range(100)))

    return [a_pod(f"p{n}", namespace, affinity=affinity(n)) for n in range(size)]


@SHELF.world(20, live=20)
def a_thousand_terms(namespace: str, size: int) -> Documents:
    terms = [expression(f"k{n}", "In", f"v{n}") for n in range(1000)]
    return [a_pod(f"p{n}", namespace, affinity=node_affinity(*terms)) for n in range(size)]


@SHELF.world(15, live=50)
def spread_constraints(namespace: str, size: int) -> Documents:
    def constraints(pod: int) -> Documents:
        rule = {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
        return [
            {
                **rule,
                "topologyKey": HOST if n == 0 else f"t{n}",
                "labelSelector": {"matchLabels": {"a": f"{pod}-{n}"}},
            }
            for n in range(10)
        ]

    return [a_pod(f"p{n}", namespace, topologySpreadConstraints=constraints(n)) for n in range(size)]


@SHELF.world(40, live=50)
def tolerations(namespace: str, size: int) -> Documents:
    def all_of(pod: int) -> Documents:
        return [{"key": f"t{pod}-{n}", "operator": "Exists"} for n in range(200)]

    return [a_pod(f"p{n}", namespace, tolerations=all_of(n)) for n in range(size)]


@SHELF.world(2, live=4)
def a_megabyte_of_affinity(namespace: str, size: int) -> Documents:
    values = [f"{n:05d}-{'x' * 45}" for n in range(14_000)]
    affinity = node_affinity(expression("a", "In", *values))
    return [a_pod(f"p{n}", namespace, affinity=affinity) for n in range(size)]


@SHELF.world(2, live=4)
def a_megabyte_of_tolerations(namespace: str, size: int) -> Documents:
    all_of = [{"key": f"{n:05d}-{'x' * 45}", "operator": "Exists"} for n in range(11_000)]
    return [a_pod(f"p{n}", namespace, tolerations=all_of) for n in range(size)]


@SHELF.world(2, live=4)
def a_megabyte_of_labels(namespace: str, size: int) -> Documents:
    labels = {f"{n:05d}-{'k' * 40}": "v" * 40 for n in range(9_000)}
    return [a_pod(f"p{n}", namespace, labels=labels) for n in range(size)]


@SHELF.world(20, live=20)
def annotations_as_large_as_they_may_be(namespace: str, size: int) -> Documents:
    annotations = {"kai.scheduler/topology": "x" * 120_000, "pod-group-name": "y" * 120_000}
    return [a_pod(f"p{n}", namespace, annotations=annotations) for n in range(size)]


@SHELF.world(5, live=4)
def thousands_of_node_selectors(namespace: str, size: int) -> Documents:
    return [
        a_pod(f"p{n}", namespace, nodeSelector={f"k{k}": f"v{n}" for k in range(5000)}) for n in range(size)
    ]


@SHELF.world(5, live=4)
def five_hundred_containers(namespace: str, size: int) -> Documents:
    pods = [a_pod(f"p{n}", namespace) for n in range(size)]
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        pod["spec"]["containers"] = [{**container, "name": f"c{n}"} for n in range(500)]
        pod["spec"]["initContainers"] = [{**container, "name": f"i{n}"} for n in range(500)]
    return pods


@SHELF.world(12, live=20)
def hundreds_of_host_ports(namespace: str, size: int) -> Documents:
    pods = [a_pod(f"p{n}", namespace) for n in range(size)]
    for number, pod in enumerate(pods):
        ports = [{"containerPort": p, "hostPort": p} for p in range(1000 + number, 1300 + number)]
        pod["spec"]["containers"][0]["ports"] = ports
    return pods


@SHELF.world(10, live=10)
def volumes_that_do_not_exist(namespace: str, size: int) -> Documents:
    def volumes(pod: int) -> Documents:
        return [
            {"name": f"v{n}", "persistentVolumeClaim": {"claimName": f"none-{pod}-{n}"}} for n in range(300)
        ]

    return [a_pod(f"p{n}", namespace, volumes=volumes(n)) for n in range(size)]


@SHELF.world()
def counts_of_two_to_the_63(namespace: str, size: int) -> Documents:
    most = str(2**63 - 1)
    requests: tuple[dict[str, str], ...] = (
        {GPU: most},
        {"cpu": most},
        {"memory": "8Ei"},
        {"memory": "99999999999999999999999E"},
        {"cpu": "1e30"},
        {"example.com/thing": most},
        {"nvidia.com/mig-1g.10gb": most},
    )
    return [a_pod(f"p{n}", namespace, requests=one) for n, one in enumerate(requests)]


@SHELF.world()
def partitions_with_huge_names(namespace: str, size: int) -> Documents:
    names = (
        "99999999999999999999g.80gb",
        "1g.99999999999999999999gb",
        "0g.0gb",
        "9" * 50 + "g.1gb",
        "g.gb",
        "1g.5gb.x",
    )
    return [a_pod(f"p{n}", namespace, requests={f"nvidia.com/mig-{one}": "1"}) for n, one in enumerate(names)]


@SHELF.world()
def fractions_that_are_no_numbers(namespace: str, size: int) -> Documents:
    texts = (
        "1e400",
        "nan",
        "-inf",
        "-1",
        "1e-400",
        "\u0660.\u0665",
        "0x1p-2",
        "",
        "0." + "3" * 5000,
        ESCAPES,
        "1_0",
    )
    pods = [a_pod(f"f{n}", namespace, annotations={"gpu-fraction": text}) for n, text in enumerate(texts)]
    counts = (*texts, str(2**63), "9" * 4000)
    for key in ("gpu-fraction-num-devices", "gpu-memory"):
        pods += [
            a_pod(f"{key}-{n}", namespace, annotations={"gpu-fraction": "0.5", key: text})
            for n, text in enumerate(counts)
        ]
    return pods


@SHELF.world()
def escapes_for_terminals(namespace: str, size: int) -> Documents:
    keys = (
        "pod-group-name",
        "kai.scheduler/topology",
        "kai.scheduler/batch-min-member",
        "gpu-fraction-container-name",
    )
    pods = [a_pod(f"p{n}", namespace, annotations={key: ESCAPES}) for n, key in enumerate(keys)]
    return [
        *pods,
        a_pod("queue", namespace, queue="q\x1b[2Jx"),
        a_pod("label", namespace, labels={"priorityClassName": ESCAPES}),
        a_pod("selector", namespace, nodeSelector={"a": "\x1b[2J"}),
        a_pod("term", namespace, affinity=node_affinity(expression("a", "In", ESCAPES))),
        a_pod("nul", namespace, annotations={"pod-group-name": "a\x00b"}),
        a_pod("surrogates", namespace, annotations={"pod-group-name": "😀" * 3000}),
    ]


@SHELF.world(8)
def forged_groups_of_gpus(namespace: str, size: int) -> Documents:
    """Running pods of another scheduler that say to hold parts of every GPU of every node but the quiet one."""
    return [
        a_pod(
            f"n{node}-{gpu}",
            namespace,
            labels={"runai-gpu-group": f"g{gpu}"},
            annotations={"gpu-fraction": "0.01"},
            schedulerName="default-scheduler",
            nodeName=f"n{node}",
        )
        for node in range(size)
        for gpu in range(8)
    ]


@SHELF.world(10, live=20)
def priority_by_label(namespace: str, size: int) -> Documents:
    return [
        a_pod(f"p{n}", namespace, labels={"priorityClassName": "system-node-critical"}, requests={GPU: "8"})
        for n in range(size)
    ]


@SHELF.world(100, live=100)
def pods_of_groups_that_do_not_exist(namespace: str, size: int) -> Documents:
    return [a_pod(f"p{n}", namespace, group=f"none-{n}", requests={GPU: "1"}) for n in range(size)]


@SHELF.world(50, live=66)
def owners_that_own_each_other(namespace: str, size: int) -> Documents:
    def owned(name: str, owner: str) -> Document:
        reference: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": owner,
            "uid": f"uid-{owner}",
            "controller": True,
        }
        return a_pod(name, namespace, metadata={"ownerReferences": [reference]})

    return [owned(f"p{n}", f"p{(n + 1) % size}") for n in range(size)]


@SHELF.world(50, live=50)
def comparisons_with_huge_numbers(namespace: str, size: int) -> Documents:
    numbers = ("9" * 60, str(2**63), "-" + "9" * 60, "1e5", "\u0663")
    return [
        a_pod(f"p{n}", namespace, affinity=node_affinity(expression("rack", "Gt", numbers[n % len(numbers)])))
        for n in range(size)
    ]
