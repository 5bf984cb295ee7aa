"""Devices: each in reach of its node, what its request asks for, and never given beyond what it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from kai_sched.model.devices import (
    AllocationMode,
    Claim,
    ClaimAllocation,
    ClaimSpec,
    DeviceRequest,
    OpaqueConfig,
)
from kai_sched.model.ids import ClaimKey, NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.plan import ClaimPlacement
from kai_sched.model.selectors import NodeSelector, Operator, Requirement
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.constraints import check_constraints
from kai_sched.placement.checker.given import Given, check_given
from kai_sched.placement.checker.labels import selects_node
from kai_sched.placement.checker.pools import Published
from kai_sched.placement.checker.selectors import matches, request_of, wrong_with_device
from kai_sched.placement.checker.violation import Violation, ViolationKind

_FROM_CLASS: Final = "FromClass"
_FROM_CLAIM: Final = "FromClaim"


def check_devices(books: Books, planned: Mapping[ClaimKey, ClaimAllocation]) -> Iterator[Violation]:
    """Every device that the plan allocates, with all that is allocated already."""
    if not planned:
        return
    for placement in books.binds + books.pipelined:
        node = books.nodes[placement.node]
        for entry in placement.claims:
            spec = _spec_of(books, entry)
            if entry.allocation is not None and spec is not None:
                yield from _check_allocation(books, entry.claim, spec, entry.allocation, node)
    for in_future in (False, True) if books.pipelined or books.evicted else (False,):
        yield from check_given(books.pools, _given(books, in_future=in_future))


def _spec_of(books: Books, entry: ClaimPlacement) -> ClaimSpec | None:
    claim = books.claims.get(entry.claim)
    if claim is not None:
        return claim.spec
    return entry.creation.spec if entry.creation is not None else None


def _check_allocation(
    books: Books, key: ClaimKey, spec: ClaimSpec, allocation: ClaimAllocation, node: Node
) -> Iterator[Violation]:
    known: dict[str, Published] = {}
    for result in allocation.results:
        view = books.pools.seen((result.driver, result.pool), node)
        found = view.devices.get(result.device)
        request = request_of(spec, result.request)
        if view.problem:
            yield Violation(ViolationKind.DEVICE, result.device_id, f"is of a pool that {view.problem}")
        elif found is None:
            yield Violation(ViolationKind.DEVICE, result.device_id, f"is not published for node {node.name}")
        elif not found.reaches(node):
            yield Violation(
                ViolationKind.DEVICE, result.device_id, f"cannot be reached from node {node.name}"
            )
        else:
            known[result.device_id] = found
            # A request that is not there is told by the check of claims.
            if request is not None:
                for message in wrong_with_device(books.catalogue, request, result, found.device):
                    yield Violation(ViolationKind.DEVICE, result.device_id, message)
    yield from check_constraints(key, spec, allocation, {name: one.device for name, one in known.items()})
    for message in _wrong_with_allocation(books, spec, allocation, node, known):
        yield Violation(ViolationKind.CLAIM, key, message)


def _wrong_with_allocation(
    books: Books, spec: ClaimSpec, allocation: ClaimAllocation, node: Node, known: Mapping[str, Published]
) -> Iterator[str]:
    selector = allocation.node_selector
    is_local = any(one.home is not None or one.device.binds_to_node for one in known.values())
    if selector is not None and not selects_node(selector, node):
        yield f"is allocated on {node.name}, yet not usable there"
    if is_local and not _is_tied_to(selector, node.name):
        yield f"has devices of {node.name}, yet is not tied to it"
    has_conditions = any(one.device.binding_conditions for one in known.values())
    if has_conditions != (allocation.allocated_at is not None):
        yield "says when it was allocated" if not has_conditions else "does not say when it was allocated"
    yield from _wrong_configs(books, spec, allocation)
    for request in spec.requests:
        for one in request.first_available or (request,):
            name = f"{request.name}/{one.name}" if request.first_available else request.name
            if one.mode == AllocationMode.ALL and (
                not request.first_available or any(result.request == name for result in allocation.results)
            ):
                yield from _left_out(books, one, name, allocation, node)


def _is_tied_to(selector: NodeSelector | None, name: NodeName) -> bool:
    """Whether a selector can match the node of that name only."""
    only = Requirement("metadata.name", Operator.IN, (name,))
    return selector is not None and all(only in term.fields for term in selector.terms)


def _left_out(
    books: Books, request: DeviceRequest, name: str, allocation: ClaimAllocation, node: Node
) -> Iterator[str]:
    """What a request for all devices should have, too."""
    given = {result.device_id for result in allocation.results if result.request == name}
    wanted = dict(request.capacity)
    for key in books.pools.keys_on(node):
        for device_name, found in books.pools.seen(key, node).devices.items():
            has = {capacity: value.value for capacity, value in found.device.capacity}
            is_large = all(amount <= has.get(capacity, -1) for capacity, amount in wanted.items())
            device_id = f"{key[0]}/{key[1]}/{device_name}"
            if device_id in given or not is_large or not found.reaches(node):
                continue
            if matches(books.catalogue, request, key[0], found.device):
                yield f"request {name} asks for all devices and lacks {device_id}"


def _wrong_configs(books: Books, spec: ClaimSpec, allocation: ClaimAllocation) -> Iterator[str]:
    """The drivers' parameters are those of the classes chosen and of the claim, for the same requests."""
    chosen = {result.request: request_of(spec, result.request) for result in allocation.results}
    classes = {one.device_class for one in chosen.values() if one is not None}
    due = [
        (
            _FROM_CLASS,
            config,
            frozenset(name for name, one in chosen.items() if one and one.device_class == users),
        )
        for users in classes
        for config in (books.catalogue.classes[users].configs if users in books.catalogue.classes else ())
    ]
    due += [(_FROM_CLAIM, config, _covered(config.requests, chosen)) for config in spec.configs]
    written = [(one.source, one.config, _covered(one.config.requests, chosen)) for one in allocation.configs]

    def counted(entries: list[tuple[str, OpaqueConfig, frozenset[str]]]) -> Counter[tuple[object, ...]]:
        return Counter((source, one.driver, one.parameters, names) for source, one, names in entries if names)

    if counted(due) != counted(written):
        yield "is given with other parameters for its drivers than its classes and requests have"


def _covered(requests: tuple[str, ...], chosen: Collection[str]) -> frozenset[str]:
    """The requests of a claim that a list of requests means; none means all."""
    return frozenset(
        name for name in chosen if not requests or name in requests or name.partition("/")[0] in requests
    )


def _given(books: Books, *, in_future: bool) -> Iterator[Given]:
    """What the plan gives, and what is given already in the pools that it gives of."""
    added: dict[ClaimKey, list[Given]] = {}
    for _, placement in books.newcomers(in_future=in_future):
        for entry in placement.claims:
            if entry.allocation is not None:
                node = books.nodes[placement.node]
                added[entry.claim] = [Given(result, node) for result in entry.allocation.results]
    pools = {(one.result.driver, one.result.pool) for given in added.values() for one in given}
    leaving = (
        {pod.uid for pod in books.snapshot.pods if books.is_leaving(pod)} if in_future else frozenset[str]()
    )
    for claim in books.claims.values():
        if claim.allocation is not None and not _is_coming_free(claim, leaving):
            for result in claim.allocation.results:
                if (result.driver, result.pool) in pools:
                    yield Given(result, is_added=False)
    for given in added.values():
        yield from given


def _is_coming_free(claim: Claim, leaving: Collection[str]) -> bool:
    return bool(claim.reserved_for) and all(consumer.uid in leaving for consumer in claim.reserved_for)
