"""The baseline: a plain scheduler that looks at every node for every pod and takes the tightest that fits.

Gangs and subgroups whole in one required domain each, like ours; no solver, no preferred levels, no arrays.
"""

from __future__ import annotations

from collections.abc import Iterator

from kai_sched.model.nodes import Node
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.workloads import HOLDS_ROOM, Pod, PodGroup, PodState

Free = dict[str, dict[str, int]]
Seats = list[tuple[str, Pod]]


def first_fit(snapshot: ClusterSnapshot) -> int:
    """Place every pending gang; returns the number of pods placed."""
    free: Free = {node.name: dict(node.allocatable) for node in snapshot.fleet.nodes}
    for pod in snapshot.pods:
        if pod.node is not None and pod.state in HOLDS_ROOM:
            _take(free[pod.node], pod, +1)
    gangs: dict[str, list[Pod]] = {}
    for pod in snapshot.pods:
        if pod.state is PodState.PENDING and pod.group is not None:
            gangs.setdefault(pod.group, []).append(pod)
    groups: dict[str, PodGroup] = {group.key: group for group in snapshot.pod_groups}
    order = sorted(gangs, key=lambda key: (-groups[key].priority, groups[key].created_at, key))
    return sum(len(gangs[key]) for key in order if _place_gang(groups[key], gangs[key], snapshot, free))


def _place_gang(group: PodGroup, pods: list[Pod], snapshot: ClusterSnapshot, free: Free) -> bool:
    level = group.constraint.required_level if group.constraint is not None else ""
    for domain in _domains(snapshot.fleet.nodes, level):
        seats: Seats = []
        if all(_place_part(part, inner, domain, free, seats) for part, inner in _parts(group, pods)):
            return True
        for name, pod in seats:
            _take(free[name], pod, -1)
    return False


def _parts(group: PodGroup, pods: list[Pod]) -> Iterator[tuple[list[Pod], str]]:
    """Pods that go together, with the level that binds them."""
    if not group.sub_groups:
        yield pods, ""
    for subgroup in group.sub_groups:
        level = subgroup.constraint.required_level if subgroup.constraint is not None else ""
        yield [pod for pod in pods if pod.subgroup == subgroup.name], level


def _place_part(pods: list[Pod], level: str, within: list[Node], free: Free, seats: Seats) -> bool:
    for domain in _domains(within, level):
        mark = len(seats)
        if all(_place(pod, domain, free, seats) for pod in pods):
            return True
        while len(seats) > mark:
            name, pod = seats.pop()
            _take(free[name], pod, -1)
    return False


def _place(pod: Pod, nodes: list[Node], free: Free, seats: Seats) -> bool:
    fitting = [node.name for node in nodes if _fits(free[node.name], pod)]
    if not fitting:
        return False
    best = min(fitting, key=lambda name: free[name]["nvidia.com/gpu"])
    _take(free[best], pod, +1)
    seats.append((best, pod))
    return True


def _domains(nodes: tuple[Node, ...] | list[Node], level: str) -> list[list[Node]]:
    if not level:
        return [list(nodes)]
    domains: dict[str, list[Node]] = {}
    for node in nodes:
        domains.setdefault(node.label(level) or "", []).append(node)
    return list(domains.values())


def _fits(room: dict[str, int], pod: Pod) -> bool:
    return all(room.get(name, 0) >= amount for name, amount in pod.spec.requests)


def _take(room: dict[str, int], pod: Pod, sign: int) -> None:
    for name, amount in pod.spec.requests:
        room[name] -= sign * amount
