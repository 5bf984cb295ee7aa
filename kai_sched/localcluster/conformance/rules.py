"""What must hold when a pod gets a node, and when a claim gets devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kai_sched.localcluster.conformance.amounts import Amounts, amounts_of, pod_requests, quantity
from kai_sched.localcluster.conformance.reach import is_reachable, selects
from kai_sched.localcluster.conformance.state import DeviceKey, State, allocation_of, key_of, node_of

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule, at the revision that broke it."""

    rule: str
    text: str
    revision: int

    def __str__(self) -> str:
        return f"[{self.rule}] {self.text} (revision {self.revision})"


def judge_bind(state: State, pod: Document, revision: int) -> Iterator[Violation]:
    """The rules for a pod that has just got its node."""
    name = node_of(pod)
    node = state.objects["Node"].get(name)
    if node is None:
        yield Violation(
            "unknown-node", f"pod {key_of(pod)} was bound to {name}, which is not there", revision
        )
        return
    for claim_name, problem in _claim_names(pod):
        yield from _judge_claim(state, pod, node, claim_name, problem, revision)
    yield from _judge_room(state, pod, node, revision)


def judge_allocation(state: State, claim: Document, revision: int) -> Iterator[Violation]:
    """The rules for a claim that has just got devices."""
    mine = {_device_key(result) for result in _results(claim)}
    pools = {(driver, pool) for driver, pool, _ in mine}
    holders = _holders(state)
    for key in sorted(mine):
        shown = "/".join(key)
        if key not in state.published:
            text = f"claim {key_of(claim)} got device {shown}, which no driver published"
            yield Violation("unknown-device", text, revision)
            continue
        yield from _judge_device(shown, state.published[key][1], holders[key], revision)
    yield from _judge_counters(state, holders, pools, revision)


def _claim_names(pod: Document) -> Iterator[tuple[str, str]]:
    """(claim, why there is none); a template's claim is named in the pod's status."""
    status = pod.get("status", {})
    made = {one["name"]: one for one in status.get("resourceClaimStatuses", ())}
    for reference in pod["spec"].get("resourceClaims", ()):
        if reference.get("resourceClaimName"):
            yield reference["resourceClaimName"], ""
        elif reference["name"] not in made:
            yield "", f"its claim {reference['name']} was not made yet"
        elif made[reference["name"]].get("resourceClaimName"):
            yield made[reference["name"]]["resourceClaimName"], ""
    special = status.get("extendedResourceClaimStatus")
    if special:
        yield special["resourceClaimName"], ""


def _judge_claim(
    state: State, pod: Document, node: Document, claim_name: str, problem: str, revision: int
) -> Iterator[Violation]:
    where = f"pod {key_of(pod)} was bound to {node['metadata']['name']}"
    if problem:
        yield Violation("claim-missing", f"{where}, but {problem}", revision)
        return
    key = f"{pod['metadata']['namespace']}/{claim_name}"
    claim = state.objects["ResourceClaim"].get(key)
    if claim is None:
        yield Violation("claim-missing", f"{where}, but claim {key} is not there", revision)
        return
    allocation = allocation_of(claim)
    if allocation is None:
        yield Violation("claim-unallocated", f"{where}, but claim {key} is not allocated", revision)
        return
    if not _is_reserved(claim, pod):
        yield Violation("claim-unreserved", f"{where}, but claim {key} is not reserved for it", revision)
    if not selects(allocation.get("nodeSelector"), node) or not _all_reachable(state, claim, node):
        yield Violation("claim-elsewhere", f"{where}, but claim {key} is allocated elsewhere", revision)


def _is_reserved(claim: Document, pod: Document) -> bool:
    group = (pod["spec"].get("schedulingGroup") or {}).get("podGroupName")
    for consumer in claim.get("status", {}).get("reservedFor", ()):
        if consumer.get("uid") == pod["metadata"]["uid"]:
            return True
        if group and consumer.get("apiGroup") == "scheduling.k8s.io" and consumer.get("name") == group:
            return True
    return False


def _all_reachable(state: State, claim: Document, node: Document) -> bool:
    found = (state.offers_of(_device_key(result)) for result in _results(claim))
    return all(any(is_reachable(*one, node) for one in offers) for offers in found if offers)


