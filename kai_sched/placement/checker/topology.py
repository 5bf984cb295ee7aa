"""Required topology levels: pods of a group or subgroup end in one domain, with those that run already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kai_sched.model.ids import NodeName, PodGroupKey
from kai_sched.model.nodes import Node
from kai_sched.model.topology import Topology
from kai_sched.model.workloads import PodGroup, TopologyConstraint
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.leaves import leaf_of, leaves_of
from kai_sched.placement.checker.violation import Violation, ViolationKind

Domain = tuple[str, ...]


def check_topology(books: Books) -> Iterator[Violation]:
    """Every constraint of every group that gets a place."""
    placed: dict[PodGroupKey, list[tuple[str, NodeName]]] = defaultdict(list)
    active: dict[PodGroupKey, list[tuple[str, NodeName]]] = defaultdict(list)
    leaves: dict[PodGroupKey, frozenset[str]] = {}
    for pod, placement in books.newcomers(in_future=True):
        group = books.groups.get(pod.group) if pod.group is not None else None
        if group is not None and _constraints(group):
            names = leaves.setdefault(group.key, leaves_of(group))
            placed[group.key].append((leaf_of(pod, names) or "", placement.node))
    constrained = set(placed)
    for pod in books.snapshot.pods:
        if pod.group in constrained and pod.node is not None and books.stays_active(pod):
            leaf = leaf_of(pod, leaves[pod.group])
            if leaf is not None:
                active[pod.group].append((leaf, pod.node))
    for key in sorted(constrained):
        for constraint, below in _constraints(books.groups[key]):
            yield from _check_constraint(
                books,
                key,
                constraint,
                [node for subgroup, node in placed[key] if below is None or subgroup in below],
                [node for subgroup, node in active[key] if below is None or subgroup in below],
            )


def _constraints(group: PodGroup) -> list[tuple[TopologyConstraint, set[str] | None]]:
    """Constraints with a required level, and the subgroups below each (None: the whole group)."""
    found: list[tuple[TopologyConstraint, set[str] | None]] = []
    if group.constraint is not None and group.constraint.required_level:
        found.append((group.constraint, None))
    found.extend(
        (subgroup.constraint, _below(group, subgroup.name))
        for subgroup in group.sub_groups
        if subgroup.constraint is not None and subgroup.constraint.required_level
    )
    return found


def _below(group: PodGroup, name: str) -> set[str]:
    names = {name}
    grown = True
    while grown:
        more = {subgroup.name for subgroup in group.sub_groups if subgroup.parent in names} - names
        names |= more
        grown = bool(more)
    return names


def _check_constraint(
    books: Books,
    key: PodGroupKey,
    constraint: TopologyConstraint,
    placed: Sequence[NodeName],
    active: Sequence[NodeName],
) -> Iterator[Violation]:
    if not placed:
        return
    keys = _level_keys(books.snapshot.fleet.topologies, constraint)
    if keys is None:
        level = f"{constraint.required_level!r} of topology {constraint.topology!r}"
        yield Violation(
            ViolationKind.TOPOLOGY, key, f"is placed although its required level {level} is unknown"
        )
        return
    path, all_keys = keys
    domains = {name: _domain(books.nodes, name, path, all_keys) for name in {*placed, *active}}
    outside = next((name for name in placed if domains[name] is None), None)
    if outside is not None:
        yield Violation(
            ViolationKind.TOPOLOGY, key, f"node {outside} is outside topology {constraint.topology!r}"
        )
        return
    new = {domains[name] for name in placed}
    old = {domains[name] for name in active} - {None}
    if len(new) > 1 or (old and not new <= old):
        texts = sorted("/".join(domain) for domain in new | old if domain is not None)
        yield Violation(
            ViolationKind.TOPOLOGY, key, f"needs one {constraint.required_level}, spans {', '.join(texts)}"
        )


def _level_keys(
    topologies: Sequence[Topology], constraint: TopologyConstraint
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Labels from the coarsest level to the required one, and those of all levels; None if unknown.

    A level without a topology is a bare node label.
    """
    if not constraint.topology:
        return (constraint.required_level,), (constraint.required_level,)
    topology = next((one for one in topologies if one.name == constraint.topology), None)
    if topology is None or topology.problem:
        return None
    labels = tuple(level.node_label for level in topology.levels)
    for position, level in enumerate(topology.levels):
        if constraint.required_level in {level.node_label, level.alias}:
            return labels[: position + 1], labels
    return None


def _domain(
    nodes: Mapping[NodeName, Node], name: NodeName, path: Sequence[str], all_keys: Sequence[str]
) -> Domain | None:
    node = nodes.get(name)
    labels = dict(node.labels) if node is not None else {}
    if any(label not in labels for label in all_keys):
        return None
    return tuple(labels[label] for label in path)
