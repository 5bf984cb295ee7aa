"""Random storage of a case: classes, drivers on nodes, claims in every state, volumes tied to nodes and zones."""

from __future__ import annotations

from random import Random
from typing import Any

Document = dict[str, Any]

_PLAIN, _TRACKED, _STRICT = "plain.csi.example.com", "tracked.csi.example.com", "strict.csi.example.com"
_NO_PROVISIONER = "kubernetes.io/no-provisioner"


class StorageDraws:
    """The storage of one case; ``names`` are its nodes."""

    def __init__(self, random: Random, prefix: str, names: list[str], *, is_used: bool) -> None:
        self._random = random
        self._prefix = prefix
        self._nodes = names
        self._is_used = is_used
        self.statuses: list[tuple[str, str, str, Document]] = []
        self.leaving: list[tuple[str, str, str]] = []
        self.claim_names: dict[str, list[str]] = {"team": [], "other": [], "third": []}
        self._bound: list[tuple[str, str, str]] = []

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def class_name(self, kind: str) -> str:
        return f"{self._prefix}-{kind}"

    def classes(self) -> list[Document]:
        if not self._is_used:
            return []
        random = self._random
        classes = [
            ("local", _NO_PROVISIONER, True),
            ("plain", _PLAIN, True),
            ("tracked", _TRACKED, True),
            ("strict", _STRICT, True),
            ("unknown", "nobody.example.com", True),
            ("at-once", _PLAIN, False),
        ]
        found: list[Document] = []
        for name, provisioner, waits in classes:
            document: Document = {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": self.class_name(name)},
                "provisioner": provisioner,
                "volumeBindingMode": "WaitForFirstConsumer" if waits else "Immediate",
            }
            if provisioner != _NO_PROVISIONER and self._chance(40):
                document["allowedTopologies"] = [
                    {"matchLabelExpressions": [self._topology()]} for _ in range(random.randint(1, 2))
                ]
            found.append(document)
        for name in self._nodes:
            drivers = [
                {
                    "name": driver,
                    "nodeID": name,
                    "topologyKeys": [],
                    **({"allocatable": {"count": random.choice([1, 1, 2])}} if self._chance(70) else {}),
                }
                for driver in (_PLAIN, _TRACKED, _STRICT)
                if self._chance(75)
            ]
            if self._chance(80):
                meta = {"name": name}
                found.append(
                    {
                        "apiVersion": "storage.k8s.io/v1",
                        "kind": "CSINode",
                        "metadata": meta,
                        "spec": {"drivers": drivers},
                    }
                )
        found += [self._capacity(number) for number in range(random.randint(0, 3))]
        return found

    def _topology(self) -> Document:
        key, values = self._random.choice([("zone", ["a", "b", "c"]), ("rack", ["1", "2"])])
        return {"key": key, "values": self._random.sample(values, self._random.randint(1, 2))}

    def _capacity(self, number: int) -> Document:
        random = self._random
        document: Document = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIStorageCapacity",
            "metadata": {"name": f"{self._prefix}-{number}", "namespace": "other"},
            "storageClassName": self.class_name(random.choice(["tracked", "tracked", "plain"])),
        }
        if self._chance(90):
            document["nodeTopology"] = random.choice(
                [
                    {},
                    {"matchLabels": {"zone": "a"}},
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b", "c"]}]},
                    {"matchExpressions": [{"key": "rack", "operator": "NotIn", "values": ["1"]}]},
                ]
            )
        if self._chance(90):
            document["capacity"] = random.choice(["1Gi", "3Gi", "10Gi"])
        if self._chance(30):
            document["maximumVolumeSize"] = random.choice(["1Gi", "4Gi"])
        return document

    def claims(self) -> list[Document]:
        if not self._is_used:
            return []
        found = []
        for number in range(self._random.randint(4, 9)):
            namespace = self._random.choice(["team", "team", "team", "other"])
            found.append(self._claim(f"{self._prefix}-c{number}", namespace))
        return found

    def _claim(self, name: str, namespace: str) -> Document:
        random = self._random
        self.claim_names[namespace].append(name)
        kinds = ["bound"] * 4 + ["local"] * 3 + ["plain", "tracked", "tracked", "strict", "unknown"]
        kinds += ["at-once", "none", "missing", "half-bound"]
        kind = random.choice(kinds)
        annotations: dict[str, str] = {}
        modes = (
            ["ReadWriteOnce"] if self._chance(70) else random.choice([["ReadWriteOncePod"], ["ReadOnlyMany"]])
        )
        spec: Document = {
            "accessModes": modes,
            "resources": {"requests": {"storage": random.choice(["1Gi", "2Gi", "4Gi", "1500M"])}},
            "storageClassName": "" if kind == "none" else self.class_name(kind),
        }
        if kind in {"bound", "half-bound"}:
            volume = f"{name}-v"
            spec["volumeName"] = volume
            spec["storageClassName"] = self.class_name(random.choice(["local", "plain", "tracked", "strict"]))
            if kind == "bound":
                annotations["pv.kubernetes.io/bind-completed"] = "yes"
                phase = "Lost" if self._chance(5) else "Bound"
                self.statuses.append(("PersistentVolumeClaim", namespace, name, {"phase": phase}))
            if self._chance(95):
                self._bound.append((namespace, name, volume))
        elif self._chance(10):
            annotations["volume.kubernetes.io/selected-node"] = random.choice(self._nodes)
        if kind == "local":
            if self._chance(25):
                spec["selector"] = {"matchLabels": {"disk": random.choice(["x", "y"])}}
            if self._chance(10):
                operator = random.choice(["In", "NotIn", "Exists"])
                values = {} if operator == "Exists" else {"values": ["x", "z"]}
                spec["selector"] = {"matchExpressions": [{"key": "disk", "operator": operator, **values}]}
            if self._chance(10):
                spec["volumeMode"] = "Block"
            if self._chance(10):
                spec["volumeAttributesClassName"] = "gold"
        if self._chance(8):
            annotations["volume.beta.kubernetes.io/storage-class"] = self.class_name("local")
            if self._chance(60):
                del spec["storageClassName"]
        if self._chance(4):
            self.leaving.append(("PersistentVolumeClaim", namespace, name))
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "spec": spec,
        }

    def volumes(self) -> list[Document]:
        if not self._is_used:
            return []
        found = []
        for namespace, name, volume in self._bound:
            if self._chance(95):
                reference = {"namespace": namespace, "name": name, "uid": "?"}
                found.append(self._volume(volume, reference, "Bound"))
        for number in range(self._random.randint(0, 5)):
            claim, phase = None, "Available"
            names = [(space, name) for space, all_ in self.claim_names.items() for name in all_]
            if names and self._chance(20):
                namespace, name = self._random.choice(names)
                claim = {"namespace": namespace, "name": name}
                if self._chance(50):
                    claim["uid"] = self._random.choice(["?", "another"])
            elif self._chance(10):
                phase = self._random.choice(["Released", "Pending"])
            found.append(self._volume(f"{self._prefix}-v{number}", claim, phase))
        return found

    def _volume(self, name: str, claim: Document | None, phase: str) -> Document:
        random = self._random
        labels = {"disk": random.choice(["x", "y"])} if self._chance(60) else {}
        if self._chance(25):
            key = random.choice(
                [
                    "topology.kubernetes.io/zone",
                    "topology.kubernetes.io/zone",
                    "failure-domain.beta.kubernetes.io/zone",
                ]
            )
            labels[key] = random.choice(["z1", "z2", "z1__z2", "z3"])
        if self._chance(10):
            labels["topology.kubernetes.io/region"] = random.choice(["r1", "r2"])
        spec: Document = {
            "capacity": {"storage": random.choice(["1Gi", "2Gi", "4Gi"])},
            "accessModes": random.choice(
                [
                    ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteOncePod"],
                    ["ReadWriteOnce"],
                    ["ReadOnlyMany", "ReadWriteOnce"],
                ]
            ),
            "storageClassName": self.class_name(
                random.choice(["local", "local", "local", "plain", "tracked"])
            ),
        }
        if claim is not None:
            spec["claimRef"] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
        if self._chance(65):
            driver = random.choice([_PLAIN, _PLAIN, _TRACKED, _STRICT])
            spec["csi"] = {
                "driver": driver,
                "volumeHandle": random.choice([name, name, name, "shared-handle"]),
            }
        else:
            spec["hostPath"] = {"path": "/data"}
        if self._chance(8):
            spec["volumeMode"] = "Block"
        if self._chance(6):
            spec["volumeAttributesClassName"] = "gold"
        if self._chance(60):
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": self._terms()}}
        self.statuses.append(("PersistentVolume", "", name, {"phase": phase}))
        if self._chance(3):
            self.leaving.append(("PersistentVolume", "", name))
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": labels},
            "spec": spec,
        }

    def _terms(self) -> list[Document]:
        random = self._random
        expressions = [
            {"key": "zone", "operator": "In", "values": random.sample(["a", "b", "c"], 2)},
            {"key": "kubernetes.io/hostname", "operator": "In", "values": random.sample(self._nodes, 2)},
            {"key": "rack", "operator": "NotIn", "values": ["1"]},
            {"key": "rack", "operator": "Exists"},
            {"key": "rank", "operator": "Gt", "values": ["5"]},
        ]
        return [{"matchExpressions": [random.choice(expressions)]} for _ in range(random.choice([1, 1, 2]))]
