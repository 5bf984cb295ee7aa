"""The state of a cluster against the invariants that hold whoever wrote it: the operator's self-check.

The other checks judge what a plan adds; here nothing is added, and what is there already is judged: also what another
scheduler, a shrinking node or a driver that withdrew devices made of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from kai_sched.model.devices import Claim
from kai_sched.model.ids import NodeName
from kai_sched.model.plan import Plan
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker.books import Books, open_books
from kai_sched.placement.checker.given import Given, check_given
from kai_sched.placement.checker.nodes import check_held
from kai_sched.placement.checker.violation import Violation, ViolationKind

STATE_KINDS: Final = (
    ViolationKind.NODE_RESOURCES,
    ViolationKind.DEVICE,
    ViolationKind.DEVICE_CAPACITY,
    ViolationKind.DEVICE_COUNTER,
    ViolationKind.CLAIM,
)
"""What can be found wrong in a state."""


def check_state(snapshot: ClusterSnapshot, policy: Policy) -> tuple[Violation, ...]:
    """Every node, device and claim that is given beyond what it is; empty in a sound cluster.

    Devices that a driver no longer publishes are passed over: a pod that holds one may well keep it.
    """
    books = open_books(snapshot, policy, Plan(now=snapshot.now))
    return (*check_held(books), *_check_devices(books), *_check_users(books))


def _check_devices(books: Books) -> Iterator[Violation]:
    node_of: dict[str, NodeName] = {pod.uid: node for pod, node in books.holders(in_future=False)}
    holders: dict[str, list[Claim]] = defaultdict(list)
    given: list[Given] = []
    for claim in books.claims.values():
        where = next((node_of[one.uid] for one in claim.reserved_for if one.uid in node_of), None)
        for result in claim.allocation.results if claim.allocation is not None else ():
            if not result.admin_access:
                given.append(Given(result, books.nodes.get(where) if where is not None else None))
                holders[result.device_id].append(claim)
    for violation in dict.fromkeys(check_given(books.pools, given)):
        names = sorted({claim.key for claim in holders.get(violation.subject, ())})
        message = f"{violation.message}: {', '.join(names)}" if names else violation.message
        yield Violation(violation.kind, violation.subject, message)


def _check_users(books: Books) -> Iterator[Violation]:
    """Pods that hold room although a claim of theirs is not allocated, or not reserved for them."""
    for pod, node in books.holders(in_future=False):
        for ref in pod.claims:
            claim = books.claims.get(ref.claim) if ref.claim is not None else None
            if claim is None:
                continue
            if claim.allocation is None:
                message = f"is on {node}, claim {claim.key} is not allocated"
            elif all(consumer.uid != pod.uid for consumer in claim.reserved_for):
                message = f"is on {node}, claim {claim.key} is not reserved for it"
            else:
                continue
            yield Violation(ViolationKind.CLAIM, pod.key, message)
