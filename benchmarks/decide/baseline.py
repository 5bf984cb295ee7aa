"""The baseline: a plain scheduler that looks at every node for every pod and takes the tightest that fits.

Gangs whole in one required domain, like ours; no solver, no preferred levels, no arrays.
"""

from __future__ import annotations

from kai_sched.model.nodes import Node
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import HOLDS_ROOM, Pod, PodState


def first_fit(snapshot: ClusterSnapshot) -> int:
    """Place every pending gang; returns the number of pods placed."""
    free = {node.name: dict(node.allocatable) for node in snapshot.fleet.nodes}
    for pod in snapshot.pods:
        if pod.node is not None and pod.state in HOLDS_ROOM:
            _take(free[pod.node], pod, +1)
    gangs: dict[str, list[Pod]] = {}
    for pod in snapshot.pods:
        if pod.state is PodState.PENDING and pod.group is not None:
            gangs.setdefault(pod.group, []).append(pod)
    groups = {group.key: group for group in snapshot.pod_groups}
    order = sorted(gangs, key=lambda key: (-groups[key].priority, groups[key].created_at, key))  # type: ignore[index]
    placed = 0
    for key in order:
        constraint = groups[key].constraint  # type: ignore[index]
        level = constraint.required_level if constraint is not None else ""
        for domain in _domains(snapshot.fleet.nodes, level):
            if _place(gangs[key], domain, free):
                placed += len(gangs[key])
                break
    return placed


def _domains(nodes: tuple[Node, ...], level: str) -> list[list[Node]]:
    if not level:
        return [list(nodes)]
    domains: dict[str, list[Node]] = {}
    for node in nodes:
        domains.setdefault(node.label(level) or "", []).append(node)
    return list(domains.values())


def _place(pods: list[Pod], nodes: list[Node], free: dict[str, dict[str, int]]) -> bool:
    taken: list[tuple[str, Pod]] = []
    for pod in pods:
        fitting = [node.name for node in nodes if _fits(free[node.name], pod)]
        if not fitting:
            for name, seated in taken:
                _take(free[name], seated, -1)
            return False
        best = min(fitting, key=lambda name: free[name]["nvidia.com/gpu"])
        _take(free[best], pod, +1)
        taken.append((best, pod))
    return True


def _fits(room: dict[str, int], pod: Pod) -> bool:
    return all(room.get(name, 0) >= amount for name, amount in pod.spec.requests)


def _take(room: dict[str, int], pod: Pod, sign: int) -> None:
    for name, amount in pod.spec.requests:
        room[name] -= sign * amount
