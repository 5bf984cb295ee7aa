"""Confidential GPUs, judged by the devices that pods end up with: passed through, for one pod, whole nodes as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from kai_sched.model.devices import Device, DeviceResult
from kai_sched.model.ids import ClaimKey
from kai_sched.model.nodes import Node
from kai_sched.model.plan import Placement
from kai_sched.model.policy import ConfidentialRules
from kai_sched.model.workloads import Pod
from kai_sched.placement.checker.books import Books
from kai_sched.placement.checker.pools import Published
from kai_sched.placement.checker.violation import Violation, ViolationKind

_BUS_ID = "resource.kubernetes.io/pciBusID"


def check_confidential(books: Books) -> Iterator[Violation]:
    """Pods that are confidential themselves, and all pods on nodes in a confidential mode."""
    rules = books.policy.confidential
    state_of = {name: node.label(rules.mode_state_label) for name, node in books.nodes.items()}
    concerned = [
        (pod, placement)
        for pod, placement in books.newcomers(in_future=True)
        if _is_confidential(pod, rules) or state_of[placement.node] in rules.modes
    ]
    if not concerned:
        return
    users = _users(books)
    for pod, placement in concerned:
        node = books.nodes[placement.node]
        gpus = [one for one in _results(books, placement) if one.driver in rules.drivers]
        if _is_confidential(pod, rules):
            for message in _wrong_for_confidential(books, placement, node, users):
                yield Violation(ViolationKind.DEVICE, pod.key, message)
        else:
            for one in gpus:
                if not _is_passed_on(books.pools.look_up(one, node), rules):
                    message = f"has {one.device_id}, which no driver on {node.name} has"
                    yield Violation(ViolationKind.DEVICE, pod.key, message)
        if state_of[placement.node] not in rules.whole_node_modes:
            continue
        is_shared = any(
            users[entry.claim] > 1
            for entry in placement.claims
            if any(one.driver in rules.drivers for one in _results_of(books, entry.claim, placement))
        )
        if is_shared or not _takes_all(books, pod, node, gpus):
            message = f"takes a part of {node.name}, whose GPUs and switches go to one pod"
            yield Violation(ViolationKind.DEVICE, pod.key, message)


def _is_confidential(pod: Pod, rules: ConfidentialRules) -> bool:
    name = pod.spec.runtime_class
    return bool(name) and any(name.endswith(ending) for ending, _ in rules.tee_labels)


def _wrong_for_confidential(
    books: Books, placement: Placement, node: Node, users: Counter[ClaimKey]
) -> Iterator[str]:
    rules = books.policy.confidential
    labels = dict(node.labels)
    for entry in placement.claims:
        for one in _results_of(books, entry.claim, placement):
            if one.driver in books.policy.fabric_drivers:
                yield f"has {one.device_id}, and no fabric reaches into a confidential pod"
            if one.driver not in rules.drivers:
                continue
            found = books.pools.look_up(one, node)
            if not _is_passed_on(found, rules) or one.share_id:
                yield f"has {one.device_id}, which is not passed through"
            if users[entry.claim] > 1:
                yield f"shares {one.device_id} with other pods"
            if found is not None and found.home == node.name and not _is_ready(labels, rules):
                yield f"has {one.device_id} of {node.name}, which is not in a confidential mode"


def _is_ready(labels: Mapping[str, str], rules: ConfidentialRules) -> bool:
    state = labels.get(rules.mode_state_label)
    return (
        state in rules.modes
        and (not rules.mode_label or labels.get(rules.mode_label) == state)
        and (not rules.ready_label or labels.get(rules.ready_label) == "true")
    )


def _takes_all(books: Books, pod: Pod, node: Node, given: Sequence[DeviceResult]) -> bool:
    """Whether a pod on a node that is given away as a whole has nothing of it, or all."""
    rules = books.policy.confidential
    offered = {name: amount for name, amount in node.allocatable if name.startswith(rules.resource_prefix)}
    asked = dict(pod.spec.requests)
    if not given and not any(asked.get(name, 0) for name, amount in offered.items() if amount):
        return True
    here = {
        (key[0], key[1], name): found.device
        for key in books.pools.keys_on(node)
        if key[0] in rules.drivers
        for name, found in books.pools.seen(key, node).devices.items()
        if found.home == node.name
    }
    keys = [(one.driver, one.pool, one.device) for one in given]
    mine = {_hardware(key, here[key]) for key in keys if key in here}
    return mine == {_hardware(*item) for item in here.items()} and all(
        asked.get(name, 0) == amount for name, amount in offered.items() if amount
    )


def _hardware(key: tuple[str, str, str], device: Device) -> str:
    return str(dict(device.attributes).get(_BUS_ID, key))


def _is_passed_on(found: Published | None, rules: ConfidentialRules) -> bool:
    if found is None or found.device.allow_multiple_allocations:
        return False
    attributes = dict(found.device.attributes)
    bare = rules.passthrough_attribute
    _, value = attributes.get(bare) or attributes.get(f"{found.slice.driver}/{bare}") or ("", "")
    return value in rules.passthrough_values


def _results(books: Books, placement: Placement) -> list[DeviceResult]:
    return [one for entry in placement.claims for one in _results_of(books, entry.claim, placement)]


def _results_of(books: Books, key: ClaimKey, placement: Placement) -> list[DeviceResult]:
    """What a claim of a placement gives it: by this plan, by another placement of it, or before."""
    claim = books.claims.get(key)
    mine = (entry.allocation for entry in placement.claims if entry.claim == key)
    others = (
        entry.allocation
        for other in books.binds + books.pipelined
        for entry in other.claims
        if entry.claim == key
    )
    before = claim.allocation if claim is not None else None
    allocation = next(filter(None, (*mine, before)), None) or next(filter(None, others), None)
    return [one for one in allocation.results if not one.admin_access] if allocation is not None else []


def _users(books: Books) -> Counter[ClaimKey]:
    """Pods that use each claim after the plan."""
    users: Counter[ClaimKey] = Counter()
    for pod, placement in books.newcomers(in_future=True):
        for key in {entry.claim for entry in placement.claims}:
            claim = books.claims.get(key)
            reserved = claim.reserved_for if claim is not None else ()
            users[key] += 1
            if users[key] == 1:
                users[key] += sum(one.uid != pod.uid for one in reserved)
    return users
