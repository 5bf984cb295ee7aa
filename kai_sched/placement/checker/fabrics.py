"""Fabrics: pods whose claims carry one fabric driver's configuration end in one clique, with those that run already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from kai_sched.model.workloads import Pod
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.violation import Violation, ViolationKind

Fabric = tuple[str, str]
"""(driver, parameters)."""


def check_fabrics(books: Books) -> Iterator[Violation]:
    """Nothing to check where no node names its clique."""
    label = books.policy.clique_label
    clique_of = {name: node.label(label) for name, node in books.nodes.items()}
    if not any(clique_of.values()):
        return
    newcomers: dict[Fabric, dict[str, str]] = defaultdict(dict)
    for pod, placement in books.newcomers(in_future=True):
        mark = books.nodes[placement.node].label(books.policy.fabric_node_label)
        for fabric in _fabrics(books, pod):
            newcomers[fabric][pod.key] = clique_of[placement.node] or ""
            if mark and f'"{mark}"' not in fabric[1]:
                message = f"lies on {placement.node}, which has fabric {mark}"
                yield Violation(ViolationKind.TOPOLOGY, pod.key, message)
    present: dict[Fabric, set[str]] = defaultdict(set)
    for pod in books.snapshot.pods if newcomers else ():
        if pod.node in clique_of and books.stays_active(pod):
            for fabric in _fabrics(books, pod):
                present[fabric].add(clique_of[pod.node] or "")
    for fabric, cliques in sorted(newcomers.items()):
        yield from _outside(fabric, cliques, present[fabric], label)


def _outside(fabric: Fabric, cliques: dict[str, str], present: set[str], label: str) -> Iterator[Violation]:
    """Newcomers that lie elsewhere than those present, or than the first of them."""
    allowed = present or set(list(cliques.values())[:1])
    for pod_key, clique in cliques.items():
        if not clique or clique not in allowed:
            where = ", ".join(sorted(allowed - {""})) or "none"
            message = f"lies in {label}={clique or 'none'}, others of its fabric ({fabric[0]}) in {where}"
            yield Violation(ViolationKind.TOPOLOGY, pod_key, message)


def _fabrics(books: Books, pod: Pod) -> set[Fabric]:
    """By the first claim that names one, as the pod's fabric."""
    for ref in pod.claims:
        claim = books.claims.get(ref.claim) if ref.claim is not None else None
        for config in claim.spec.configs if claim is not None else ():
            if config.driver in books.policy.fabric_drivers:
                return {(config.driver, config.parameters)}
    return set()
