"""Effective requests of a pod, as kube-scheduler counts them.

Source: component-helpers ``PodRequests`` (KEP-753 sidecars, KEP-2837 pod-level resources, KEP-1287 in-place resize):
the larger of the running containers with their sidecars and of each init container with the sidecars started before
it; pod-level cpu, memory and huge pages replace the sum; the overhead comes on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kai_sched.api.kinds import Raw
from kai_sched.api.quantities import MOST, amount_in
from kai_sched.api.translate.fields import FieldError, at, section, sections, text
from kai_sched.model.resources import CLASS_DOMAIN, CPU, HUGE_PAGES, MEMORY, PODS, Amounts, amounts
from kai_sched.model.workloads import ExtendedRequest

Requests = dict[str, int]
_POD_LEVEL: Final = (CPU, MEMORY)


def effective_requests(spec: Raw, status: Raw) -> Amounts:
    """What the pod takes from a node's allocatable, ``pods: 1`` included."""
    infeasible = is_resize_infeasible(status)
    statuses = _container_statuses(status)
    wanted = _aggregate(spec, requests_of)
    held, actual = _pod_statuses(status)
    if held is not None and actual is not None:
        wanted = _largest((held, actual) if infeasible else (wanted, held, actual))
    elif statuses or infeasible:
        held = _allocated(spec, statuses, infeasible=infeasible)
        actual = _actuated(spec, statuses, infeasible=infeasible)
        wanted = _largest((held, actual) if infeasible else (wanted, held, actual))
    wanted.update(_pod_level(spec, status, infeasible=infeasible))
    _add(wanted, quantities(spec, "overhead", "spec"))
    wanted[PODS] = 1
    for name, amount in wanted.items():
        if amount > MOST:
            raise FieldError("spec.containers", f"ask together for more {name} than any machine has")
    return amounts(wanted)


def extended_requests(spec: Raw) -> tuple[ExtendedRequest, ...]:
    """Extended resources by container; named as kube-scheduler names the requests of the claim it makes for them."""
    starting = list(sections(spec, "initContainers", "spec"))
    found: list[ExtendedRequest] = []
    for index, container in enumerate((*starting, *sections(spec, "containers", "spec"))):
        path = f"spec.containers[{index}]"
        ends = index < len(starting) and not is_sidecar(container)
        for place, (resource, count) in enumerate(sorted(requests_of(container, path).items())):
            if count and _is_extended(resource):
                name = f"container-{index}-request-{place}"
                found.append(ExtendedRequest(text(container, "name", path), name, resource, count, ends))
    return tuple(found)


def _is_extended(resource: str) -> bool:
    """Names of a domain; kubernetes.io has none but those that stand for device classes."""
    domain, slash, _ = resource.partition("/")
    if not slash or resource.startswith("requests."):
        return False
    return domain == CLASS_DOMAIN or not (domain == "kubernetes.io" or domain.endswith(".kubernetes.io"))


def requests_of(owner: Raw, path: str) -> Requests:
    """``resources.requests``; a limit without a request is one too, as the API server defaults it."""
    here = at(path, "resources")
    resources = section(owner, "resources", path)
    return {**quantities(resources, "limits", here), **quantities(resources, "requests", here)}


def quantities(owner: Raw, key: str, path: str) -> Requests:
    """A ResourceList in the units of the model."""
    found: Requests = {}
    for name, value in section(owner, key, path).items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise FieldError(f"{at(path, key)}.{name}", "must be a quantity")
        try:
            amount = amount_in(name, str(value))
        except ValueError as error:
            raise FieldError(f"{at(path, key)}.{name}", str(error)) from error
        if amount < 0:
            raise FieldError(f"{at(path, key)}.{name}", f"must not be negative, is {value}")
        found[name] = amount
    return found


def is_resize_infeasible(status: Raw) -> bool:
    """Whether the kubelet said that the resize asked for can never be: then only what runs counts."""
    for condition in sections(status, "conditions", "status"):
        if condition.get("type") == "PodResizePending":
            return condition.get("reason") == "Infeasible"
    return False


def is_sidecar(container: Raw) -> bool:
    """Whether an init container keeps running beside the others."""
    return container.get("restartPolicy") == "Always"


def _aggregate(spec: Raw, requests: Callable[[Raw, str], Requests]) -> Requests:
    running: Requests = {}
    for index, container in enumerate(sections(spec, "containers", "spec")):
        _add(running, requests(container, f"spec.containers[{index}]"))
    sidecars: Requests = {}
    starting: Requests = {}
    for index, container in enumerate(sections(spec, "initContainers", "spec")):
        own = requests(container, f"spec.initContainers[{index}]")
        if is_sidecar(container):
            _add(running, own)
            _add(sidecars, own)
            own = sidecars
        else:
            _add(own, sidecars)
        starting = _largest((starting, own))
    return _largest((running, starting))


def _allocated(spec: Raw, statuses: Mapping[str, Raw], *, infeasible: bool) -> Requests:
    def held(container: Raw, path: str) -> Requests:
        status = statuses.get(text(container, "name", path), {})
        if status.get("allocatedResources") is not None:
            return quantities(status, "allocatedResources", "status.containerStatuses")
        return {} if infeasible else requests_of(container, path)

    return _aggregate(spec, held)


def _actuated(spec: Raw, statuses: Mapping[str, Raw], *, infeasible: bool) -> Requests:
    def actual(container: Raw, path: str) -> Requests:
        status = statuses.get(text(container, "name", path), {})
        resources = section(status, "resources", "status.containerStatuses")
        if resources.get("requests") is not None:
            return quantities(resources, "requests", "status.containerStatuses.resources")
        if status.get("allocatedResources") is not None:
            return quantities(status, "allocatedResources", "status.containerStatuses")
        return {} if infeasible else requests_of(container, path)

    return _aggregate(spec, actual)


def _pod_level(spec: Raw, status: Raw, *, infeasible: bool) -> Requests:
    asked = requests_of(spec, "spec")
    if not any(_is_pod_level(name) for name in asked):
        return {}
    effective = asked
    if status.get("resources") is not None:
        held, actual = (found or {} for found in _pod_statuses(status))
        effective = _largest((held, actual) if infeasible else (asked, held, actual))
    return {name: value for name, value in effective.items() if _is_pod_level(name)}


def _pod_statuses(status: Raw) -> tuple[Requests | None, Requests | None]:
    """What the kubelet set aside for the pod as a whole, and what it gave it; None where it does not say."""
    given = section(status, "resources", "status")
    return (
        quantities(status, "allocatedResources", "status")
        if status.get("allocatedResources") is not None
        else None,
        quantities(given, "requests", "status.resources") if given.get("requests") is not None else None,
    )


def _is_pod_level(resource: str) -> bool:
    return resource in _POD_LEVEL or resource.startswith(HUGE_PAGES)


def _container_statuses(status: Raw) -> dict[str, Raw]:
    """Statuses by container name that say something about resources."""
    return {
        text(item, "name", "status"): item
        for key in ("containerStatuses", "initContainerStatuses")
        for item in sections(status, key, "status")
        if item.get("allocatedResources") is not None or item.get("resources") is not None
    }


def _add(sums: Requests, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        sums[name] = sums.get(name, 0) + value


def _largest(parts: Iterable[Mapping[str, int]]) -> Requests:
    found: Requests = {}
    for part in parts:
        for name, value in part.items():
            found[name] = max(found.get(name, 0), value)
    return found
