"""Every field of a pod that decides where it may run has its place in the spec, or is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.api.translate import SpecInterner, TranslateContext, translate_pod
from kai_sched.model.selectors import (
    LabelSelector,
    NodeSelector,
    NodeSelectorTerm,
    Operator,
    Requirement,
    Toleration,
)
from kai_sched.model.workloads import GpuShare, HostPort, Pod, PodAffinityTerm, PodSpec, TopologySpread
from tests.documents import a_pod_document

NAMESPACES = {"team": {"kind": "lab"}, "other": {"kind": "lab"}, "prod": {"kind": "prod"}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
APP = LabelSelector((Requirement("app", Operator.IN, ("web",)),))
APP_DOCUMENT = {"matchLabels": {"app": "web"}}


def spec_of(**parts: Any) -> PodSpec:
    pod = translate_pod(a_pod_document(**parts), TranslateContext(namespaces=NAMESPACES), SpecInterner())
    assert isinstance(pod, Pod), str(pod)
    return pod.spec


def anti(term: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {REQUIRED: [{"topologyKey": "rack", **term}]}}}


def term(namespaces: tuple[str, ...], selector: LabelSelector | None = APP) -> tuple[PodAffinityTerm, ...]:
    return (PodAffinityTerm("rack", selector, namespaces),)


FIELDS: dict[str, tuple[dict[str, Any], str, object]] = {
    "nodeSelector": ({"nodeSelector": {"b": "2", "a": "1"}}, "node_selector", (("a", "1"), ("b", "2"))),
    "required node affinity": (
        {
            "affinity": {
                "nodeAffinity": {
                    REQUIRED: {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
                            {
                                "matchFields": [
                                    {"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}
                                ]
                            },
                        ]
                    }
                }
            }
        },
        "required_node_affinity",
        NodeSelector(
            (
                NodeSelectorTerm((Requirement("zone", Operator.IN, ("a", "b")),)),
                NodeSelectorTerm((), (Requirement("metadata.name", Operator.NOT_IN, ("n1",)),)),
            )
        ),
    ),
    "preferred node affinity": (
        {
            "affinity": {
                "nodeAffinity": {
                    PREFERRED: [
                        {
                            "weight": 5,
                            "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]},
                        }
                    ]
                }
            }
        },
        "preferred_node_affinity",
        ((5, NodeSelectorTerm((Requirement("fast", Operator.EXISTS),))),),
    ),
    "tolerations": (
        {"tolerations": [{"operator": "Exists"}, {"key": "gpu", "value": "yes", "effect": "NoSchedule"}]},
        "tolerations",
        (Toleration("", "Exists"), Toleration("gpu", "Equal", "yes", "NoSchedule")),
    ),
    "pod affinity in the own namespace": (
        {"affinity": {"podAffinity": {REQUIRED: [{"topologyKey": "rack", "labelSelector": APP_DOCUMENT}]}}},
        "pod_affinity",
        term(("team",)),
    ),
    "preferred pod affinity": (
        {
            "affinity": {
                "podAffinity": {
                    PREFERRED: [
                        {
                            "weight": 7,
                            "podAffinityTerm": {"topologyKey": "rack", "labelSelector": APP_DOCUMENT},
                        }
                    ]
                }
            }
        },
        "pod_affinity",
        (PodAffinityTerm("rack", APP, ("team",), 7),),
    ),
    "anti-affinity with listed namespaces": (
        anti({"labelSelector": APP_DOCUMENT, "namespaces": ["x", "y"]}),
        "pod_anti_affinity",
        term(("x", "y")),
    ),
    "anti-affinity over all namespaces": (
        anti({"labelSelector": APP_DOCUMENT, "namespaceSelector": {}}),
        "pod_anti_affinity",
        term(()),
    ),
    "anti-affinity over namespaces by label": (
        anti({"labelSelector": APP_DOCUMENT, "namespaceSelector": {"matchLabels": {"kind": "lab"}}}),
        "pod_anti_affinity",
        term(("other", "team")),
    ),
    "anti-affinity over namespaces that do not exist": (
        anti({"labelSelector": APP_DOCUMENT, "namespaceSelector": {"matchLabels": {"kind": "none"}}}),
        "pod_anti_affinity",
        term(("",)),
    ),
    "anti-affinity without a selector": (anti({}), "pod_anti_affinity", term(("team",), None)),
    "anti-affinity with label keys": (
        anti(
            {"labelSelector": APP_DOCUMENT, "matchLabelKeys": ["app", "rev"], "mismatchLabelKeys": ["tenant"]}
        ),
        "pod_anti_affinity",
        term(
            ("team",),
            LabelSelector(
                (
                    Requirement("app", Operator.IN, ("web",)),
                    Requirement("rev", Operator.IN, ("7",)),
                    Requirement("tenant", Operator.NOT_IN, ("t1",)),
                )
            ),
        ),
    ),
    "topology spread": (
        {
            "topologySpreadConstraints": [
                {
                    "topologyKey": "zone",
                    "maxSkew": 2,
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {},
                    "minDomains": 3,
                    "matchLabelKeys": ["rev"],
                    "nodeAffinityPolicy": "Ignore",
                    "nodeTaintsPolicy": "Honor",
                },
                {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"},
            ]
        },
        "topology_spread",
        (
            TopologySpread(
                "zone",
                2,
                LabelSelector((Requirement("rev", Operator.IN, ("7",)),)),
                is_required=True,
                min_domains=3,
                honours_node_affinity=False,
                honours_node_taints=True,
            ),
            TopologySpread("zone", 1, None, is_required=False),
        ),
    ),
    "host ports": (
        {
            "containers": [
                {"name": "a", "ports": [{"containerPort": 80}, {"hostPort": 90, "protocol": "UDP"}]}
            ],
            "initContainers": [
                {"name": "done", "ports": [{"hostPort": 91}]},
                {"name": "s", "restartPolicy": "Always", "ports": [{"hostPort": 92, "hostIP": "10.0.0.1"}]},
            ],
        },
        "host_ports",
        (HostPort(90, "UDP"), HostPort(92, "TCP", "10.0.0.1")),
    ),
    "ports on the host network": (
        {"hostNetwork": True, "containers": [{"name": "a", "ports": [{"containerPort": 80}]}]},
        "host_ports",
        (HostPort(80),),
    ),
    "volume claims": (
        {
            "volumes": [
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
                {"name": "e", "emptyDir": {}},
            ]
        },
        "volume_claims",
        ("data", "p0-scratch"),
    ),
    "in-tree disks": (
        {
            "volumes": [
                {"name": "g", "gcePersistentDisk": {"pdName": "disk", "readOnly": True}},
                {"name": "a", "awsElasticBlockStore": {"volumeID": "vol", "readOnly": True}},
                {"name": "i", "iscsi": {"iqn": "iqn.x", "targetPortal": "p"}},
                {"name": "r", "rbd": {"monitors": ["m1", "m2"], "image": "img"}},
            ]
        },
        "inline_volumes",
        (
            ("gcePersistentDisk", "disk", True),
            ("awsElasticBlockStore", "vol", False),
            ("iscsi", "iqn.x", False),
            ("rbd", "m1/rbd/img", False),
            ("rbd", "m2/rbd/img", False),
        ),
    ),
    "config maps": (
        {
            "volumes": [
                {"name": "c", "configMap": {"name": "settings"}},
                {"name": "o", "configMap": {"name": "maybe", "optional": True}},
                {
                    "name": "p",
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "kube-root-ca.crt"}},
                            {"configMap": {"name": "extra"}},
                        ]
                    },
                },
            ],
            "containers": [
                {
                    "name": "a",
                    "envFrom": [{"configMapRef": {"name": "env"}}, {"secretRef": {"name": "s"}}],
                    "env": [
                        {"name": "A", "value": "1"},
                        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "k"}}},
                    ],
                }
            ],
        },
        "config_maps",
        ("env", "extra", "one", "settings"),
    ),
    "runtime class": ({"runtimeClassName": "kata"}, "runtime_class", "kata"),
    "native pod groups": (
        {"schedulingGroup": {"podGroupName": "g"}},
        "unsupported",
        ("spec.schedulingGroup: pod groups of scheduling.k8s.io are not supported yet",),
    ),
    "the Workload API": (
        {"workloadRef": {"name": "w"}},
        "unsupported",
        ("spec.workloadRef: the Workload API of Kubernetes 1.35 is not supported",),
    ),
    "user namespaces on the host network": (
        {"hostNetwork": True, "hostUsers": False},
        "unsupported",
        ("spec.hostUsers: needs nodes that declare feature UserNamespacesHostNetworkSupport",),
    ),
    "restarting all containers": (
        {"containers": [{"name": "a", "restartPolicyRules": [{"action": "RestartAllContainers"}]}]},
        "unsupported",
        (
            (
                "spec.containers.restartPolicyRules: needs nodes that declare feature"
                " RestartAllContainersOnContainerExits"
            ),
        ),
    ),
    "bind mount options": (
        {"initContainers": [{"name": "a", "volumeMounts": [{"name": "v", "bindMountOptions": ["noexec"]}]}]},
        "unsupported",
        (
            (
                "spec.initContainers.volumeMounts.bindMountOptions: needs nodes that declare feature"
                " VolumeBindMountOptions"
            ),
        ),
    ),
    "ordinary restart rules": (
        {"containers": [{"name": "a", "restartPolicyRules": [{"action": "Restart"}]}]},
        "unsupported",
        (),
    ),
}


@pytest.mark.parametrize(("spec", "attribute", "expected"), FIELDS.values(), ids=FIELDS)
def test_field_has_its_place_in_the_spec(spec: dict[str, Any], attribute: str, expected: object) -> None:
    labels = {"app": "web", "rev": "7", "tenant": "t1"}

    assert getattr(spec_of(spec=spec, labels=labels), attribute) == expected


def test_a_gpu_share_is_part_of_the_spec() -> None:
    spec = spec_of(annotations={"gpu-fraction": "0.5", "gpu-fraction-num-devices": "2"})

    assert spec.gpu_share == GpuShare(portion_micros=500_000, devices=2)


def test_labels_are_sorted_pairs() -> None:
    assert spec_of(labels={"b": "2", "a": "1"}).labels == (("a", "1"), ("b", "2"))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "quantity": (
        {"containers": [{"name": "a", "resources": {"requests": {"cpu": "fast"}}}]},
        "spec.containers[0].resources.requests.cpu",
    ),
    "negative quantity": (
        {"containers": [{"name": "a", "resources": {"requests": {"cpu": "-1"}}}]},
        "spec.containers[0].resources.requests.cpu",
    ),
    "containers": ({"containers": "one"}, "spec.containers"),
    "container": ({"containers": ["one"]}, "spec.containers[0]"),
    "node selector": ({"nodeSelector": {"a": 1}}, "spec.nodeSelector.a"),
    "operator": (
        {
            "affinity": {
                "nodeAffinity": {
                    REQUIRED: {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Near"}]}]
                    }
                }
            }
        },
        f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].operator",
    ),
    "topology key": (
        {"affinity": {"podAffinity": {REQUIRED: [{"labelSelector": {}}]}}},
        f"spec.affinity.podAffinity.{REQUIRED}[0].topologyKey",
    ),
    "host port": (
        {"containers": [{"name": "a", "ports": [{"hostPort": 70000}]}]},
        "spec.containers.ports[0].hostPort",
    ),
    "priority": ({"priority": "high"}, "spec.priority"),
    "claim": ({"resourceClaims": [{"name": "c"}]}, "spec.resourceClaims[0]"),
}


@pytest.mark.parametrize(("spec", "field"), BAD.values(), ids=BAD)
def test_a_pod_that_waits_for_us_and_cannot_be_read_says_the_field(spec: dict[str, Any], field: str) -> None:
    pod = translate_pod(a_pod_document(spec=spec), TranslateContext(), SpecInterner())

    assert isinstance(pod, Pod)
    assert pod.problem.startswith(f"{field}: ")
    assert dict(pod.spec.requests).keys() <= {"pods"}


@pytest.mark.parametrize("where", [{"nodeName": "n1"}, {"schedulerName": "another"}], ids=repr)
@pytest.mark.parametrize(("spec", "field"), BAD.values(), ids=BAD)
def test_any_other_pod_that_cannot_be_read_is_left_out(
    spec: dict[str, Any], field: str, where: dict[str, Any]
) -> None:
    pod = translate_pod(a_pod_document(spec={**spec, **where}), TranslateContext(), SpecInterner())

    assert not isinstance(pod, Pod)
    assert (pod.kind, pod.key, pod.field) == ("Pod", "team/p0", field)


@pytest.mark.parametrize(
    "raw", [{}, {"metadata": None}, {"metadata": {"name": 5}}, {"metadata": {"name": "x"}, "spec": []}]
)
def test_garbage_is_unreadable_and_never_raises(raw: dict[str, Any]) -> None:
    assert not isinstance(translate_pod(raw, TranslateContext(), SpecInterner()), Pod)
