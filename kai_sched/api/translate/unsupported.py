"""Fields that kube-scheduler's default filters read and that are not honoured here: each is refused by name.

A pod that sets one of them is never placed as if it had not (blocker ``Unsupported``). Source of the list: the
filters of Kubernetes 1.37, read one by one; what else they read is honoured.
"""

from __future__ import annotations

from collections.abc import Iterator

from kai_sched.api.kinds import Raw
from kai_sched.api.translate.fields import sections


def unsupported_fields(spec: Raw) -> tuple[str, ...]:
    """Each such field as ``field: reason``, in a fixed order."""
    return tuple(sorted(set(_unsupported(spec))))


def _unsupported(spec: Raw) -> Iterator[str]:
    if spec.get("schedulingGroup") is not None:
        yield "spec.schedulingGroup: pod groups of scheduling.k8s.io are not supported yet"
    if spec.get("workloadRef") is not None:
        yield "spec.workloadRef: the Workload API of Kubernetes 1.35 is not supported"
    if spec.get("hostNetwork") is True and spec.get("hostUsers") is False:
        yield "spec.hostUsers: needs nodes that declare feature UserNamespacesHostNetworkSupport"
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for container in sections(spec, key, "spec"):
            yield from _declared_features(container, f"spec.{key}")


def _declared_features(container: Raw, path: str) -> Iterator[str]:
    """NodeDeclaredFeatures (KEP-5328): what a container asks of the node's kubelet."""
    for rule in sections(container, "restartPolicyRules", path):
        if rule.get("action") == "RestartAllContainers":
            yield f"{path}.restartPolicyRules: needs nodes that declare feature RestartAllContainersOnContainerExits"
    for mount in sections(container, "volumeMounts", path):
        if mount.get("bindMountOptions"):
            yield f"{path}.volumeMounts.bindMountOptions: needs nodes that declare feature VolumeBindMountOptions"
