"""Pod rules, asked again: each pod on a node that its own fields and the pods already there admit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from kai_sched.model.plan import Placement
from kai_sched.model.workloads import Pod, PodSpec
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.violation import Violation, ViolationKind
from kai_sched.placement.node_table import NodeTable
from kai_sched.placement.rules.dynamic import DynamicRules
from kai_sched.placement.rules.static import StaticRules
from kai_sched.placement.rules.volumes import VolumesView


def check_pod_rules(books: Books) -> Iterator[Violation]:
    """Rules of the pod and the node alone, then those that depend on other pods."""
    yield from _check_static(books)
    if _depends_on_others(pod.spec for pod in books.snapshot.pods):
        yield from _check_dynamic(books, in_future=False)
        if books.pipelined or books.evicted:
            yield from _check_dynamic(books, in_future=True)


def _check_static(books: Books) -> Iterator[Violation]:
    used = {placement.node for placement in books.binds + books.pipelined}
    fleet = replace(
        books.snapshot.fleet, nodes=tuple(node for node in books.snapshot.fleet.nodes if node.name in used)
    )
    table = NodeTable.build(fleet, _resources(books))
    rules = StaticRules.of(table, replace(books.snapshot, fleet=fleet), books.policy)
    for pod, placement in books.newcomers(in_future=True):
        if not rules.mask(pod.spec).allowed[table.index_of[placement.node]]:
            yield Violation(
                ViolationKind.STATIC_RULE, pod.key, f"node {placement.node} is not allowed by its own rules"
            )


def _resources(books: Books) -> set[str]:
    specs = {id(pod.spec): pod.spec for pod, _ in books.newcomers(in_future=True)}
    return {name for spec in specs.values() for name, _ in spec.requests}


def _depends_on_others(specs: Iterable[PodSpec]) -> bool:
    distinct = {id(spec): spec for spec in specs}
    return any(
        spec.pod_affinity
        or spec.pod_anti_affinity
        or spec.topology_spread
        or spec.host_ports
        or spec.volume_claims
        or spec.inline_volumes
        for spec in distinct.values()
    )


def _check_dynamic(books: Books, *, in_future: bool) -> Iterator[Violation]:
    table = NodeTable.build(books.snapshot.fleet, _resources(books))
    holders = [pod for pod, node in books.holders(in_future=in_future) if node in table.index_of]
    rules = DynamicRules.build(table, holders, VolumesView.of(books.snapshot))
    waiting = list(books.newcomers(in_future=in_future))
    # A plan does not say in which order its pods were seated, and affinity depends on it: any order will do.
    while waiting:
        refused = _seat(rules, table, waiting)
        if len(refused) == len(waiting):
            break
        waiting = refused
    for pod, placement in waiting:
        yield Violation(
            ViolationKind.DYNAMIC_RULE, pod.key, f"node {placement.node} is not allowed beside the pods there"
        )


def _seat(
    rules: DynamicRules, table: NodeTable, waiting: list[tuple[Pod, Placement]]
) -> list[tuple[Pod, Placement]]:
    """Seat all that may go where they are meant to; returns the others."""
    refused: list[tuple[Pod, Placement]] = []
    for pod, placement in waiting:
        node = table.index_of[placement.node]
        mask = rules.mask(pod.spec)
        if mask is None or mask[node]:
            rules.place(pod.spec, node)
        else:
            refused.append((pod, placement))
    return refused
