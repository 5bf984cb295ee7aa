"""Claims of placed pods: allocated once, as asked, usable on the node, and not reserved for more than it may be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from kai_sched.model.devices import AllocationMode, Claim, ClaimAllocation, ClaimSpec, DeviceRequest
from kai_sched.model.ids import ClaimKey
from kai_sched.model.nodes import Node
from kai_sched.model.plan import ClaimPlacement, Placement
from kai_sched.model.workloads import Pod
from kai_sched.placement.checker.books import Books, devices_for_extended
from kai_sched.placement.checker.devices import check_devices
from kai_sched.placement.checker.labels import selects_node
from kai_sched.placement.checker.violation import Violation, ViolationKind

MAX_CONSUMERS = 256
"""Entries of status.reservedFor that the API server accepts."""


def check_claims(books: Books) -> Iterator[Violation]:
    """Every claim that a placed pod uses, then the devices given."""
    planned: dict[ClaimKey, ClaimAllocation] = {}
    for placement in books.binds + books.pipelined:
        for entry in placement.claims:
            message = _wrong_allocation(books, entry, planned)
            if message:
                yield Violation(ViolationKind.CLAIM, entry.claim, message)
    for placement in books.binds + books.pipelined:
        for message in _wrong_with(books, placement, planned):
            yield Violation(ViolationKind.CLAIM, placement.pod, message)
    yield from _check_consumers(books)
    yield from _check_given_back(books)
    yield from check_devices(books, planned)


def _wrong_allocation(books: Books, entry: ClaimPlacement, planned: dict[ClaimKey, ClaimAllocation]) -> str:
    """Notes the first allocation of each claim in ``planned``."""
    claim = books.claims.get(entry.claim)
    if claim is None and entry.creation is not None and entry.allocation is not None:
        if planned.setdefault(entry.claim, entry.allocation) != entry.allocation:
            return "is allocated twice by the plan"
        return _not_as_asked(entry.creation.spec, entry.allocation)
    if claim is None:
        return "is not in the snapshot"
    if claim.uid != entry.uid:
        return f"has uid {claim.uid}, the plan means {entry.uid}"
    if entry.allocation is None:
        return ""
    if claim.allocation is not None:
        return "is allocated already, the plan allocates it again"
    if planned.setdefault(entry.claim, entry.allocation) != entry.allocation:
        return "is allocated twice by the plan"
    return _not_as_asked(claim.spec, entry.allocation)


def _not_as_asked(spec: ClaimSpec, allocation: ClaimAllocation) -> str:
    given: dict[str, Counter[str]] = defaultdict(Counter)
    for result in allocation.results:
        name, _, alternative = result.request.partition("/")
        given[name][alternative] += 1
    strange = sorted(set(given) - {request.name for request in spec.requests})
    if strange:
        return f"has devices for request {strange[0]}, which it does not make"
    messages = (_count_is_wrong(request, given[request.name]) for request in spec.requests)
    return next(filter(None, messages), "")


def _count_is_wrong(request: DeviceRequest, given: Counter[str]) -> str:
    if not given and request.mode == AllocationMode.ALL:
        return f"request {request.name} asks for all devices and has none"
    if len(given) > 1:
        return f"request {request.name} mixes alternatives"
    alternative, count = next(iter(given.items()), ("", 0))
    asked = {choice.name: choice for choice in request.first_available} or {"": request}
    chosen = asked.get(alternative)
    if chosen is None:
        return f"request {request.name} has devices for unknown alternative {alternative!r}"
    if chosen.mode == AllocationMode.EXACT_COUNT and count != chosen.count:
        return f"request {request.name} asks for {chosen.count} devices and has {count}"
    return ""


def _wrong_with(
    books: Books, placement: Placement, planned: Mapping[ClaimKey, ClaimAllocation]
) -> Iterator[str]:
    pod, node = books.pods[placement.pod], books.nodes[placement.node]
    wanted = {ref.claim for ref in pod.claims if ref.claim is not None}
    wanted |= {entry.claim for entry in placement.claims if entry.creation is not None}
    listed = {entry.claim for entry in placement.claims}
    if wanted != listed or len(placement.claims) != len(listed):
        yield f"uses claims {sorted(wanted)}, the plan lists {sorted(entry.claim for entry in placement.claims)}"
    yield from _wrong_extended(pod, placement, node)
    for entry in placement.claims:
        claim = books.claims.get(entry.claim)
        if claim is not None:
            yield from _wrong_use(claim, claim.allocation or planned.get(entry.claim), entry, node)


def _wrong_extended(pod: Pod, placement: Placement, node: Node) -> Iterator[str]:
    """A claim made for extended resources gives as many devices as the pod asks for, where no plugin does."""
    given = Counter(devices_for_extended(placement))
    amounts, offered = dict(pod.spec.requests), dict(node.allocatable)
    for resource, count in sorted(given.items()):
        if offered.get(resource, 0):
            yield f"{resource} is counted on {node.name}, the plan makes a claim for it"
        elif count != amounts.get(resource, 0):
            yield f"has {count} devices for {resource}, the pod asks for {amounts.get(resource, 0)}"


def _wrong_use(
    claim: Claim, allocation: ClaimAllocation | None, entry: ClaimPlacement, node: Node
) -> Iterator[str]:
    if claim.is_deleting:
        yield f"claim {claim.key} is being deleted"
    if allocation is None:
        yield f"claim {claim.key} is not allocated"
        return
    if allocation.node_selector is not None and not selects_node(allocation.node_selector, node):
        yield f"claim {claim.key} is not usable on {node.name}"
    if entry.devices != tuple(result.device_id for result in allocation.results):
        yield f"claim {claim.key} is listed with other devices than it has"


def _check_given_back(books: Books) -> Iterator[Violation]:
    """Only devices of claims that nobody uses, now or by this plan, are given back."""
    used = {entry.claim for placement in books.binds + books.pipelined for entry in placement.claims}
    for pod, _ in books.holders(in_future=False):
        used |= {ref.claim for ref in pod.claims if ref.claim is not None}
    for given in books.plan.deallocations:
        claim = books.claims.get(given.claim)
        allocation = None if claim is None else claim.allocation
        if claim is None or claim.uid != given.uid or allocation is None:
            message = "is given back, and is not allocated"
        elif claim.reserved_for or given.claim in used:
            message = "is given back, and is in use"
        elif given.devices != tuple(result.device_id for result in allocation.results):
            message = "is given back with other devices than it has"
        elif given.resource_version != claim.resource_version:
            message = "is given back at another version than it has"
        else:
            continue
        yield Violation(ViolationKind.CLAIM, given.claim, message)


def _check_consumers(books: Books) -> Iterator[Violation]:
    newcomers: Counter[ClaimKey] = Counter()
    for placement in books.binds + books.pipelined:
        for key in {entry.claim for entry in placement.claims}:
            claim = books.claims.get(key)
            reserved = {consumer.uid for consumer in claim.reserved_for} if claim is not None else set()
            newcomers[key] += placement.uid not in reserved
    for key, count in sorted(newcomers.items()):
        claim = books.claims.get(key)
        there = len(claim.reserved_for) if claim is not None else 0
        if count and there + count > MAX_CONSUMERS:
            yield Violation(
                ViolationKind.CLAIM, key, f"would have {there + count} consumers, {MAX_CONSUMERS} is the most"
            )
