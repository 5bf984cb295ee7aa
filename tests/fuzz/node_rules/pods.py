"""Random pods: what they ask of a node and of the pods that are there, theme by theme."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.node_rules.storage import StorageDraws

Document = dict[str, Any]

THEMES = (
    "nodes",
    "taints",
    "resources",
    "ports",
    "spread",
    "spread",
    "affinity",
    "anti-affinity",
    "affinity",
    "volumes",
    "volumes",
    "disks",
    "odds",
)
_TOPOLOGY_KEYS = ("zone", "zone", "rack", "kubernetes.io/hostname")


class PodDraws:
    """Pods of one case."""

    def __init__(self, random: Random, nodes: Sequence[str], storage: StorageDraws) -> None:
        self._random = random
        self._nodes = list(nodes)
        self._storage = storage

    def _chance(self, percent: int) -> bool:
        return self._random.randrange(100) < percent

    def pod(self, name: str, namespace: str, themes: Sequence[str]) -> Document:
        random = self._random
        labels = {"app": random.choice("xxy")}
        if self._chance(60):
            labels["tier"] = random.choice("xy")
        if self._chance(40):
            labels["version"] = random.choice(["v1", "v2"])
        spec: Document = {"containers": [{"name": "main", "image": "i"}], "affinity": {}, "volumes": []}
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": spec,
        }
        draws = {
            "nodes": self._select_nodes,
            "taints": self._tolerate,
            "resources": self._ask,
            "ports": self._ports,
            "spread": self._spread,
            "affinity": self._affinity,
            "anti-affinity": self._anti_affinity,
            "disks": self._disks,
            "odds": self._odds,
        }
        for theme in themes:
            if theme == "volumes":
                self._volumes(spec, namespace)
            else:
                draws[theme](spec)
        if "taints" not in themes and self._chance(30):
            self._tolerate(spec)
        if "nodes" not in themes and self._chance(15):
            self._select_nodes(spec)
        return document

    def _select_nodes(self, spec: Document) -> None:
        random = self._random
        if self._chance(35):
            key, values = random.choice([("zone", "abc"), ("rack", ["1", "2", "03"])])
            spec["nodeSelector"] = {key: random.choice(list(values))}
        if self._chance(75):
            terms = [self._node_term() for _ in range(random.choice([1, 1, 2]))]
            spec["affinity"].setdefault("nodeAffinity", {})[
                "requiredDuringSchedulingIgnoredDuringExecution"
            ] = {"nodeSelectorTerms": terms}
        if self._chance(20):
            spec["affinity"].setdefault("nodeAffinity", {})[
                "preferredDuringSchedulingIgnoredDuringExecution"
            ] = [{"weight": 3, "preference": self._node_term()}]

    def _node_term(self) -> Document:
        random = self._random
        term: Document = {}
        expressions = [self._node_expression() for _ in range(random.choice([0, 1, 1, 1, 2]))]
        if expressions:
            term["matchExpressions"] = expressions
        if self._chance(20):
            operator = random.choice(["In", "In", "NotIn"])
            name = random.choice([*self._nodes, "nobody"])
            term["matchFields"] = [{"key": "metadata.name", "operator": operator, "values": [name]}]
        return term

    def _node_expression(self) -> Document:
        random = self._random
        operator = random.choice(["In", "In", "NotIn", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"])
        if operator in {"Gt", "Lt"}:
            value = random.choice(["5", "6", "007", "-1", "12", "9223372036854775807"])
            return {"key": random.choice(["rank", "rank", "rack"]), "operator": operator, "values": [value]}
        key, values = random.choice(
            [("zone", ["a", "b", "c", ""]), ("rack", ["1", "2", "03"]), ("rank", ["5", "12"])]
        )
        if operator in {"Exists", "DoesNotExist"}:
            return {"key": key, "operator": operator}
        return {"key": key, "operator": operator, "values": random.sample(values, random.randint(1, 2))}

    def _tolerate(self, spec: Document) -> None:
        random = self._random
        found = []
        for _ in range(random.choice([1, 1, 2])):
            operator = random.choice(["", "Equal", "Exists", "Exists"])
            toleration: Document = {"operator": operator} if operator else {}
            key = random.choice(["", "k", "k", "m", "node.kubernetes.io/*"])
            if key.endswith("*"):
                key = key[:-1] + random.choice(["unschedulable", "not-ready", "unreachable"])
            if key:
                toleration["key"] = key
            else:
                toleration["operator"] = operator = "Exists"
            if operator != "Exists":
                toleration["value"] = random.choice(["x", "7", ""])
            if self._chance(50):
                toleration["effect"] = random.choice(["NoSchedule", "NoExecute", "PreferNoSchedule"])
            found.append(toleration)
        spec["tolerations"] = [*spec.get("tolerations", ()), *found]

    def _resources(self) -> Document:
        random = self._random
        requests: dict[str, str] = {}
        if self._chance(70):
            requests["cpu"] = random.choice(["100m", "500m", "1", "1500m", "0", "0.1"])
        if self._chance(60):
            requests["memory"] = random.choice(["100Mi", "512Mi", "1Gi", "0", "100M"])
        if self._chance(20):
            requests["ephemeral-storage"] = random.choice(["500Mi", "1Gi", "0"])
        limits: dict[str, str] = {}
        if self._chance(20):
            requests["example.com/thing"] = limits["example.com/thing"] = random.choice(["0", "1", "2"])
        if self._chance(12):
            requests["hugepages-2Mi"] = limits["hugepages-2Mi"] = random.choice(["4Mi", "8Mi"])
            requests.setdefault("cpu", "100m")
        if self._chance(20):
            limits["memory"] = "1Gi"
        if self._chance(20):
            limits["cpu"] = "2"
        return {"requests": requests, "limits": limits}

    def _ask(self, spec: Document) -> None:
        random = self._random
        spec["containers"] = [
            {"name": f"c{number}", "image": "i", "resources": self._resources()}
            for number in range(random.choice([1, 1, 2]))
        ]
        if self._chance(50):
            spec["initContainers"] = [
                {
                    "name": f"i{number}",
                    "image": "i",
                    "resources": self._resources(),
                    **({"restartPolicy": "Always"} if self._chance(50) else {}),
                }
                for number in range(random.choice([1, 2, 3]))
            ]
        if self._chance(20):
            spec["resources"] = random.choice(
                [
                    {"requests": {"cpu": "1"}},
                    {"requests": {"cpu": "2", "memory": "1Gi"}},
                    {"limits": {"cpu": "2"}},
                    {"limits": {"memory": "2Gi"}, "requests": {"memory": "600Mi"}},
                ]
            )
        if self._chance(15):
            spec["runtimeClassName"] = "vm"

    def _ports(self, spec: Document) -> None:
        spec["containers"][0]["ports"] = [self._port() for _ in range(self._random.choice([1, 1, 2]))]
        if self._chance(15):
            spec["initContainers"] = [
                {
                    "name": "side",
                    "image": "i",
                    "ports": [self._port()],
                    **({"restartPolicy": "Always"} if self._chance(60) else {}),
                }
            ]
        if self._chance(10):
            spec["hostNetwork"] = True
            for container in [*spec["containers"], *spec.get("initContainers", ())]:
                for port in container.get("ports", ()):
                    port["hostPort"] = port["containerPort"]

    def _port(self) -> Document:
        random = self._random
        port: Document = {"containerPort": random.choice([80, 81])}
        if self._chance(90):
            port["hostPort"] = random.choice([80, 80, 81])
        if self._chance(40):
            port["protocol"] = random.choice(["TCP", "UDP"])
        if self._chance(50):
            port["hostIP"] = random.choice(["0.0.0.0", "10.0.0.1", "10.0.0.2", "::", "fd00::1"])
        return port

    def _selector(self) -> Document | None:
        random = self._random
        if self._chance(8):
            return random.choice([None, {}])
        if self._chance(50):
            return {"matchLabels": {random.choice(["app", "app", "tier"]): random.choice("xxy")}}
        expressions = []
        for _ in range(random.choice([1, 1, 2])):
            operator = random.choice(["In", "In", "NotIn", "Exists", "DoesNotExist"])
            values = {} if operator.endswith(("Exists", "NotExist")) else {"values": random.sample("xyz", 2)}
            expressions.append({"key": random.choice(["app", "tier"]), "operator": operator, **values})
        return {"matchExpressions": expressions}

    def _spread(self, spec: Document) -> None:
        random = self._random
        found = []
        for _ in range(random.choice([1, 1, 2])):
            constraint: Document = {
                "topologyKey": random.choice(_TOPOLOGY_KEYS),
                "maxSkew": random.choice([1, 1, 2]),
                "whenUnsatisfiable": "ScheduleAnyway" if self._chance(12) else "DoNotSchedule",
            }
            selector = self._selector()
            if selector is not None:
                constraint["labelSelector"] = selector
            if self._chance(25) and constraint["whenUnsatisfiable"] == "DoNotSchedule":
                constraint["minDomains"] = random.randint(1, 4)
            if self._chance(30):
                constraint["nodeAffinityPolicy"] = random.choice(["Honor", "Ignore"])
            if self._chance(40):
                constraint["nodeTaintsPolicy"] = random.choice(["Honor", "Honor", "Ignore"])
            if self._chance(20) and selector is not None:
                constraint["matchLabelKeys"] = random.choice([["version"], ["absent"]])
            found.append(constraint)
        spec["topologySpreadConstraints"] = found

    def _term(self) -> Document:
        random = self._random
        term: Document = {"topologyKey": random.choice(_TOPOLOGY_KEYS)}
        selector = self._selector()
        if selector is not None:
            term["labelSelector"] = selector
            if self._chance(15):
                term["matchLabelKeys"] = random.choice([["version"], ["absent"]])
            elif self._chance(15):
                term["mismatchLabelKeys"] = random.choice([["version"], ["absent"]])
        if self._chance(25):
            term["namespaces"] = random.choice([["other"], ["team", "third"], ["nowhere"]])
        if self._chance(30):
            term["namespaceSelector"] = random.choice(
                [
                    {},
                    {"matchLabels": {"env": "a"}},
                    {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["a"]}]},
                    {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
                    {"matchLabels": {"env": "none"}},
                    {"matchLabels": {"kubernetes.io/metadata.name": "other"}},
                ]
            )
        return term

    def _affinity(self, spec: Document) -> None:
        self._terms(spec, "podAffinity")

    def _anti_affinity(self, spec: Document) -> None:
        self._terms(spec, "podAntiAffinity")

    def _terms(self, spec: Document, kind: str) -> None:
        here: Document = {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                self._term() for _ in range(self._random.choice([1, 1, 2]))
            ]
        }
        if self._chance(20):
            here["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {"weight": 5, "podAffinityTerm": self._term()}
            ]
        spec["affinity"][kind] = here

    def _volumes(self, spec: Document, namespace: str) -> None:
        random = self._random
        names = self._storage.claim_names[namespace]
        chosen = random.sample(names, min(len(names), random.choice([1, 1, 1, 2, 3])))
        if self._chance(4):
            chosen.append("nobody")
        for name in chosen:
            spec["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": name}})
        if self._chance(8):
            request = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            request["storageClassName"] = self._storage.class_name(random.choice(["local", "plain"]))
            spec["volumes"].append({"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": request}}})

    def _disks(self, spec: Document) -> None:
        random = self._random
        read_only = {"readOnly": True} if self._chance(50) else {}
        disk = random.choice(["d", "e"])
        source = random.choice(
            [
                {"gcePersistentDisk": {"pdName": disk, **read_only}},
                {"awsElasticBlockStore": {"volumeID": disk, **read_only}},
                {
                    "iscsi": {
                        "targetPortal": random.choice(["p1", "p2"]),
                        "iqn": f"iqn.2001-04.com.example:{disk}",
                        "lun": random.choice([0, 1]),
                        **read_only,
                    }
                },
                {
                    "rbd": {
                        "monitors": random.sample(["m1", "m2", "m3"], 2),
                        "image": disk,
                        **({"pool": random.choice(["rbd", "p"])} if self._chance(50) else {}),
                        **read_only,
                    }
                },
            ]
        )
        spec["volumes"].append({"name": f"disk-{len(spec['volumes'])}", **source})

    def _odds(self, spec: Document) -> None:
        """Fields that are rare."""
        random = self._random
        odd = random.choice(["host-users", "restart-all", "runtime", "overhead", "os", "priority"])
        match odd:
            case "host-users":
                spec["hostUsers"] = False
                spec["hostNetwork"] = self._chance(50)
            case "restart-all":
                rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [3]}}
                spec["containers"][0] |= {"restartPolicy": "Never", "restartPolicyRules": [rule]}
            case "runtime":
                spec["runtimeClassName"] = "vm"
            case "overhead":
                spec["overhead"] = {"cpu": "250m", "memory": "64Mi"}
            case "os":
                spec["os"] = {"name": random.choice(["linux", "windows"])}
            case _:
                spec["preemptionPolicy"] = "PreemptLowerPriority"
