"""Effective requests of pods, as kube-scheduler counts them."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.api.translate.requests import effective_requests

GIB = 1 << 30


def container(name: str = "main", *, sidecar: bool = False, **requests: str) -> dict[str, Any]:
    named = {key.replace("gpu", "nvidia.com/gpu"): value for key, value in requests.items()}
    return {
        "name": name,
        "resources": {"requests": named},
        **({"restartPolicy": "Always"} if sidecar else {}),
    }


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, int]]] = {
    "containers are summed": (
        {"containers": [container("a", cpu="1"), container("b", cpu="500m", memory="1Gi")]},
        {},
        {"cpu": 1500, "memory": GIB},
    ),
    "the largest init container counts if it is larger": (
        {
            "containers": [container(cpu="1", memory="2Gi")],
            "initContainers": [container("i", cpu="3"), container("j", cpu="2", memory="1Gi")],
        },
        {},
        {"cpu": 3000, "memory": 2 * GIB},
    ),
    "a sidecar runs beside the containers": (
        {"containers": [container(cpu="1")], "initContainers": [container("s", sidecar=True, cpu="2")]},
        {},
        {"cpu": 3000},
    ),
    "an init container runs beside the sidecars before it only": (
        {
            "containers": [container(cpu="1")],
            "initContainers": [
                container("i", cpu="4"),
                container("s", sidecar=True, cpu="2"),
                container("j", cpu="3"),
            ],
        },
        {},
        {"cpu": 5000},
    ),
    "a limit without request is a request": (
        {"containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "2"}}}]},
        {},
        {"nvidia.com/gpu": 2},
    ),
    "a request below its limit counts": (
        {"containers": [{"name": "a", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}}]},
        {},
        {"cpu": 1000},
    ),
    "overhead comes on top": (
        {"containers": [container(cpu="1")], "overhead": {"cpu": "250m", "memory": "1Gi"}},
        {},
        {"cpu": 1250, "memory": GIB},
    ),
    "pod-level cpu and memory replace the sum, other resources do not": (
        {
            "containers": [container(cpu="1", memory="1Gi", gpu="1")],
            "resources": {"requests": {"cpu": "4", "memory": "8Gi"}},
            "overhead": {"cpu": "1"},
        },
        {},
        {"cpu": 5000, "memory": 8 * GIB, "nvidia.com/gpu": 1},
    ),
    "a resize upwards counts at once": (
        {"containers": [container(cpu="4")]},
        {"containerStatuses": [{"name": "main", "allocatedResources": {"cpu": "1"}}]},
        {"cpu": 4000},
    ),
    "a resize downwards counts once it is done": (
        {"containers": [container(cpu="1")]},
        {
            "containerStatuses": [
                {
                    "name": "main",
                    "allocatedResources": {"cpu": "1"},
                    "resources": {"requests": {"cpu": "3"}},
                }
            ]
        },
        {"cpu": 3000},
    ),
    "an infeasible resize does not count": (
        {"containers": [container(cpu="64")]},
        {
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
            "containerStatuses": [{"name": "main", "allocatedResources": {"cpu": "2"}}],
        },
        {"cpu": 2000},
    ),
    "a deferred resize counts": (
        {"containers": [container(cpu="64")]},
        {
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Deferred"}],
            "containerStatuses": [{"name": "main", "allocatedResources": {"cpu": "2"}}],
        },
        {"cpu": 64000},
    ),
    "what the kubelet says about the pod as a whole counts instead of what it says of containers": (
        {"containers": [container(cpu="1", gpu="1")]},
        {
            "allocatedResources": {"cpu": "2"},
            "resources": {"requests": {"cpu": "3"}},
            "containerStatuses": [{"name": "main", "allocatedResources": {"cpu": "9"}}],
        },
        {"cpu": 3000, "nvidia.com/gpu": 1},
    ),
    "pod-level requests stand until the kubelet says what it gave the pod": (
        {"containers": [container(memory="1Gi")], "resources": {"requests": {"cpu": "4", "memory": "2Gi"}}},
        {
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
            "allocatedResources": {"cpu": "1"},
        },
        {"cpu": 4000, "memory": 2 * GIB},
    ),
    "an infeasible pod-level resize does not count": (
        {"containers": [container()], "resources": {"requests": {"cpu": "64"}}},
        {
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
            "allocatedResources": {"cpu": "1"},
            "resources": {"requests": {"cpu": "2"}},
        },
        {"cpu": 2000},
    ),
    "numbers without quotes are quantities too": (
        {"containers": [{"name": "a", "resources": {"requests": {"cpu": 1.5, "memory": 1024}}}]},
        {},
        {"cpu": 1500, "memory": 1024},
    ),
    "a pod that asks for nothing is one pod": ({"containers": [{"name": "a"}]}, {}, {}),
}


@pytest.mark.parametrize(("spec", "status", "expected"), CASES.values(), ids=CASES)
def test_effective_requests(spec: dict[str, Any], status: dict[str, Any], expected: dict[str, int]) -> None:
    assert dict(effective_requests(spec, status)) == {**expected, "pods": 1}