def _judge_room(state: State, pod: Document, node: Document, revision: int) -> Iterator[Violation]:
    """Only what the pod itself asks for: a node may have become too small without it."""
    name = node["metadata"]["name"]
    allocatable = amounts_of(node.get("status", {}).get("allocatable"))
    asked = _node_requests(pod)
    total: Amounts = defaultdict(Fraction)
    for other in state.pods_on.get(name, {}).values():
        for resource, amount in _node_requests(other).items():
            total[resource] += amount
    for resource, amount in asked.items():
        if amount > 0 and total[resource] > allocatable.get(resource, Fraction(0)):
            text = (
                f"node {name} is overfull by pod {key_of(pod)}: {resource} "
                f"{_shown(total[resource])} of {_shown(allocatable.get(resource, Fraction(0)))}"
            )
            yield Violation("node-overfull", text, revision)


def _node_requests(pod: Document) -> Amounts:
    """Requests that the node itself must meet: those that a claim meets instead are left out."""
    special = pod.get("status", {}).get("extendedResourceClaimStatus") or {}
    by_claim = {mapping["resourceName"] for mapping in special.get("requestMappings", ())}
    return {name: amount for name, amount in pod_requests(pod).items() if name not in by_claim}


@dataclass(frozen=True, slots=True)
class _Holder:
    """A claim's hold on a device."""

    claim: str
    share: str
    consumed: Amounts


def _holders(state: State) -> dict[DeviceKey, list[_Holder]]:
    """Who holds each device; access for administration holds nothing."""
    holders: dict[DeviceKey, list[_Holder]] = defaultdict(list)
    for claim in state.allocated_claims():
        for result in _results(claim):
            if not result.get("adminAccess"):
                holder = _Holder(
                    key_of(claim), result.get("shareID", ""), amounts_of(result.get("consumedCapacity"))
                )
                holders[_device_key(result)].append(holder)
    return holders


def _judge_device(shown: str, device: Document, holders: list[_Holder], revision: int) -> Iterator[Violation]:
    names = ", ".join(sorted(holder.claim for holder in holders))
    is_shareable = device.get("allowMultipleAllocations", False)
    if len(holders) > 1 and not (is_shareable and all(holder.share for holder in holders)):
        yield Violation("device-twice", f"device {shown} is given to {names}", revision)
        return
    if len({holder.share for holder in holders}) < len(holders):
        yield Violation("device-twice", f"one share of device {shown} is given to {names}", revision)
    for capacity, entry in device.get("capacity", {}).items():
        used = sum((holder.consumed.get(capacity, Fraction(0)) for holder in holders), Fraction(0))
        if used > quantity(entry["value"]):
            text = f"{capacity} of device {shown}: {_shown(used)} of {entry['value']} by {names}"
            yield Violation("capacity-overdrawn", text, revision)


def _judge_counters(
    state: State, holders: Mapping[DeviceKey, list[_Holder]], pools: set[tuple[str, str]], revision: int
) -> Iterator[Violation]:
    """Each device in use, however often, pays its counters once."""
    used: dict[tuple[str, str, str], Amounts] = defaultdict(lambda: defaultdict(Fraction))
    for key, by in holders.items():
        if key[:2] in pools and by and key in state.published:
            for entry in state.published[key][1].get("consumesCounters", ()):
                for counter, value in entry["counters"].items():
                    used[*key[:2], entry["counterSet"]][counter] += quantity(value["value"])
    for counter_set, amounts in used.items():
        available = state.counters.get(counter_set, {})
        for counter, amount in amounts.items():
            has = quantity(available.get(counter, {"value": "0"})["value"])
            if amount > has:
                text = f"counter {counter} of {'/'.join(counter_set)}: {_shown(amount)} of {_shown(has)}"
                yield Violation("counter-overdrawn", text, revision)


def _results(claim: Document) -> list[Document]:
    allocation = allocation_of(claim) or {}
    results: list[Document] = allocation.get("devices", {}).get("results", [])
    return results


def _device_key(result: Document) -> DeviceKey:
    return result["driver"], result["pool"], result["device"]


def _shown(amount: Fraction) -> str:
    return str(amount) if amount.denominator == 1 else f"{float(amount):g}"
