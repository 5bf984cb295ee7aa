"""Pod rules: each pod on a node that its own fields, its volumes and the pods already there admit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kai_sched.model.plan import Placement
from kai_sched.model.workloads import Pod, PodSpec, PodState
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.domains import Residents
from kai_sched.placement.checker.neighbours import Neighbours
from kai_sched.placement.checker.node_rules import wrong_with_node
from kai_sched.placement.checker.sharing import Shared
from kai_sched.placement.checker.violation import Violation, ViolationKind
from kai_sched.placement.checker.volume_rules import Shelf, check_volumes

_LEAVING = frozenset({PodState.RELEASING, PodState.STUCK_RELEASING})
_Arrival = tuple[Pod, Placement]


def check_pod_rules(books: Books) -> Iterator[Violation]:
    """Rules of the pod and the node alone, then those that depend on other pods."""
    yield from _check_alone(books)
    yield from check_volumes(books)
    if _depends_on_others(pod.spec for pod in books.snapshot.pods):
        yield from _check_together(books, in_future=False)
        if books.pipelined or books.evicted:
            yield from _check_together(books, in_future=True)


def _check_alone(books: Books) -> Iterator[Violation]:
    # Pods of one spec are asked once for a node.
    known: dict[tuple[int, str], str] = {}
    for pod, placement in books.newcomers(in_future=True):
        key = (id(pod.spec), placement.node)
        if key not in known:
            node = books.nodes[placement.node]
            found = wrong_with_node(pod.spec, node, books.policy, books.snapshot.config_maps)
            known[key] = "; ".join(found)
        if known[key]:
            message = f"may not be on {placement.node}: {known[key]}"
            yield Violation(ViolationKind.STATIC_RULE, pod.key, message)


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


def _check_together(books: Books, *, in_future: bool) -> Iterator[Violation]:
    """A plan does not say in which order its pods were seated, and affinity depends on it: any order will do.

    Two are tried: the plan's own, and first those to whom others matter.
    """
    arrivals = list(books.newcomers(in_future=in_future))
    left, concerned = _left_over(books, arrivals, in_future=in_future)
    if left:
        picky = [arrival for arrival in arrivals if id(arrival[0].spec) in concerned]
        easy = [arrival for arrival in arrivals if id(arrival[0].spec) not in concerned]
        left, _ = _left_over(books, [*picky, *easy], in_future=in_future)
    for pod, placement, message in left:
        yield Violation(ViolationKind.DYNAMIC_RULE, pod.key, f"may not be on {placement.node}: {message}")


def _left_over(
    books: Books, arrivals: list[_Arrival], *, in_future: bool
) -> tuple[list[tuple[Pod, Placement, str]], set[int]]:
    """Put all where they are meant to be, again and again; who finds no place, and specs to which others matter."""
    residents, shared = Residents(), Shared(Shelf(books.snapshot))
    for pod, where in books.holders(in_future=in_future):
        node = books.nodes.get(where)
        if node is not None:
            residents.add(pod.spec, where, is_leaving=pod.state in _LEAVING)
            if shared.concerns(pod.spec):
                shared.add(pod.spec, node)
    neighbours = Neighbours(books.nodes, residents, [pod.spec for pod, _ in arrivals])
    specs = {id(pod.spec): pod.spec for pod, _ in arrivals}
    concerned = {key for key, spec in specs.items() if neighbours.concerns(spec) or shared.concerns(spec)}
    waiting = arrivals
    left: list[tuple[Pod, Placement, str]] = []
    while waiting:
        left = []
        for pod, placement in waiting:
            message = ""
            if id(pod.spec) in concerned:
                message = _wrong_with(books, neighbours, shared, pod, placement)
            if message:
                left.append((pod, placement, message))
                continue
            neighbours.add(pod.spec, placement.node)
            if shared.concerns(pod.spec):
                shared.add(pod.spec, books.nodes[placement.node])
        if len(left) == len(waiting):
            break
        waiting = [(pod, placement) for pod, placement, _ in left]
    return left, concerned


def _wrong_with(books: Books, neighbours: Neighbours, shared: Shared, pod: Pod, placement: Placement) -> str:
    node = books.nodes[placement.node]
    return next(shared.wrong_with(pod.spec, node), "") or next(neighbours.wrong_with(pod.spec, node.name), "")
