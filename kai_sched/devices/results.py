"""What a finished search gives a claim: results, configs and node selector, as they are written to its status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from kai_sched.devices.attempt import Taken
from kai_sched.devices.features import AllocatorFeatures
from kai_sched.devices.node_selection import NODE_NAME_FIELD, selects
from kai_sched.devices.requests import PreparedClaim, PreparedRequest
from kai_sched.model.devices import (
    MAX_CONSUMERS,
    AllocatedConfig,
    Claim,
    ClaimAllocation,
    DeviceResult,
    OpaqueConfig,
)
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.quantity import is_decimal
from kai_sched.model.selectors import NodeSelector, NodeSelectorTerm, Operator, Requirement

_FROM_CLASS: Final = "FromClass"
_FROM_CLAIM: Final = "FromClaim"


def allocation_of(
    prepared: PreparedClaim,
    chosen: Sequence[PreparedRequest],
    taken: Sequence[Taken],
    node: Node,
    features: AllocatorFeatures,
    now: float,
) -> ClaimAllocation:
    """The allocation of one claim. ``chosen`` has the alternative taken for each request."""
    results = tuple(_result(prepared.claim, entry, features) for entry in taken)
    has_conditions = any(result.binding_conditions for result in results)
    return ClaimAllocation(
        results=results,
        configs=_configs(prepared.claim, chosen),
        node_selector=_node_selector(taken, node),
        allocated_at=now if has_conditions else None,
    )


def _result(claim: Claim, taken: Taken, features: AllocatorFeatures) -> DeviceResult:
    entry, request = taken.entry, taken.prepared.request
    conditions = entry.device if features.binding_conditions else None
    share_id = ""
    if taken.amounts is not None:
        # Deterministic, so that the same decision writes the same bytes.
        share_id = str(uuid5(NAMESPACE_OID, f"{claim.uid}/{taken.prepared.name}/{entry.device_id}"))
    return DeviceResult(
        request=taken.prepared.name,
        driver=entry.driver,
        pool=entry.pool,
        device=entry.name,
        admin_access=True if taken.prepared.is_admin else None,
        tolerations=request.tolerations,
        toleration_documents=request.toleration_documents,
        binding_conditions=conditions.binding_conditions if conditions else (),
        binding_failure_conditions=conditions.binding_failure_conditions if conditions else (),
        share_id=share_id,
        consumed_capacity=tuple(
            (name, Fraction(amount)) for name, amount in sorted((taken.amounts or {}).items())
        ),
        decimal_capacity=_decimal_names(taken) if taken.amounts is not None else (),
    )


def _decimal_names(taken: Taken) -> tuple[str, ...]:
    """Capacities whose amounts are written in thousands: as they were asked for, else as they are published."""
    request = taken.prepared.request
    asked = {name for name, _ in request.capacity}
    published = {name for name, entry in taken.entry.device.capacity if is_decimal(entry.text)}
    return tuple(sorted(set(request.decimal_capacity) | (published - asked)))


def _configs(claim: Claim, chosen: Sequence[PreparedRequest]) -> tuple[AllocatedConfig, ...]:
    """Configs of classes first, each class once with the requests that use it; then those of the claim."""
    users: dict[str, list[PreparedRequest]] = {}
    for entry in chosen:
        users.setdefault(entry.device_class.name, []).append(entry)
    entries = [
        (_FROM_CLASS, config, tuple(user.name for user in group))
        for group in users.values()
        for config in group[0].device_class.configs
    ]
    names = [{entry.name, entry.name.split("/", 1)[0]} for entry in chosen]
    entries += [
        (_FROM_CLAIM, config, config.requests)
        for config in claim.spec.configs
        if not config.requests or any(name & set(config.requests) for name in names)
    ]
    return tuple(
        AllocatedConfig(source, OpaqueConfig(config.driver, config.parameters, _unless_all(requests, names)))
        for source, config, requests in entries
    )


def _unless_all(requests: tuple[str, ...], names: Iterable[set[str]]) -> tuple[str, ...]:
    """Empty means all, and is how all is written."""
    return () if all(name & set(requests) for name in names) else requests


def _node_selector(taken: Sequence[Taken], node: Node) -> NodeSelector | None:
    """The node itself if any device is local to it, else the devices' selectors together, None for everywhere."""
    expressions: list[Requirement] = []
    fields: list[Requirement] = []
    for part in taken:
        source = (
            part.entry.published_in
            if not part.entry.published_in.per_device_node_selection
            else part.entry.device
        )
        if source.node_name or part.entry.device.binds_to_node:
            here = Requirement(NODE_NAME_FIELD, Operator.IN, (node.name,))
            return NodeSelector((NodeSelectorTerm(fields=(here,)),))
        if source.node_selector is not None and source.node_selector.terms:
            term = source.node_selector.terms[0]
            _add_new(expressions, term.expressions)
            _add_new(fields, term.fields)
    if not expressions and not fields:
        return None
    return NodeSelector((NodeSelectorTerm(tuple(expressions), tuple(fields)),))


def _add_new(present: list[Requirement], more: Iterable[Requirement]) -> None:
    for requirement in more:
        same = (
            old.key == requirement.key
            and old.operator is requirement.operator
            and set(old.values) == set(requirement.values)
            for old in present
        )
        if not any(same):
            present.append(requirement)


def pinned_node(allocation: ClaimAllocation) -> NodeName | None:
    """The only node from which an allocation may be used, where it is bound to one by name."""
    selector = allocation.node_selector
    if selector is None or len(selector.terms) != 1:
        return None
    for field in selector.terms[0].fields:
        if field.key == NODE_NAME_FIELD and field.operator is Operator.IN and len(field.values) == 1:
            return NodeName(field.values[0])
    return None


def is_usable_from(allocation: ClaimAllocation, node: Node) -> bool:
    """Whether pods on the node may use a claim that is allocated so."""
    return allocation.node_selector is None or selects(allocation.node_selector, node, dict(node.labels))


def has_room_for(claim: Claim, consumer_uids: Iterable[str]) -> bool:
    """Whether the claim may be reserved for these consumers too, within its limit."""
    present = {consumer.uid for consumer in claim.reserved_for}
    return len(present | set(consumer_uids)) <= MAX_CONSUMERS
