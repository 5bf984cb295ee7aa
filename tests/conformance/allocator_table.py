"""The reference allocator's own table of cases, run against ours and compared as the reference compares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kai_sched.api.dra import translate_claim, translate_class, translate_slice
from kai_sched.api.dra_allocation import allocation_document
from kai_sched.devices.allocator import Options, allocate
from kai_sched.devices.features import AllocatorFeatures
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.refusal import DeviceRefusal, RefusalKind
from kai_sched.devices.state import DeviceState
from kai_sched.model.devices import ClaimAllocation, DeviceResult
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from kai_sched.model.quantity import parse_quantity

REFUSED_BY_RELEASE = "consumable-capacity-multi-allocatable-device-allocation-mode-all-in-use-insufficient"
"""The table allocates; the release that binds us refuses: mode All filters by static capacity only."""

Case = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """How a case ended: ``results`` canonical, or an error text, or neither (no allocation)."""

    results: tuple[str, ...] = ()
    error: str = ""


def load_cases(shared: Path) -> dict[str, Case]:
    return dict(json.loads((shared / "cases/dra/allocator_cases.json").read_text()))


def node_of(document: Case) -> Node:
    metadata = document.get("metadata") or {}
    labels = tuple(sorted((metadata.get("labels") or {}).items()))
    return Node(name=NodeName(metadata.get("name", "")), labels=labels)


def features_of(case: Case) -> AllocatorFeatures:
    given = case["features"]
    return AllocatorFeatures(
        admin_access=given["AdminAccess"],
        prioritized_list=given["PrioritizedList"],
        partitionable_devices=given["PartitionableDevices"],
        device_taints=given["DeviceTaints"],
        binding_conditions=given["DeviceBindingAndStatus"],
        consumable_capacity=given["ConsumableCapacity"],
        list_type_attributes=given["ListTypeAttributes"],
        compatibility_groups=False,
    )


def state_of(case: Case) -> DeviceState:
    state = DeviceState()
    results = [_holding(device) for device in case.get("allocatedDevices") or ()]
    shared = {name.rsplit("/", 1)[0]: name for name in case.get("allocatedSharedDeviceIDs") or ()}
    for device, amounts in (case.get("aggregatedCapacity") or {}).items():
        consumed = tuple((name, parse_quantity(value)) for name, value in amounts.items())
        results.append(_holding(device, share=shared.pop(device, "share"), consumed=consumed))
    results += [_holding(device, share=name) for device, name in shared.items()]
    state.take(ClaimAllocation(results=tuple(results)))
    return state


def _holding(device: str, *, share: str = "", consumed: tuple[tuple[str, Any], ...] = ()) -> DeviceResult:
    driver, pool, name = device.split("/")
    return DeviceResult(
        request="r", driver=driver, pool=pool, device=name, share_id=share, consumed_capacity=consumed
    )


def run_case(case: Case, options: Options) -> Verdict:
    index = DeviceIndex(
        [translate_slice(document) for document in case.get("resourceSlices") or ()],
        [translate_class(document) for document in case.get("deviceClasses") or ()],
        features=features_of(case),
    )
    claims = [translate_claim(document, namespace_allows_admin=True) for document in case.get("claims") or ()]
    outcome = allocate(index, state_of(case), node_of(case.get("node") or {}), claims, options)
    if isinstance(outcome, DeviceRefusal):
        is_error = outcome.kind is not RefusalKind.NO_FIT or "invalid resource pools" in outcome.message
        return Verdict(error=outcome.message if is_error else "")
    return Verdict(results=canonical([allocation_document(allocation) for allocation in outcome]))


def expected(case: Case) -> tuple[str, ...]:
    return canonical(case.get("expectResults") or [])


def canonical(results: list[Any]) -> tuple[str, ...]:
    """Results as a multiset: share ids are free, quantities by value, devices and selector parts unordered."""
    return tuple(sorted(json.dumps(_canonical_result(result), sort_keys=True) for result in results))


def _canonical_result(result: Case) -> Any:
    devices = result.get("devices") or {}
    return {
        "results": sorted(
            (_canonical_device(entry) for entry in devices.get("results") or ()), key=_sort_key
        ),
        "config": devices.get("config") or [],
        "nodeSelector": _unordered(result.get("nodeSelector")),
    }


def _canonical_device(entry: Case) -> Any:
    kept = {key: value for key, value in entry.items() if value not in (None, [], {})}
    if "shareID" in kept:
        kept["shareID"] = "share"
    if "consumedCapacity" in kept:
        kept["consumedCapacity"] = {
            name: str(parse_quantity(value)) for name, value in kept["consumedCapacity"].items()
        }
    return kept


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _unordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unordered(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return sorted((_unordered(entry) for entry in value), key=_sort_key)
    return value


def is_as_tabled(case: Case, verdict: Verdict) -> bool:
    """Whether a verdict is the table's: the error by its text, else the results."""
    wanted = case.get("expectErrorSubstring")
    if wanted:
        return wanted in verdict.error
    return not verdict.error and verdict.results == expected(case)


def is_as_expected(name: str, case: Case, verdict: Verdict) -> bool:
    """Whether a verdict is the table's, or the release's where they differ."""
    if name == REFUSED_BY_RELEASE:
        return not verdict.results and not verdict.error
    return is_as_tabled(case, verdict)
