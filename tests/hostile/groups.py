"""Pod groups, queues, topologies and shards that are deep, many, cyclic or false."""

from __future__ import annotations

from typing import Any

from tests.hostile.documents import GPU, Document, Documents, a_group, a_pod, a_queue
from tests.hostile.world import Shelf

SHELF = Shelf()
MOST = 2**31 - 1


def member(name: str, namespace: str, group: str, subgroup: str, **more: Any) -> Document:
    return a_pod(name, namespace, group=group, labels={"kai.scheduler/subgroup-name": subgroup}, **more)


def chain(length: int) -> Documents:
    """Subgroups below each other; only the last may have pods."""
    return [
        {
            "name": f"s{n}",
            **({"parent": f"s{n - 1}"} if n else {}),
            **({"minMember": 1} if n == length - 1 else {}),
        }
        for n in range(length)
    ]


def a_topology(name: str, *labels: str) -> Document:
    return {
        "apiVersion": "kai.scheduler/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": name},
        "spec": {"levels": [{"nodeLabel": label} for label in labels]},
    }


@SHELF.world(300, live=200)
def flat_subgroups(namespace: str, size: int) -> Documents:
    parts = [{"name": f"s{n}", "minMember": 1} for n in range(size)]
    return [
        a_group("g", namespace, subGroups=parts),
        *(member(f"p{n}", namespace, "g", f"s{n}") for n in range(size)),
    ]


@SHELF.world(400)
def subgroups_four_hundred_deep(namespace: str, size: int) -> Documents:
    return [a_group("g", namespace, subGroups=chain(size)), member("p", namespace, "g", f"s{size - 1}")]


@SHELF.world(50, live=50)
def subgroups_sixteen_deep(namespace: str, size: int) -> Documents:
    return [
        document
        for n in range(size)
        for document in (
            a_group(f"g{n}", namespace, subGroups=chain(16)),
            member(f"p{n}", namespace, f"g{n}", "s15"),
        )
    ]


@SHELF.world(300)
def subgroups_in_a_circle(namespace: str, size: int) -> Documents:
    parts = [{"name": f"s{n}", "parent": f"s{(n + 1) % size}"} for n in range(size)]
    return [
        a_group("g", namespace, subGroups=[*parts, {"name": "leaf", "minMember": 1}]),
        member("p", namespace, "g", "leaf"),
    ]


@SHELF.world(40, live=20)
def every_subgroup_close_together(namespace: str, size: int) -> Documents:
    wish = {"topology": "evil", "preferredTopologyLevel": "rack"}
    parts = [{"name": f"s{n}", "minMember": 2, "topologyConstraint": wish} for n in range(size)]
    pods = [
        member(f"p{n}-{k}", namespace, "g", f"s{n}", requests={GPU: "1"})
        for n in range(size)
        for k in range(2)
    ]
    return [
        a_topology("evil", "rack", "kubernetes.io/hostname"),
        a_group("g", namespace, subGroups=parts, topologyConstraint=wish),
        *pods,
    ]


@SHELF.world(500, live=200)
def groups_without_pods(namespace: str, size: int) -> Documents:
    return [a_group(f"g{n}", namespace, minMember=5) for n in range(size)]


@SHELF.world(20, live=20)
def gangs_that_never_gather(namespace: str, size: int) -> Documents:
    groups = [a_group(f"g{n}", namespace, minMember=MOST - n) for n in range(size)]
    return [*groups, *(a_pod(f"p{n}", namespace, group=f"g{n}") for n in range(size))]


@SHELF.world(200, live=133)
def a_gang_that_cannot_fit(namespace: str, size: int) -> Documents:
    return [
        a_group("g", namespace, minMember=size),
        *(a_pod(f"p{n}", namespace, group="g", requests={GPU: "1"}) for n in range(size)),
    ]


@SHELF.world(60, live=33)
def a_gang_that_avoids_itself(namespace: str, size: int) -> Documents:
    term = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "kubernetes.io/hostname"}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return [
        a_group("g", namespace, minMember=size),
        *(a_pod(f"p{n}", namespace, group="g", labels={"a": "b"}, affinity=apart) for n in range(size)),
    ]


@SHELF.world(100, live=66)
def members_of_all_shapes(namespace: str, size: int) -> Documents:
    return [
        a_group("g", namespace, minMember=size),
        *(a_pod(f"p{n}", namespace, group="g", requests={"cpu": f"{5000 + n}m"}) for n in range(size)),
    ]


@SHELF.world()
def statuses_that_nobody_wrote(namespace: str, size: int) -> Documents:
    statuses = [
        {"schedulingConditions": [{"type": "UnschedulableOnNodePool", "status": "True", "transitionID": one}]}
        for one in ("x", "-1", "9" * 400, "\x1b[2J", "\u0663", "")
    ]
    statuses.append({"conditions": [{"type": "Invalid", "status": "Maybe", "message": "m" * 30_000}]})
    statuses.append({"phase": "x" * 5000, "runningPods": MOST})
    return [
        document
        for n, status in enumerate(statuses)
        for document in (
            {**a_group(f"g{n}", namespace), "status": status},
            a_pod(f"p{n}", namespace, group=f"g{n}", requests={GPU: "64"}),
        )
    ]


