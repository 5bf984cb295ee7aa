"""GPUs of device-plugin nodes one by one: no index for two owners, no shared GPU filled beyond its whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.plan import Placement
from kai_sched.model.resources import amount_of
from kai_sched.model.workloads import Pod
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.nodes import gpu_resource_of
from kai_sched.placement.checker.violation import Violation, ViolationKind


def check_gpus(books: Books) -> Iterator[Violation]:
    """Form of each placement, then indices and shares in both views."""
    for placement in books.binds + books.pipelined:
        yield from _check_form(books, placement)
    for in_future in (False, True) if books.pipelined or books.evicted else (False,):
        yield from _check_indices(books, in_future=in_future)
        yield from _check_shares(books, in_future=in_future)


def _check_form(books: Books, placement: Placement) -> Iterator[Violation]:
    pod, node = books.pods[placement.pod], books.nodes[placement.node]
    share = pod.spec.gpu_share
    resource = gpu_resource_of(node, books.policy)
    there = amount_of(node.allocatable, resource)
    wanted = share.devices if share else amount_of(pod.spec.requests, resource)
    indices, groups = placement.gpu_indices, placement.gpu_groups
    if indices and (len(set(indices)) != wanted or len(indices) != wanted):
        yield Violation(
            ViolationKind.GPU_INDEX, placement.pod, f"{wanted} GPUs wanted, indices {indices} given"
        )
    if share and node.label(books.policy.partition_strategy_label) in books.policy.partitions_as_gpus:
        yield Violation(
            ViolationKind.GPU_SHARE, placement.pod, f"{node.name} has partitions, which have no parts"
        )
    if any(not 0 <= index < there for index in indices):
        yield Violation(
            ViolationKind.GPU_INDEX, placement.pod, f"{node.name} has {there} GPUs, {indices} given"
        )
    if len(set(groups)) != len(groups) or len(groups) != (share.devices if share else 0):
        yield Violation(ViolationKind.GPU_SHARE, placement.pod, f"GPU groups {groups} do not fit its request")


def _owners(pod: Pod, indices: tuple[int, ...], groups: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Who owns each index: the shared group where there is one, else the pod alone."""
    for position, index in enumerate(indices):
        yield index, f"group {groups[position]}" if position < len(groups) else f"pod {pod.key}"


def _check_indices(books: Books, *, in_future: bool) -> Iterator[Violation]:
    planned: dict[NodeName, set[int]] = defaultdict(set)
    owners: dict[tuple[NodeName, int], set[str]] = defaultdict(set)
    for pod, placement in books.newcomers(in_future=in_future):
        for index, owner in _owners(pod, placement.gpu_indices, placement.gpu_groups):
            planned[placement.node].add(index)
            owners[placement.node, index].add(owner)
    for pod, where in books.holders(in_future=in_future):
        if where in planned:
            for index, owner in _owners(pod, pod.gpu_indices, pod.gpu_groups):
                owners[where, index].add(owner)
    for node in sorted(planned):
        for index in sorted(planned[node]):
            if len(owners[node, index]) > 1:
                names = ", ".join(sorted(owners[node, index]))
                yield Violation(ViolationKind.GPU_INDEX, node, f"GPU {index} has several owners: {names}")


def _check_shares(books: Books, *, in_future: bool) -> Iterator[Violation]:
    used: dict[tuple[NodeName, str], Fraction] = defaultdict(Fraction)
    planned: set[tuple[NodeName, str]] = set()
    for pod, placement in books.newcomers(in_future=in_future):
        portion = _portion(pod, books.nodes[placement.node])
        if portion is None:
            yield Violation(
                ViolationKind.GPU_SHARE, placement.pod, f"{placement.node} cannot serve its GPU memory"
            )
            continue
        for group in placement.gpu_groups:
            planned.add((placement.node, group))
            used[placement.node, group] += portion
    for pod, where in books.holders(in_future=in_future):
        for group in pod.gpu_groups:
            if (where, group) in planned and pod.spec.gpu_share is not None:
                used[where, group] += _portion(pod, books.nodes[where]) or 1
    for node, group in sorted(planned):
        if used[node, group] > 1:
            yield Violation(
                ViolationKind.GPU_SHARE, node, f"GPU group {group} is filled to {used[node, group]}"
            )


def _portion(pod: Pod, node: Node) -> Fraction | None:
    """The part of one GPU that a pod takes; None where the node's GPUs are too small or unknown."""
    share = pod.spec.gpu_share
    if share is None:
        return Fraction(0)
    if share.portion_micros:
        return Fraction(share.portion_micros, 10**6)
    if not 0 < share.memory_mib <= node.gpu_memory_mib:
        return None
    return Fraction(share.memory_mib, node.gpu_memory_mib)
