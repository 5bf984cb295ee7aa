"""Random worlds as wire documents, one from each seed: every kind of thing that placement looks at."""

from __future__ import annotations

from random import Random
from typing import Any

from kai_sched.localcluster.fleet import Fleet, fleet_objects
from tests.documents import (
    Document,
    a_node_document,
    a_pod_document,
    a_pod_group_document,
    a_queue_document,
    a_topology_document,
)
from tests.witness import devices

HOSTNAME = "kubernetes.io/hostname"
_LEAVES = ("team-a", "team-b", "lone")


def a_world(seed: int) -> Document:
    """The snapshot file of a seed."""
    items = _World(Random(seed)).items()
    return {
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"annotations": {"kai.scheduler/snapshot-time": "2026-11-21T00:00:00Z"}},
        "items": items,
    }


class _World:
    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._racks = [f"r{number}" for number in range(rng.randint(1, 3))]
        self._has_devices = rng.random() < 0.6
        self._has_fabric = self._has_devices and rng.random() < 0.3
        self._may_cut = self._has_devices and rng.random() < 0.25
        self._nodes: list[str] = []
        self._slices: list[Document] = []
        self._claims: list[Document] = []
        self._pods: list[Document] = []
        self._held: set[tuple[str, str]] = set()

    def items(self) -> list[Document]:
        rng = self._rng
        nodes = [self._node(number) for number in range(rng.randint(1, 7))]
        if self._has_devices:
            self._slices += devices.network_devices(rng, self._racks)
        if self._may_cut:
            nodes += _cut_nodes(rng)
        groups = [
            group for number in range(rng.randint(1, 7)) if (group := self._gang(f"g{number}")) is not None
        ]
        return [
            a_topology_document(),
            *self._queues(),
            *nodes,
            *(devices.classes() if self._has_devices else ()),
            *self._slices,
            *self._claims,
            *groups,
            *self._pods,
        ]

    def _queues(self) -> list[Document]:
        bound = (-1,) * 9 + (0, 2, 4, 8)

        def queue(name: str, parent: str) -> Document:
            quota, limit = self._rng.choice(bound), self._rng.choice(bound)
            quota = min(quota, limit) if limit >= 0 else quota
            free = {"quota": -1, "overQuotaWeight": 1, "limit": -1}
            gpu = {"quota": quota, "overQuotaWeight": self._rng.choice((0, 1, 2)), "limit": limit}
            more = {"parentQueue": parent} if parent else {}
            return a_queue_document(name, resources={"gpu": gpu, "cpu": free, "memory": free}, **more)

        return [queue("dept", ""), queue("team-a", "dept"), queue("team-b", "dept"), queue("lone", "")]

    def _node(self, number: int) -> Document:
        rng, name = self._rng, f"n{number}"
        self._nodes.append(name)
        publishes = self._has_devices and rng.random() < 0.7
        gpus = 0 if publishes and rng.random() < 0.7 else rng.choice((0, 1, 2, 4, 8))
        resources = {"cpu": rng.choice(("2", "8", "64")), "memory": "512Gi", "pods": "110"}
        if gpus:
            resources["nvidia.com/gpu"] = str(gpus)
        node = a_node_document(name, allocatable=resources)
        labels = node["metadata"]["labels"]
        if rng.random() < 0.9:
            labels["rack"] = rng.choice(self._racks)
        if self._has_fabric:
            labels["nvidia.com/gpu.clique"] = f"clique.{rng.randint(0, 1)}"
        if rng.random() < 0.7:
            labels["nvidia.com/gpu.memory"] = rng.choice(("40960", "81920"))
        if rng.random() < 0.1:
            node["spec"]["taints"] = [
                {"key": "dedicated", "value": "x", "effect": rng.choice(("NoSchedule", "PreferNoSchedule"))}
            ]
        if rng.random() < 0.05:
            node["spec"]["unschedulable"] = True
        if publishes:
            self._slices += devices.node_devices(rng, name, has_fabric=self._has_fabric)
        return node

    def _gang(self, name: str) -> Document | None:
        """A pod group with its pods, or one pod without a group; None where there is no PodGroup."""
        rng = self._rng
        size = rng.randint(1, 5)
        kinds = [self._kind() for _ in range(rng.choice((1, 1, 2)))]
        is_alone = size == 1 and rng.random() < 0.4
        spec: Document = {"queue": rng.choice((*_LEAVES * 8, "dept", "missing"))}
        leaves = [""]
        if rng.random() < 0.25 and not is_alone:
            spec["subGroups"], leaves = self._subgroups()
        else:
            spec["minMember"] = rng.choice((0, 1, size, size, rng.randint(0, size)))
        constraint = self._constraint()
        if constraint and not is_alone:
            spec["topologyConstraint"] = constraint
        spec["preemptibility"] = rng.choice(("preemptible", "preemptible", "non-preemptible"))
        shared = ""
        if self._has_devices and rng.random() < 0.25:
            shared = f"{name}-shared"
            self._claims.append(devices.a_claim(rng, shared, may_cut=self._may_cut))
        fabric = name if self._has_fabric and rng.random() < 0.5 else ""
        for number in range(size):
            self._pod(f"{name}-{number}", name, rng.choice(kinds), rng.choice(leaves), shared, fabric)
            pod = self._pods[-1]["metadata"]
            if is_alone:
                pod["labels"]["kai.scheduler/queue"] = spec["queue"]
            else:
                pod.setdefault("annotations", {})["pod-group-name"] = name
        if is_alone:
            return None
        created = f"2026-11-20T00:00:0{rng.randint(0, 3)}Z"
        group = a_pod_group_document(name, **spec)
        group["metadata"] |= {"creationTimestamp": created, "uid": f"uid-pg-{name}"}
        return group

    def _constraint(self) -> Document:
        required = self._rng.choice(("", "", "rack", HOSTNAME))
        preferred = self._rng.choice(("", "", HOSTNAME, "rack"))
        if required in (preferred, HOSTNAME):
            preferred = ""
        levels = {"requiredTopologyLevel": required, "preferredTopologyLevel": preferred}
        found: Document = {key: value for key, value in levels.items() if value}
        return {"topology": "racks", **found} if found else {}

    def _subgroups(self) -> tuple[list[Document], list[str]]:
        rng = self._rng
        leaves: list[Document] = []
        for name in ("x", "y", "z")[: rng.randint(1, 3)]:
            leaf: Document = {"name": name, "minMember": rng.randint(0, 2)}
            if rng.random() < 0.3 and (constraint := self._constraint()):
                leaf["topologyConstraint"] = constraint
            leaves.append(leaf)
        inner: list[Document] = []
        if rng.random() < 0.4:
            inner = [{"name": "inner", **({"minSubGroup": 1} if rng.random() < 0.5 else {})}]
            leaves[0]["parent"] = "inner"
        return [*inner, *leaves], [leaf["name"] for leaf in leaves]

    def _kind(self) -> Document:
        """What the pods of one kind have in common: ``gpus``, ``cpu``, ``spec``, ``annotations``, ``claims``."""
        rng = self._rng
        kind: Document = {
            "gpus": rng.choice((0, 1, 1, 2, 3, 4, 8)),
            "cpu": rng.choice(("100m", "1", "4")),
            "spec": {},
            "annotations": {},
            "resource": "nvidia.com/gpu",
        }
        if self._has_devices and rng.random() < 0.6:
            kind |= {"claims": rng.choice((1, 1, 2)), "gpus": 0}
        elif self._has_devices and rng.random() < 0.2:
            kind |= {"resource": "example.com/gpu", "gpus": rng.choice((1, 2))}
        label = {"labelSelector": {"matchLabels": {"app": rng.choice(("a", "b"))}}, "topologyKey": HOSTNAME}
        kind["app"] = rng.choice(("a", "b"))
        match rng.randrange(12):
            case 0:
                rule = "requiredDuringSchedulingIgnoredDuringExecution"
                kind["spec"]["affinity"] = {"podAntiAffinity": {rule: [label]}}
            case 1:
                rule = "preferredDuringSchedulingIgnoredDuringExecution"
                weighed = {"weight": 5, "podAffinityTerm": label}
                kind["spec"]["affinity"] = {"podAffinity": {rule: [weighed]}}
            case 2:
                kind["spec"]["nodeSelector"] = {"rack": rng.choice(self._racks)}
            case 3:
                kind["spec"]["tolerations"] = [{"key": "dedicated", "operator": "Exists"}]
            case 4:
                kind["spec"]["topologySpreadConstraints"] = [
                    {
                        **label,
                        "maxSkew": 1,
                        "whenUnsatisfiable": rng.choice(("DoNotSchedule", "ScheduleAnyway")),
                    }
                ]
            case 5 | 6 if not kind.get("claims"):
                kind |= {"gpus": 0}
                share = rng.choice(
                    ({"gpu-fraction": "0.5"}, {"gpu-fraction": "0.2"}, {"gpu-memory": "20000"})
                )
                kind["annotations"] = dict(share)
            case 7:
                kind["port"] = 8080
            case _:
                pass
        return kind

    def _pod(self, name: str, group: str, kind: Document, leaf: str, shared: str, fabric: str) -> None:
        rng = self._rng
        requests: dict[str, Any] = {"cpu": kind["cpu"], "memory": "1Gi"}
        if kind["gpus"]:
            requests[kind["resource"]] = str(kind["gpus"])
        container: Document = {"name": "main", "resources": {"requests": requests, "limits": dict(requests)}}
        if "port" in kind:
            container["ports"] = [{"containerPort": kind["port"], "hostPort": kind["port"]}]
        labels = {"app": kind["app"], **({"kai.scheduler/subgroup-name": leaf} if leaf else {})}
        pod = a_pod_document(
            name,
            spec={"containers": [container], **kind["spec"]},
            labels=labels,
            annotations=dict(kind["annotations"]),
            creationTimestamp="2026-11-20T00:00:00Z",
        )
        self._pods.append(pod)
        state = rng.choice(
            ("pending",) * 14 + ("running", "running", "releasing", "releasing", "done", "gated")
        )
        self._add_claims(pod, group, kind, shared, fabric, is_held=state in {"running", "releasing"})
        if state in {"running", "releasing"}:
            self._run(pod, kind, is_leaving=state == "releasing")
        elif state == "done":
            pod["spec"]["nodeName"] = rng.choice(self._nodes)
            pod["status"] = {"phase": "Succeeded"}
        elif state == "gated":
            pod["spec"]["schedulingGates"] = [{"name": "example.com/wait"}]

    def _run(self, pod: Document, kind: Document, *, is_leaving: bool) -> None:
        pod["spec"].setdefault("nodeName", self._rng.choice(self._nodes))
        pod["status"] |= {"phase": "Running"}
        if kind["annotations"]:
            pod["metadata"]["labels"]["runai-gpu-group"] = self._rng.choice(("s0", "s1"))
        if is_leaving:
            pod["metadata"] |= {
                "deletionTimestamp": "2026-11-21T00:00:20Z",
                "deletionGracePeriodSeconds": 30,
            }

    def _add_claims(
        self, pod: Document, group: str, kind: Document, shared: str, fabric: str, *, is_held: bool
    ) -> None:
        name = pod["metadata"]["name"]
        refs: list[Document] = []
        statuses: list[Document] = []
        for number in range(kind.get("claims", 0)):
            claim = devices.a_claim(self._rng, f"{name}-c{number}", name, may_cut=self._may_cut)
            self._claims.append(claim)
            refs.append({"name": f"c{number}", "resourceClaimTemplateName": f"{group}-template"})
            statuses.append({"name": f"c{number}", "resourceClaimName": claim["metadata"]["name"]})
            if is_held:
                self._hold(claim, pod)
        if shared:
            refs.append({"name": "shared", "resourceClaimName": shared})
            claim = next(one for one in self._claims if one["metadata"]["name"] == shared)
            if is_held and "status" not in claim:
                self._hold(claim, pod)
            elif is_held:
                claim["status"]["reservedFor"] += [
                    {"resource": "pods", "name": name, "uid": pod["metadata"]["uid"]}
                ]
        if fabric:
            claim = devices.a_claim(self._rng, f"{name}-fabric", name, fabric=fabric)
            self._claims.append(claim)
            refs.append({"name": "fabric", "resourceClaimTemplateName": f"{group}-fabric"})
            statuses.append({"name": "fabric", "resourceClaimName": claim["metadata"]["name"]})
            if is_held:
                self._hold(claim, pod)
        if refs:
            pod["spec"]["resourceClaims"] = refs
            pod["status"]["resourceClaimStatuses"] = statuses

    def _hold(self, claim: Document, pod: Document) -> None:
        """Give the claim of a running pod a device that nobody has."""
        for published in self._slices:
            node = published["spec"].get("nodeName")
            for device in published["spec"]["devices"]:
                key = (published["metadata"]["name"], device["name"])
                if node is None or key in self._held or pod["spec"].get("nodeName", node) != node:
                    continue
                self._held.add(key)
                pod["spec"]["nodeName"] = node
                devices.hold(claim, published, device["name"], node, pod["metadata"]["name"])
                return


def _cut_nodes(rng: Random) -> list[Document]:
    """Nodes whose GPUs may be cut on demand."""
    gpus = {"profile": "nvidia-h100", "partitions": "dynamic", "count": rng.randint(1, 2)}
    pool = {"name": "mig", "count": rng.randint(1, 2), "devices": [gpus]}
    head = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet"}
    return fleet_objects(Fleet.model_validate({**head, "pools": [pool]}))