@SHELF.world()
def durations_that_are_none(namespace: str, size: int) -> Documents:
    texts = ("99999999999999h", "-1s", "1e9s", "abc", "", "9" * 500 + "s", "1h1h1h", "\u0663s")
    documents: Documents = []
    for n, text in enumerate(texts):
        documents.append(a_queue(f"evil-{n}", preemptMinRuntime=text, reclaimMinRuntime=text))
        documents.append(a_group(f"g{n}", namespace, preemptionDelay=text, stalenessGracePeriod=text))
        documents.append(a_pod(f"g{n}-0", namespace, group=f"g{n}"))
        annotations = {"kai.scheduler/preemption-delay": text, "kai.scheduler/staleness-grace-period": text}
        documents.append(a_pod(f"p{n}", namespace, queue=f"evil-{n}", annotations=annotations))
    return documents


@SHELF.world(200, live=100)
def queues_in_a_circle(namespace: str, size: int) -> Documents:
    queues = [a_queue(f"evil-{n}", parentQueue=f"evil-{(n + 1) % size}") for n in range(size)]
    return [*queues, *(a_pod(f"p{n}", namespace, queue=f"evil-{n}") for n in range(10))]


@SHELF.world(200, live=100)
def queues_hundreds_deep(namespace: str, size: int) -> Documents:
    queues = [a_queue(f"evil-{n}", **({"parentQueue": f"evil-{n - 1}"} if n else {})) for n in range(size)]
    return [*queues, a_pod("p", namespace, queue=f"evil-{size - 1}", requests={GPU: "1"})]


@SHELF.world(200, live=100)
def a_queue_a_pod(namespace: str, size: int) -> Documents:
    queues = [a_queue(f"evil-{n}", parentQueue=f"none-{n}" if n % 3 == 0 else "evil-1") for n in range(size)]
    return [
        *queues,
        *(a_pod(f"p{n}", namespace, queue=f"evil-{n}", requests={GPU: "1"}) for n in range(size)),
    ]


@SHELF.world()
def quotas_beyond_all_numbers(namespace: str, size: int) -> Documents:
    values: tuple[float, ...] = (1e308, 5e-324, 2**63, 1e-9, 0)
    documents: Documents = []
    for n, value in enumerate(values):
        share = {"quota": value, "limit": value, "overQuotaWeight": value}
        queue = a_queue(f"evil-{n}", priority=MOST if n % 2 else -MOST)
        queue["spec"]["resources"] = dict.fromkeys(("gpu", "cpu", "memory"), share)
        documents += [queue, a_pod(f"p{n}", namespace, queue=f"evil-{n}", requests={GPU: "1"})]
    return documents


@SHELF.world()
def queues_with_selectors_of_thousands(namespace: str, size: int) -> Documents:
    requirement = {"key": "a", "operator": "NotIn", "values": [f"v{n}" for n in range(5000)]}
    selector = {"matchExpressions": [requirement] * 20}
    return [
        a_queue("evil-0", kaiSched={"namespaceSelector": selector}),
        *(a_pod(f"p{n}", namespace, queue="evil-0") for n in range(50)),
    ]


@SHELF.world()
def a_shard_of_unknown_keys(namespace: str, size: int) -> Documents:
    spec = {
        "placementStrategy": {"gpu": "spread", "cpu": "\x1b[2J"},
        "usageDBConfig": {"clientType": "prometheus"},
        "args": {"x" * 300: "y" * 3000, "default-duration": "never"},
        "queueDepthPerAction": {"allocate": -(2**31), "consolidate": MOST},
    }
    shard = {
        "apiVersion": "kai.scheduler/v1",
        "kind": "SchedulingShard",
        "metadata": {"name": "evil"},
        "spec": spec,
    }
    return [shard, a_pod("p", namespace)]


@SHELF.world(15)
def topologies_of_nothing(namespace: str, size: int) -> Documents:
    levels = [f"example.com/level-{n}" for n in range(15)]
    wishes: Documents = [
        {"topology": "evil", "requiredTopologyLevel": levels[-1]},
        {"topology": "evil", "requiredTopologyLevel": "none"},
        {"topology": "none", "preferredTopologyLevel": "x" * 200},
        {"requiredTopologyLevel": levels[0]},
    ]
    return [
        a_topology("evil", *levels),
        *(a_group(f"g{n}", namespace, topologyConstraint=wishes[n % 4]) for n in range(size)),
        *(a_pod(f"p{n}", namespace, group=f"g{n}", requests={GPU: "1"}) for n in range(size)),
    ]


@SHELF.world(10, live_only=True)
def bindings_that_are_refused(namespace: str, size: int) -> Documents:
    """A policy refuses every binding in the namespace."""
    api = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/binding"], "operations": ["CREATE"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return [
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": namespace},
            "spec": {
                "matchConstraints": {"resourceRules": [rule], "namespaceSelector": here},
                "validations": [{"expression": "false", "message": "not today " * 200}],
            },
        },
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": namespace},
            "spec": {"policyName": namespace, "validationActions": ["Deny"]},
        },
        *(a_pod(f"p{n}", namespace) for n in range(size)),
    ]
