"""Shared GPUs: which pods are believed when their labels say that they have part of one (KAI's ``runai-gpu-group``).

Anybody may label a pod. A group takes a GPU only where a pod holds that GPU: one of another scheduler that asks for whole
ones (the reservation pods of a group do), or a pod of ours that has parts, of as many as it asks for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from kai_sched.model.workloads import Pod


def with_held_groups(pods: Sequence[Pod], gpu_resources: Collection[str]) -> list[Pod]:
    """The pods, each with those of its groups that hold a GPU of its node."""
    labelled = [pod for pod in pods if pod.gpu_groups and pod.node is not None]
    if not labelled:
        return list(pods)
    held = {(pod.node, group) for pod in labelled for group in _own_word(pod, gpu_resources)}

    def believed(pod: Pod) -> Iterable[str]:
        share = pod.spec.gpu_share
        if share is None:
            return _own_word(pod, gpu_resources)
        return [group for group in pod.gpu_groups if (pod.node, group) in held][: share.devices]

    kept = {pod.key: tuple(believed(pod)) for pod in labelled}
    return [
        replace(pod, gpu_groups=kept[pod.key]) if pod.gpu_groups != kept.get(pod.key, pod.gpu_groups) else pod
        for pod in pods
    ]


def _own_word(pod: Pod, gpu_resources: Collection[str]) -> Sequence[str]:
    """The groups whose GPUs a pod holds itself."""
    share = pod.spec.gpu_share
    if share is not None:
        return pod.gpu_groups[: share.devices] if pod.group is not None else ()
    whole = sum(amount for name, amount in pod.spec.requests if name in gpu_resources)
    return pod.gpu_groups if pod.group is None and len(pod.gpu_groups) <= whole else ()
