"""Node resources: what everybody holds plus what the plan adds never exceeds what a node can give."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.policy import Policy
from kai_sched.model.workloads import Pod
from kai_sched.placement.checker.books import Books, devices_for_extended
from kai_sched.placement.checker.violation import Violation, ViolationKind


def check_nodes(books: Books) -> Iterator[Violation]:
    """This moment for binds; for pipelined pods once those who leave have left."""
    yield from _check_view(books, in_future=False)
    if books.pipelined or books.evicted:
        yield from _check_view(books, in_future=True)


def check_held(books: Books) -> Iterator[Violation]:
    """Nodes on which more is held than they have, whatever the plan adds.

    A resource of which a node counts nothing may be one that a driver serves by claims there.
    """
    held, _ = _held(books, set(books.nodes), in_future=False)
    for name, amounts in sorted(held.items()):
        for resource, there in books.nodes[name].allocatable:
            amount = amounts[resource]
            if amount > there > 0:
                message = f"{resource}: {amount} held > {there}"
                yield Violation(ViolationKind.NODE_RESOURCES, name, message)


def gpu_resource_of(node: Node, policy: Policy) -> str:
    """The device-plugin resource of whole GPUs that a node offers, "" without."""
    offered = {name for name, amount in node.allocatable if amount > 0}
    return next((name for name in policy.gpu_resources if name in offered), "")


def _check_view(books: Books, *, in_future: bool) -> Iterator[Violation]:
    added: dict[NodeName, Counter[str]] = defaultdict(Counter)
    for pod, placement in books.newcomers(in_future=in_future):
        by_claim = devices_for_extended(placement)
        counted = {name: amount for name, amount in pod.spec.requests if name not in by_claim}
        added[placement.node].update(counted)
    groups: dict[NodeName, set[str]] = defaultdict(set)
    for pod, placement in books.newcomers(in_future=in_future):
        groups[placement.node].update(placement.gpu_groups if pod.spec.gpu_share else ())
    held, held_groups = _held(books, set(added), in_future=in_future)
    for name in sorted(added):
        node = books.nodes[name]
        gpu = gpu_resource_of(node, books.policy)
        opened = len(groups[name] - held_groups[name])
        wanted = added[name] + Counter({gpu: opened} if opened else {})
        yield from _over(node, held[name], wanted, in_future=in_future)


def _held(
    books: Books, nodes: set[NodeName], *, in_future: bool
) -> tuple[Mapping[NodeName, Counter[str]], Mapping[NodeName, set[str]]]:
    """Amounts held on each node, and the shared-GPU groups open there (each of which holds one whole GPU)."""
    held: dict[NodeName, Counter[str]] = defaultdict(Counter)
    shared: dict[NodeName, set[str]] = defaultdict(set)
    reserved: dict[NodeName, set[str]] = defaultdict(set)
    for pod, where in books.holders(in_future=in_future):
        if where not in nodes:
            continue
        held[where].update(dict(pod.spec.requests))
        if pod.gpu_groups:
            (shared if pod.spec.gpu_share else reserved)[where].update(pod.gpu_groups)
    for pod, target in _movers(books) if in_future else ():
        held[target].update(dict(pod.spec.requests))
    for where, names in shared.items():
        # A reservation pod asks for its group's GPU itself: it is counted by its request already.
        uncounted = len(names - reserved[where])
        held[where][gpu_resource_of(books.nodes[where], books.policy)] += uncounted
    for where in nodes:
        shared[where] |= reserved[where]
    return held, shared


def _movers(books: Books) -> Iterator[tuple[Pod, NodeName]]:
    """Victims with a new place that no placement of the plan mentions."""
    placed = {placement.pod for placement in books.pipelined}
    for eviction in books.plan.evictions:
        pod = books.pods.get(eviction.pod)
        if pod is not None and eviction.moves_to is not None and eviction.pod not in placed:
            yield pod, eviction.moves_to


def _over(node: Node, held: Counter[str], added: Counter[str], *, in_future: bool) -> Iterator[Violation]:
    allocatable = dict(node.allocatable)
    for resource, amount in sorted(added.items()):
        there = allocatable.get(resource, 0)
        if amount > 0 and held[resource] + amount > there:
            when = " once releasing pods are gone" if in_future else ""
            yield Violation(
                ViolationKind.NODE_RESOURCES,
                node.name,
                f"{resource}: {held[resource]} held + {amount} planned > {there}{when}",
            )
