"""Random cases, one from each seed: a few nodes, pods on them, and pods to ask about, full of what filters read."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from typing import Any

from kai_sched.api.keys import POD_GROUP
from tests.fuzz.node_rules.pods import THEMES, PodDraws
from tests.fuzz.node_rules.stage import CLAIMS_COME, NAMESPACES, Case
from tests.fuzz.node_rules.storage import StorageDraws

Document = dict[str, Any]

_TAINTS = (
    {"key": "k", "value": "x", "effect": "NoSchedule"},
    {"key": "k", "effect": "NoExecute"},
    {"key": "m", "value": "7", "effect": "NoSchedule"},
    {"key": "m", "value": "x", "effect": "PreferNoSchedule"},
)
_SICK = (
    ("False", {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}),
    ("Unknown", {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}),
)


def random_case(seed: int, probes: int) -> Case:
    """The case of a seed."""
    return _Generator(seed, probes).case()


class _Generator:
    def __init__(self, seed: int, probes: int) -> None:
        self._random = Random(seed)
        self._case = Case(seed)
        self._prefix = f"s{seed}"
        self._probes = probes
        # A case is about a few things, or nothing would ever fit.
        self._themes = list(dict.fromkeys(self._random.sample(THEMES, 4)))
        self._is_tight = "resources" in self._themes

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def case(self) -> Case:
        names = [f"{self._prefix}-n{number}" for number in range(self._random.randint(3, 8))]
        storage = StorageDraws(self._random, self._prefix, names, is_used="volumes" in self._themes)
        first = [self._node(name) for name in names]
        pods = PodDraws(self._random, names, storage)
        self._case.layers = [first + storage.classes(), storage.claims(), storage.volumes()]
        self._case.layers.append([self._resident(pods, names) for _ in range(self._random.randint(0, 12))])
        self._case.statuses += storage.statuses
        self._case.leaving += storage.leaving
        for number in range(self._probes):
            themes = self._random.sample(self._themes, self._random.choice([1, 1, 2]))
            name = f"probe-{self._prefix}-{number}"
            probe = pods.pod(name, self._namespace(), themes)
            if any("ephemeral" in volume for volume in probe["spec"]["volumes"]) and self._chance(80):
                self._case.owners[name] = self._random.choice(["pod", "pod", "another", "nobody"])
                probe["spec"]["schedulingGates"] = [{"name": CLAIMS_COME}]
            self._case.probes.append(probe)
        for number in range(self._random.choice([0, 1, 2])):
            self._add_gang(f"gang-{self._prefix}-{number}")
        return self._case

    def _add_gang(self, gang: str) -> None:
        """Pods that are like one that is there, and like each other."""
        pattern = self._random.choice(self._case.probes)
        if "schedulingGates" in pattern["spec"] or "annotations" in pattern["metadata"]:
            return
        for member in range(self._random.randint(2, 5)):
            probe = deepcopy(pattern)
            probe["metadata"] |= {"name": f"probe-{gang}-{member}", "annotations": {POD_GROUP: gang}}
            self._case.probes.append(probe)

    def _namespace(self) -> str:
        return self._random.choice(["team", "team", "team", *NAMESPACES])

    def _node(self, name: str) -> Document:
        random = self._random
        labels = {
            "kubernetes.io/hostname": name,
            "zone": random.choice(["a", "a", "b", "c", ""]),
            "rack": random.choice(["1", "2", "03", "x", ""]),
            "rank": random.choice(["5", "07", "12", "word", ""]),
            "topology.kubernetes.io/zone": random.choice(["z1", "z2", "z2", ""]),
            "topology.kubernetes.io/region": random.choice(["r1", "r2", ""]) if self._chance(40) else "",
            "failure-domain.beta.kubernetes.io/zone": "z1" if self._chance(10) else "",
        }
        if self._chance(8):
            labels["kubernetes.io/hostname"] = ""
        taints = [random.choice(_TAINTS)] if self._chance(60 if "taints" in self._themes else 3) else []
        if self._chance(15 if "taints" in self._themes else 4):
            taints.append(random.choice(_TAINTS))
        ready = "True"
        if self._chance(8 if "taints" in self._themes else 2):
            ready, taint = random.choice(_SICK)
            taints.append(taint)
        spec: Document = {"taints": [dict(taint) for taint in {str(t): t for t in taints}.values()]}
        if self._chance(8 if "taints" in self._themes else 2):
            spec["unschedulable"] = True
            if self._chance(70):
                spec["taints"].append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {key: value for key, value in labels.items() if value}},
            "spec": spec,
            "status": {
                "allocatable": self._allocatable(),
                "conditions": [{"type": "Ready", "status": ready}],
                **({"declaredFeatures": self._features()} if self._chance(30) else {}),
            },
        }

    def _features(self) -> list[str]:
        known = ["RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport"]
        return sorted(self._random.sample(known, self._random.randint(1, 2)))

    def _allocatable(self) -> dict[str, str]:
        random = self._random
        if not self._is_tight:
            return {"cpu": "64", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        found = {
            "cpu": random.choice(["2", "2500m", "4"]),
            "memory": random.choice(["1Gi", "1500M", "3Gi"]),
            "pods": random.choice(["2", "4", "110"]),
        }
        if self._chance(60):
            found["ephemeral-storage"] = random.choice(["1Gi", "3G"])
        if self._chance(40):
            found["example.com/thing"] = random.choice(["0", "1", "3"])
        if self._chance(30):
            found["hugepages-2Mi"] = random.choice(["0", "8Mi", "32Mi"])
        return found

    def _resident(self, pods: PodDraws, names: list[str]) -> Document:
        random = self._random
        name = f"resident-{self._prefix}-{random.randrange(10**9)}"
        namespace = self._namespace()
        themes = random.sample(self._themes, random.choice([1, 1, 2]))
        if "volumes" in self._themes and self._chance(50):
            themes = ["volumes"]
        pod = pods.pod(name, namespace, themes)
        pod["spec"]["nodeName"] = random.choice(names)
        pod["spec"].pop("schedulingGates", None)
        if self._chance(12):
            pod["metadata"]["finalizers"] = ["example.com/hold"]
            self._case.leaving.append(("Pod", namespace, name))
        status: Document = {}
        if self._chance(40):
            status["phase"] = random.choice(["Running", "Running", "Succeeded", "Failed"])
            if "ports" in themes:
                # kube-scheduler keeps ports as a set: one of two pods with the same port that ends frees it for both.
                status["phase"] = "Running"
        if self._is_tight and self._chance(35):
            status |= self._resize(pod)
        if status:
            self._case.statuses.append(("Pod", namespace, name, status))
        return pod

    def _resize(self, pod: Document) -> Document:
        """What the kubelet says about a resize that is under way."""
        random = self._random
        status: Document = {}
        if self._chance(60):
            reason = random.choice(["Infeasible", "Deferred"])
            status["conditions"] = [{"type": "PodResizePending", "status": "True", "reason": reason}]
        for key, name in (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")):
            entries = []
            for container in pod["spec"].get(key, ()):
                entry: Document = {
                    "name": container["name"],
                    "image": "i",
                    "imageID": "",
                    "ready": True,
                    "restartCount": 0,
                }
                if self._chance(60):
                    entry["allocatedResources"] = {"cpu": random.choice(["100m", "1", "2"])}
                if self._chance(60):
                    entry["resources"] = {"requests": {"cpu": random.choice(["100m", "1", "2"])}}
                entries.append(entry)
            if entries and self._chance(80):
                status[name] = entries
        if "resources" in pod["spec"] and self._chance(50):
            status["resources"] = {"requests": {"cpu": random.choice(["500m", "2"])}}
        if "resources" in pod["spec"] and self._chance(50):
            status["allocatedResources"] = {"cpu": random.choice(["500m", "2"])}
        return status
