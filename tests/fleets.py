"""Fleets of real device profiles as core snapshots, with pods that claim devices of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.localcluster.fleet import Fleet as FleetFile
from kai_sched.localcluster.fleet import fleet_objects
from kai_sched.model.devices import Claim, ClaimSpec, DeviceRequest, OpaqueConfig
from kai_sched.model.ids import ClaimKey, Uid
from kai_sched.model.policy import Policy
from kai_sched.model.resources import amounts
from kai_sched.model.snapshot import ClusterSnapshot, Fleet
from kai_sched.model.workloads import Pod, PodClaimRef, PodGroup, PodSpec
from tests.builders import NOW, a_pod, a_snapshot

DEVICELESS = PodSpec(namespace="team", requests=amounts({"cpu": 1000, "memory": 1 << 30, "pods": 1}))


@lru_cache
def _fleet_of(text: str) -> Fleet:
    document: Any = FleetFile.model_validate_json(text)
    return snapshot_of(ObjectSet(fleet_objects(document)), now=NOW, policy=Policy()).fleet


def a_fleet(*pools: dict[str, Any], **more: Any) -> Fleet:
    """The core's view of a fleet file with these pools."""
    head = {"apiVersion": "kai-sched.dev/v1alpha1", "kind": "Fleet"}
    document = FleetFile.model_validate({**head, "pools": list(pools), **more})
    return _fleet_of(document.model_dump_json(by_alias=True))


def a_mig_fleet(nodes: int, gpus: int) -> Fleet:
    """H100 nodes whose GPUs may be cut on demand."""
    devices = {"profile": "nvidia-h100", "partitions": "dynamic", "count": gpus}
    return a_fleet({"name": "mig", "count": nodes, "devices": [devices]})


@cache
def _interned(spec: ClaimSpec) -> ClaimSpec:
    """Claims of one template share their spec, as those that are read do."""
    return spec


def asks_mig(profile: str, *, count: int = 1, name: str = "gpu") -> DeviceRequest:
    """Partitions of one profile, as NVIDIA's examples ask for them."""
    return DeviceRequest(
        name=name,
        device_class="mig.nvidia.com",
        selectors=(f"device.attributes['gpu.nvidia.com'].profile == '{profile}'",),
        count=count,
    )


def asks_gpu(count: int = 1, name: str = "gpu") -> DeviceRequest:
    """Whole GPUs."""
    return DeviceRequest(name=name, device_class="gpu.nvidia.com", count=count)


def a_claim(name: str, *requests: DeviceRequest, owner: str = "", **more: Any) -> Claim:
    """A claim of namespace team; ``owner``: the pod it was made for."""
    configs: tuple[OpaqueConfig, ...] = more.pop("configs", ())
    constraints = more.pop("constraints", ())
    spec = ClaimSpec(requests=requests, configs=configs, constraints=constraints)
    return Claim(
        key=ClaimKey(f"team/{name}"),
        uid=Uid(f"uid-c-{name}"),
        spec=_interned(spec),
        owner_uid=f"uid-team/{owner}" if owner else "",
        **more,
    )


def claiming(name: str, group: str, *claims: Claim, spec: PodSpec = DEVICELESS, **more: Any) -> Pod:
    """A pod of a group that uses these claims."""
    refs = tuple(
        PodClaimRef(f"c{number}", claim.key, is_own=bool(claim.owner_uid))
        for number, claim in enumerate(claims)
    )
    return a_pod(name, spec, group=group, claims=refs, **more)


def on_fleet(
    fleet: Fleet, pods: Iterable[Pod], groups: Iterable[PodGroup], claims: Sequence[Claim], **more: Any
) -> ClusterSnapshot:
    """A snapshot of pods and claims on a fleet."""
    snapshot = a_snapshot(
        pods=pods, groups=groups, claims=tuple(sorted(claims, key=lambda one: one.key)), **more
    )
    return replace(snapshot, fleet=replace(fleet, version=1))
