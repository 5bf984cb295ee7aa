"""Extended resources that nodes serve by DRA: which device class stands for one, and the claim made for a pod.

KEP-5004. A node that offers the resource by a device plugin serves it as ever; on the others the scheduler makes one
claim a pod, with a request for each container and resource. Containers that end before others start lend them their
devices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kai_sched.model.devices import AllocationMode, Claim, ClaimSpec, DeviceClass, DeviceRequest
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.plan import ClaimCreation, RequestMapping
from kai_sched.model.resources import CLASS_DOMAIN
from kai_sched.model.workloads import ExtendedRequest, Pod

_LONGEST_POD_NAME: Final = 220


def backing_classes(classes: Iterable[DeviceClass]) -> dict[str, str]:
    """Class by resource name; of several that claim one name the newest, then the first by name."""
    found: dict[str, DeviceClass] = {}
    for entry in sorted(classes, key=lambda entry: (-entry.created_at, entry.name)):
        if entry.extended_resource_name:
            found.setdefault(entry.extended_resource_name, entry)
        found.setdefault(f"{CLASS_DOMAIN}/{entry.name}", entry)
    return {resource: entry.name for resource, entry in sorted(found.items())}


def claim_to_create(
    requests: Sequence[ExtendedRequest], class_of: Mapping[str, str], served: Collection[str]
) -> ClaimCreation:
    """The claim for those of the requests whose resource is among ``served``."""
    wanted: dict[str, DeviceRequest] = {}
    mappings: list[RequestMapping] = []
    for resource in sorted(served):
        mine = [request for request in requests if request.resource == resource]
        for use in _uses_of(mine):
            wanted[use.name] = DeviceRequest(
                name=use.name,
                device_class=class_of[resource],
                mode=AllocationMode.EXACT_COUNT,
                count=use.count,
            )
            mappings += [RequestMapping(container, resource, use.name) for container in use.containers]
    order = {request.container: place for place, request in enumerate(requests)}
    mappings.sort(key=lambda mapping: (order[mapping.container], mapping.resource, mapping.request))
    return ClaimCreation(ClaimSpec(requests=tuple(wanted[name] for name in sorted(wanted))), tuple(mappings))


def claim_of_creation(pod: Pod, creation: ClaimCreation) -> Claim:
    """The claim as a record, under the key that it will have; its uid stands for none."""
    return Claim(
        key=claim_key(pod),
        uid=Uid(f"for-{pod.uid}"),
        spec=creation.spec,
        owner_uid=pod.uid,
        is_extended_resource=True,
    )


def claim_key(pod: Pod) -> ClaimKey:
    """The same for every attempt, so that one begun before a crash is found again."""
    namespace, _, name = pod.key.partition("/")
    mark = hashlib.sha256(pod.uid.encode()).hexdigest()[:5]
    return ClaimKey(f"{namespace}/{name[:_LONGEST_POD_NAME]}-extended-resources-{mark}")


@dataclass(frozen=True, slots=True)
class _Use:
    """One request of the claim, and the containers that its devices serve one after the other."""

    name: str
    count: int
    containers: tuple[str, ...]


def _uses_of(requests: Sequence[ExtendedRequest]) -> list[_Use]:
    """Requests of one resource: those of containers that run on, and the largest rest of those that end before."""
    borrowers: dict[str, list[str]] = {request.name: [] for request in requests}
    largest: tuple[int, str] = (0, "")
    rests: list[tuple[str, int]] = []
    for place, request in enumerate(requests):
        if not request.is_starting:
            continue
        missing = request.count
        for later in requests[place + 1 :]:
            if missing > 0 and not later.is_starting:
                borrowers[later.name].append(request.container)
                missing -= later.count
        if missing > 0:
            rests.append((request.container, missing))
            largest = max(largest, (missing, request.name), key=lambda rest: rest[0])
    uses = [
        _Use(request.name, request.count, (*borrowers[request.name], request.container))
        for request in requests
        if not request.is_starting
    ]
    if rests:
        uses.append(_Use(largest[1], largest[0], tuple(container for container, _ in rests)))
    return uses
